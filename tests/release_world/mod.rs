//! A published release of a small project, with throwaway keys, as the consumer's tests need it.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "each test binary uses its own part, and a test may panic"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lifeboat::effects::Signer;
use lifeboat::error::Result;
use lifeboat::formats::content::{self, Content, ContentLine};
use lifeboat::formats::index::{Index, IndexEntry};
use lifeboat::formats::manifest::{self, Contents, Manifest, ManifestTag};
use lifeboat::formats::openpgp::{Certificate, Hashed};
use lifeboat::formats::tag::{self, Tag};
use lifeboat::formats::{checksums, openpgp};
use lifeboat::model::{
    Artifact, ArtifactName, BranchName, Digests, Fingerprint, Oid, PersonId, ProjectName, Sha256, TagName, TrainNonce,
};
use lifeboat::signers::openpgp::{GeneratedKey, KeySpec, SecretKey, generate_with};
use lifeboat::trust::{
    Approval, ApprovalRequest, KeyRole, LineSums, PeopleRole, Person, Roles, Root, RootChoice, TrustedRoot,
};
use lifeboat::trust::{approve, load};
use lifeboat::verify::{Layout, Report, Request, Source, verify};

pub const CREATED: &str = "2026-01-01T00:00:00Z";
pub const SIGNED: &str = "2026-02-23T12:00:00Z";
pub const PLANNED: &str = "2026-02-24T12:00:00Z";
pub const NOW: &str = "2026-02-25T12:00:00Z";

pub fn at(s: &str) -> Timestamp {
    s.parse().unwrap()
}

/// A scratch directory in memory where the system has such a place.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// A clock that stands at [`NOW`].
pub struct FixedClock;

#[async_trait::async_trait]
impl lifeboat::effects::Clock for FixedClock {
    fn now(&self) -> Timestamp {
        at(NOW)
    }

    async fn sleep_until(&self, _: Timestamp) {}

    fn nonce(&self) -> Result<[u8; 16]> {
        Ok([9; 16])
    }
}

pub fn person(s: &str) -> PersonId {
    PersonId::new(s).unwrap()
}

/// A key whose signatures carry a date of the test's choice.
pub struct Key {
    pub secret: SecretKey,
    pub fingerprint: Fingerprint,
    pub certificate: String,
    pub armored: String,
    pub dated: Timestamp,
}

impl Key {
    pub fn new(name: &str, valid_for: Option<Duration>) -> Self {
        let user_id = format!("{name} <{name}@example.org>");
        let created = at(CREATED);
        let made =
            generate_with(&KeySpec { user_id: &user_id, created, valid_for, passphrase: None, reads: false }).unwrap();
        let GeneratedKey { secret_armored, certificate_armored, fingerprint } = made;
        let armored = secret_armored.expose().to_owned();
        let secret = SecretKey::parse(armored.as_bytes(), name, None, created).unwrap();
        Self { secret, fingerprint, certificate: certificate_armored, armored, dated: at(SIGNED) }
    }

    pub fn dated(mut self, when: &str) -> Self {
        self.dated = at(when);
        self
    }
}

impl Signer for Key {
    fn fingerprint(&self) -> String {
        self.fingerprint.to_string()
    }

    fn certificate(&self) -> Result<String> {
        Ok(self.certificate.clone())
    }

    fn sign(&self, data: &mut (dyn Read + Send)) -> Result<String> {
        let hashed = openpgp::hash_reader(data, u64::MAX).unwrap().unwrap();
        self.secret.sign_hashed_at(&hashed, self.dated)
    }
}

/// Alice (two certificates), Bob and Carol, of whom two must agree; a release key and a freshness key.
pub struct Team {
    pub alice: Key,
    pub alice2: Key,
    pub bob: Key,
    pub carol: Key,
    pub release: Key,
    pub freshness: Key,
}

impl Team {
    pub fn new() -> Self {
        let key = |n| Key::new(n, None);
        Self {
            alice: key("alice"),
            alice2: key("alice2"),
            bob: key("bob"),
            carol: key("carol"),
            release: key("release").dated(PLANNED),
            freshness: key("freshness").dated(PLANNED),
        }
    }

