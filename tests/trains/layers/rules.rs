//! The rules, as functions from files to violations.

use std::collections::BTreeMap;

use crate::layers::source::Source;

/// What each module may import. Whoever adds to this list has looked at the direction: an arrow never points back up, from
/// the ports to the engine, or from the core to an adapter.
const IMPORTS: &[(&str, &str)] = &[
    ("error", ""),
    // Programs that are run for what they print.
    ("subprocess", "error"),
    ("model", "error"),
    ("formats", "error model"),
    // Rewriting a tree for a new version: pure over a tree that it is given.
    // The keys of tables in configuration files, and how they are read.
    ("table", "error model"),
    ("bump", "error formats model table"),
    ("step", "bump error model"),
    ("snapshot", "formats model step"),
    // What an adapter says of itself, and the table that it is handed.
    ("adapter", "effects error model subprocess table"),
    ("config", "adapter bump effects error formats model step table"),
    ("templates", "config error model"),
    ("site", "config error formats model templates"),
    ("plan", "adapter config error formats model site snapshot step templates"),
    ("effects", "bump error formats model step"),
    ("trust", "effects error formats model"),
    ("journal", "effects error formats model plan step trust"),
    // A page about a train, for its team.
    ("report", "error journal model step templates"),
    ("engine", "bump config effects error formats journal model plan site snapshot step templates trust"),
    ("verify", "effects error formats model trust"),
    // What one store has, verified and put into another.
    ("mirror", "config effects engine error formats model trust verify"),
    // Local git work behind its port, and what planning sees of the user's repository.
    ("git", "bump effects error formats model step subprocess"),
    // It learns from commits, as planning reads them.
    ("checkout", "bump effects error formats git model"),
    ("host", "effects error"),
    // How programs are kept from the machine, for whoever starts one that reads a tree.
    ("sandbox", "error model subprocess"),
    // The user's own `ssh`, for whoever has something on a machine with sshd.
    ("ssh", "error model subprocess"),
    ("runners", "adapter effects error formats http model sandbox ssh step subprocess table"),
    ("stores", "adapter effects error formats http model ssh step table"),
    // The client of servers with a REST API, for whoever talks to one.
    ("http", "adapter effects error model"),
    ("forges", "adapter effects error formats http model step table"),
    ("remotes", "adapter effects error formats git model step table"),
    ("signers", "adapter config effects error formats model step subprocess table"),
    ("registries", "adapter effects error formats model step table"),
    ("advisories", "adapter effects error formats model step table"),
    ("announcers", "adapter effects error formats model step table"),
    // What joins the two sides.
    // What builds need from elsewhere.
    ("inputs", "config effects error formats http model step"),
    ("gather", "adapter bump config effects error formats git inputs model snapshot step trust"),
    (
        "wiring",
        "adapter config effects engine error forges gather git host http model remotes runners signers stores registries advisories announcers",
    ),
    ("drill", "config effects error formats http model signers step trust"),
    ("cli", "*"),
    ("main", "*"),
    ("lib", "*"),
];

/// Modules that one knows without running them: values in, values out.
const PURE: &[&str] = &[
    "model",
    "formats",
    "snapshot",
    "step",
    "plan",
    "journal/event",
    "journal/fold",
    "journal/outage",
    "journal/signed",
    "journal/timeline",
    "report",
    "engine/next",
    "engine/retry",
    "engine/schedule",
    "trust",
    "config",
    "table",
    "bump",
    "site",
    "templates",
    "error",
];

/// Their files that do touch the world, through the port to it.
const IMPURE: &[&str] = &["config/load", "trust/load"];

/// What a pure module never names.
const OUTSIDE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::process",
    "std::os::unix",
    "std::thread",
    "std::env::var",
    "std::env::args",
    "std::env::current",
    "std::env::set",
    "std::env::temp",
    "env::var",
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "tokio",
    "reqwest",
    "git2",
    "getrandom",
    "rand",
    "rustix",
    "HostDisk",
    "HostClock",
];

/// Hosts and products. Adapters name them, and what shows the configuration to people.
const VENDORS: &[&str] = &[
    "github",
    "gitlab",
    "gitea",
    "forgejo",
    "codeberg",
    "bitbucket",
    "buildbot",
    "slurm",
    "jenkins",
    "buildkite",
    "woodpecker",
    "s3",
    "minio",
    "amazon",
    "aws",
    "azure",
    "cloudflare",
    "google",
];

