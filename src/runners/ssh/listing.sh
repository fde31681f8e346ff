# shellcheck shell=sh
# What lies at the declared paths below $root, on the way there and beside them; no link is followed. One record for each
# thing, ended by NUL: kind, size, time of the last change, names, names inside of the job's directory, path.
look() {
    at=$root/$1
    if [ -L "$at" ]; then
        what='link'
    elif [ -d "$at" ]; then
        what='dir'
    elif [ -f "$at" ]; then
        what='file'
    elif [ -e "$at" ]; then
        what='other'
    else
        what='absent'
    fi
}

record() {
    printf '%s\t%s\t%s\t%s\t%s\t%s\0' "$what" "$2" "$3" "$4" "$5" "$1"
}

# In seconds.
changed() {
    stat -c %Z "$1" 2>/dev/null || stat -f %c "$1"
}

# Whether every part of a path is a directory.
is_way() {
    rest=$1
    way=
    while [ -n "$rest" ]; do
        way=${way:+$way/}${rest%%/*}
        look "$way"
        [ "$what" = dir ] || return 1
        case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
    done
}

# The orders call these: for each declared path, and for each directory in which some are.
artifact() {
    rest=$1
    way=
    while :; do
        way=${way:+$way/}${rest%%/*}
        look "$way"
        case $rest in */*) ;; *) break ;; esac
        if [ "$what" = absent ]; then return 0; fi
        record "$way" 0 0 0 0
        if [ "$what" != dir ]; then return 0; fi
        rest=${rest#*/}
    done
    if [ "$what" = absent ]; then return 0; fi
    if [ "$what" != file ]; then
        record "$way" 0 0 0 0
        return 0
    fi
    # shellcheck disable=SC2046 # mode, names, user, group, size
    set -- "$way" $(ls -dln "$at")
    names=$3
    inside=$3
    if [ "$names" != 1 ]; then
        number=$(ls -di "$at")
        inside=$(find "$job/inside" -type f -inum "${number%% /*}" -exec printf . \; | wc -c)
    fi
    record "$way" "$6" "$(changed "$at")" "$names" "$((inside))"
}
beside() {
    is_way "$1" || return 0
    for entry in "$root/$1"/* "$root/$1"/.[!.]* "$root/$1"/..?*; do
        look "${1:+$1/}${entry##*/}"
        if [ "$what" != absent ]; then record "${1:+$1/}${entry##*/}" 0 0 0 0; fi
    done
}

listing() {
    if [ -L "$root" ] || ! [ -d "$root" ]; then return 0; fi
    # shellcheck source=/dev/null
    . "$job/artifacts"
}
