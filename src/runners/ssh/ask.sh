# shellcheck shell=sh
# Questions: how jobs stand, which objects are missing, what a job has printed.
case $act in
observe)
    while read -r name; do
        echo "$name $(state "$dir/$name")"
    done
    ;;
have)
    state "$dir/$1"
    # Nothing is kept for good. What is used is touched.
    find "$dir/objects" -type f -mtime +30 -exec rm -f {} + 2>/dev/null || :
    while read -r digest; do
        if [ -f "$dir/objects/$digest" ]; then
            touch "$dir/objects/$digest"
        else
            echo "$digest"
        fi
    done
    ;;
log)
    # How it stands first: what is there of the log of a job that has ended is all of it.
    state "$dir/$1"
    if [ -f "$dir/$1/log" ]; then
        tail -c "+$(($2 + 1))" "$dir/$1/log" | head -c "$3"
    fi
    ;;
esac