    pub fn root(&self) -> Root {
        let certificates =
            |keys: &[&Key]| Person { certificates: keys.iter().map(|k| k.fingerprint.clone()).collect() };
        let people: BTreeSet<PersonId> = ["alice", "bob", "carol"].map(person).into();
        Root {
            kind: "lifeboat-trust-root".into(),
            project: ProjectName::new("sample").unwrap(),
            version: 1,
            format: 1,
            previous: None,
            expires: at("2027-01-01T00:00:00Z"),
            people: BTreeMap::from([
                (person("alice"), certificates(&[&self.alice, &self.alice2])),
                (person("bob"), certificates(&[&self.bob])),
                (person("carol"), certificates(&[&self.carol])),
            ]),
            roles: Roles {
                approve: PeopleRole { people: people.clone(), threshold: 2 },
                root: PeopleRole { people, threshold: 2 },
                release: KeyRole { keys: [self.release.fingerprint.clone()].into() },
                freshness: KeyRole { keys: [self.freshness.fingerprint.clone()].into() },
            },
            hosts: BTreeSet::new(),
        }
    }

    pub fn write_keys(&self, dir: &Path, root: &Root) {
        fs::create_dir_all(dir).unwrap();
        fs::write(dir.join("trust.json"), root.to_bytes().unwrap()).unwrap();
        for key in [&self.alice, &self.alice2, &self.bob, &self.carol, &self.release, &self.freshness] {
            fs::write(dir.join(format!("{}.asc", key.fingerprint)), &key.certificate).unwrap();
        }
    }
}

