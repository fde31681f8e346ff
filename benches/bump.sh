#!/usr/bin/env bash
# Times `lifeboat bump` beside `cargo set-version` (cargo-edit) on one tree: copies of CHECKOUT, warm, side by side.
#
#   benches/bump.sh CHECKOUT CONFIG OLD NEW        e.g. benches/bump.sh wasmtime examples/wasmtime/lifeboat.toml 36.0.5 36.0.6
#
# LIFEBOAT names the program (default: target/release/lifeboat), ROUNDS how often (default: 7). Prints milliseconds.
set -euo pipefail
checkout=$1 config=$(realpath "$2") old=$3 new=$4
lifeboat=$(realpath "${LIFEBOAT:-target/release/lifeboat}")
rounds=${ROUNDS:-7}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$checkout" "$work/tree"
cd "$work/tree"

# Runs "$@" in the tree as it was, and prints the milliseconds that it took: by the clock, and of the processor.
once() {
    git checkout -q . && git status --porcelain > /dev/null
    local TIMEFORMAT='%R %U %S'
    { time "$@" > "$work/log" 2>&1; } 2> "$work/time" || { tail -n 5 "$work/log" >&2; return 1; }
    awk '{ printf "%d %d\n", $1 * 1000, ($2 + $3) * 1000 }' "$work/time"
}

# The median of a column of what `once` printed.
median() { cut -d' ' -f"$1" | sort -n | sed -n "$((rounds / 2 + 1))p"; }

all=$(for _ in $(seq "$rounds"); do once "$lifeboat" bump --config "$config" --to "$new" --date 2026-01-01 --no-hooks; done)
ours=$(median 1 <<< "$all")
echo "lifeboat bump: $ours ms, $(median 2 <<< "$all") ms of the processor (medians of $rounds; load $(cut -d' ' -f1 /proc/loadavg))"
if cargo set-version --version > /dev/null 2>&1; then
    # It knows no families: it raises every crate by a patch, and needs the same tree.
    theirs=$(for _ in $(seq "$rounds"); do once cargo set-version --offline --workspace --bump patch; done | median 1)
    echo "cargo set-version: $theirs ms, $((theirs / (ours > 0 ? ours : 1))) times as long ($old to $new)"
else
    echo "cargo set-version: not installed (cargo install cargo-edit)"
fi
