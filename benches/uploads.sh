#!/bin/bash
# Assets to a forge, by lifeboat and by curl with the same parallelism, against the same double, in turns.
#   benches/uploads.sh [ASSETS] [MIB] [ROUNDS]      default: 100 assets of 20 MiB, 3 rounds
# Needs curl (apt-get install curl). BENCH_PROFILE=dev spares a release build.
set -euo pipefail
cd "$(dirname "$0")/.."
assets=${1:-100} mib=${2:-20} rounds=${3:-3}
profile=${BENCH_PROFILE:-bench}
parallel=4 # as `src/engine/perform/forge.rs` has it
command -v curl >/dev/null || { echo "there is no curl: apt-get install curl" >&2; exit 1; }
dir=$(mktemp -d)
server=
cleanup() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
    rm -rf "$dir"
}
trap cleanup EXIT
cargo bench --quiet --profile "$profile" --bench uploads --no-run
program=$(cargo bench --profile "$profile" --bench uploads --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*uploads[^"]*\)".*/\1/p')
mkdir "$dir/files"
for i in $(seq "$assets"); do head -c "${mib}M" /dev/urandom >"$dir/files/$i.bin"; done

echo "machine: $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg), profile $profile; $assets assets of $mib MiB, $parallel at once"
start_server() {
    coproc SERVER { exec "$program" serve; }
    server=$SERVER_PID
    read -r api uploads token <&"${SERVER[0]}"
}
stop_server() { kill "$server"; wait "$server" 2>/dev/null || true; server=; }

ours=() theirs=()
for round in $(seq "$rounds"); do
    start_server
    "$program" send "$dir/files" "$api" >"$dir/said"
    ours+=("$(head -1 "$dir/said")")
    echo "lifeboat  $(head -1 "$dir/said") MB/s $(tail -1 "$dir/said")"
    stop_server
    start_server
    header=(-H "authorization: Bearer $token" -H "accept: application/vnd.github+json" -H "x-github-api-version: 2022-11-28")
    draft=$(curl -fsS "${header[@]}" -H "content-type: application/json" -d '{"tag_name":"v48.0.1","draft":true}' \
        "$api/repos/example/sample/releases" | sed 's/.*"id":\([0-9]*\),"immutable".*/\1/')
    for i in $(seq "$assets"); do
        printf 'url = "%s/repos/example/sample/releases/%s/assets?name=%s.bin"\nupload-file = "%s"\noutput = /dev/null\n' \
            "$uploads" "$draft" "$i" "$dir/files/$i.bin" >>"$dir/curl.$((i % parallel))"
    done
    start=$(date +%s%N)
    # One process for each upload at a time, over one connection each: `curl --parallel` has a single thread for all.
    printf '%s\n' "$dir"/curl.* | xargs -P "$parallel" -I '{}' curl -fsS -X POST "${header[@]}" -H "expect:" \
        -H "content-type: application/octet-stream" -K '{}'
    end=$(date +%s%N)
    rm "$dir"/curl.*
    theirs+=("$((assets * mib * 1048576 * 1000 / (end - start)))")
    echo "curl      ${theirs[-1]} MB/s"
    stop_server
done
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
awk -v a="$(median "${ours[@]}")" -v b="$(median "${theirs[@]}")" \
    'BEGIN { r = a / b; printf "median of each: %d and %d MB/s, ratio %.2f (bar 0.90: %s)\n", a, b, r, (r >= 0.9 ? "ok" : "MISSED") }'
