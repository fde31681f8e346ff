//! What an adapter says of itself: its kind, the keys of its table, and what follows from them: places, secrets, hosts.
//!
//! An adapter is one file with an [`Adapter`] in it, and one line in the list of its folder. The configuration hands over
//! the keys that it does not know; the plan, `doctor`, the trust root's hosts and the reference walk [`Registries`].

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use crate::effects::{Clock, Disk, Forge, Remote, Runner, SecretResolver, Signer, Store};
use crate::error::{Error, Result};
use crate::model::{Fingerprint, Label, RemoteName, RunnerName, SecretRef, StoreName, TransferLimits};
use crate::subprocess::SubprocessError;
use crate::table::{Faults, Table, TableKeys, Text};

/// A port behind which adapters are.
pub trait Port: Send + Sync + 'static {
    /// What the configuration has read of a table before the adapter sees the rest.
    type Common;
    /// What is known of an adapter without a table.
    type Facts: Copy + Send + Sync + 'static;
    /// What a checked table says.
    type Settings: fmt::Debug + Send + Sync + ?Sized;
}

/// One kind of adapter.
pub struct Adapter<P: Port + ?Sized> {
    /// As the configuration names it: the `kind` of a runner, the scheme of a store, `[forge.<kind>]`, the key that says
    /// where a key is.
    pub kind: &'static str,
    /// What it is, in one line, for help and the reference.
    pub about: &'static str,
    /// What names it in a table, for messages and the reference.
    pub example: &'static str,
    /// The keys of its own in the table.
    pub keys: &'static TableKeys,
    /// The programs that some of its tables need.
    pub programs: &'static [Program],
    /// What the core must know of it before it is opened.
    pub facts: P::Facts,
    /// Checks the keys of its own; touches nothing.
    pub parse: fn(&P::Common, Table<'_>, &mut Faults) -> Option<Spec<P>>,
}

impl<P: Port + ?Sized> Clone for Adapter<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Port + ?Sized> Copy for Adapter<P> {}

impl<P: Port + ?Sized> fmt::Debug for Adapter<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)
    }
}

/// The checked table of one adapter.
pub type Spec<P> = Arc<<P as Port>::Settings>;

/// What a checked table says. Everything but [`Settings::open`] is known without any input or output.
pub trait Settings<P: ?Sized>: fmt::Debug + Send + Sync {
    /// Where it is, as the plan pins it: a train goes nowhere else.
    fn place(&self) -> String;

    /// Where readers find it when the configuration has no other address for them.
    fn public_address(&self) -> String {
        self.place()
    }

    /// What else the plan pins, each by what it is: `api`.
    fn pins(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Where it finds secrets, by key: `app.private_key`. The plan pins each.
    fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        Vec::new()
    }

    /// The hosts that it sends credentials to, without port. `plan` refuses one that the trust root does not have.
    fn hosts(&self) -> Vec<String> {
        Vec::new()
    }

    /// Refuses what could never work, such as an account without credentials: `plan` and `doctor` ask.
    fn lacks_nothing(&self) -> Result<()> {
        Ok(())
    }

    /// The files and directories of this machine that it keeps, which no job may see.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The programs of this machine that it starts.
    fn programs(&self) -> Vec<Program> {
        Vec::new()
    }

    /// Whether jobs may get all rights of the user who ships, where the machine cannot isolate them.
    fn may_not_isolate(&self) -> bool {
        false
    }

    /// An address below which anybody may read, to read the server's clock.
    fn clock(&self) -> Option<String> {
        None
    }

    /// Makes it; touches nothing yet.
    fn open(&self, around: &Around) -> Result<Arc<P>>;
}

/// A program of this machine that an adapter starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// The arguments with which it prints its version.
    pub version: &'static [&'static str],
    /// The package of Debian that has it.
    pub package: &'static str,
}

impl Program {
    /// What git starts for addresses over ssh, and what makes the connections of SFTP.
    pub const SSH: Self = Self { name: "ssh", version: &["-V"], package: "openssh-client" };

    /// The error of a call of it that has no output, with what installs it where it is missing.
    pub(crate) fn not_run(&self, e: SubprocessError) -> Error {
        let missing = e.is_missing();
        let error = e.explained(&format!("`{}`", self.name));
        if missing { error.hint(format!("install it: `apt-get install {}`", self.package)) } else { error }
    }
}

