#!/bin/sh
# Ships one of wasmtime's real security trains, rebuilt from its history, with throwaway keys and stub binaries, into a
# store in WORK; GitHub is configured and cannot be reached.
#
#   rehearse.sh [--remote] [--trees] [--kill N] [--prepare] TRAIN_DIR [WORK]
#
# TRAIN_DIR is what `train-from-clone.py CLONE TRAIN_DIR` made, or a harness that does the same for other trains. WORK must not
# exist; `./wasmtime-rehearsal` if none is given. With `--remote` the patches come from the private remote
# `TRAIN_DIR/private.git`, not from the mailbox files. With `--trees` one stub stands for all builds: the project's own
# scripts of lines before 20.x pack files of submodules, which the rebuilt history does not hold. With `--kill N`, `lifeboat ship` is killed (SIGKILL) N times at random
# moments before the gate, and as often after it, before it may run to its end. With `--prepare` WORK has all that a train needs, and nothing
# is planned yet. The program is `lifeboat`, or what LIFEBOAT names.
#
# Needs: git, gpg, python3, tar, xz-utils, p7zip-full, unzip (Debian's names), and util-linux for jobs without network.
set -eu

series=mailbox
trees=
kills=0
prepare=
usage() { echo "usage: rehearse.sh [--remote] [--trees] [--kill N] [--prepare] TRAIN_DIR [WORK]" >&2; exit 2; }
while :; do
  case ${1-} in
    --remote) series=remote; shift ;;
    --trees) trees=1; shift ;;
    --prepare) prepare=1; shift ;;
    --kill) [ $# -ge 2 ] || usage; kills=$2; shift 2 ;;
    *) break ;;
  esac
done
case $# in 1 | 2) ;; *) usage ;; esac
for program in git gpg python3 tar xz 7z unzip unshare; do
  command -v "$program" >/dev/null || {
    echo "rehearse.sh: there is no $program: apt-get install git gnupg python3 tar xz-utils p7zip-full unzip util-linux" >&2
    exit 2
  }
done
example=$(cd "$(dirname "$0")" && pwd)
train=$(cd "$1" && pwd)
lifeboat=$(command -v "${LIFEBOAT:-lifeboat}") || { echo "rehearse.sh: no lifeboat: set LIFEBOAT to the program" >&2; exit 2; }
case $lifeboat in /*) ;; *) lifeboat=$PWD/$lifeboat ;; esac
mkdir "${2:-wasmtime-rehearsal}"
cd "${2:-wasmtime-rehearsal}"
work=$PWD

step() { printf '\n== %s\n' "$*"; }

step "a place of its own: $work"
ln -s "$train" train
if [ -z "$trees" ]; then
  cp "$example/rehearsal.toml" lifeboat.toml
else
  awk '/^# Builds/ { print "[[target]]\nname = \"stub\"\nrun = [\"mkdir dist && echo {version} > dist/version\"]\nartifacts = [\"dist/version\"]\n"; cut = 1 }
    /^\[\[store\]\]/ { cut = 0 } !cut' "$example/rehearsal.toml" > lifeboat.toml
fi
# The file names what any line has had. A name that no branch of this history has would mean nothing, and is refused.
python3 - <<'PYTHON'
import re, subprocess
def git(*words):
    return subprocess.run(["git", "-C", "train/repo", *words], capture_output=True, text=True).stdout
heads = git("for-each-ref", "--format=%(refname)", "refs/heads").split()
workflows = {name for head in heads for name in git("ls-tree", "--name-only", head, ".github/workflows/").split()}
listed = [line for head in heads for line in git("show", f"{head}:.gitmodules").splitlines()]
modules = {line.split("=", 1)[1].strip() for line in listed if re.match(r"\s*path\s*=", line)}
text = open("lifeboat.toml").read()
known = lambda entry: ".github/workflows/" + entry.split('"')[1] in workflows
text = re.sub(r"(?m)^triggers = \{(.*)\}$",
              lambda m: "triggers = {" + ",".join(filter(known, m[1].split(","))) + "}", text)
text = re.sub(r"(?ms)^without_submodules = \[(.*?)^\]$", lambda m: "without_submodules = ["
              + ", ".join(f'"{path}"' for path in re.findall(r'"([^"]+)"', m[1]) if path in modules) + "]", text)
open("lifeboat.toml", "w").write(text)
PYTHON
cp -R "$example/release-templates" .
mkdir -m 700 secret state
# Nobody takes it: no GitHub answers.
(umask 077 && echo throwaway > secret/github.token)
mkdir store
day=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["train"])' train/train.json)
if [ "$series" = mailbox ] && [ -f "$example/train-$day.toml" ]; then
  cp "$example/train-$day.toml" train.toml
else
  python3 - "$series" > train.toml <<'PYTHON'
import json, pathlib, re, sys
train = json.load(open("train/train.json"))
text = "\n".join(p.read_text(errors="replace") for p in sorted(pathlib.Path("train/patches").glob("*/*.patch")))
ghsa = list(dict.fromkeys(re.findall(r"GHSA(?:-[0-9a-z]{4}){3}", text)))
dates = sorted({line["date"] for line in train["lines"]})
print(f'name = "{train["train"]}"\ndate = {dates[-1]}\nadvisories = {json.dumps(ghsa)}')
for line in train["lines"]:
    branch = line["branch"]
    print(f'\n[[line]]\nbranch = "{branch}"')
    if sys.argv[1] == "remote":
        print(f'patches = {{ remote = "train/private.git", branch = "{branch}" }}')
    elif any(pathlib.Path("train/patches", branch).iterdir()):
        print(f'patches = "train/patches/{branch}"')
