#!/bin/sh
# Tests what was built, as a user would run it.
set -eu
target=$1
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
tar -xzf "dist/sample-v$version-$target.tar.gz"
program=sample-v$version-$target/bin/sample
test "$(sh "$program" --version)" = "sample $version"
test "$(sh "$program" 8)" = 64
test "$(sh "$program" 9 || true)" = "sample: out of range"