/// What an adapter gets of this machine.
#[derive(Clone)]
pub struct Around {
    /// The files of this machine.
    pub disk: Arc<dyn Disk>,
    /// The time, and waits.
    pub clock: Arc<dyn Clock>,
    /// Reads a secret when it is first needed.
    pub secrets: SecretResolver,
    /// The hosts that the trust root lets receive credentials, by name without port.
    pub hosts: BTreeSet<String>,
    /// The clone of the project: its git configuration counts for calls to remotes.
    pub repository: PathBuf,
    /// Where jobs are; none where no train is run.
    pub jobs: Option<Jobs>,
}

impl Around {
    /// Where jobs are.
    ///
    /// # Errors
    /// There is no train.
    pub fn jobs(&self) -> Result<&Jobs> {
        self.jobs.as_ref().ok_or_else(|| Error::fatal("no train is there to run jobs for"))
    }
}

/// Where runners keep the files of a train's jobs, and what jobs may not see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jobs {
    /// The directory of the jobs' files, in the state directory; created when it is first needed.
    pub dir: PathBuf,
    /// This program, which adapters start again to watch over jobs: `/proc/self/exe`, or its path.
    pub program: PathBuf,
    /// What no job may see wherever it lies: keys, the state, stores, the user's repository.
    pub hidden: Vec<PathBuf>,
    /// Jobs end when this program ends, as in a dry run, which nobody goes on with.
    pub end_with_program: bool,
}

/// What is read of a `[[store]]` before its adapter sees the rest.
#[derive(Debug, Clone)]
pub struct StoreTable {
    /// Its name.
    pub name: StoreName,
    /// Where it is, as it is written.
    pub url: Text,
    /// Where strangers find it.
    pub public_url: Option<String>,
    /// The limits of its transfers.
    pub transfers: TransferLimits,
}

/// What is known of a kind of store.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoreFacts {
    /// Whether a `url` without a scheme, a path, is of this kind.
    pub takes_paths: bool,
}

impl Port for dyn Store {
    type Common = StoreTable;
    type Facts = StoreFacts;
    type Settings = dyn Settings<Self>;
}

/// What is read of a `[[runner]]` before its adapter sees the rest.
#[derive(Debug, Clone)]
pub struct RunnerTable {
    /// Its name.
    pub name: RunnerName,
    /// What it has.
    pub labels: Vec<Label>,
    /// How many jobs at a time; the adapter's own number if none.
    pub slots: Option<usize>,
}

impl Port for dyn Runner {
    type Common = RunnerTable;
    type Facts = ();
    type Settings = dyn Settings<Self>;
}

/// What is read of a `[[remote]]` before its adapter sees the rest.
#[derive(Debug, Clone)]
pub struct RemoteTable {
    /// Its name.
    pub name: RemoteName,
    /// What `git push` takes, a path made whole.
    pub url: String,
}

/// What is known of a kind of remote.
#[derive(Debug, Clone, Copy)]
pub struct RemoteFacts {
    /// Whether it takes this address.
    pub takes: fn(&str) -> bool,
}

impl Port for dyn Remote {
    type Common = RemoteTable;
    type Facts = RemoteFacts;
    type Settings = dyn Settings<Self>;
}

/// What is read of a `[forge.<kind>]` before its adapter sees the rest.
#[derive(Debug, Clone)]
pub struct ForgeTable {
    /// Its name, which names the adapter too.
    pub name: RemoteName,
    /// `owner/name`.
    pub repository: String,
}

/// What is known of a kind of forge.
#[derive(Debug, Clone, Copy)]
pub struct ForgeFacts {
    /// The directories in which it looks for the project's own workflows.
    pub workflow_dirs: &'static [&'static str],
    /// Whether its workflows can be switched and waited for, and its pull requests opened.
    pub automation: bool,
    /// Whether it holds security advisories.
    pub advisories: bool,
}

impl Port for dyn Forge {
    type Common = ForgeTable;
    type Facts = ForgeFacts;
    type Settings = dyn Settings<Self>;
}