PYTHON
fi

step "throwaway keys, with plain gpg"
# A home of its own, with a short path: gpg's agent listens on a socket in it.
GNUPGHOME=$(mktemp -d)
export GNUPGHOME
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
for name in alice bob carol release freshness; do
  gpg --batch --quiet --passphrase '' --quick-gen-key "$name (rehearsal, throwaway) <$name@example.org>" ed25519 sign 1y
  (umask 077 && gpg --batch --armor --export-secret-keys "$name@example.org" > "secret/$name.key")
  gpg --batch --armor --export "$name@example.org" > "secret/$name.asc"
done

export LIFEBOAT_CONFIG="$work/lifeboat.toml" LIFEBOAT_STATE="$work/state"
run() { printf '\n$ lifeboat %s\n' "$*"; "$lifeboat" "$@"; }
# Starts `lifeboat ship` and kills it after a random time up to $1 seconds, $kills times; one that ended by itself is not a kill.
killed() {
  limit=$1; shift
  done=0
  while [ "$done" -lt "$kills" ]; do
    "$lifeboat" "$@" > killed.log 2>&1 &
    pid=$!
    sleep "$(python3 -c 'import random, sys; print(random.uniform(0.05, float(sys.argv[1])))' "$limit")"
    kill -9 $pid 2>/dev/null || { printf 'ended by itself after %s kills\n' "$done"; wait $pid || :; return; }
    wait $pid || :
    done=$((done + 1))
    printf 'killed (%s of %s) after: %s\n' "$done" "$kills" "$(tail -n 1 killed.log)"
    # From now on without the train file, where the plan was adopted.
    [ ! -e state/wasmtime/trains/*/plan.json ] || set -- ship
  done
}
# Ends with 3 where the train waits for people; anything else is a failure.
until_gate() { code=0; run "$@" || code=$?; [ "$code" = 3 ] || { echo "rehearse.sh: ended with $code, not 3" >&2; exit 1; }; }

step "the trust root"
run trust init --project wasmtime --person alice=secret/alice.asc --person bob=secret/bob.asc \
  --person carol=secret/carol.asc --threshold 2 --release secret/release.asc --freshness secret/freshness.asc \
  --host 192.0.2.1 --host 127.0.0.1 --expires "$(python3 -c 'import datetime as d; print((d.date.today() + d.timedelta(300)).isoformat())')T00:00:00Z"
root=$(sha256sum < keys/trust.json | cut -d' ' -f1)
run trust pin "$root"

[ -z "$prepare" ] || exit 0

step "plan, ship, approve, ship"
run plan train.toml
killed 12 ship train.toml
until_gate ship train.toml
run approve --as alice --yes
run approve --as carol --yes
killed 3 ship
run ship

step "as a stranger: a clone of the served repository, and every release"
git clone --quiet store/git/wasmtime.git clone
gpg --batch --quiet --import store/keys/*.asc
for version in $(python3 -c 'import json; print(*(l["new"] for l in json.load(open("train/train.json"))["lines"]))'); do
  run verify --clone clone --keys keys --pin "$root" "$version" store
  (cd "store/releases/$version" && sha256sum --quiet -c SHA256SUMS)
  for person in alice carol; do
    gpg --batch --quiet --verify "store/releases/$version/SHA256SUMS.$person.asc" "store/releases/$version/SHA256SUMS"
  done
  git -C clone tag -v "v$version"
done
printf '\nshipped; the clone is %s/clone\n' "$work"
