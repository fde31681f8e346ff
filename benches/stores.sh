#!/bin/bash
# Files to a bucket (radosgw), a WebDAV server (nginx) and a machine with sshd, read back, and made public: by lifeboat, and by
# rclone with the same parallelism, against the same servers on this machine, in turns. Then an upload that is killed.
#   benches/stores.sh [FILES] [MIB] [ROUNDS] [KILLS]      default: 200 files of 10 MiB, 3 rounds, 20 kills
# STORES="s3 webdav sftp" chooses; TMPDIR says where files and servers are (three times the size). BENCH_PROFILE=dev spares a
# release build. Needs rclone, radosgw, ceph-mon, ceph-osd, ceph-common, nginx-light, libnginx-mod-http-dav-ext, openssh-server.
#
# rclone computes no SHA-256; `rclone check --download` reads everything back, as lifeboat does.
set -euo pipefail
cd "$(dirname "$0")/.."
files=${1:-200} mib=${2:-10} rounds=${3:-3} kills=${4:-20}
profile=${BENCH_PROFILE:-bench}
parallel=8 # as `transfers` has it by default
stores=${STORES:-s3 webdav sftp}
for program in rclone radosgw ceph-mon ceph-osd; do
    command -v "$program" >/dev/null || { echo "there is no $program: apt-get install rclone radosgw ceph-mon ceph-osd ceph-common" >&2; exit 1; }
done
dir=$(mktemp -d)
server=
cleanup() {
    if [ -n "$server" ]; then exec {to_server}>&-; wait "$server" 2>/dev/null || true; fi
    rm -rf "$dir"
}
trap cleanup EXIT
if [ -z "${BENCH_PROGRAM:-}" ]; then
    cargo bench --quiet --profile "$profile" --bench stores --no-run
    BENCH_PROGRAM=$(cargo bench --profile "$profile" --bench stores --no-run --message-format=json 2>/dev/null |
        sed -n 's/.*"executable":"\([^"]*stores[^"]*\)".*/\1/p')
fi
program=$BENCH_PROGRAM
mkdir "$dir/files" "$dir/servers"
for i in $(seq "$files"); do head -c "${mib}M" /dev/urandom >"$dir/files/$i.bin"; done

mkfifo "$dir/input"
"$program" serve "$dir/servers" <"$dir/input" >"$dir/said" &
server=$!
exec {to_server}>"$dir/input"
until grep -q ready=yes "$dir/said"; do kill -0 "$server"; sleep 0.1; done
. "$dir/said"
export KEY=$access_key SECRET=$secret_key DAV_PASSWORD=$password

cat >"$dir/s3.toml" <<END
url = "s3://$bucket"
endpoint = "$endpoint"
access_key = { env = "KEY" }
secret_key = { env = "SECRET" }
transfers = $parallel
END
cat >"$dir/webdav.toml" <<END
url = "dav${dav#http}"
user = "$user"
password = { env = "DAV_PASSWORD" }
transfers = $parallel
END
cat >"$dir/sftp.toml" <<END
url = "sftp://127.0.0.1:$ssh_port$ssh_root"
ssh_config = "$ssh_config"
transfers = $parallel
END

