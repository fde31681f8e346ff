# shellcheck shell=sh
# Ends jobs and removes what is there of them.
case $act in
cancel)
    if [ -d "$dir/$1" ]; then
        end_processes "$dir/$1" all || fail "processes of the job $1 could not be killed"
        remove "$dir/$1"
    fi
    ;;
sweep)
    failed=
    # What runs is ended before anything is removed.
    for job in "$dir/$1"*; do
        [ ! -d "$job" ] || end_processes "$job" all || failed=$job
    done
    [ -z "$failed" ] || fail "processes of the job ${failed##*/} could not be killed"
    for job in "$dir/$1"*; do
        [ ! -d "$job" ] || remove "$job"
    done
    # Objects are kept for the jobs that are left.
    kept=$(cat "$dir"/*/objects 2>/dev/null || :)
    for object in "$dir"/objects/*; do
        case $kept in
        *"${object##*/}"*) ;;
        *) rm -f "$object" ;;
        esac
    done
    ;;
esac
