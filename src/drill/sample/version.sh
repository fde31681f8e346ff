#!/bin/sh
# Writes the file that names the version, as projects do that generate such files.
set -eu
sed -n 's/^version = "\(.*\)"/sample \1/p' Cargo.toml | head -n 1 > VERSION
