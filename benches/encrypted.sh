#!/bin/bash
# A train to its gate, into a bucket of radosgw: with `staging = "private"` and `"encrypted"`, in turns.
#   benches/encrypted.sh [FILES] [MIB] [ROUNDS]      default: 20 artifacts of 100 MiB, 3 rounds
# Needs radosgw, ceph-mon, ceph-osd, ceph-common, curl, rclone, jq, time. BENCH_PROFILE=dev spares a release build; LIFEBOAT=PROGRAM
# measures that program, and builds nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
files=${1:-20} mib=${2:-100} rounds=${3:-3}
profile=${BENCH_PROFILE:-release}
for needed in radosgw ceph-mon ceph-osd curl rclone jq /usr/bin/time; do
    command -v "$needed" >/dev/null || { echo "there is no $needed: apt-get install radosgw ceph-mon ceph-osd ceph-common curl rclone jq time" >&2; exit 1; }
done
program=${LIFEBOAT:-}
if [ -z "$program" ]; then
    cargo build --quiet --locked --profile "$profile"
    target=$(cargo metadata --format-version 1 --no-deps --locked | jq -r .target_directory)
    program=$target/${profile/#dev/debug}/lifeboat
fi
dir=$(mktemp -d)
cleanup() {
    exec {server[1]}>&- 2>/dev/null || true
    rm -rf "$dir"
}
trap cleanup EXIT
s3=$((20000 + $$ % 10000))
coproc server { exec bash tests/support/radosgw.sh "$dir/ceph" $((s3 + 1)) $((s3 + 2)) "$s3" $((12 << 30)); }
read -r said <&"${server[0]}"
[ "$said" = ready ] || { echo "radosgw does not start" >&2; exit 1; }
export KEY=relkey SECRET=relsecretrelsecret
mkdir "$dir/made"
for i in $(seq "$files"); do head -c "${mib}M" /dev/urandom >"$dir/made/$i.bin"; done
echo "machine: $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg), ${LIFEBOAT:-profile $profile}; $files artifacts of $mib MiB"

address=http://127.0.0.1:$s3

# One train to its gate: says the seconds of encrypting and of staging the line with the artifacts, and the peak in KiB.
train() {
    local mode=$1 home=$dir/$1 bucket=bench-$1-$2
    "$program" drill --manual "$home" >/dev/null
    no_proxy=* RCLONE_S3_PROVIDER=Ceph RCLONE_S3_ENDPOINT=$address RCLONE_S3_ACCESS_KEY_ID=$KEY RCLONE_S3_SECRET_ACCESS_KEY=$SECRET \
        env -u AWS_CA_BUNDLE rclone --quiet --config /dev/null mkdir ":s3:$bucket"
    {
        sed -e "s|^url = \"file://.*|url = \"s3://$bucket\"\nstaging = \"$mode\"\nendpoint = \"$address\"\naccess_key = { env = \"KEY\" }\nsecret_key = { env = \"SECRET\" }|" \
            "$home/project/lifeboat.toml"
        printf '\n[[runner]]\nname = "here"\nkind = "local"\nread = ["%s"]\n' "$dir/made"
        printf '\n[[target]]\nname = "big"\nbranches = "release-1.0.0"\nrun = ["mkdir -p big && cp %s/*.bin big/"]\nartifacts = [' "$dir/made"
        seq -f '"big/%g.bin",' "$files"
        printf ']\n'
    } >"$home/new.toml"
    mv "$home/new.toml" "$home/project/lifeboat.toml"
    (
        cd "$home/project"
        export LIFEBOAT_STATE=$home/state
        code=0
        /usr/bin/time -f %M -o "$home/peak" "$program" ship ../train.toml --json >"$home/said" || code=$?
        [ "$code" = 3 ] || { cat "$home/said" >&2; exit 1; }
        "$program" abandon --reason "it was measured" >/dev/null
    )
    seconds() { jq "[.steps[] | select(.step | startswith(\"$1\")) | .seconds] | add // 0" "$home/said"; }
    echo "$(seconds encrypt/release-1.0.0) $(seconds stage/mirror/release-1.0.0) $(tail -1 "$home/peak")"
    rm -rf "$home"
}
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
plain=() sealed=()
for round in $(seq "$rounds"); do
    for mode in private encrypted; do
        read -r encrypt stage peak < <(train "$mode" "$round")
        rate=$(awk -v m="$((files * mib))" -v s="$stage" 'BEGIN { printf "%.1f", m * 1.048576 / s }')
        echo "$mode  staged at $rate MB/s; encrypted in $encrypt s before; peak $((peak / 1024)) MiB"
        if [ "$mode" = private ]; then plain+=("$rate"); else sealed+=("$rate"); fi
    done
done
awk -v a="$(median "${sealed[@]}")" -v b="$(median "${plain[@]}")" \
    'BEGIN { r = a / b; printf "median of each: %.1f and %.1f MB/s, ratio %.2f (bar 0.90: %s)\n", a, b, r, (r >= 0.9 ? "ok" : "MISSED") }'
