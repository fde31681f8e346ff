#!/bin/bash
# A train into a bucket of radosgw: with `staging = "private"` and `"encrypted"`, in turns. An encrypted promotion uploads every
# file and reads it back, so it is compared with what does the same to plain files: `stage` and `verify-staged` in private mode.
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

bucket() {
    no_proxy=* RCLONE_S3_PROVIDER=Ceph RCLONE_S3_ENDPOINT=$address RCLONE_S3_ACCESS_KEY_ID=$KEY RCLONE_S3_SECRET_ACCESS_KEY=$SECRET \
        env -u AWS_CA_BUNDLE rclone --quiet --config /dev/null "$@"
}

# One train: says the seconds of encrypting, of staging the line with the artifacts, of reading that back and of promoting it,
# and the peak of both runs in KiB.
train() {
    local mode=$1 home=$dir/$1 name=bench-$1-$2
    "$program" drill --manual "$home" >/dev/null
    bucket mkdir ":s3:$name"
    {
        sed -e "s|^url = \"file://.*|url = \"s3://$name\"\nstaging = \"$mode\"\nendpoint = \"$address\"\naccess_key = { env = \"KEY\" }\nsecret_key = { env = \"SECRET\" }|" \
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
        ship() { # The expected exit code, where to write, arguments.
            local wanted=$1 to=$2 code=0
            shift 2
            /usr/bin/time -f %M -o "$to.peak" "$program" ship --json "$@" >"$to" || code=$?
            [ "$code" = "$wanted" ] || { cat "$to" >&2; exit 1; }
        }
        ship 3 "$home/staged" ../train.toml
        "$program" approve --as alice --yes >/dev/null
        "$program" approve --as bob --yes >/dev/null
        ship 0 "$home/public"
    )
    seconds() { jq "[.steps[] | select(.step | startswith(\"$2/\") and endswith(\"/release-1.0.0\")) | .seconds] | add // 0" "$home/$1"; }
    echo "$(seconds staged encrypt) $(seconds staged stage) $(seconds staged verify-staged) $(seconds public promote)" \
        "$(cat "$home"/*.peak | sort -n | tail -1)"
    bucket purge ":s3:$name" || true
    rm -rf "$home"
}
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
rate() { awk -v m="$((files * mib))" -v s="$1" 'BEGIN { printf "%.1f", m * 1.048576 / s }'; }
staged=() staged_encrypted=() plain=() promoted=()
for round in $(seq "$rounds"); do
    for mode in private encrypted; do
        read -r encrypt stage verify promote peak < <(train "$mode" "$round")
        both=$(awk -v a="$stage" -v b="$verify" 'BEGIN { print a + b }')
        echo "$mode  encrypted in $encrypt s; staged at $(rate "$stage") MB/s, and read back in $verify s; promoted in $promote s; peak $((peak / 1024)) MiB"
        if [ "$mode" = private ]; then
            staged+=("$(rate "$stage")") plain+=("$(rate "$both")")
        else
            staged_encrypted+=("$(rate "$stage")") promoted+=("$(rate "$promote")")
        fi
    done
done
judge() {
    awk -v w="$1" -v a="$2" -v b="$3" \
        'BEGIN { r = a / b; printf "%s: %.1f and %.1f MB/s, ratio %.2f (bar 0.90: %s)\n", w, a, b, r, (r >= 0.9 ? "ok" : "MISSED") }'
}
judge "encrypted staging beside plain staging" "$(median "${staged_encrypted[@]}")" "$(median "${staged[@]}")"
judge "encrypted promotion beside plain upload and read back" "$(median "${promoted[@]}")" "$(median "${plain[@]}")"
