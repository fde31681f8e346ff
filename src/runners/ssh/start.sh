# shellcheck shell=sh
# Makes a job's directory and starts what watches over it. Orders arrive on standard input before anything is made: what
# happens then needs no connection. $1 is the job, the others are its older attempts.
name=$1
shift
job=$dir/$name
incoming=$dir/incoming.$$
rm -rf "$incoming"
mkdir "$incoming"
trap 'rm -rf "$incoming"' EXIT
(cd "$incoming" && tar -xof -) || fail "the orders of a job did not arrive whole"
[ -f "$incoming/whole" ] || fail "the orders of a job did not arrive whole"

# What is missing is said before anything is made. What is used is touched; nothing is kept for good.
case $(state "$job") in lost | queued) ;; *) exit 0 ;; esac
find "$dir/objects" -type f -mtime +30 -exec rm -f {} + 2>/dev/null || :
missing=
while read -r digest; do
    if [ -f "$dir/objects/$digest" ]; then
        touch "$dir/objects/$digest"
    else
        missing=yes
        echo "$digest"
    fi
done <"$incoming/wanted"
[ -z "$missing" ] || exit 8

# Making the directory is the lock. One that was begun by a call that has ended is made anew.
waited=0
unsigned=0
until mkdir "$job" 2>/dev/null; do
    case $(state "$job") in
    queued) ;;
    lost)
        # Whoever makes it signs it at once.
        unsigned=$((unsigned + 1))
        if [ -f "$job/queued" ] || [ "$unsigned" -gt 100 ]; then
            end_processes "$job" all || fail "processes of an earlier start of the job could not be killed"
            if mv "$job" "$dir/gone.$$" 2>/dev/null; then remove "$dir/gone.$$"; fi
            unsigned=0
        fi
        ;;
    *) exit 0 ;;
    esac
    waited=$((waited + 1))
    [ "$waited" -lt 3000 ] || fail "another call makes the same job and does not end"
    nap
done
sign "$job/queued"
for older in "$@"; do
    if [ -d "$dir/$older" ]; then
        end_processes "$dir/$older" all || fail "processes of an earlier attempt could not be killed"
        remove "$dir/$older/inside"
    fi
done

object() {
    if ! [ -f "$dir/objects/$1" ] || [ "$(sha256 "$dir/objects/$1")" != "$1" ]; then
        rm -f "$dir/objects/$1"
        echo "$1"
        exit 8
    fi
    echo "$1" >>"$job/objects"
}

unpack() {
    gzip -dc <"$dir/objects/$1" | (cd "$2" && tar -xof -) || fail "cannot unpack the object $1"
}

# What the orders call: a source archive, the end of them, an archive below the root, a file below the root.
source_archive() {
    object "$1"
    unpack "$1" "$job/inside/work"
}
settle() {
    cd "$job/inside/work" || return 1
    if [ "$1" = made ]; then mkdir job; fi
    count=0
    for entry in * .[!.]* ..?*; do
        if [ -e "$entry" ] || [ -L "$entry" ]; then
            count=$((count + 1))
            root=$entry
        fi
    done
    if [ "$count" != 1 ]; then fail "a source archive needs one top directory; there are $count"; fi
    if [ -L "$root" ] || ! [ -d "$root" ]; then fail "a source archive needs one top directory; there is a file instead"; fi
    printf '%s/inside/work/%s' "$job" "$root" >"$job/root"
    root=$job/inside/work/$root
    cd /
}
archive() {
    object "$1"
    unpack "$1" "$root"
}
file() {
    object "$1"
    case $2 in */*) mkdir -p "$root/${2%/*}" ;; esac
    cp "$dir/objects/$1" "$root/$2"
}

mkdir "$job/inside" "$job/inside/work" "$job/inside/home" "$job/inside/tmp" "$job/view"
: >"$job/objects"
mv "$incoming"/* "$job/"
# shellcheck source=/dev/null
. "$job/inputs"
# As a local runner has them: for this user alone.
find "$job/inside" ! -type l -exec chmod u+rwX,go-rwx {} +
listing >"$job/before"
: >"$job/started"
apart /bin/sh "$job/supervisor" supervise "$dir" "$job" </dev/null >/dev/null 2>&1
supervisor=$!
waited=0
until [ -f "$job/running" ] || [ -f "$job/status" ]; do
    waited=$((waited + 1))
    # It has ended before it could sign.
    if [ "$waited" -gt 50 ] && ! born "$supervisor" >/dev/null; then fail "the supervisor of the job did not start"; fi
    [ "$waited" -lt 3000 ] || fail "the supervisor of the job did not start"
    nap
done
