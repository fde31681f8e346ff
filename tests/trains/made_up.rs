//! A new kind of store, of runner and of signer: each is one file and one line, and nothing else knows of them.

mod runner;
mod signer;
mod store;

use std::fs;
use std::path::Path;

use lifeboat::adapter::Registries;
use lifeboat::config::{self, Config, sections};
use lifeboat::error::Result;
use lifeboat::host::HostDisk;
use lifeboat::model::Pin;
use lifeboat::plan::{Plan, check_hosts};
use lifeboat::{cli, wiring};

use crate::support::sample_train::SampleTrain;

/// The line of each.
fn registries() -> Registries {
    let mut registries = wiring::registries();
    registries.stores.push(store::ADAPTER);
    registries.runners.push(runner::ADAPTER);
    registries.signers.push(signer::ADAPTER);
    registries
}

struct World(SampleTrain);

impl World {
    fn new() -> Self {
        let train = SampleTrain::new();
        let keys = "box_key = { file = \"../secret/github.token\" }\nhost = \"127.0.0.1\"\n";
        train.edit(&train.config(), "url = \"file://", &format!("{keys}url = \"boxed://"));
        train.configure("[[runner]]\nname = \"instant\"\nkind = \"instant\"\nlabels = []\naddress = \"nearby\"\n");
        for key in ["release", "alice"] {
            let code = "code = { file = \"../secret/github.token\" }";
            let (from, to) = (
                format!("{{ file = \"../secret/{key}.key\" }}"),
                format!("{{ drawer = \"../secret/{key}.key\", {code} }}"),
            );
            train.edit(&train.config(), &from, &to);
        }
        Self(train)
    }

    /// A verb with the made-up adapters: whether it ended with 0, as what it ended.
    fn run(&self, args: &[&str]) -> String {
        let (config, state) = (self.0.config(), self.0.state());
        let [config, state] = [config, state].map(|path| path.display().to_string());
        let argv = ["lifeboat", "--config", &config, "--state", &state].into_iter().chain(args.iter().copied());
        format!("{:?}", cli::main_with(argv.map(Into::into), registries()))
    }

    fn config(&self) -> Result<Config> {
        config::load(&self.0.config(), None, &registries(), &HostDisk)
    }

    fn edit(&self, from: &str, to: &str) {
        self.0.edit(&self.0.config(), from, to);
    }
}

fn ended(code: u8) -> String {
    format!("{:?}", std::process::ExitCode::from(code))
}

#[test]
fn made_up_adapters_pass_plan_doctor_and_a_train() {
    let world = World::new();
    let file = world.0.train_file().display().to_string();
    assert_eq!(world.run(&["plan", &file]), ended(0));
    assert_eq!(world.run(&["doctor"]), ended(0));
    assert_eq!(world.run(&["ship", &file]), ended(3), "it asks at the gate");
    for person in ["alice", "bob"] {
        assert_eq!(world.run(&["approve", "--as", person, "--yes"]), ended(0));
    }
    assert_eq!(world.run(&["ship"]), ended(0));
    assert!(world.0.store().join("releases/index.json").is_file(), "the store has the release");
    let plan = Plan::from_bytes(&fs::read(world.0.train_dir("drill").join("plan.json")).unwrap()).unwrap();
    let places = |name: &str| plan.destinations.get(&name.parse::<Pin>().unwrap()).map(String::as_str);
    assert_eq!(places("store mirror").unwrap(), format!("boxed://{}", world.0.store().display()));
    assert_eq!(places("host of store mirror"), Some("127.0.0.1"));
    assert!(places("runner instant").unwrap().starts_with("instant, labels: ; nearby"), "{:?}", plan.destinations);
    assert!(plan.secrets["store.mirror.box_key"].starts_with("file `"), "{:?}", plan.secrets);
    let release = &plan.secrets["signing.release"];
    assert!(release.starts_with("drawer release.key, its room: the cellar, its code: file `"), "{release}");
    assert!(plan.secrets["signing.people.alice"].starts_with("drawer alice.key"), "{:?}", plan.secrets);
    let kept: Vec<_> = world.config().unwrap().specs().flat_map(|table| table.files).collect();
    let drawer = world.0.config().with_file_name("../secret/release.key");
    assert!(kept.contains(&drawer) && kept.contains(&world.0.store()), "no job may see these: {kept:?}");
}

