#!/bin/bash
# What a job costs beyond its recipe, on this machine and on one with sshd (this machine again), and how fast a large artifact
# comes back beside `scp` from the same sshd, in turns.
#   benches/runners.sh [JOBS] [MIB] [ROUNDS]      default: 20 jobs, 200 MiB, 5 rounds
# BENCH_PROFILE=dev spares a release build. Needs openssh-server and openssh-client.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
echo "machine: $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg), $(ssh -V 2>&1)"
cargo bench --quiet --profile "${BENCH_PROFILE:-bench}" --bench runners -- all "$dir" "${1:-20}" "${2:-200}" "${3:-5}"
