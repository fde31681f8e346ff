# shellcheck shell=sh
# An object arrives on standard input: kept under its digest once all of it is there.
digest=$1
incoming=$dir/objects/incoming.$$
trap 'rm -f "$incoming"' EXIT
cat >"$incoming"
[ "$(sha256 "$incoming")" = "$digest" ] || fail "an object did not arrive whole"
mv -f "$incoming" "$dir/objects/$digest"
trap - EXIT