# rclone's own configuration, without the user's and without a variable that this version stumbles over.
unset AWS_CA_BUNDLE
export RCLONE_CONFIG=/dev/null
export RCLONE_CONFIG_S3_TYPE=s3 RCLONE_CONFIG_S3_PROVIDER=Ceph RCLONE_CONFIG_S3_ENDPOINT=$endpoint
export RCLONE_CONFIG_S3_ACCESS_KEY_ID=$access_key RCLONE_CONFIG_S3_SECRET_ACCESS_KEY=$secret_key
export RCLONE_CONFIG_WEBDAV_TYPE=webdav RCLONE_CONFIG_WEBDAV_VENDOR=other RCLONE_CONFIG_WEBDAV_URL=$dav
export RCLONE_CONFIG_WEBDAV_USER=$user RCLONE_CONFIG_WEBDAV_PASS
RCLONE_CONFIG_WEBDAV_PASS=$(rclone obscure "$password")
export RCLONE_CONFIG_SFTP_TYPE=sftp RCLONE_CONFIG_SFTP_HOST=127.0.0.1 RCLONE_CONFIG_SFTP_PORT=$ssh_port
export RCLONE_CONFIG_SFTP_USER RCLONE_CONFIG_SFTP_KEY_FILE
RCLONE_CONFIG_SFTP_USER=$(id -un) RCLONE_CONFIG_SFTP_KEY_FILE=$(dirname "$ssh_config")/id
export RCLONE_CONFIG_SFTP_DISABLE_HASHCHECK=true

place() { case $1 in s3) echo "s3:$bucket/rclone" ;; webdav) echo webdav:rclone ;; sftp) echo "sftp:$ssh_root/rclone" ;; esac; }
# Empties a store: what was made in a round is not to fill the next one's memory.
empty() {
    rclone purge "$(place "$1")" 2>/dev/null || true
    local root
    case $1 in s3) root="s3:$bucket" ;; webdav) root=webdav: ;; sftp) root="sftp:$ssh_root" ;; esac
    rclone purge --transfers 32 --checkers 32 "${root%/}${2:-/releases}" 2>/dev/null || true
    if [ "$1" = webdav ]; then rm -rf "$dir"/servers/dav/releases/.staging "$dir"/servers/dav/releases/releases; fi
    if [ "$1" = sftp ]; then rm -rf "$ssh_root"/.staging "$ssh_root"/releases; fi
    if [ "$1" = s3 ]; then rclone delete --transfers 32 --checkers 32 "s3:$bucket" 2>/dev/null || true; fi
}
timed() { # What is run; prints MB/s.
    local start end
    start=$(date +%s%N); "$@" >&2; end=$(date +%s%N)
    echo $((files * mib * 1048576 * 1000 / (end - start)))
}
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
judge() { awk -v w="$1" -v a="$2" -v b="$3" 'BEGIN { r = a / b; printf "%-14s lifeboat %5d MB/s, rclone %5d MB/s, ratio %.2f%s\n", w, a, b, r, (r >= 1 ? "" : "  SLOWER") }'; }

# Whoever stages files knows their digests already.
"$program" digests "$dir/files"
echo "machine: $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg), profile $profile, $(rclone version | head -1); $files files of $mib MiB, $parallel at once, in $(df --output=fstype "$dir" | tail -1)"
for store in $stores; do
    up=() up_theirs=() down=() down_theirs=()
    for round in $(seq "$rounds"); do
        for act in stage verify promote; do
            said=$("$program" "$act" "$dir/$store.toml" "$dir/files")
            printf '%-7s lifeboat %-8s %s\n' "$store" "$act" "$said"
            case $act in stage) up+=("${said%% *}") ;; verify) down+=("${said%% *}") ;; esac
        done
        empty "$store"
        at=$(place "$store")
        up_theirs+=("$(timed rclone copy --transfers "$parallel" --checkers "$parallel" "$dir/files" "$at")")
        down_theirs+=("$(timed rclone check -q --download --checkers "$parallel" --transfers "$parallel" "$dir/files" "$at")")
        printf '%-7s rclone   copy     %s MB/s\n%-7s rclone   check    %s MB/s\n' "$store" "${up_theirs[-1]}" "$store" "${down_theirs[-1]}"
        empty "$store"
    done
    judge "$store upload" "$(median "${up[@]}")" "$(median "${up_theirs[@]}")"
    judge "$store read back" "$(median "${down[@]}")" "$(median "${down_theirs[@]}")"
done
case " $stores " in
*" s3 "*) if [ "$kills" -gt 0 ]; then "$program" kills "$dir/s3.toml" "$dir/files" "$kills"; fi ;;
esac
