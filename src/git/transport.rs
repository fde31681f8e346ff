//! What a clone's own configuration says of reaching remotes, handed on to calls that run elsewhere.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// Sections and settings that decide how a remote is reached, in the form in which git lists them. Values are lists in git:
/// each entry is handed on, in order.
const SECTIONS: [&[u8]; 4] = [b"url.", b"http.", b"credential.", b"ssh."];
const SETTINGS: [&[u8]; 4] = [b"core.sshcommand", b"core.gitproxy", b"core.askpass", b"protocol.version"];

/// The settings of the clone itself in what `git config --null --show-scope --list` prints: a scope, then a name, a line
/// feed and a value; one without a value is true (git-config(1)).
pub(super) fn settings(listed: &[u8]) -> Vec<(OsString, OsString)> {
    let mut out = Vec::new();
    let mut parts = listed.split(|b| *b == 0);
    while let (Some(scope), Some(entry)) = (parts.next(), parts.next()) {
        let mut halves = entry.splitn(2, |b| *b == b'\n');
        let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or(b"true"));
        let decides = SECTIONS.iter().any(|s| name.starts_with(s)) || SETTINGS.contains(&name);
        if matches!(scope, b"local" | b"worktree") && decides {
            out.push((OsString::from_vec(name.to_vec()), OsString::from_vec(value.to_vec())));
        }
    }
    out
}

/// The variables that give a child these settings; unlike arguments they are shown to this user alone.
pub(super) fn variables<'a>(settings: impl Iterator<Item = &'a (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let mut out = Vec::new();
    let mut count = 0;
    for (name, value) in settings {
        out.push((format!("GIT_CONFIG_KEY_{count}").into(), name.clone()));
        out.push((format!("GIT_CONFIG_VALUE_{count}").into(), value.clone()));
        count += 1;
    }
    if count > 0 {
        out.push(("GIT_CONFIG_COUNT".into(), OsStr::from_bytes(count.to_string().as_bytes()).to_owned()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_clones_own_settings_that_reach_remotes_are_handed_on() {
        let listed =
            b"global\0url.https://a/.insteadof\nb:\0local\0url.https://c/.insteadof\nd:\0local\0core.bare\nfalse\0\
            local\0http.https://x/.extraheader\nA: 1\0worktree\0http.proxy\nhttp://p\nq\0local\0http.sslverify\0\
            local\0remote.origin.url\nu\0command\0http.x\ny\0";
        let found = settings(listed);
        let texts: Vec<(&str, &str)> = found.iter().map(|(k, v)| (k.to_str().unwrap(), v.to_str().unwrap())).collect();
        assert_eq!(
            texts,
            [
                ("url.https://c/.insteadof", "d:"),
                ("http.https://x/.extraheader", "A: 1"),
                ("http.proxy", "http://p\nq"),
                ("http.sslverify", "true")
            ]
        );
        let variables = variables(found.iter().take(1));
        let names: Vec<&str> = variables.iter().map(|(k, _)| k.to_str().unwrap()).collect();
        assert_eq!(names, ["GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0", "GIT_CONFIG_COUNT"]);
    }
}
