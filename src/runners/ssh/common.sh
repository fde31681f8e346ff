# shellcheck shell=sh
# What each call on the host begins with: $1 is what to do, $2 the directory of jobs. The scripts of one call are sent one
# after the other on standard input, before what the call is given. They need `sh`, `tar`, `gzip` and what POSIX has.
set -eu
umask 077
own_path=${PATH-}
own_locale=${LC_ALL-}
PATH=${PATH:-/usr/bin:/bin}:/usr/local/bin:/usr/sbin:/sbin:/usr/bin:/bin
export PATH
LC_ALL=C
export LC_ALL

# What is wrong with the host, the job or the request: the message for people. What another code means, ssh or sh says.
fail() {
    printf 'lifeboat: %s\n' "$*" >&2
    exit 9
}

act=$1
# shellcheck disable=SC2088 # it stands there as text
case $2 in
'~/'*) dir=${HOME:?}/${2#'~/'} ;;
*) dir=$2 ;;
esac
shift 2
if ! mkdir -p "$dir/objects" 2>/dev/null || ! cd "$dir" 2>/dev/null || ! [ -w . ]; then
    fail "cannot write in the directory of jobs, $dir"
fi
dir=$(pwd -P)
cd /

# Which start of which boot a process number means: a number alone is used again. Nothing if it does not run.
born() {
    if [ -r "/proc/$1/stat" ]; then
        { IFS= read -r line; } 2>/dev/null <"/proc/$1/stat" || return 1
        line=${line##*) }
        case $line in Z* | X*) return 1 ;; esac
        # shellcheck disable=SC2086 # its fields
        set -- $line
        shift 19
        echo "$1 $(cat /proc/sys/kernel/random/boot_id 2>/dev/null || :)"
    else
        line=$(ps -o lstart= -p "$1" 2>/dev/null) || return 1
        [ -n "$line" ] && echo "$line"
    fi
}

# Writes a file that says which process this is, whole or not at all.
sign() {
    { echo "$$" && born $$; } >"$1.new"
    mv -f "$1.new" "$1"
}

# Whether the process that signed a file runs; its number is then in $pid.
lives() {
    { read -r pid && IFS= read -r start; } 2>/dev/null <"$1" || return 1
    [ "$(born "$pid" || :)" = "$start" ]
}

# How a job stands: exited CODE, late, running, queued, lost.
state_once() {
    if [ -f "$1/status" ]; then
        cat "$1/status"
    elif [ -f "$1/running" ] && lives "$1/running"; then
        echo running
    elif [ -f "$1/queued" ] && ! [ -f "$1/running" ] && lives "$1/queued"; then
        echo queued
    else
        echo lost
    fi
}

# The same; it may have gone on between two looks.
state() {
    stands=$(state_once "$1")
    if [ "$stands" = lost ]; then stands=$(state_once "$1"); fi
    echo "$stands"
}

# Where fractions of a second are not known, a whole one.
nap() {
    sleep 0.02 2>/dev/null || sleep 1
}

# The processes that have the job's home in their environment, wherever that can be read.
strays() {
    [ -r /proc/self/environ ] || return 0
    # Processes end while they are looked at.
    grep -lF "HOME=$1/inside/home" /proc/[0-9]*/environ 2>/dev/null | while IFS=/ read -r _ _ pid _; do
        # What has ended and was not waited for has no start.
        if [ "$pid" != "$$" ] && born "$pid" >/dev/null; then echo "$pid"; fi
    done || :
}

end_group() {
    kill -s KILL -- "-$1" 2>/dev/null || kill -s KILL "$1" 2>/dev/null || :
}

# Kills what a job has started; says whether all of it is gone. With `all` its supervisor too, which is first.
end_processes() {
    if [ "${2-}" = all ] && [ -f "$1/running" ] && lives "$1/running"; then
        end_group "$pid"
    fi
    if [ "${2-}" = ended ]; then
        # Its number may be another process's already; a group has it only if something of the job is left.
        if read -r pid <"$1/leader"; then kill -s KILL -- "-$pid" 2>/dev/null || :; fi
    elif [ -f "$1/leader" ] && lives "$1/leader"; then
        end_group "$pid"
    fi
    tries=0
    while :; do
        found=$(strays "$1")
        if [ -z "$found" ] && ! { [ "${2-}" = all ] && [ -f "$1/running" ] && lives "$1/running"; }; then return 0; fi
        [ "$tries" -lt 500 ] || return 1
        tries=$((tries + 1))
        # shellcheck disable=SC2086 # several numbers
        [ -z "$found" ] || kill -s KILL $found 2>/dev/null || :
        nap
    done
}

# Removes a tree whose directories a recipe may have made unwritable.
remove() {
    rm -rf "$1" 2>/dev/null || {
        find "$1" -type d -exec chmod u+rwx {} + 2>/dev/null || :
        rm -rf "$1" 2>/dev/null || fail "cannot remove $1"
    }
}

# Runs a command in the background in a process group of its own, which outlives this shell and its connection.
apart() {
    if command -v setsid >/dev/null 2>&1; then
        setsid "$@" &
    else
        set -m
        "$@" &
        set +m
    fi
}

sha256() {
    if command -v sha256sum >/dev/null 2>&1; then
        sha256sum
    elif command -v shasum >/dev/null 2>&1; then
        shasum -a 256
    else
        openssl dgst -sha256 -r
    fi <"$1" | cut -c1-64
}

echo '--lifeboat--'
