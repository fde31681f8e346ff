#!/bin/sh
# Builds the sample: one archive for the target named by the first argument.
set -eu
target=$1
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
name=sample-v$version-$target
mkdir -p "work/$name/bin" "work/$name/include" dist
sed "s/@VERSION@/$version/" sample.in > "work/$name/bin/sample"
chmod 755 "work/$name/bin/sample"
cp include/sample.h "work/$name/include/"
cp RELEASES.md "work/$name/"
# Same input, same bytes.
tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
    -C work -cf - "$name" | gzip -9n > "dist/$name.tar.gz"
