#!/usr/bin/env python3
"""train-from-clone.py CLONE TRAIN: wasmtime's security train of 2026-02-24 as input for `rehearse.sh`, from any clone of wasmtime.

TRAIN, which must not exist, gets
  repo/              a branch for each line as it stood before the train: one commit with that tree and no history
  private.git        the same branches with the maintainers' fixes on top, as a private fork would hold them
  patches/BRANCH/    the fixes as mails, with their authors and dates, and without the commit that bumps the version
  train.json         for each line its branch, date, old and new version
Of a partial clone, files that it lacks are left out.
"""
import json, os, subprocess, sys

DAY = "2026-02-24"
LINES = [("24.0.5", "24.0.6"), ("36.0.5", "36.0.6"), ("40.0.3", "40.0.4"), ("41.0.3", "41.0.4")]


def git(*words, at, stdin=None, env=None):
    # A clone of somebody else's, or a mirror, and nothing is fetched on the way.
    environment = os.environ | {"GIT_NO_LAZY_FETCH": "1"} | (env or {})
    command = ["git", "-c", "safe.directory=*", *words]
    return subprocess.run(command, cwd=at, input=stdin, env=environment, check=True, stdout=subprocess.PIPE).stdout


def files(commit, at):
    """What a commit has, by path: mode, kind and object."""
    listed = git("ls-tree", "-r", "-z", commit, at=at).split(b"\0")
    return {path: tuple(facts.split()) for facts, path in (entry.split(b"\t", 1) for entry in listed if entry)}


def lacking(found, at):
    """The paths whose bytes the clone lacks."""
    blobs = sorted({object for _, kind, object in found.values() if kind == b"blob"})
    answers = git("cat-file", "--batch-check", at=at, stdin=b"\n".join(blobs) + b"\n").splitlines()
    gone = {answer.split()[0] for answer in answers if answer.endswith(b"missing")}
    return {path for path, (_, _, object) in found.items() if object in gone}


def committed(commit, without, parents, message, at):
    """A commit with the tree of another one but for some paths, and with its author and dates."""
    index = {"GIT_INDEX_FILE": os.path.join(at, "index.train")}
    git("read-tree", "--empty", at=at, env=index)
    entries = [b" ".join((mode, object)) + b"\t" + path for path, (mode, _, object) in files(commit, at).items() if path not in without]
    git("update-index", "-z", "--index-info", at=at, stdin=b"\0".join(entries) + b"\0", env=index)
    tree = git("write-tree", "--missing-ok", at=at, env=index).decode().strip()
    names = ["AUTHOR_NAME", "AUTHOR_EMAIL", "AUTHOR_DATE", "COMMITTER_NAME", "COMMITTER_EMAIL", "COMMITTER_DATE"]
    facts = git("show", "-s", "--format=%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B", commit, at=at).decode().split("\0")
    env = {f"GIT_{name}": fact for name, fact in zip(names, facts)}
    parents = [word for parent in parents for word in ("-p", parent)]
    return git("commit-tree", tree, *parents, "-m", message or facts[6], at=at, env=env).decode().strip()


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    clone, train = (os.path.realpath(path) for path in sys.argv[1:])
    os.makedirs(train)
    objects = git("rev-parse", "--git-path", "objects", at=clone).decode().strip()
    work = os.path.join(train, "work.git")
    git("init", "-q", "--bare", work, at=train)
    with open(os.path.join(work, "objects/info/alternates"), "w") as alternates:
        alternates.write(os.path.realpath(os.path.join(clone, objects)) + "\n")
    lines = []
    for name in ["repo", "private.git"]:
        git("init", "-q", *(["--bare"] if name != "repo" else []), "-b", f"release-{LINES[-1][1].split('.')[0]}.0.0", name, at=train)
    for old, new in LINES:
        base, release = (git("rev-parse", "--verify", f"refs/tags/v{v}^{{commit}}", at=clone).decode().strip() for v in (old, new))
        branch = f"release-{new.split('.')[0]}.0.0"
        # The last commit is the bump, which a train makes itself.
        fixes = git("rev-list", "--reverse", "--no-merges", f"{base}..{release}", at=work).decode().split()[:-1]
        without = set().union(*(lacking(files(commit, work), work) for commit in [base, *fixes]))
        root = head = committed(base, without, [], f"v{old} (tree only)", work)
        for fix in fixes:
            head = committed(fix, without, [head], None, work)
        patches = os.path.join(train, "patches", branch)
        git("format-patch", "-q", "--binary", "-o", patches, f"{root}..{head}", at=work)
        for name, commit in [("repo", root), ("private.git", head)]:
            at = os.path.join(train, name)
            git("update-ref", "refs/train", commit, at=work)
            git("fetch", "-q", "--no-tags", work, "refs/train", at=at)
            git("update-ref", f"refs/heads/{branch}", commit, at=at)
        git("update-ref", f"refs/tags/v{old}", root, at=os.path.join(train, "repo"))
        lines.append({"branch": branch, "date": DAY, "old": old, "new": new})
        left = f", {len(without)} files left out" if without else ""
        print(f"{branch}: {old} -> {new}, {len(fixes)} {'fix' if len(fixes) == 1 else 'fixes'}{left}")
    git("reset", "-q", "--hard", at=os.path.join(train, "repo"))
    subprocess.run(["rm", "-rf", work], check=True)
    with open(os.path.join(train, "train.json"), "w") as file:
        json.dump({"train": DAY, "lines": lines}, file, indent=1)


main()
