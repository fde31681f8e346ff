//! A GitHub App instead of a token: signs its own JWT, fetches tokens, keeps them, and shows none of it.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lifeboat::effects::{AssetFile, Clock, Forge, ReleaseText};
use lifeboat::error::ErrorKind;
use lifeboat::forges::github::GitHub;
use lifeboat::forges::{AppSpec, ForgeSpec, Surroundings};
use lifeboat::model::{Digests, Secret, SecretRef, TagName};

use crate::github_double::app::App;
use crate::github_double::faults::{Fault, Kind};
use crate::github_double::{Double, REPOSITORY};
use crate::train::{SHORT, double_with};

/// A private key as GitHub gives it, PKCS#1 in PEM, and its public key.
pub fn key() -> (String, Vec<u8>) {
    let openssl = |args: &[&str], input: &str| {
        use std::io::Write as _;
        let mut child = Command::new("openssl")
            .args(args)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run `openssl` ({e}): apt-get install openssl"));
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success(), "openssl {args:?}: {out:?}");
        out.stdout
    };
    let pem = String::from_utf8(openssl(&["genrsa", "-traditional", "2048"], "")).unwrap();
    let public = openssl(&["rsa", "-RSAPublicKey_out", "-outform", "DER"], &pem);
    (pem, public)
}

/// A clock that a test sets ahead.
struct Ahead(Mutex<SignedDuration>);

#[async_trait::async_trait]
impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp::now().checked_add(*self.0.lock().unwrap()).unwrap()
    }

    fn nonce(&self) -> lifeboat::error::Result<[u8; 16]> {
        Ok([7; 16])
    }

    async fn sleep_until(&self, time: Timestamp) {
        tokio::time::sleep(Duration::try_from(time.duration_since(self.now())).unwrap_or_default()).await;
    }
}

/// The forge as an app opens it.
fn forge(double: &Double, pem: &str, change: impl FnOnce(&mut AppSpec)) -> (Arc<GitHub>, Arc<Ahead>) {
    let clock = Arc::new(Ahead(Mutex::new(SignedDuration::ZERO)));
    let private_key = SecretRef::Env("KEY".into());
    let mut app = AppSpec { id: "Iv23liDouble".into(), installation: 4711, private_key };
    change(&mut app);
    let spec = ForgeSpec {
        name: "github".parse().unwrap(),
        repository: REPOSITORY.into(),
        api: Some(double.api()),
        uploads: None,
        token: None,
        app: Some(app),
    };
    let pem = pem.to_owned();
    let around = Surroundings {
        clock: clock.clone(),
        secrets: Arc::new(move |_| Ok(Secret::new(pem.clone()))),
        hosts: ["127.0.0.1".to_owned()].into(),
    };
    (Arc::new(GitHub::new(&spec, &around).with_deadlines(SHORT)), clock)
}

fn tag() -> TagName {
    "v48.0.1".parse().unwrap()
}

fn granted(double: &Double) -> u32 {
    double.world().app.as_ref().unwrap().granted
}

async fn double_of(public: &[u8]) -> Double {
    let double = double_with(&[]).await;
    double.world().app = Some(App::new(public.to_vec()));
    double
}

#[tokio::test]
async fn a_token_is_fetched_once_kept_renewed_before_it_expires_and_after_it_was_taken_back() {
    let (pem, public) = key();
    let double = double_of(&public).await;
    let (forge, clock) = forge(&double, &pem, |_| {});
    let tag = tag();
    let (first, second) = tokio::join!(forge.observe(&tag), forge.observe(&tag));
    first.unwrap_or_else(|e| panic!("{}", e.report()));
    second.unwrap();
    assert_eq!(granted(&double), 1, "calls that start together fetch one");
    // Shortly before it expires another is fetched.
    *clock.0.lock().unwrap() = SignedDuration::from_mins(54);
    forge.observe(&tag).await.unwrap();
    assert_eq!(granted(&double), 1);
    *clock.0.lock().unwrap() = SignedDuration::from_mins(56);
    // The JWT is of this machine's clock, which is 56 minutes ahead now: GitHub refuses it, and the error says so.
    let e = forge.observe(&tag).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Input);
    assert!(e.report().contains("issued in the future") && e.report().contains("clock"), "{}", e.report());
    *clock.0.lock().unwrap() = SignedDuration::ZERO;
    // Taken back by a person: one refusal, one new token, and the call goes on.
    double.world().app.as_mut().unwrap().tokens.clear();
    forge.observe(&tag).await.unwrap();
    assert_eq!(granted(&double), 2);
    assert_eq!(double.world().violations, Vec::<String>::new());
}

