//! Sockets without a path, which belong to a network namespace: landlock(7), `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET`.

use std::io;

use landlock::{CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, Scope};

/// Takes from this process and all that it starts the abstract sockets of others. For a command that has the machine's network:
/// desktops, agents and container engines listen there and ask nobody for a password. A kernel before 6.12 cannot do it.
pub(super) fn no_sockets_of_the_machine() -> io::Result<()> {
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort).scope(Scope::AbstractUnixSocket);
    let done = ruleset.and_then(Ruleset::create).and_then(landlock::RulesetCreated::restrict_self);
    done.map(drop).map_err(|e| io::Error::other(format!("cannot shut abstract sockets off: {e}")))
}
