//! The table, the JSON and the exit code, with destinations that answer, fail or stay silent.

use super::*;
use crate::effects::{AssetFile, Discard, ForgeView, MarkLatest, ReleaseText};
use crate::error::ErrorKind;
use crate::model::{RemoteName, TagName};

/// What a forge does when it is asked.
#[derive(Clone, Copy)]
enum Mood {
    Answers,
    Down,
}

struct Sample(RemoteName, Mood);

#[async_trait::async_trait]
impl Forge for Sample {
    fn name(&self) -> &RemoteName {
        &self.0
    }

    async fn probe(&self) -> Result<()> {
        match self.1 {
            Mood::Answers => Ok(()),
            Mood::Down => Err(Error::new(ErrorKind::Unreachable, "cannot be reached: no answer within 3 s")),
        }
    }

    async fn observe(&self, _: &TagName) -> Result<ForgeView> {
        Err(Error::fatal("not here"))
    }

    async fn create_draft(&self, _: &ReleaseText) -> Result<()> {
        Err(Error::fatal("not here"))
    }

    async fn upload(&self, _: u64, _: &AssetFile) -> Result<()> {
        Err(Error::fatal("not here"))
    }

    async fn discard(&self, _: Discard) -> Result<()> {
        Err(Error::fatal("not here"))
    }

    async fn publish(&self, _: u64, _: MarkLatest) -> Result<()> {
        Err(Error::fatal("not here"))
    }

    async fn set_latest(&self, _: u64) -> Result<()> {
        Err(Error::fatal("not here"))
    }
}

fn config(required: bool) -> Config {
    let text = format!(
        "[project]\nname = \"acme\"\ncommitter = \"A <a@a.example>\"\n[[target]]\nname = \"x\"\ntriple = \"t\"\nlabels = [\"windows\"]\nrun = [\"true\"]\nartifacts = [\"x\"]\nnetwork = true\n\
         [forge.github]\nrepository = \"a/b\"\ntoken = {{ env = \"TOKEN\" }}\nrequired = {required}\n"
    );
    crate::config::parse(&text, Path::new("/nowhere/lifeboat.toml"), &crate::wiring::registries()).unwrap()
}

async fn checks(config: &Config, mood: Mood) -> Vec<HealthCheck> {
    let forges: Vec<Arc<dyn Forge>> = vec![Arc::new(Sample("github".parse().unwrap(), mood))];
    let subjects = Subjects {
        config: Ok(config),
        meaning: None,
        registries: &crate::wiring::registries(),
        state: Path::new("/nowhere/state"),
        now: "2026-11-22T00:00:00Z".parse().unwrap(),
        runners: &[],
        stores: &[],
        forges: &forges,
        remotes: &[],
        workflows_off: &[],
        outages: &[],
        person: None,
        store: None,
    };
    examine(&subjects).await
}

fn find<'a>(checks: &'a [HealthCheck], area: &str, name: &str) -> &'a HealthCheck {
    checks.iter().find(|c| c.area == area && c.name == name).unwrap()
}

#[tokio::test]
async fn a_forge_that_is_down_is_a_warning_unless_it_is_required() {
    let down = checks(&config(false), Mood::Down).await;
    assert_eq!(find(&down, "forge", "github api").health, Health::Warn);
    assert!(find(&down, "forge", "github api").hint.as_ref().unwrap().contains("a train ships without it"));
    assert_eq!(find(&checks(&config(true), Mood::Down).await, "forge", "github api").health, Health::Fail);
    assert_eq!(find(&checks(&config(true), Mood::Answers).await, "forge", "github api").health, Health::Ok);
    assert_eq!(find(&down, "program", "git").health, Health::Ok, "this test needs git: apt-get install git");
    assert_eq!(find(&down, "runners", "labels").found, "no runner has the labels of x");
    assert_eq!(find(&down, "trust", "root").health, Health::Fail);
}

#[tokio::test]
async fn silence_ends_and_the_order_stays() {
    let mut work = Work::new(Duration::from_millis(50));
    work.later("store", "silent".to_owned(), Health::Fail, std::future::pending());
    work.later("store", "quick".to_owned(), Health::Fail, async { Ok("here".to_owned()) });
    let checks = work.finish().await;
    assert_eq!(checks[0].found, "no answer within 50ms");
    assert_eq!(checks[1], HealthCheck::ok("store", "quick", "here"));
}

#[tokio::test]
async fn a_broken_configuration_fails_and_the_rest_is_looked_at() {
    let e = Error::input("there is no configuration at `lifeboat.toml`").hint("write one");
    let subjects = Subjects {
        config: Err(&e),
        meaning: None,
        registries: &crate::wiring::registries(),
        state: Path::new("/"),
        now: "2026-11-22T00:00:00Z".parse().unwrap(),
        runners: &[],
        stores: &[],
        forges: &[],
        remotes: &[],
        workflows_off: &[],
        outages: &[],
        person: None,
        store: None,
    };
    let mut out = Vec::new();
    assert_eq!(run(true, &subjects, &mut out).await.unwrap(), 1);
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(json["health"], "fail");
    assert_eq!(json["checks"][0]["hint"], "write one");
    assert_eq!(json["checks"][1]["name"], "git");
}

#[test]
fn the_table() {
    let checks = [
        HealthCheck::ok("store", "mirror", "put if absent: yes"),
        HealthCheck::from_error("forge", "github", Health::Warn, &Error::fatal("down\u{1b}").hint("wait")),
    ];
    let mut out = Vec::new();
    report::table(&checks, None, &mut out).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "ok    store  mirror  put if absent: yes\nwarn  forge  github  down\\u{1b}\n      hint: wait\n\na train can ship; 1 warning\n"
    );
}

/// A store over ssh needs the program as much as a remote does.
#[test]
fn a_store_names_the_programs_that_it_starts() {
    let all = crate::wiring::registries();
    let text = "[project]\nname = \"acme\"\ncommitter = \"A <a@a.example>\"\n\
                [[store]]\nname = \"mirror\"\nurl = \"sftp://release@host.example.org/srv/releases\"\n";
    let config = crate::config::parse(text, Path::new("/nowhere/lifeboat.toml"), &all).unwrap();
    let only_stores = Registries { stores: all.stores.clone(), ..Registries::default() };
    let ssh = |config| machine::of_adapters(config, &only_stores).into_iter().find(|(p, _)| p.name == "ssh").unwrap().1;
    assert_eq!((ssh(Some(&config)), ssh(None)), (Importance::Required, Importance::Deferrable));
}
