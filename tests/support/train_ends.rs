//! What a train leaves behind, in a form in which two runs can be compared.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jiff::Timestamp;
use lifeboat::effects::Disk as _;
use lifeboat::formats::openpgp::{Detached, Hashed};
use lifeboat::formats::tag;
use lifeboat::host::HostDisk;
use lifeboat::model::Sha256;
use lifeboat::step::Outcome;
use lifeboat::trust::{self, RootChoice, TrustedRoot};

use super::train_world::World;

/// Everything that must be equal, by name: bytes as digests, signatures as who signed what.
pub type End = BTreeMap<String, String>;

/// How a train's end is read.
pub struct Reader {
    world: World,
    trust: TrustedRoot,
    now: Timestamp,
    /// Whether time and nonce differ between the runs, so that what names them is left out.
    loose: bool,
}

/// Files that are replaced in place; everything else in the store and in `objects/` never changes.
const POINTERS: &[&str] = &[
    "releases/index.json",
    "releases/index.json.asc",
    "releases/index.html",
    "releases/latest",
    "objects/info/packs",
    "packed-refs",
    "info/refs",
];

impl Reader {
    pub fn new(world: &World, loose: bool) -> Self {
        let now = world.now();
        let keys = world.config().project.keys;
        let trust = trust::load(&HostDisk, &keys, None, RootChoice::Directory, now).unwrap();
        Self { world: world.clone(), trust, now, loose }
    }

    /// Who made a signature over these bytes.
    fn signer(&self, signature: &[u8], name: &str, signed: &[u8]) -> Result<String, String> {
        let detached = Detached::parse(signature, name).map_err(|e| e.report())?;
        let hashed = Hashed::of(signed).map_err(|e| e.report())?;
        let mut found = self.trust.certificates.values().filter_map(|c| c.check(&detached, &hashed, self.now).ok());
        let fact = found.next().ok_or_else(|| format!("nobody that is known signed `{name}`"))?;
        Ok(format!("{} signed {}", fact.certificate, Sha256::of(signed)))
    }

    /// The whole end of a train, or what is wrong with it by itself.
    pub fn read(&self) -> Result<End, String> {
        let mut end = End::new();
        self.outcomes(&mut end)?;
        self.store(&mut end)?;
        self.objects()?;
        self.git(&mut end)?;
        Ok(end)
    }

    fn outcomes(&self, end: &mut End) -> Result<(), String> {
        let dir = self.world.train();
        let recorded = dir.read(&HostDisk).map_err(|e| e.report())?;
        let whole = recorded.len;
        let size = HostDisk.entry(&dir.journal()).unwrap().map_or(0, |e| e.size);
        if size != whole {
            return Err(format!("the journal has {size} bytes, {whole} of them whole"));
        }
        let state = recorded.state().map_err(|e| e.report())?;
        let graph = state.graph();
        end.insert("state".into(), state.name().to_string());
        for step in &graph.plan().steps {
            let outcome = state.outcome(&step.id).ok_or_else(|| format!("`{}` has no outcome", step.id))?;
            let text = match outcome {
                // Its files are compared in the store, signatures as signatures.
                Outcome::Sealed(s) => {
                    let files: Vec<&str> = s.files.iter().map(|f| f.path.as_str()).collect();
                    format!("{} {files:?}", s.tag)
                }
                // What distinguishes files without reading them is another thing in every run.
                Outcome::StagedVerified(s) => s.files.to_string(),
                Outcome::Summed(s) if self.loose => format!("{:?}", s.artifacts),
                Outcome::GateOpened(s) if self.loose => format!("{:?}", s.approved_by),
                Outcome::Pointed(_) | Outcome::Staged(_) if self.loose => String::new(),
                other => serde_json::to_string(other).unwrap(),
            };
            end.insert(format!("outcome {}", step.id), text);
        }
        Ok(())
    }

    fn store(&self, end: &mut End) -> Result<(), String> {
        let root = self.world.store();
        for (path, mode) in files(&root) {
            if path.ends_with(".partial") {
                return Err(format!("the store holds `{path}`"));
            }
            if let Some(rest) = path.strip_prefix(".staging/") {
                // Leases; and on servers, uploads that were cut off, probes that were killed less than an hour ago, and names that
                // nobody holds.
                let is_ours = [".locks/", ".uploads/", "stranger-"].iter().any(|ours| rest.starts_with(ours));
                let is_free = rest.starts_with(".held/") && fs::read(root.join(&path)).unwrap() == b"free\n";
                if !is_ours && !is_free {
                    return Err(format!("`{path}` is still staged"));
                }
                continue;
            }
            // Packs hold signed tags; see `git` for what is in them.
            if path.starts_with("git/") || self.is_of_an_older_index(&path) {
                continue;
            }
            let bytes = fs::read(root.join(&path)).unwrap();
            let text = if path.starts_with("releases/") && path.ends_with(".asc") {
                let signed = self.signed_by(&root, &path)?;
                self.signer(&bytes, &path, &signed)?
            } else if path.ends_with("/tag.txt") {
                let (payload, signature) = tag::split(&bytes).map_err(|e| e.report())?;
                self.signer(signature, &path, payload)?
            } else {
                Sha256::of(&bytes).to_string()
            };
            let name = match path.strip_prefix("releases/index.").and_then(|p| p.strip_suffix(".asc")) {
                Some(hex) if hex.len() == 64 => "releases/index.<digest>.asc".to_owned(),
                _ => path.clone(),
            };
            let text = match self.loose {
                // Who signed, but not what: it names the nonce or the time.
                true if path.ends_with(".asc") => text[..40].to_owned(),
                true if !path.contains("sample-v") => String::new(),
                _ => text,
            };
            end.insert(format!("store {name}"), format!("{mode:o} {text}"));
        }
        Ok(())
    }

