# shellcheck shell=sh
# The first process in a job's namespaces: makes a root with the system's programs and the job's own directories, enters it,
# and runs the recipe in one more user namespace, whose user has no rights over these mounts.
set -eu
refuse() {
    printf 'sandbox: %s\n' "$*" >&2
    exit 125
}
job=$1
uid=$2
gid=$3
network=$4
shown=$5
recipe=$6
shift 6
view=$job/view
cd /
# Of the system's directories; what the job makes is for its user alone.
umask 022
mount -n -t tmpfs -o mode=755,nosuid,nodev tmpfs "$view" || refuse "cannot mount an empty directory"

# Read-only: what belongs to the job's user could be changed else. Not every `mount` does that at once, which shows at the first
# one; and some mounts keep flags that they have.
at_once=
bind() {
    if ! mount -n --rbind -o ro "$1" "$2" 2>/dev/null; then
        mount -n --rbind "$1" "$2" || refuse "cannot show $1"
        at_once=no
    fi
    if [ -z "$at_once" ]; then
        at_once=no
        if grep -F " $2 ro," /proc/self/mountinfo >/dev/null; then at_once=yes; fi
    fi
    if [ "$at_once" = no ]; then
        mount -n -o remount,bind,ro "$2" 2>/dev/null || mount -n -o remount,bind,ro,nosuid,nodev "$2" 2>/dev/null ||
            mount -n -o remount,bind,ro,nosuid,nodev,noexec "$2" 2>/dev/null || refuse "cannot make $1 read-only"
    fi
}
show() {
    if [ -L "$1" ] && [ "${1#/*/}" = "$1" ]; then
        ln -s "$(readlink "$1")" "$view$1"
    elif [ -d "$1" ]; then
        mkdir -p "$view$1"
        bind "$1" "$view$1"
    elif [ -f "$1" ]; then
        mkdir -p "$view${1%/*}"
        : >"$view$1"
        bind "$1" "$view$1"
    fi
}
for path in /usr /bin /sbin /lib /lib32 /lib64 /libx32 /opt /nix/store /nix/var/nix/profiles /gnu/store /run/current-system \
    /sys/devices/system/cpu /etc/alternatives /etc/ca-certificates /etc/crypto-policies /etc/fonts /etc/java \
    /etc/ld.so.conf.d /etc/perl /etc/pki/ca-trust /etc/pki/java /etc/pki/tls/certs /etc/python3 /etc/ssl/certs /etc/static \
    /etc/terminfo /etc/texmf /etc/xml /var/lib/dpkg /var/lib/texmf; do
    show "$path"
done
# Small files that anybody may read are copied; links that lead elsewhere too.
copy() {
    to=$view/etc/$1
    shift
    mkdir -p "$to"
    for path in "$@"; do
        shift
        if [ -f "/etc/$path" ] && [ -r "/etc/$path" ]; then set -- "$@" "/etc/$path"; fi
    done
    if [ "$#" != 0 ]; then cp -L "$@" "$to/" || refuse "cannot copy files of /etc"; fi
}
copy . alpine-release ca-certificates.conf debian_version fedora-release gai.conf group host.conf hostname hosts inputrc \
    ld.so.cache ld.so.conf locale.alias locale.conf localtime lsb-release magic mime.types nsswitch.conf os-release passwd \
    protocols redhat-release resolv.conf services timezone
copy pki/tls pki/tls/cert.pem pki/tls/openssl.cnf
copy ssl ssl/cert.pem ssl/openssl.cnf
mkdir -p "$view/dev/shm" "$view/dev/pts" "$view/proc" "$view/run" "$view/tmp" "$view/var/tmp"
for device in null zero full random urandom; do
    : >"$view/dev/$device"
    mount -n --bind "/dev/$device" "$view/dev/$device" || refuse "cannot show /dev/$device"
done
ln -s /proc/self/fd "$view/dev/fd"
for number in 0:stdin 1:stdout 2:stderr; do
    ln -s "/proc/self/fd/${number%:*}" "$view/dev/${number#*:}"
done
mount -n -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$view/dev/shm" || refuse "cannot mount /dev/shm"
# Terminals of its own, where the system lets it have them.
if mount -n -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$view/dev/pts" 2>/dev/null; then
    ln -s pts/ptmx "$view/dev/ptmx"
fi
mount -n -t proc -o nosuid,nodev,noexec proc "$view/proc" || refuse "cannot mount /proc"
mount -n --bind "$job/inside/tmp" "$view/tmp" || refuse "cannot show the job's directory"
mount -n --bind "$job/inside/tmp" "$view/var/tmp" || refuse "cannot show the job's directory"
mkdir -p "$view$job/inside"
mount -n --rbind "$job/inside" "$view$job/inside" || refuse "cannot show the job's directory"
# One path in each line, as the configuration and the passed variables say.
while IFS= read -r path; do
    [ -n "$path" ] || continue
    case $job/ in "${path%/}"/*) refuse "$path holds the directory of jobs, and is not shown" ;; esac
    show "$path"
    # Beside what is shown of cargo's home.
    for name in credentials credentials.toml; do
        if [ -f "$view$path/$name" ]; then mount -n --bind /dev/null "$view$path/$name" || refuse "cannot hide $path/$name"; fi
    done
done <<END
$shown
END
if [ "$network" = no ]; then
    ip link set lo up 2>/dev/null || ifconfig lo 127.0.0.1 up 2>/dev/null || :
fi
mkdir "$view/.old"
cd "$view"
pivot_root . .old || refuse "cannot change the root"
cd /
umount -n -l /.old || refuse "cannot take off the old root"
rmdir /.old
mount -n -o remount,bind,ro / || refuse "cannot make the root read-only"

way=--map-root-user
if [ "$uid" != 0 ] && unshare --user "--map-user=$uid" "--map-group=$gid" true 2>/dev/null; then
    way=--map-user=$uid
    set -- "--map-group=$gid" -- /bin/sh -c "$recipe" lifeboat "$job/inside" "$@"
else
    set -- -- /bin/sh -c "$recipe" lifeboat "$job/inside" "$@"
fi
code=0
umask 077
unshare --user "$way" "$@" </dev/null || code=$?
exit "$code"
