//! Addresses of remotes.

/// Whether git may be given this address: a path, `host:path`, or a scheme that runs no program of the address's choice
/// (`ext::…` and every other `<helper>::…` is refused). A password in the address is refused too: it would stand in the
/// arguments of a child, where everybody on the machine can read it.
#[must_use]
pub fn is_address(text: &str) -> bool {
    let schemes = ["ssh", "git", "git+ssh", "ssh+git", "https", "http", "file"];
    !text.is_empty()
        && text.len() <= 2000
        && !text.starts_with('-')
        && !text.contains(char::is_control)
        && !text.split(['/', '@']).next().unwrap_or_default().contains("::")
        && text.split_once("://").is_none_or(|(scheme, rest)| {
            let authority = rest.split('/').next().unwrap_or_default();
            let user = authority.rsplit_once('@').map(|(user, _)| user).unwrap_or_default();
            schemes.contains(&scheme) && !rest.starts_with('-') && !user.contains(':')
        })
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn what_git_may_be_given() {
        for good in [
            "/srv/a.git",
            "../a.git",
            "git@example.org:a/b.git",
            "ssh://git@example.org:22/a",
            "https://example.org/a",
            "file:///srv/a.git",
            "ssh://[::1]/a",
        ] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "-u",
            "--upload-pack=x",
            "ext::sh -c id",
            "fd::17",
            "ftp://x",
            "a\nb",
            "ssh://-oProxyCommand=x/",
            "https://me:secret@example.org/a",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
