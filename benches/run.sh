#!/bin/sh
# Every measured promise, each number beside its bar. Say how busy the machine was: the first line does.
#   benches/run.sh [GIB]      GIB: the size of the big artifact (default 2)
# BENCH_PROFILE=dev spares a release build; the times then say little, the memory is the same.
set -eu
cd "$(dirname "$0")/.."
gib=${1:-2}
profile=${BENCH_PROFILE:-bench}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
scale() { cargo bench --quiet --profile "$profile" --bench scale -- "$@"; }

echo "machine: $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg), profile $profile"
scale plan
scale builds
scale fold
scale finish "$dir/train"
scale ship "$dir/train"
scale sandbox
scale schedule

head -c "${gib}G" /dev/urandom >"$dir/big.bin"
scale hash "$dir/big.bin"
mkdir "$dir/copy"
scale copy "$dir/big.bin" "$dir/copy"
rm -rf "$dir/copy"

# A tree of the same size: files of 16 MiB, as artifacts and test data in real trees are, and packed, as they are after a
# clone. libgit2 reads one packed file at a time as a whole, so a single file of 2 GiB would need as much.
git init --quiet "$dir/repository"
split --bytes=16M "$dir/big.bin" "$dir/repository/part-"
rm "$dir/big.bin"
git -C "$dir/repository" -c core.compression=0 add .
git -C "$dir/repository" -c user.name=bench -c user.email=bench@example.org commit --quiet --message big
rm "$dir"/repository/part-*
git -C "$dir/repository" -c core.compression=0 -c pack.window=0 repack --quiet -a -d
scale archive "$dir/repository/.git" "$(git -C "$dir/repository" rev-parse HEAD)"
rm -rf "$dir/repository"

BENCH_PROFILE=$profile benches/hash.sh
BENCH_PROFILE=$profile benches/uploads.sh