/// What is approved of one release.
pub struct Made {
    pub manifest: Manifest,
    pub content: Content,
    pub sums: BTreeMap<BranchName, LineSums>,
    pub payload: Vec<u8>,
    pub files: Vec<(&'static str, Vec<u8>)>,
}

pub fn line() -> BranchName {
    BranchName::new("release-1.2").unwrap()
}

/// A release 1.2.`patch` on `commit`.
pub fn make(patch: u64, commit: &Oid) -> Made {
    let project = ProjectName::new("sample").unwrap();
    let version = semver::Version::new(1, 2, patch);
    let tag_name = TagName::new(format!("v{version}")).unwrap();
    let train = TrainNonce::from_bytes([patch as u8; 16]);
    let files: Vec<(&'static str, Vec<u8>)> =
        vec![("sample.tar.gz", b"the whole source".to_vec()), ("sample.zip", vec![0x50; 400_000])];
    let payload = tag::payload(&Tag {
        object: commit.clone(),
        name: tag_name.clone(),
        tagger: "Releaser <rel@example.org>".parse().unwrap(),
        date: at(PLANNED),
        message: format!("sample {version}\n"),
    })
    .unwrap();
    let artifacts: Vec<Artifact> =
        files.iter().map(|(n, b)| Artifact::new(ArtifactName::new(*n).unwrap(), Digests::of(b))).collect();
    let manifest = Manifest::new(Contents {
        project: project.clone(),
        line: line(),
        version: version.clone(),
        train: train.clone(),
        date: at(PLANNED),
        commit: commit.clone(),
        tag: ManifestTag { name: tag_name.clone(), text: Sha256::of(&payload) },
        artifacts,
    })
    .unwrap();
    let bytes = manifest.to_bytes().unwrap();
    let listed = manifest.listed(Digests::of(&bytes)).unwrap();
    let sums = LineSums { sha256sums: checksums::sha256sums(&listed), sha512sums: checksums::sha512sums(&listed) };
    let of_line = ContentLine {
        branch: line(),
        version,
        tag: tag_name,
        commit: commit.clone(),
        tag_text: Sha256::of(&payload),
        manifest: Sha256::of(&bytes),
        sha256sums: Sha256::of(&sums.sha256sums),
        sha512sums: Sha256::of(&sums.sha512sums),
    };
    let content = Content::new(project, train, Sha256::of(b"plan"), vec![of_line], vec![]).unwrap();
    Made { manifest, content, sums: BTreeMap::from([(line(), sums)]), payload, files }
}

impl Made {
    pub fn approval(&self, key: &dyn Signer, who: &str, root: Sha256) -> Approval {
        let person = person(who);
        let expires = at("2026-02-26T00:00:00Z");
        let act = ApprovalRequest { content: &self.content, sums: &self.sums, root, person: &person, expires };
        approve(key, &act).unwrap()
    }

    pub fn tag_object(&self, key: &dyn Signer) -> Vec<u8> {
        tag::sign(&self.payload, &key.sign(&mut &*self.payload).unwrap())
    }
}

/// A store with one release, and a directory of keys.
pub struct World {
    pub dir: tempfile::TempDir,
    pub team: Team,
    pub root: Root,
    pub made: Made,
}

impl World {
    /// Alice and Bob approved.
    pub fn new() -> Self {
        Self::on(&"a".repeat(40).parse().unwrap())
    }

    pub fn on(commit: &Oid) -> Self {
        let team = Team::new();
        let root = team.root();
        let world = Self { dir: tempfile::tempdir().unwrap(), root, made: make(4, commit), team };
        world.team.write_keys(&world.keys(), &world.root);
        world.publish(&world.made, &[("alice", &world.team.alice), ("bob", &world.team.bob)]);
        world
    }

    pub fn keys(&self) -> PathBuf {
        self.dir.path().join("keys")
    }

    pub fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn release(&self) -> PathBuf {
        self.store().join("releases/1.2.4")
    }

    pub fn root_digest(&self) -> Sha256 {
        self.root.digest().unwrap()
    }

    pub fn publish(&self, made: &Made, approvers: &[(&str, &Key)]) {
        let dir = self.store().join(format!("releases/{}", made.manifest.version));
        fs::create_dir_all(dir.join("approvals")).unwrap();
        let sums = &made.sums[&line()];
        fs::write(dir.join(manifest::FILE), made.manifest.to_bytes().unwrap()).unwrap();
        fs::write(dir.join("SHA256SUMS"), &sums.sha256sums).unwrap();
        fs::write(dir.join("SHA512SUMS"), &sums.sha512sums).unwrap();
        fs::write(dir.join(content::FILE), made.content.to_bytes().unwrap()).unwrap();
        fs::write(dir.join("index.html"), "<!doctype html>").unwrap();
        for (name, bytes) in &made.files {
            fs::write(dir.join(name), bytes).unwrap();
            fs::write(dir.join(format!("{name}.asc")), self.team.release.sign(&mut &**bytes).unwrap()).unwrap();
        }
        for (who, key) in approvers {
            for (path, bytes) in made.approval(*key, who, self.root_digest()).files(&line()).unwrap() {
                fs::write(dir.join(path), bytes).unwrap();
            }
        }
        let object = made.tag_object(&self.team.release);
        fs::write(dir.join(tag::FILE), &object).unwrap();
        self.write_refs(&[(made.manifest.tag.name.as_str(), &object)]);
        self.write_index(&self.index(made, 7), &self.team.freshness);
    }

    pub fn write_refs(&self, tags: &[(&str, &[u8])]) {
        let git = self.store().join("git/sample.git/info");
        fs::create_dir_all(&git).unwrap();
        let mut text = format!("{}\trefs/heads/main\n", "e".repeat(40));
        for (name, object) in tags {
            let id = git2::Oid::hash_object(git2::ObjectType::Tag, object).unwrap();
            text.push_str(&format!("{id}\trefs/tags/{name}\n{}\trefs/tags/{name}^{{}}\n", "a".repeat(40)));
        }
        fs::write(git.join("refs"), text).unwrap();
    }

    pub fn index(&self, made: &Made, counter: u64) -> Index {
        let project = ProjectName::new("sample").unwrap();
        let (generated, expires) = (at(PLANNED), at("2026-03-03T12:00:00Z"));
        let mut index = Index::empty(project, generated, expires);
        index.counter = counter - 1;
        let entry = IndexEntry {
            line: line(),
            train: made.manifest.train.clone(),
            tag: made.manifest.tag.name.clone(),
            manifest: Sha256::of(&made.manifest.to_bytes().unwrap()),
        };
        index.next([(made.manifest.version.clone(), entry)], [], generated, expires).unwrap()
    }

    pub fn write_index(&self, index: &Index, key: &Key) {
        let bytes = index.to_bytes().unwrap();
        fs::write(self.store().join("releases/index.json"), &bytes).unwrap();
        fs::write(self.store().join("releases/index.json.asc"), key.sign(&mut &*bytes).unwrap()).unwrap();
        let latest = index.latest.overall.as_ref().unwrap();
        fs::write(self.store().join("releases/latest"), format!("{latest}\n")).unwrap();
    }

    pub fn trust(&self) -> TrustedRoot {
        load(&lifeboat::host::HostDisk, &self.keys(), None, RootChoice::Directory, at(NOW)).unwrap()
    }

    pub fn request(&self) -> Request {
        Request {
            source: Source::new(self.store().to_str().unwrap(), Arc::new(lifeboat::host::HostDisk)).unwrap(),
            layout: Layout::Store,
            version: semver::Version::new(1, 2, 4),
            line: None,
            clone: None,
            only: BTreeMap::new(),
            keep: None,
            trust: self.trust(),
            state_dir: Some(self.state()),
            disk: Arc::new(lifeboat::host::HostDisk),
            now: at(NOW),
        }
    }

    pub fn verify(&self) -> Report {
        run(self.request())
    }

    /// The report of a release that must not verify.
    #[track_caller]
    pub fn refused(&self, because: &str) {
        refused(&self.verify(), because);
    }
}

pub fn run(request: Request) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(verify(request)).unwrap()
}

#[track_caller]
pub fn refused(report: &Report, because: &str) {
    let error = report.require().expect_err("it must be refused").report();
    assert!(error.contains(because), "expected {because:?} in:\n{error}");
}

pub fn certificate(key: &Key) -> Certificate {
    Certificate::parse(key.certificate.as_bytes(), "test").unwrap()
}

pub fn hashed(bytes: &[u8]) -> Hashed {
    Hashed::of(bytes).unwrap()
}

/// The certificate with its expiry extended on 20 February: with the self-signatures from before, and, as GnuPG leaves it,
/// with the new ones alone.
pub fn extended(key: &Key) -> (Vec<u8>, Vec<u8>) {
    use sequoia_openpgp as pgp;
    use sequoia_openpgp::packet::signature::SignatureBuilder;
    use sequoia_openpgp::parse::Parse as _;
    use sequoia_openpgp::serialize::SerializeInto as _;
    let cert = pgp::Cert::from_bytes(key.armored.as_bytes()).unwrap();
    let mut signer = cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let later = |old: &pgp::packet::Signature| {
        let when = std::time::SystemTime::from(at("2026-02-20T00:00:00Z"));
        let new = SignatureBuilder::from(old.clone()).set_signature_creation_time(when).unwrap();
        new.set_key_validity_period(Some(Duration::from_secs(400 * 86_400))).unwrap()
    };
    let id = cert.userids().next().unwrap();
    let binding =
        later(id.self_signatures().next().unwrap()).sign_userid_binding(&mut signer, None, id.userid()).unwrap();
    let direct =
        later(cert.primary_key().self_signatures().next().unwrap()).sign_direct_key(&mut signer, None).unwrap();
    let public = cert.primary_key().key().clone().take_secret().0;
    let new: Vec<pgp::Packet> = vec![public.into(), direct.into(), id.userid().clone().into(), binding.into()];
    let alone = pgp::Cert::from_packets(new.into_iter()).unwrap();
    let both = cert.clone().strip_secret_key_material().merge_public(alone.clone()).unwrap();
    (both.armored().to_vec().unwrap(), alone.armored().to_vec().unwrap())
}

/// The certificate with self-signatures by SHA-1, which today's standard refuses.
pub fn by_sha1(key: &Key) -> Vec<u8> {
    use sequoia_openpgp as pgp;
    use sequoia_openpgp::packet::signature::SignatureBuilder;
    use sequoia_openpgp::parse::Parse as _;
    use sequoia_openpgp::serialize::SerializeInto as _;
    let cert = pgp::Cert::from_bytes(key.armored.as_bytes()).unwrap();
    let mut signer = cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let id = cert.userids().next().unwrap();
    let old = id.self_signatures().next().unwrap().clone();
    let weak = SignatureBuilder::from(old).set_hash_algo(pgp::types::HashAlgorithm::SHA1);
    let weak = weak.set_signature_creation_time(std::time::SystemTime::from(at(CREATED))).unwrap();
    let binding = weak.sign_userid_binding(&mut signer, None, id.userid()).unwrap();
    let public = cert.primary_key().key().clone().take_secret().0;
    let packets: Vec<pgp::Packet> = vec![public.into(), id.userid().clone().into(), binding.into()];
    pgp::Cert::from_packets(packets.into_iter()).unwrap().armored().to_vec().unwrap()
}
