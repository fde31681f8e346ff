# shellcheck shell=sh
# The last thing before the command lines: their environment is what files 3 and 4 say and nothing else.
set -eu
HOME=$1/home
TMPDIR=$1/tmp
export HOME TMPDIR
cd "$2"
shift 2
eval "$(cat <&3 && cat <&4)"
exec 3<&- 4<&-
# shellcheck disable=SC2016 # the other shell expands it
exec /bin/sh -c 'set -eu; for line in "$@"; do printf "+ %s\n" "$line"; /bin/sh -eu -c "$line"; done' sh "$@"
