# shellcheck shell=sh
# Questions: how jobs stand, what a job has printed.
case $act in
observe)
    while read -r name; do
        echo "$name $(state "$dir/$name")"
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
