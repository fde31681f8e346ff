//! What no job may see, wherever it lies: every file that the configuration names as a secret, and what is lifeboat's own.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::model::SecretRef;

/// `root` is the project's directory in the state directory: the other projects' are hidden with it.
pub(super) fn hidden(config: &Config, root: &Path) -> Vec<PathBuf> {
    let repository = &config.project.repository;
    let git = [repository.join(".git"), repository.clone()].into_iter().find(|dir| dir.exists());
    let state = root.parent().filter(|dir| !dir.as_os_str().is_empty() && dir.parent().is_some()).unwrap_or(root);
    named(config).into_iter().chain(git).chain([state.to_owned()]).collect()
}

/// The files of adapters, and those that the configuration names as secrets.
fn named(config: &Config) -> Vec<PathBuf> {
    let (mut out, mut references): (Vec<PathBuf>, Vec<&SecretRef>) = (Vec::new(), Vec::new());
    for table in config.specs() {
        out.extend(table.files);
        references.extend(table.secrets.iter().map(|(_, reference)| *reference));
    }
    let recipes = config.targets.iter().chain(config.assemblies.iter().map(|a| &a.recipe));
    references.extend(recipes.flat_map(|recipe| recipe.secret_env.values()));
    out.extend(references.into_iter().flat_map(files));
    out
}

/// The files that a reference names. Of a command these are its arguments: what it reads, as in `cat FILE`.
fn files(reference: &SecretRef) -> Vec<PathBuf> {
    match reference {
        SecretRef::Env(_) => Vec::new(),
        SecretRef::File(path) => vec![path.clone()],
        SecretRef::Command(words) => {
            let paths = words.iter().skip(1).map(PathBuf::from).filter(|p| p.is_absolute() && p.is_file());
            paths.filter(|p| !is_program(p)).collect()
        }
    }
}

/// Whether a file can be started: jobs need the system's.
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|m| m.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_that_the_configuration_names_is_hidden() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"
            [project]
            name = "acme"
            committer = "A <a@a.example>"
            [signing]
            release = { file = "release.asc", passphrase = { file = "release.pass" } }
            operator = { file = "operator.asc", passphrase = { command = ["cat", "DIR/command.pass"] } }
            people = { alice = { file = "alice.asc", passphrase = { file = "alice.pass" } } }
            [forge.github]
            repository = "o/r"
            token = { file = "forge.token" }
            [[store]]
            name = "main"
            url = "file:///srv/acme"
            [[target]]
            name = "x"
            triple = "t"
            run = ["true"]
            artifacts = ["x"]
            secret_env = { TOKEN = { file = "target.token" } }
            [[assemble]]
            name = "all"
            from = ["x"]
            run = ["true"]
            artifacts = ["y"]
            secret_env = { TOKEN = { file = "assembly.token" } }
        "#;
        let text = text.replace("DIR", &dir.path().display().to_string());
        std::fs::write(dir.path().join("command.pass"), "x").unwrap();
        let config = crate::config::parse(&text, &dir.path().join("lifeboat.toml"), &crate::wiring::registries());
        let config = config.unwrap_or_else(|e| panic!("{}", e.report()));
        let found = hidden(&config, Path::new("/var/state/acme"));
        for name in [
            "release.asc",
            "release.pass",
            "operator.asc",
            "command.pass",
            "alice.asc",
            "alice.pass",
            "forge.token",
            "target.token",
            "assembly.token",
        ] {
            assert!(found.contains(&dir.path().join(name)), "{name} is not in {found:?}");
        }
        assert!(
            found.contains(&PathBuf::from("/var/state")) && found.contains(&PathBuf::from("/srv/acme")),
            "{found:?}"
        );
    }
}
