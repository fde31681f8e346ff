//! `[[input]]`: files from elsewhere that builds need, and which tables name them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use url::{Host, Url};

use super::super::raw::RawInput;
use super::super::settings::{InputAddress, InputConfig};
use super::targets::stays_below;
use super::unique;
use crate::model::{InputName, Sha256};
use crate::table::{Fault, Faults, Text, did_you_mean, grammar, one_of};

/// The directory of an input whose table does not say where a job finds it.
const DIRECTORY: &str = "inputs";

/// What in the name of a parameter of an address says that its value lets somebody in.
const CREDENTIALS: [&str; 8] = ["token", "signature", "secret", "passw", "credential", "auth", "api_key", "apikey"];

/// All inputs, in the order of the file.
pub(super) fn resolve(tables: &[(Range<usize>, RawInput)], base: &Path, faults: &mut Faults) -> Vec<InputConfig> {
    let names = tables.iter().map(|(_, raw)| raw.name.clone()).collect();
    unique(faults, "`[[input]]`", names, |faults| {
        tables.iter().filter_map(|(_, raw)| input(raw, base, faults)).collect()
    })
}

fn input(raw: &RawInput, base: &Path, faults: &mut Faults) -> Option<InputConfig> {
    let name = grammar::<InputName>(&raw.name, faults);
    let sha256 = grammar::<Sha256>(&raw.sha256, faults);
    let from = faults.keep(address(&raw.url, base));
    let path = path(raw, faults);
    Some(InputConfig { name: name?, from: from?, sha256: sha256?, path: path? })
}

/// Where it is fetched from: a web address without credentials, over TLS or of this machine, or a file.
fn address(url: &Text, base: &Path) -> Result<InputAddress, Fault> {
    let text = url.get_ref();
    let wrong = |label: &str| Fault::new(url.span(), "this is not an address of an input", label);
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(wrong("expected letters, digits and signs of ASCII; write others as `%…`"));
    }
    if let Some(path) = text.strip_prefix("file://") {
        return match path.starts_with('/') && !path.contains(['%', '?', '#']) {
            true => Ok(InputAddress::File(path.into())),
            false => Err(wrong("expected `file:///…`, without `%`, `?` and `#`")),
        };
    }
    if !text.contains("://") {
        return Ok(InputAddress::File(base.join(text)));
    }
    let Ok(parsed) = Url::parse(text) else { return Err(wrong("expected `https://host/path`")) };
    let of_this_machine = match parsed.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    match parsed.scheme() {
        "https" => {}
        "http" if of_this_machine => {}
        _ => return Err(wrong("expected `https://…`, or a file of this machine")),
    }
    let named = |name: &str| CREDENTIALS.iter().any(|part| name.to_ascii_lowercase().contains(part));
    let lets_in = parsed.query_pairs().any(|(name, _)| named(&name) || name == "sig");
    if !parsed.username().is_empty() || parsed.password().is_some() || lets_in {
        let fault = Fault::new(url.span(), "an input is fetched without credentials", "this address has some");
        return Err(fault.help("put the file where anybody may read it, or fetch it yourself and name the file"));
    }
    if parsed.fragment().is_some() {
        return Err(wrong("remove `#` and what follows"));
    }
    Ok(InputAddress::Web(parsed.into()))
}

/// Where a job finds it.
fn path(raw: &RawInput, faults: &mut Faults) -> Option<String> {
    if let Some(path) = &raw.path {
        if stays_below(path.get_ref()) {
            return Some(path.get_ref().clone());
        }
        let label = "expected a path below the source's root, such as `inputs/sdk.tar.xz`";
        faults.add(Fault::new(path.span(), format!("`{}` is not the path of an input", path.get_ref()), label));
        return None;
    }
    let bare = raw.url.get_ref().split(['?', '#']).next().unwrap_or_default();
    let last = bare.rsplit('/').next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '~');
    let has_path = !bare.contains("://") || bare.matches('/').count() > 2;
    if has_path && last.chars().all(plain) && stays_below(last) {
        return Some(format!("{DIRECTORY}/{last}"));
    }
    let fault =
        Fault::new(raw.url.span(), "this address does not end with the name of a file", "what is it to be called?");
    faults.add(fault.help("say where a job finds it: `path = \"inputs/sdk.tar.xz\"`"));
    None
}

/// The inputs by name, and which of them some table needs.
pub(super) struct Inputs<'a> {
    known: BTreeMap<&'a str, &'a Text>,
    used: BTreeSet<String>,
    refused: BTreeSet<(usize, usize)>,
}

