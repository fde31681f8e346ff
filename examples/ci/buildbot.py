"""A weekly rehearsal of the next release for Buildbot 4: import it in master.cfg and call `add`.

It needs no secret and publishes nothing. The workers need lifeboat in their PATH.
"""

from buildbot.plugins import schedulers, steps, util


def add(config, repository, branch, root, workers):
    """Adds the builder and its schedulers; `root` is the digest that `lifeboat trust show` prints."""
    def lifeboat(name, *words, **more):
        # SIGTERM ends the jobs of a rehearsal as well; it gets a minute for that.
        return steps.ShellCommand(name=name, command=["lifeboat", *words], haltOnFailure=True,
                                  interruptSignal="TERM", sigtermTime=60, **more)

    factory = util.BuildFactory([
        steps.Git(repourl=repository, branch=branch, mode="full", method="fresh", tags=True, haltOnFailure=True),
        steps.ShellCommand(name="branches", haltOnFailure=True,
                           command=["git", "fetch", "--quiet", repository, "+refs/heads/*:refs/remotes/origin/*"]),
        lifeboat("trust", "trust", "pin", root),
        lifeboat("rehearse", "ship", "--dry-run", "rehearsal.toml", timeout=1800),
    ])
    config["builders"].append(util.BuilderConfig(name="release-rehearsal", workernames=workers, factory=factory))
    config["schedulers"] += [
        schedulers.Nightly(name="release-rehearsal-weekly", builderNames=["release-rehearsal"],
                           branch=branch, dayOfWeek=0, hour=4, minute=17),
        schedulers.ForceScheduler(name="release-rehearsal-now", builderNames=["release-rehearsal"]),
    ]