/// The core: what decides.
const CORE: &[&str] = &[
    "adapter",
    "config",
    "table",
    "model",
    "formats",
    "snapshot",
    "step",
    "plan",
    "journal",
    "engine",
    "trust",
    "effects",
    "verify",
    "templates",
    "bump",
    "error",
];

/// Where products are named for what their files mean, whoever made them: paths that no patch changes unseen.
const PRODUCTS: &[&str] = &["config/sensitive"];

/// Kinds of signer that are programs, and the modules that know no kind of signer.
const KEY_STORES: (&[&str], &[&str]) = (&["gpg"], &["adapter", "config", "gather", "plan", "table", "wiring"]);

/// Where a word that is a kind of signer is the ending of files.
const ENDINGS: &[&str] = &["config/reserved"];

/// A folder of adapters, with the name of the list of them.
const ADAPTERS: &[(&str, &str)] = &[
    ("runners", "RUNNERS"),
    ("stores", "STORES"),
    ("forges", "FORGES"),
    ("remotes", "REMOTES"),
    ("signers", "SIGNERS"),
    ("registries", "REGISTRIES"),
    ("advisories", "ADVISORIES"),
    ("announcers", "ANNOUNCERS"),
];

fn is_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

/// Where `what` stands as whole words.
pub(crate) fn words<'a>(text: &'a str, what: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = text.as_bytes();
    text.match_indices(what)
        .map(|(i, _)| i)
        .filter(move |&i| !is_word(i.checked_sub(1).and_then(|p| bytes.get(p))) && !is_word(bytes.get(i + what.len())))
}

/// The top-level modules that a file names, by `crate::…` or by climbing with `super::`, with the byte where it does.
pub(crate) fn imported(source: &Source) -> Vec<(String, usize)> {
    let mut out = Vec::new();
    for at in words(&source.code, "crate") {
        if let Some(rest) = source.code[at..].strip_prefix("crate::") {
            out.extend(heads(rest).into_iter().map(|m| (m, at)));
        }
    }
    let depth = source.modules().len();
    let mut skip = 0;
    for (at, _) in source.code.match_indices("super::") {
        if at < skip || is_word(at.checked_sub(1).and_then(|p| source.code.as_bytes().get(p))) {
            continue;
        }
        let mut climbed = 0;
        while source.code[at + 7 * climbed..].starts_with("super::") {
            climbed += 1;
        }
        skip = at + 7 * climbed;
        if climbed == depth {
            out.extend(heads(&source.code[skip..]).into_iter().map(|m| (m, at)));
        }
    }
    out
}

/// The first names of a path, or of each path in braces.
fn heads(rest: &str) -> Vec<String> {
    let name = |s: &str| s.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let (mut depth, mut out, mut start) = (0, Vec::new(), 0);
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                out.push(name(&group[start..i]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                out.push(name(&group[start..i]));
                start = i + 1;
            }
            _ => {}
        }
    }
    out.retain(|n| !n.is_empty());
    out
}

pub(crate) fn imports(files: &[Source]) -> Vec<String> {
    let allowed: BTreeMap<&str, &str> = IMPORTS.iter().copied().collect();
    let mut out = Vec::new();
    for file in files.iter().filter(|f| f.is_product()) {
        let own = file.modules()[0];
        let Some(may) = allowed.get(own) else {
            out.push(format!("{}: module `{own}` has no place in the house: add it to IMPORTS", file.path));
            continue;
        };
        for (module, at) in imported(file) {
            let known = allowed.contains_key(module.as_str());
            if known && module != own && *may != "*" && !may.split(' ').any(|m| m == module) {
                out.push(format!("{}:{}: `{own}` may not import `{module}`", file.path, file.line(at)));
            }
        }
    }
    out
}

pub(crate) fn within(file: &Source, place: &str) -> bool {
    let modules = file.modules().join("/");
    modules == place || modules.starts_with(&format!("{place}/"))
}

