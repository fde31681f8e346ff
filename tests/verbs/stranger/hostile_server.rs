//! What a server can try while it is read, beside what it may serve: `verify` and `mirror` refuse each by name.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use lifeboat::effects::Signer as _;
use lifeboat::formats::index::Index;
use lifeboat::formats::layout;
use lifeboat::signers::openpgp::SecretKey;

use crate::stranger::home::{Served, Stranger, digest, released};

/// `verify` and `mirror` of the server must both fail so, and nothing may be shown by the mirror.
#[track_caller]
fn refused(served: &Served, what: &[&str]) {
    refused_by(served, "verify", what);
    refused_by(served, "mirror", what);
}

#[track_caller]
fn refused_by(served: &Served, verb: &str, what: &[&str]) {
    let to = tempfile::tempdir().unwrap();
    let at = to.path().display().to_string();
    let args = match verb {
        "verify" => vec!["verify", "--pin", "", "1.0.5", &served.url],
        _ => vec!["mirror", "--pin", "", &served.url, &at],
    };
    let pin = digest();
    let args: Vec<&str> = args.into_iter().map(|arg| if arg.is_empty() { &pin } else { arg }).collect();
    Stranger::new().run(&args).fails(6, what);
    assert!(!to.path().join(layout::INDEX).exists(), "half a mirror is shown");
}

#[test]
fn a_redirect_elsewhere() {
    let (served, other) = (Served::new(), Served::new());
    for path in [layout::INDEX, "keys/trust.json", "releases/1.0.5/manifest.json", "releases/1.0.5/notes.md"] {
        served.odd(Some((path, &format!("elsewhere {}/{path}", other.url))));
        refused(&served, &["the server redirects to another origin"]);
    }
    served.odd(Some((layout::MIRRORS, &format!("elsewhere {}/{}", other.url, layout::MIRRORS))));
    refused_by(&served, "mirror", &["the server redirects to another origin"]);
    // Within the store's own address nothing speaks against it.
    fs::copy(served.path(layout::INDEX), served.path("moved")).unwrap();
    served.odd(Some((layout::INDEX, "elsewhere /store/moved")));
    Stranger::new().verify(&["1.0.5", &served.url]).ends_with(0);
}

#[test]
fn a_body_and_a_list_without_end() {
    let served = Served::new();
    for path in
        [layout::INDEX, "keys/trust.json", "releases/1.0.5/SHA256SUMS", "releases/1.0.5/notes.md", layout::LATEST]
    {
        served.odd(Some((path, "endless")));
        let verbs: &[&str] = if path == layout::LATEST { &["verify"] } else { &["verify", "mirror"] };
        verbs.iter().for_each(|verb| refused_by(&served, verb, &["is longer than the", "bytes that it may have"]));
    }
    served.odd(Some((layout::MIRRORS, "endless")));
    refused_by(&served, "mirror", &["`releases/mirrors.json` is longer than the"]);
    let list = format!("endless {}\trefs/heads/x", "0".repeat(40));
    served.odd(Some(("git/sample.git/info/refs", &list)));
    refused(&served, &["`git/sample.git/info/refs` is longer than the"]);
    let list = format!("endless P pack-{}.pack", "0".repeat(40));
    served.odd(Some(("git/sample.git/objects/info/packs", &list)));
    refused_by(&served, "mirror", &["`git/sample.git/objects/info/packs` is longer than the"]);
}

#[test]
fn names_that_lead_out_of_the_store() {
    let served = Served::new();
    let refs = served.path("git/sample.git/info/refs");
    let good = fs::read_to_string(&refs).unwrap();
    let id = &good[..40];
    for name in ["refs/heads/../../../../keys/trust.json", "objects/info/alternates", "config", "../../releases/latest"]
    {
        fs::write(&refs, format!("{good}{id}\t{name}\n")).unwrap();
        refused_by(&served, "mirror", &[&format!("lists `{name}`, which is no branch and no tag")]);
    }
    fs::write(&refs, &good).unwrap();
    let packs = served.path("git/sample.git/objects/info/packs");
    let list = fs::read_to_string(&packs).unwrap();
    fs::write(&packs, format!("P ../../../../keys/trust.json\n{list}")).unwrap();
    let to = tempfile::tempdir().unwrap();
    let mirror = ["mirror", "--pin", &digest(), &served.url, to.path().to_str().unwrap()];
    Stranger::new().run(&mirror).fails(1, &["objects/info/packs", "has the line `P ../../../../keys/trust.json`"]);
    fs::write(&packs, &list).unwrap();
    // People signed other names, so a manifest with one of these is not theirs; it is refused before that is looked at.
    let manifest = served.path("releases/1.0.5/manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"notes.md\"", "\"../notes.md\"")).unwrap();
    refused_by(&served, "verify", &["manifest", "`manifest.json` is not a"]);
    refused_by(&served, "mirror", &["`releases/1.0.5/manifest.json` there is not the one that the index lists"]);
}

/// The index as it would be a week later: whoever stands before the store keeps everything newer away.
#[test]
fn a_store_that_is_frozen() {
    let served = Served::new();
    let ago = |days: i64| Timestamp::now() - SignedDuration::from_hours(24 * days);
    let mut index = Index::from_bytes(&fs::read(served.path(layout::INDEX)).unwrap()).unwrap();
    (index.generated, index.expires) = (ago(8), ago(1));
    let bytes = index.to_bytes().unwrap();
    let key = fs::read(released().key("freshness")).unwrap();
    let key = SecretKey::parse(&key, "freshness", None, Timestamp::now()).unwrap();
    let signature = key.sign(&mut &bytes[..]).unwrap();
    fs::write(served.path(layout::INDEX), &bytes).unwrap();
    for name in [layout::index_signature(&bytes), layout::INDEX_SIGNATURE.to_owned()] {
        fs::write(served.path(&name), &signature).unwrap();
    }
    refused(&served, &["it is stale: good until"]);
    refused_by(&served, "mirror", &["this place is cut off or frozen"]);
}