impl<'a> Inputs<'a> {
    pub(super) fn new(tables: &'a [(Range<usize>, RawInput)]) -> Self {
        let known = tables.iter().map(|(_, raw)| (raw.name.get_ref().as_str(), &raw.name)).collect();
        Self { known, used: BTreeSet::new(), refused: BTreeSet::new() }
    }

    /// The inputs that a table names. A table is read once for each of its targets: its faults are shown once.
    pub(super) fn taken(&mut self, names: Option<&[Text]>, faults: &mut Faults) -> Vec<InputName> {
        let mut out: Vec<InputName> = Vec::new();
        for name in names.unwrap_or_default() {
            self.used.insert(name.get_ref().clone());
            let twice = out.iter().any(|before| before.as_str() == name.get_ref());
            let fault = if twice {
                Fault::new(name.span(), format!("`{}` is named twice", name.get_ref()), "remove one of them")
            } else if self.known.contains_key(name.get_ref().as_str()) {
                // A name that is none was refused where its table stands.
                out.extend(InputName::new(name.get_ref().as_str()));
                continue;
            } else {
                self.unknown(name)
            };
            if self.refused.insert((name.span().start, name.span().end)) {
                faults.add(fault);
            }
        }
        out
    }

    fn unknown(&self, name: &Text) -> Fault {
        let message = format!("there is no input `{}`", name.get_ref());
        let known = self.known.keys().copied();
        let fault = Fault::new(name.span(), message, format!("valid here: {}", one_of(known.clone())));
        match did_you_mean(name.get_ref(), known) {
            Some(meant) => fault.help(format!("did you mean `{meant}`?")),
            None => fault.help(format!("add an `[[input]]` with `name = \"{}\"`", name.get_ref())),
        }
    }

