#!/bin/sh
# How `reconcile` over all trains of a project grows: N releases of the drill's sample, then twice as many.
#   benches/reconcile.sh [N]      N: how many releases at first (default 20); LIFEBOAT: the program (default: a release build)
# Linear is a factor of about 2 between the last two numbers, quadratic of about 4.
set -eu
cd "$(dirname "$0")/.."
n=${1:-20}
if [ -z "${LIFEBOAT:-}" ]; then
  cargo build --quiet --release
  LIFEBOAT=$PWD/${CARGO_TARGET_DIR:-target}/release/lifeboat
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export HOME="$dir" LIFEBOAT_STATE="$dir/lifeboat-drill/state"
cd "$dir"
"$LIFEBOAT" drill >drill.txt 2>&1 || { cat drill.txt; exit 1; }
cd lifeboat-drill/project
# No forge, so that a train ends; no changelog, which has no section for so many versions; no test, which wants the fix.
awk '/^\[forge/ { skip = 1 } /^\[signing\]/ { skip = 0 } !skip && !/^changelog/ && !/^test = /' lifeboat.toml >changed.toml
mv changed.toml lifeboat.toml
rm -rf ../patches ../store "$LIFEBOAT_STATE/sample/trains" "$LIFEBOAT_STATE/sample/claims"
mkdir ../store
release() {
  printf 'name = "t%s"\ndate = 2026-02-24\n[[line]]\nbranch = "%s"\nto = "1.0.%s"\n' "$1" "$branch" "$((1000 + $1))" >../t.toml
  "$LIFEBOAT" ship ../t.toml >out.txt 2>&1 || [ $? = 3 ] || { cat out.txt; exit 1; }
  for person in alice bob; do "$LIFEBOAT" approve "t$1" --as "$person" --yes >out.txt 2>&1 || { cat out.txt; exit 1; }; done
  "$LIFEBOAT" ship --train "t$1" >out.txt 2>&1 || { cat out.txt; exit 1; }
  git fetch -q ../store/git/sample.git "$branch" && git update-ref "refs/heads/$branch" FETCH_HEAD
}
branch=release-1.0.0
i=0
for upto in "$n" $((2 * n)); do
  while [ "$i" -lt "$upto" ]; do i=$((i + 1)); release "$i"; done
  start=$(date +%s%N)
  "$LIFEBOAT" reconcile >out.txt 2>&1 || { cat out.txt; exit 1; }
  echo "reconcile of $upto releases: $((($(date +%s%N) - start) / 1000000)) ms"
done