#[tokio::test]
async fn a_token_that_lives_shortly_is_fetched_for_every_call() {
    let (pem, public) = key();
    let double = double_of(&public).await;
    double.world().app.as_mut().unwrap().life = SignedDuration::from_mins(4);
    let (forge, _) = forge(&double, &pem, |_| {});
    forge.observe(&tag()).await.unwrap();
    let calls = double.world().calls.iter().filter(|c| c.starts_with("GET ")).count();
    assert_eq!(granted(&double) as usize, calls);
}

/// A token that ends while an asset is on its way costs one refusal: all of the asset is sent again with the next token.
#[tokio::test]
async fn an_upload_outlives_its_token() {
    let (pem, public) = key();
    let double = double_of(&public).await;
    let (forge, _) = forge(&double, &pem, |_| {});
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes) = (dir.path().join("a.tar.gz"), vec![7; 3 << 20]);
    std::fs::write(&path, &bytes).unwrap();
    let asset = AssetFile { name: "a.tar.gz".into(), path, digests: Digests::of(&bytes) };
    let text = ReleaseText { tag: tag(), title: "t".into(), notes: "n".into(), prerelease: false };
    forge.create_draft(&text).await.unwrap();
    let draft = double.world().state.releases[0].id;
    double.world().app.as_mut().unwrap().tokens.clear();
    forge.upload(draft, &asset).await.unwrap_or_else(|e| panic!("{}", e.report()));
    assert_eq!(granted(&double), 2);
    let world = double.world();
    let [there] = &world.state.releases[0].assets[..] else { panic!("{:?}", world.state.releases) };
    assert_eq!((there.whole, &there.sha256), (true, &asset.digests.sha256.hex()));
}

#[tokio::test]
async fn a_wrong_app_is_told_and_neither_key_nor_jwt_nor_token_is_shown() {
    let (pem, public) = key();
    let double = double_of(&public).await;
    let refused = async |pem: &str, change: fn(&mut AppSpec), what: &str| {
        let (forge, _) = forge(&double, pem, change);
        let e = forge.observe(&tag()).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Input, "{}", e.report());
        let report = format!("{}\n{e:?}", e.report());
        assert!(report.contains(what) && report.contains("installation token"), "{report}");
        for jwt in &double.world().app.as_ref().unwrap().assertions {
            assert!(!report.contains(jwt.as_str()), "{report}");
        }
        assert!(!report.contains("canary") && !report.contains(&pem[40..80]), "{report}");
    };
    refused(&key().0, |_| {}, "the signature is not the app's").await;
    refused(&pem, |app| app.id = "Iv1.other".into(), "another `iss`").await;
    refused(&pem, |app| app.installation = 1, "HTTP status 404").await;
    refused(&"x".repeat(100), |_| {}, "is not an RSA private key").await;
    assert_eq!(granted(&double), 0);
}

#[tokio::test]
async fn fetching_gets_over_what_passes() {
    let (pem, public) = key();
    for kind in [Kind::ErrorBefore, Kind::ErrorAfter, Kind::HangAfter, Kind::ResetAfter, Kind::ForbiddenRetryAfter] {
        let double = double_of(&public).await;
        double.inject(Fault { call: "POST access token".into(), nth: 1, kind });
        let (forge, _) = forge(&double, &pem, |_| {});
        forge.observe(&tag()).await.unwrap_or_else(|e| panic!("{kind:?}: {}", e.report()));
        assert_eq!(double.world().faults.happened, 1, "{kind:?}");
    }
}