    /// Refuses inputs that nothing needs: they would be fetched for nobody.
    pub(super) fn unused(&self, faults: &mut Faults) {
        for (name, text) in self.known.iter().filter(|(name, _)| !self.used.contains(**name)) {
            let message = format!("no target and no assembly needs the input `{name}`");
            let label = format!("write `inputs = [\"{name}\"]` in one, or remove it");
            faults.add(Fault::new(text.span(), message, label));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::config::expand::{LineValues, jobs};
    use crate::error::Result;
    use crate::step::ToolInput;

    const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    /// A configuration whose one target is built with these further keys.
    fn parse(input: &str, target: &str) -> Result<Config> {
        let text = format!(
            "[project]\nname = \"acme\"\ncommitter = \"Acme <release@acme.example>\"\n[[input]]\nname = \"sdk\"\n{input}\n\
             [[target]]\nname = \"a\"\nrun = [\"make\"]\nartifacts = [\"dist/{{name}}\"]\n{target}\n"
        );
        crate::config::parse(&text, Path::new("/src/acme/lifeboat.toml"), &crate::wiring::registries())
    }

    fn input(url: &str) -> String {
        format!("url = \"{url}\"\nsha256 = \"{DIGEST}\"")
    }

    fn fault(input: &str, target: &str) -> String {
        parse(input, target).unwrap_err().report()
    }

    #[test]
    fn an_address_is_of_the_web_or_a_file() {
        let from = |url: &str| parse(&input(url), "inputs = [\"sdk\"]").map(|mut c| c.inputs.remove(0));
        let web = |text: &str| InputAddress::Web(text.to_owned());
        for (url, address, path) in [
            ("https://example.org/sdk-1.tar.xz", web("https://example.org/sdk-1.tar.xz"), "inputs/sdk-1.tar.xz"),
            ("https://example.org/@x/sdk.zip?v=1", web("https://example.org/@x/sdk.zip?v=1"), "inputs/sdk.zip"),
            ("http://127.0.0.1:8080/sdk", web("http://127.0.0.1:8080/sdk"), "inputs/sdk"),
            ("../sdk.zip", InputAddress::File("/src/acme/../sdk.zip".into()), "inputs/sdk.zip"),
            ("file:///srv/sdk.zip", InputAddress::File("/srv/sdk.zip".into()), "inputs/sdk.zip"),
        ] {
            let found = from(url).unwrap_or_else(|e| panic!("{url}: {}", e.report()));
            assert_eq!((found.from, found.path.as_str()), (address, path), "{url}");
        }
        for (url, why) in [
            ("http://example.org/sdk", "expected `https://…`"),
            ("ftp://example.org/sdk", "expected `https://…`"),
            ("file://srv/sdk", "expected `file:///…`"),
            ("https://", "expected `https://host/path`"),
            ("https://example.org/a b", "signs of ASCII"),
            ("https://example.org/sdk#x", "remove `#`"),
            ("https://user:word@example.org/sdk", "without credentials"),
            ("https://user@example.org/sdk", "without credentials"),
            ("https://example.org/sdk?X-Amz-Signature=1", "without credentials"),
            ("https://example.org/sdk?access_token=1", "without credentials"),
            ("https://example.org/sdk?sig=1", "without credentials"),
            ("https://example.org", "does not end with the name of a file"),
            ("https://example.org/sdk/", "does not end with the name of a file"),
            ("https://example.org/s%2fdk", "does not end with the name of a file"),
        ] {
            let said = fault(&input(url), "inputs = [\"sdk\"]");
            assert!(said.contains(why) && said.contains("lifeboat.toml:6"), "{url}: {said}");
        }
    }

    #[test]
    fn names_digests_and_paths_are_checked() {
        let good = input("https://example.org/sdk.zip");
        for (input, target, why, line) in [
            (good.clone(), "", "no target and no assembly needs the input `sdk`", 5),
            (good.clone(), "inputs = [\"skd\"]", "did you mean `sdk`?", 12),
            (good.clone(), "inputs = [\"sdk\", \"compiler\"]", "there is no input `compiler`", 12),
            (good.clone(), "inputs = [\"sdk\", \"sdk\"]", "`sdk` is named twice", 12),
            (good.replace(DIGEST, "abc"), "inputs = [\"sdk\"]", "is not a SHA-256", 7),
            (format!("{good}\npath = \"../sdk\""), "inputs = [\"sdk\"]", "is not the path of an input", 8),
            (format!("{good}\npath = \"/sdk\""), "inputs = [\"sdk\"]", "is not the path of an input", 8),
            (format!("{good}\npath = \"dist/A\""), "inputs = [\"sdk\"]", "and another file of this job: `dist/a`", 10),
            (format!("{good}\npath = \"dist\""), "inputs = [\"sdk\"]", "and another file of this job: `dist/a`", 10),
            (
                format!("{good}\n[[input]]\nname = \"SDK\"\n{good}"),
                "inputs = [\"sdk\", \"SDK\"]",
                "tables are named `SDK`",
                9,
            ),
            (
                format!("{good}\n[[input]]\nname = \"b\"\n{good}"),
                "inputs = [\"sdk\", \"b\"]",
                "and another file of this job: `inputs/sdk.zip`",
                13,
            ),
        ] {
            let said = fault(&input, target);
            assert!(said.contains(why) && said.contains(&format!("lifeboat.toml:{line}:")), "{why}: {said}");
        }
        // Of a table with several targets, a fault is said once.
        let said = fault(&good, "inputs = [\"sdk\", \"x\"]\nvariants = [\"\", \"-min\"]");
        assert_eq!(said.matches("there is no input `x`").count(), 1, "{said}");
    }

    #[test]
    fn jobs_and_their_tests_get_what_a_table_names() {
        let more =
            "inputs = [\"sdk\"]\ntest = [\"true\"]\n[[target]]\nname = \"b\"\nrun = [\"make\"]\nartifacts = [\"b\"]";
        let config = parse(&input("https://example.org/sdk.zip"), more).unwrap();
        let line = LineValues::new(&config, &"main".parse().unwrap(), &"1.2.3".parse().unwrap()).unwrap();
        let all = jobs(&config, &line).unwrap();
        let wanted = [ToolInput { path: "inputs/sdk.zip".to_owned(), sha256: DIGEST.parse().unwrap() }];
        assert_eq!(all[0].build.inputs, wanted);
        assert_eq!(all[0].test.as_ref().unwrap().inputs, wanted);
        assert_eq!(all[1].build.inputs, []);
        // A variant that says otherwise, over a recipe that several share.
        let shared =
            "recipe = \"r\"\nvariants = [\"\", { suffix = \"-min\", inputs = [] }]\n[recipe.r]\ninputs = [\"sdk\"]\n";
        let all = jobs(&parse(&input("https://example.org/sdk.zip"), shared).unwrap(), &line)
            .map(|all| all.into_iter().map(|job| job.build.inputs.len()).collect::<Vec<_>>());
        assert_eq!(all.map_err(|e| e.report()), Ok(vec![1, 0]));
    }
}
