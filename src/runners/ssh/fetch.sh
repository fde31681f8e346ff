# shellcheck shell=sh
# What a job that ended has left: what is there, or the bytes of one file.
job=$dir/$1
[ -f "$job/root" ] || fail "the job's directory is not there"
root=$(cat "$job/root")
case $act in
collect)
    state "$job"
    if [ -L "$root" ] || ! [ -d "$root" ]; then
        echo gone
    else
        changed "$job/started"
        cat "$job/before"
        printf '\0'
        listing
    fi
    ;;
get)
    case $2 in */*) is_way "${2%/*}" || fail "$2 is reached through something that is not a directory" ;; esac
    look "$2"
    [ "$what" = file ] || fail "$2 is not a file any more"
    cat "$at"
    ;;
esac