pub(crate) fn purity(files: &[Source]) -> Vec<String> {
    let mut out = Vec::new();
    let pure =
        |f: &&Source| f.is_product() && PURE.iter().any(|p| within(f, p)) && !IMPURE.iter().any(|p| within(f, p));
    for file in files.iter().filter(pure) {
        for outside in OUTSIDE {
            for at in words(&file.code, outside) {
                out.push(format!("{}:{}: a pure module names `{outside}`", file.path, file.line(at)));
            }
        }
        // `use std::{fs, io}` names them too.
        for (at, _) in file.code.match_indices("std::{") {
            for name in heads(&file.code[at + 5..]) {
                if matches!(name.as_str(), "fs" | "net" | "process" | "env" | "thread" | "os") {
                    out.push(format!("{}:{}: a pure module names `std::{name}`", file.path, file.line(at)));
                }
            }
        }
    }
    out
}

pub(crate) fn vendors(files: &[Source]) -> Vec<String> {
    let mut out = Vec::new();
    let decides = |f: &&Source| CORE.contains(&f.modules()[0]) && !PRODUCTS.iter().any(|place| within(f, place));
    for file in files.iter().filter(|f| f.is_product()).filter(decides) {
        let text = file.words.to_ascii_lowercase();
        for vendor in VENDORS {
            for at in words(&text, vendor) {
                out.push(format!("{}:{}: a core module names `{vendor}`", file.path, file.line(at)));
            }
        }
    }
    let (kinds, blind) = KEY_STORES;
    let is_blind = |f: &&Source| blind.contains(&f.modules()[0]) && !ENDINGS.iter().any(|place| within(f, place));
    for file in files.iter().filter(|f| f.is_product()).filter(is_blind) {
        for kind in kinds {
            for at in words(&file.words.to_ascii_lowercase(), kind) {
                out.push(format!("{}:{}: only `signers` know the kind `{kind}`", file.path, file.line(at)));
            }
        }
    }
    out
}

pub(crate) fn registries(files: &[Source]) -> Vec<String> {
    let mut out = Vec::new();
    for (folder, list) in ADAPTERS {
        let inside: Vec<&Source> = files.iter().filter(|f| f.is_product() && f.modules()[0] == *folder).collect();
        let Some(registry) = inside.iter().find(|f| f.modules().len() == 1) else {
            if !inside.is_empty() {
                out.push(format!("src/{folder}/mod.rs is missing"));
            }
            continue;
        };
        let Some(listed) = listed(&registry.code, list) else {
            out.push(format!("{}: no `{list}` lists the adapters", registry.path));
            continue;
        };
        for file in inside.iter().filter(|f| f.modules().len() == 2) {
            let name = file.modules()[1];
            // An adapter implements the port; what several of them share, such as a trait of theirs, does not.
            let ports = ["Store", "Runner", "Remote", "Forge"]
                .iter()
                .any(|port| file.code.contains(&format!("impl {port} for ")));
            let adapter = ports || words(&file.code, "ADAPTER").next().is_some();
            let constant = name.to_ascii_uppercase();
            let is_listed = words(listed, name).next().is_some() || words(listed, &constant).next().is_some();
            if adapter && !is_listed {
                out.push(format!("{}: adapter `{name}` is not in `{list}`", file.path));
            }
        }
    }
    out
}

/// The value of a constant, up to its semicolon.
fn listed<'a>(code: &'a str, name: &str) -> Option<&'a str> {
    let at = words(code, name)
        .find(|at| code[..*at].trim_end().ends_with(['t', 'c']) && code[at + name.len()..].starts_with(':'))?;
    let value = at + code[at..].find('=')?;
    Some(&code[value..value + code[value..].find("];")?])
}

