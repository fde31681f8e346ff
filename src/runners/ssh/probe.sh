# shellcheck shell=sh
# Finds out what the host is and whether it isolates jobs, by isolating one that looks for what it must not see.
find "$dir" -type d \( -name 'incoming.*' -o -name 'gone.*' -o -name 'probe.*' \) -mtime +1 -prune -exec rm -rf {} + 2>/dev/null || :
job=$dir/probe.$$
trap 'remove "$job"' EXIT
mkdir "$job" "$job/inside" "$job/inside/home" "$job/inside/tmp" "$job/view"
(cd "$job" && tar -xof -)
for program in tar gzip find head tail grep sed mkfifo cut; do
    command -v "$program" >/dev/null || fail "the program $program is not there"
done
sha256 "$job/recipe" >/dev/null || fail "one of sha256sum, shasum and openssl is needed"
born $$ >/dev/null || fail "neither /proc nor \`ps -o lstart= -p\` says when a process started"
uname -sm
isolated=yes
network=no
shown=
root=$job/inside
if said=$(enter command "test ! -e '$job/recipe'" "test \"\$(grep -c : /proc/net/dev)\" = 1" 3</dev/null 4</dev/null </dev/null 2>&1); then
    echo isolates
else
    printf '%s\n' "$said" | grep -v '^+' | head -n 1
fi