#[test]
fn a_made_up_signer_is_missed_by_plan_and_doctor() {
    let world = World::new();
    let file = world.0.train_file().display().to_string();
    assert_eq!(world.run(&["doctor", "--as", "alice"]), ended(0));
    // Another key than the trust root has.
    world.edit("drawer = \"../secret/release.key\"", "drawer = \"../secret/bob.key\"");
    assert_eq!((world.run(&["plan", &file]), world.run(&["doctor"])), (ended(6), ended(1)));
    world.edit("release = { drawer = \"../secret/bob.key\"", "release = { drawer = \"../secret/release.key\"");
    assert_eq!(world.run(&["doctor"]), ended(0));
    fs::rename(world.0.config().with_file_name("../secret/alice.key"), world.0.root().join("alice.key")).unwrap();
    assert_eq!(world.run(&["doctor"]), ended(0), "alice may have it elsewhere");
    assert_eq!(world.run(&["doctor", "--as", "alice"]), ended(1));
    let code = ", code = { file = \"../secret/github.token\" }";
    world.edit(&format!("release.key\"{code}"), "release.key\"");
    assert_eq!((world.run(&["plan", &file]), world.run(&["doctor"])), (ended(2), ended(1)));
}

#[test]
fn a_made_up_adapter_without_its_secret_or_at_a_strange_host_is_refused_by_plan() {
    let world = World::new();
    let file = world.0.train_file().display().to_string();
    world.edit("host = \"127.0.0.1\"", "host = \"elsewhere.example.org\"");
    let strange = check_hosts(&world.config().unwrap(), &["127.0.0.1".to_owned()].into()).unwrap_err().report();
    assert!(strange.contains("`elsewhere.example.org`") && strange.contains("store `mirror`"), "{strange}");
    assert_eq!(world.run(&["plan", &file]), ended(2));
    assert_eq!(world.run(&["doctor"]), ended(1));
    world.edit("elsewhere.example.org", "127.0.0.1");
    assert_eq!(world.run(&["plan", &file]), ended(0));
    world.edit("box_key = { file = \"../secret/github.token\" }\n", "");
    assert_eq!(world.run(&["plan", &file]), ended(2));
    assert_eq!(world.run(&["doctor"]), ended(1));
}

#[test]
fn the_keys_of_a_made_up_adapter_are_known_like_any_other() {
    let world = World::new();
    let built_in = config::load(&world.0.config(), None, &wiring::registries(), &HostDisk).unwrap_err().report();
    for said in
        ["no adapter knows the url of store `mirror`", "`instant` is not a kind of runner", "unknown key `drawer`"]
    {
        assert!(built_in.contains(said), "{built_in}");
    }
    // A secret that is written there is not shown, and a key that is not one is refused with those that are.
    world.edit("{ file = \"../secret/github.token\" }\nhost", "\"canary-1\"\nhots");
    let refused = world.config().unwrap_err().report();
    assert!(!refused.contains("canary-1"), "{refused}");
    assert!(refused.contains("unknown key `hots`") && refused.contains("did you mean `host`?"), "{refused}");
    assert!(
        refused.contains(
            "`box_key`, `host`, `name`, `public_url`, `rate_limit`, `required`, `staging`, `transfers` or `url`"
        ),
        "{refused}"
    );
    let all = sections(&registries());
    let store = all.iter().find(|section| section.name() == "store").unwrap();
    assert!(store.flat().iter().any(|(path, key)| path == "box_key" && key.written.is_secret()));
    assert!(store.kinds.iter().any(|kind| kind.example == "boxed:///srv/releases"), "{:?}", store.kinds);
    let signing = all.iter().find(|section| section.name() == "signing").unwrap().flat();
    for path in ["release.drawer", "people.code"] {
        assert!(signing.iter().any(|(known, _)| known == path), "{path}");
    }
    assert!(Path::new(&world.0.store()).is_dir());
}
