#!/bin/sh
# Hashes GIB GiB of files (default 4, in 8 files) with lifeboat, the sha2 crate, openssl and coreutils, in one run.
#   benches/hash.sh [GIB] [DIRECTORY]
set -eu
gib=${1:-4}
dir=${2:-$(mktemp -d)}
[ $# -ge 2 ] || trap 'rm -rf "$dir"' EXIT
mib=$((gib * 1024 / 8))
cores=$(nproc)
for n in 1 2 3 4 5 6 7 8; do
    [ -f "$dir/$n.bin" ] || openssl enc -aes-128-ctr -pass pass:$n -pbkdf2 -in /dev/zero 2>/dev/null | head -c "${mib}M" >"$dir/$n.bin"
done
cat "$dir"/*.bin >/dev/null
echo "machine: $cores processors, load $(cut -d' ' -f1 /proc/loadavg)"
# BENCH_PROFILE=dev spares a release build: the digests themselves are optimised in every profile.
cargo bench --quiet --profile "${BENCH_PROFILE:-bench}" --bench hash -- "$dir"/*.bin
bytes=$(cat "$dir"/*.bin | wc -c)
for command in "openssl dgst -sha256" "openssl dgst -sha512" sha256sum sha512sum; do
    start=$(date +%s%N)
    # One process per processor, each over its share of the files.
    ls "$dir"/*.bin | xargs -P "$cores" -n "$((8 / cores > 0 ? 8 / cores : 1))" $command >/dev/null
    end=$(date +%s%N)
    echo "$command, one digest, $cores processes: $((bytes * 1000 / (end - start))) MB/s"
done
