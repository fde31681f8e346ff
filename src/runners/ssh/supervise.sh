# shellcheck shell=sh
# Watches over one job, in a session of its own: $1 is its directory. Keeps what it prints, ends it at its limit, kills what
# it leaves and says at last, in one piece, how it ended.
job=$1
cd /
# shellcheck disable=SC3045 # where it is known
ulimit -c 0 2>/dev/null || :
limit=
most=
network=
isolated=
passed=
shown=
# shellcheck source=/dev/null
. "$job/orders"
root=$(cat "$job/root")

# What a recipe takes over from this machine. It has a home of its own: what a program would find below this user's is
# passed by its name, and can be read.
pass() {
    eval "value=\${$1-} known=\${$1+yes}"
    case $1 in
    PATH) value=$own_path ;;
    LC_ALL) value=$own_locale ;;
    CARGO_HOME) [ -n "$known" ] || value=${HOME-}/.cargo ;;
    RUSTUP_HOME) [ -n "$known" ] || value=${HOME-}/.rustup ;;
    esac
    case $1 in
    CARGO_HOME | RUSTUP_HOME)
        if ! [ -d "$value" ]; then return 0; fi
        known=yes
        shown=$(printf '%s\n%s' "$shown" "$value")
        ;;
    esac
    if [ -n "$known" ]; then
        printf "export %s='%s'\n" "$1" "$(printf '%s' "$value" | sed "s/'/'\\\\''/g")"
    fi
}
: >"$job/passed"
for variable in $passed; do
    pass "$variable" >>"$job/passed"
done

# Secrets are read from a file that nobody finds any more when the recipe runs.
exec 3<"$job/env" 4<"$job/passed"
rm -f "$job/env"
mkfifo "$job/out"

# Keeps what is printed as it comes, up to a bound. It is read to its end in any case: a job that cannot write would hang or
# die for the wrong reason.
keep_log() {
    size=0
    while [ "$size" -lt "$most" ]; do
        # `head` would keep back what it has read.
        said=$(dd bs=65536 count=256 2>&1 >>"$job/log")
        case $said in '0+0 records in'*) return 0 ;; esac
        # shellcheck disable=SC2046 # mode, names, user, group, size
        set -- $(ls -ln "$job/log")
        size=$5
    done
    cat >/dev/null
}
: >"$job/log"
keep_log <"$job/out" 3<&- 4<&- &
logger=$!
sign "$job/running"
# shellcheck source=/dev/null
. "$job/lines"
enter apart "$@" </dev/null >"$job/out" 2>&1
leader=$!
exec 3<&- 4<&-
{ echo "$leader" && { born "$leader" || echo ended; }; } >"$job/leader.new"
mv -f "$job/leader.new" "$job/leader"
(
    seconds=0
    while [ "$seconds" -lt "$limit" ]; do
        sleep 1
        seconds=$((seconds + 1))
        # A heart beats: the number of seconds so far. Where the directory is gone nobody waits for the job.
        { echo "$seconds" >"$job/alive"; } 2>/dev/null || break
    done
    { : >"$job/overdue"; } 2>/dev/null || :
    end_group "$leader"
) &
watcher=$!
code=0
wait "$leader" || code=$?
kill "$watcher" 2>/dev/null || :
left=
end_processes "$job" ended || left=' left'
# Something that escaped may hold it open.
(sleep 5 && kill "$logger") 2>/dev/null &
wait "$logger" || :
if [ -f "$job/overdue" ]; then how=late; else how="exited $code"; fi
echo "$how$left" >"$job/status.new"
mv -f "$job/status.new" "$job/status"
# What waits here for its time.
kill -s KILL -- "-$$"
