#!/usr/bin/env bash
# A release night with three machines, played in one directory by three homes that share nothing but files sent by mail:
#
#   the operator   ships the sample project's train; GitHub never answers; the machine loses power twice
#   bob            approves from another machine: own clone, own state, own key, and no access to the store
#   a stranger     has a URL and a digest, and verifies what was published
#
#   run.sh [DIR]   DIR must not exist; ./two-homes if none is given
#
# It ends with exit code 0 only if each of them saw what they should. The program is `lifeboat`, or what LIFEBOAT names.
# Needs: git, gpg, python3 (it serves the store over HTTP) and util-linux.
set -euo pipefail

lifeboat=$(command -v "${LIFEBOAT:-lifeboat}") || { echo "run.sh: no lifeboat: set LIFEBOAT to the program" >&2; exit 2; }
lifeboat=$(realpath "$lifeboat")
for program in git gpg python3; do
  command -v "$program" >/dev/null || { echo "run.sh: there is no $program: apt-get install git gnupg python3" >&2; exit 2; }
done
mkdir "${1:-two-homes}"
cd "${1:-two-homes}"
work=$PWD
server=
trap '[ -z "$server" ] || kill "$server"' EXIT

scene() { printf '\n\n==== %s\n' "$*"; }
# as HOME DIRECTORY COMMAND…: as the person whose home that is, with nothing else of this environment.
as() { local home=$1 dir=$2; shift 2; mkdir -p "$work/$home"; (cd "$dir" && env -i HOME="$work/$home" PATH="$PATH" "$@"); }
# wants CODE COMMAND…: fails unless the command ends with that exit code.
wants() {
  local code=$1 got=0; shift
  printf '\n$ %s\n' "${*/#$lifeboat/lifeboat}"
  "$@" || got=$?
  [ "$got" = "$code" ] || { echo "run.sh: ended with $got, expected $code" >&2; exit 1; }
}

scene "The sample project, and the embargoed fix for its two release lines"
as operator . "$lifeboat" drill --manual --dir "$work/drill" >drill.txt
cat drill.txt
project=$work/drill/project state=$work/drill/state train=$work/drill/train.toml
root=$(sha256sum <"$project/keys/trust.json" | cut -d' ' -f1)
operator() { as operator "$project" "$lifeboat" --state "$state" "$@"; }

scene "Bob's machine: a clone, his key and the pinned root, nothing else"
mkdir bob
git clone --quiet "$project" bob/project
git -C bob/project fetch --quiet origin '+refs/heads/*:refs/remotes/origin/*'
for branch in release-1.0.0 release-2.0.0; do git -C bob/project branch --quiet --force "$branch" "origin/$branch" 2>/dev/null || :; done
mv drill/secret/bob.key bob/bob.key
[ -e bob/project/lifeboat.toml ] || cp "$project/lifeboat.toml" bob/project/
[ -e bob/project/keys ] || cp -R "$project/keys" bob/project/
# His clone names the store where it is for him: nowhere.
sed -i "s#file://$work/drill/store#file://$work/bob/no-store#" bob/project/lifeboat.toml
bob() { as bob/home "$work/bob/project" "$lifeboat" --state "$work/bob/state" "$@"; }
wants 0 bob trust pin "$root"

scene "The operator ships; the power fails twice"
for delay in 0.3 0.9; do
  timeout --signal=KILL "$delay" env -i HOME="$work/operator" PATH="$PATH" sh -c "cd '$project' && exec '$lifeboat' --state '$state' ship '$train'" >/dev/null 2>&1 || :
done
wants 3 operator ship "$train"
wants 0 operator approve --as alice --yes

scene "The review bundle goes to Bob by mail, with the staged files: he cannot reach the store"
wants 0 operator export drill --to "$work/review.bundle" --bytes
cp review.bundle bob/
wants 0 bob approve --bundle "$work/bob/review.bundle" --as bob --key "$work/bob/bob.key" --yes --out "$work/bob/bob.approval"

scene "Somebody changes one byte of his approval on the way"
python3 - "$work/bob/bob.approval" "$work/changed.approval" <<'PYTHON'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[len(data) // 2] ^= 1
open(sys.argv[2], "wb").write(data)
PYTHON
changed=0
operator ship --approval "$work/changed.approval" >changed.txt 2>&1 || changed=$?
cat changed.txt
case $changed in 2 | 6) ;; *) echo "run.sh: a changed approval ended with $changed" >&2; exit 1 ;; esac
[ ! -e drill/store/releases/1.0.5 ] || { echo "run.sh: something is public" >&2; exit 1; }

scene "The true one opens the gate; GitHub still does not answer"
wants 0 operator ship --approval "$work/bob/bob.approval"

scene "A stranger with a URL and a digest"
python3 -u -m http.server --bind 127.0.0.1 --directory drill/store 0 >server.txt 2>&1 &
server=$!
for _ in $(seq 100); do grep -q 'http://' server.txt && break; sleep 0.1; done
url=$(sed -n 's#.*(\(http://[^)]*\)/).*#\1#p' server.txt | head -n 1)
mkdir stranger-dir
stranger() { as stranger "$work/stranger-dir" "$lifeboat" "$@"; }
wants 0 stranger verify --pin "$root" latest "$url"
wants 0 stranger verify --pin "$root" 1.0.5 "$url"

scene "The web server is taken over: one byte of one file is another"
archive=$(ls drill/store/releases/1.0.5/*-linux.tar.gz)
cp "$archive" kept
printf x | dd of="$archive" bs=1 seek=100 conv=notrunc status=none
wants 6 stranger verify --pin "$root" 1.0.5 "$url"
cp kept "$archive"

printf '\n\n==== All three saw what they should: %s\n' "$work"