    /// Where time passes, an interrupted `point` may leave the signature of an index that was never served.
    fn is_of_an_older_index(&self, path: &str) -> bool {
        let digest = path.strip_prefix("releases/index.").and_then(|p| p.strip_suffix(".asc"));
        let index = || Sha256::of(&fs::read(self.world.store().join("releases/index.json")).unwrap_or_default());
        self.loose && digest.is_some_and(|d| d.len() == 64 && d != index().to_string())
    }

    /// The bytes that a signature in the store is over.
    fn signed_by(&self, root: &Path, path: &str) -> Result<Vec<u8>, String> {
        let whole = path.strip_suffix(".asc").unwrap();
        let by_person = whole.rsplit_once('.').map_or(whole, |(sums, _)| sums);
        let of = if path.starts_with("releases/index.") {
            "releases/index.json"
        } else if path.starts_with("releases/mirrors.") && whole != "releases/mirrors" {
            "releases/mirrors.json"
        } else if root.join(whole).is_file() {
            whole
        } else {
            by_person
        };
        fs::read(root.join(of)).map_err(|e| format!("`{path}` signs `{of}`: {e}"))
    }

    /// Every object has the bytes that its name says, and nothing half-written is left.
    fn objects(&self) -> Result<(), String> {
        let dir = self.world.train().objects();
        for (path, _) in files(&dir) {
            let bytes = fs::read(dir.join(&path)).unwrap();
            if path.replace('/', "") != Sha256::of(&bytes).to_string() {
                return Err(format!("object `{path}` is not what its name says ({} bytes)", bytes.len()));
            }
        }
        Ok(())
    }

    /// The repository that the store serves: refs, what they peel to, and all objects but the tags.
    fn git(&self, end: &mut End) -> Result<(), String> {
        let dir = self.world.store().join("git/sample.git");
        let repo = git2::Repository::open_bare(&dir).map_err(|e| e.to_string())?;
        let odb = repo.odb().map_err(|e| e.to_string())?;
        let mut refs = Vec::new();
        for found in repo.references().map_err(|e| e.to_string())? {
            let found = found.map_err(|e| e.to_string())?;
            let name = found.name().unwrap_or_default().to_owned();
            let target = found.target().ok_or("a symbolic ref")?;
            refs.push(format!("{target}\t{name}"));
            let object = odb.read(target).map_err(|e| e.to_string())?;
            let text = if object.kind() == git2::ObjectType::Tag {
                let (payload, signature) = tag::split(object.data()).map_err(|e| e.report())?;
                self.signer(signature, &name, payload)?
            } else {
                target.to_string()
            };
            let text = if self.loose { String::new() } else { text };
            end.insert(format!("git {name}"), text);
        }
        let served = fs::read_to_string(dir.join("info/refs")).map_err(|e| e.to_string())?;
        let mut served: Vec<&str> = served.lines().filter(|l| !l.ends_with("^{}")).collect();
        served.sort_unstable();
        refs.sort();
        if served != refs {
            return Err(format!("`info/refs` serves {served:?}, the refs are {refs:?}"));
        }
        let mut objects = Vec::new();
        odb.foreach(|oid| {
            if odb.read_header(*oid).is_ok_and(|(_, kind)| kind != git2::ObjectType::Tag) {
                objects.push(oid.to_string());
            }
            true
        })
        .map_err(|e| e.to_string())?;
        objects.sort();
        objects.dedup();
        end.insert("git objects".into(), objects.join(" "));
        Ok(())
    }

    /// What may never change any more, by name: all objects and all public files but the pointers.
    pub fn fixed(&self) -> End {
        let objects = self.world.train().objects();
        let mut out = End::new();
        for (dir, what) in [(&objects, "object"), (&self.world.store(), "store")] {
            for (path, _) in files(dir) {
                let pointer = POINTERS.iter().any(|p| path.ends_with(p));
                if !pointer && !path.ends_with(".partial") && !path.starts_with(".staging/") {
                    let digest = Sha256::of(&fs::read(dir.join(&path)).unwrap());
                    out.insert(format!("{what} {path}"), digest.to_string());
                }
            }
        }
        out
    }

    /// What is public although the gate is not open yet.
    pub fn public_too_early(&self) -> Vec<String> {
        let journal = fs::read_to_string(self.world.train().journal()).unwrap_or_default();
        if journal.contains("\"made\":\"gate-opened\"") {
            return Vec::new();
        }
        files(&self.world.store()).into_iter().map(|(p, _)| p).filter(|p| !p.starts_with(".staging/")).collect()
    }
}

/// What differs, in words; empty if nothing does.
pub fn difference(want: &End, have: &End) -> String {
    let mut out = String::new();
    for name in want.keys().chain(have.keys().filter(|k| !want.contains_key(*k))) {
        let (w, h) = (want.get(name), have.get(name));
        if w != h {
            out.push_str(&format!("{name}:\n  expected {w:?}\n  found    {h:?}\n"));
        }
    }
    out
}

/// All files below a directory by relative path, with their modes.
pub fn files(root: &Path) -> Vec<(String, u32)> {
    fn walk(dir: &Path, prefix: &str, out: &mut Vec<(String, u32)>) {
        for item in fs::read_dir(dir).into_iter().flatten() {
            let item = item.unwrap();
            let name = format!("{prefix}{}", item.file_name().to_string_lossy());
            let meta = item.metadata().unwrap();
            if meta.is_dir() {
                walk(&item.path(), &format!("{name}/"), out);
            } else {
                out.push((name, meta.permissions().mode() & 0o7777));
            }
        }
    }
    let mut out = Vec::new();
    walk(root, "", &mut out);
    out.sort();
    out
}