/// What is read of a key in `[signing]` before its adapter sees the rest.
#[derive(Debug, Clone)]
pub struct SignerTable {
    /// Where it stands: `signing.release`.
    pub setting: String,
    /// The clone of the project: what is in it is shown relative to it, so that the clones of two maintainers say the same.
    pub repository: PathBuf,
}

impl Port for dyn Signer {
    type Common = SignerTable;
    type Facts = ();
    type Settings = dyn SignerSettings;
}

/// What the checked table of a key says besides. [`Settings::open`] reads and unlocks the key; nothing here does.
#[async_trait::async_trait]
pub trait SignerSettings: Settings<dyn Signer> {
    /// The fingerprint of the certificate, or of the one key that signs; none if the key is not on this machine.
    ///
    /// # Errors
    /// What is there is not a key.
    fn fingerprint(&self, disk: &dyn Disk) -> Result<Option<Fingerprint>>;

    /// Looks for the key on this machine, for `doctor`; may wait for a program or a device.
    ///
    /// # Errors
    /// It is not here, with what to do.
    async fn find(&self) -> Result<FoundKey>;

    /// The secret key with which messages to its owner are read; none leaves that to gpg.
    ///
    /// # Errors
    /// It cannot be read.
    fn decrypting(&self, disk: &dyn Disk, now: Timestamp) -> Result<Option<DecryptingKey>> {
        let _ = (disk, now);
        Ok(None)
    }
}

/// A key that is on this machine.
#[derive(Debug)]
pub struct FoundKey {
    /// Where it is.
    pub shown: String,
    /// Why it may not sign, or why others may sign with it.
    pub doubt: Option<Error>,
}

/// A secret key that reads messages.
#[derive(Debug)]
pub struct DecryptingKey {
    /// The key as OpenPGP has it, armored or binary; its secret part may be locked.
    pub bytes: Vec<u8>,
    /// Where it is, for messages.
    pub name: String,
    /// Where the passphrase is found.
    pub passphrase: Option<SecretRef>,
}

/// Every adapter that a configuration can name.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    /// Kinds of store.
    pub stores: Vec<Adapter<dyn Store>>,
    /// Kinds of runner.
    pub runners: Vec<Adapter<dyn Runner>>,
    /// Kinds of remote.
    pub remotes: Vec<Adapter<dyn Remote>>,
    /// Kinds of forge.
    pub forges: Vec<Adapter<dyn Forge>>,
    /// Kinds of signer.
    pub signers: Vec<Adapter<dyn Signer>>,
}

impl Registries {
    /// Every program that some kind of adapter starts, each once, in the order of their ports.
    #[must_use]
    pub fn programs(&self) -> Vec<Program> {
        fn all<P: Port + ?Sized>(adapters: &[Adapter<P>]) -> impl Iterator<Item = Program> {
            adapters.iter().flat_map(|a| a.programs.iter().copied())
        }
        let mut out: Vec<Program> = Vec::new();
        let places = all(&self.stores).chain(all(&self.runners)).chain(all(&self.remotes)).chain(all(&self.forges));
        for program in places.chain(all(&self.signers)) {
            if !out.contains(&program) {
                out.push(program);
            }
        }
        out
    }

    /// The kinds of adapter for a table of the configuration, each with its example and its own keys.
    #[must_use]
    pub fn kinds(&self, table: &str) -> Vec<AdapterKind> {
        fn all<P: Port + ?Sized>(adapters: &[Adapter<P>]) -> Vec<AdapterKind> {
            adapters
                .iter()
                .map(|a| AdapterKind { name: a.kind, about: a.about, example: a.example, keys: a.keys })
                .collect()
        }
        match table {
            "store" => all(&self.stores),
            "runner" => all(&self.runners),
            "remote" => all(&self.remotes),
            "forge" => all(&self.forges),
            "signing" => all(&self.signers),
            _ => Vec::new(),
        }
    }
}

/// What the reference says of one kind of adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterKind {
    /// See [`Adapter::kind`].
    pub name: &'static str,
    /// See [`Adapter::about`].
    pub about: &'static str,
    /// See [`Adapter::example`].
    pub example: &'static str,
    /// See [`Adapter::keys`].
    pub keys: &'static TableKeys,
}