/// Every event of a journal is recorded by something outside `journal/`: one that is only read, or only checked, does not
/// happen.
pub(crate) fn events(files: &[Source]) -> Vec<String> {
    let Some(all) = files.iter().find(|f| f.path == "src/journal/event.rs") else {
        return vec!["there is no src/journal/event.rs".to_owned()];
    };
    let body = all.code.split_once("pub enum Event {").map_or("", |(_, rest)| rest);
    let body = body.split_once("\n}").map_or(body, |(body, _)| body);
    // Variants stand four spaces in, their fields eight.
    let variants = body.lines().filter_map(|line| line.strip_prefix("    ")).filter_map(|line| {
        let name: String = line.chars().take_while(char::is_ascii_alphanumeric).collect();
        name.starts_with(|c: char| c.is_ascii_uppercase()).then_some(name)
    });
    let recorded = |name: &str| {
        files.iter().filter(|f| f.is_product() && f.modules().first() != Some(&"journal")).any(|f| {
            words(&f.code, "Event").any(|at| {
                let variant = f.code[at + "Event".len()..].strip_prefix("::").and_then(|v| v.strip_prefix(name));
                variant.is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric()))
            })
        })
    };
    variants.filter(|name| !recorded(name)).map(|name| format!("nothing records `Event::{name}`")).collect()
}

/// No file has more lines than this.
const LINES: usize = 500;

/// Half of the files have no more lines than this.
const MEDIAN: usize = 150;

pub(crate) fn sizes(files: &[Source]) -> Vec<String> {
    let mut lines: Vec<usize> = files.iter().map(|f| f.text.lines().count()).collect();
    let mut out: Vec<String> = files
        .iter()
        .zip(&lines)
        .filter(|(_, n)| **n > LINES)
        .map(|(f, n)| format!("{}: {n} lines, at most {LINES}", f.path))
        .collect();
    lines.sort_unstable();
    if let Some(median) = lines.get(lines.len() / 2).filter(|m| **m > MEDIAN) {
        out.push(format!("the median file has {median} lines, at most {MEDIAN}"));
    }
    out
}

/// Names that say nothing.
const VAGUE: &[&str] =
    &["util", "utils", "helper", "helpers", "common", "misc", "manager", "handler", "handlers", "stuff", "base"];

pub(crate) fn names(files: &[Source]) -> Vec<String> {
    let vague = |f: &&Source| f.modules().iter().any(|m| m.split('_').any(|w| VAGUE.contains(&w)));
    files.iter().filter(vague).map(|f| format!("{}: a name that says nothing", f.path)).collect()
}

/// What ends a process or writes behind the caller's back.
const ABRUPT: &[&str] = &[
    ".unwrap()",
    ".expect(",
    "todo!",
    "unimplemented!",
    "unreachable!",
    "panic!",
    "dbg!",
    "println!",
    "eprintln!",
    "print!",
    "process::exit",
    "unsafe {",
    ".unwrap_err()",
    ".expect_err(",
];

pub(crate) fn panics(files: &[Source]) -> Vec<String> {
    let mut out = Vec::new();
    for file in files.iter().filter(|f| f.is_product()) {
        for abrupt in ABRUPT {
            for (at, _) in file.code.match_indices(abrupt) {
                let inside_a_word =
                    !abrupt.starts_with('.') && is_word(at.checked_sub(1).and_then(|p| file.code.as_bytes().get(p)));
                if !inside_a_word {
                    out.push(format!("{}:{}: `{abrupt}` outside tests", file.path, file.line(at)));
                }
            }
        }
        for (at, _) in file.words.match_indices("#[allow(").chain(file.words.match_indices("#![allow(")) {
            let end = file.words[at..].find(")]").map_or(file.words.len(), |n| at + n);
            if !file.words[at..end].contains("reason") {
                out.push(format!("{}:{}: `allow` without a reason", file.path, file.line(at)));
            }
        }
    }
    out
}

/// What begins the definition of a type that others can use.
const TYPES: &[&str] = &["struct", "enum", "trait", "type", "union"];

/// Types that are public, or public in the crate, each have a name of their own: whoever searches for one finds one.
pub(crate) fn types(files: &[Source]) -> Vec<String> {
    let mut defined: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files.iter().filter(|f| f.is_product()) {
        for public in ["pub", "pub(crate)"] {
            for kind in TYPES {
                let head = format!("{public} {kind} ");
                for (at, _) in file.code.match_indices(&head) {
                    let name: String =
                        file.code[at + head.len()..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    if !name.is_empty() {
                        defined.entry(name).or_default().push(format!("{}:{}", file.path, file.line(at)));
                    }
                }
            }
        }
    }
    let twice = defined.into_iter().filter(|(_, places)| places.len() > 1);
    twice.map(|(name, places)| format!("{}: two types are called `{name}`", places.join(", "))).collect()
}
