//! Where the store of a train is that is killed: in a directory, or on a real server.

use std::fs;
use std::path::Path;

use crate::support::radosgw::{ACCESS_KEY, Bucket, SECRET_KEY};
use crate::support::servers::{Nginx, PASSWORD, Sshd, USER, quiet_port};
use crate::support::tap::{self, Tap};
use crate::support::train_ends::files;
use crate::support::train_world::World;

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    Bucket,
    WebDav,
    Sftp,
}

/// Seconds that a lock of nginx lasts: each one that a killed process leaves is waited for.
const LOCKED: u32 = 2;

/// The server of a world, which ends with it.
#[expect(dead_code, reason = "servers run as long as the value is there")]
pub(crate) enum Place {
    Directory,
    Bucket(Bucket),
    WebDav(Nginx),
    Sftp(Sshd),
}

impl Place {
    /// Starts the server, and makes a world whose store is there: by way of a tap that each process of the train starts for itself.
    pub(crate) fn world(kind: Kind, dir: &Path) -> (Self, World) {
        let root = World::at(dir).store();
        let (port, public) = (quiet_port(), quiet_port());
        let secret = |name: &str| format!("{{ file = \"../secret/{name}\" }}");
        let (place, taps, keys) = match kind {
            Kind::Directory => return (Self::Directory, World::create(dir)),
            Kind::Bucket => {
                let bucket = Bucket::new();
                let server = bucket.endpoint.rsplit(':').next().unwrap().parse().unwrap();
                let (name, access, secret) = (&bucket.name, secret("access"), secret("key"));
                let keys = format!(
                    "url = \"s3://{name}\"\nendpoint = \"http://127.0.0.1:{port}\"\naccess_key = {access}\n\
                     secret_key = {secret}"
                );
                (Self::Bucket(bucket), vec![Tap::Http { port, server }], keys)
            }
            Kind::WebDav => {
                let nginx = Nginx::over(&root, &dir.join("web"), LOCKED);
                let keys = format!(
                    "url = \"dav://127.0.0.1:{port}/releases\"\nuser = \"{USER}\"\npassword = {}\n\
                     public_url = \"http://127.0.0.1:{public}\"",
                    secret("dav")
                );
                let taps = [(port, nginx.dav), (public, nginx.public)];
                let taps = taps.map(|(port, server)| Tap::Http { port, server });
                (Self::WebDav(nginx), taps.to_vec(), keys)
            }
            Kind::Sftp => {
                let sshd = Sshd::start(&dir.join("host"));
                let (at, root, config) = (sshd.port, root.display(), sshd.config.display());
                let keys = format!("url = \"sftp://127.0.0.1:{at}{root}\"\nssh_config = \"{config}\"");
                tap::put_ssh_in(&dir.join("bin"), port);
                (Self::Sftp(sshd), vec![Tap::Ssh { port }], keys)
            }
        };
        let world = World::create_with(dir, &keys);
        for (name, value) in [("access", ACCESS_KEY), ("key", SECRET_KEY), ("dav", PASSWORD)] {
            fs::write(dir.join("secret").join(name), value).unwrap();
        }
        let taps: Vec<String> = taps.into_iter().map(Tap::to_text).collect();
        fs::write(dir.join("taps"), taps.join("\n")).unwrap();
        (place, world)
    }

    /// Makes the store what `store()` of the world says, which was put back.
    pub(crate) fn put_back(&self, world: &World) {
        if let Self::Bucket(bucket) = self {
            bucket.fill_from(&world.store(), files(&world.store()));
        }
    }

    /// Makes `store()` of the world what the store is.
    pub(crate) fn fetch(&self, world: &World) {
        if let Self::Bucket(bucket) = self {
            bucket.save_to(&world.store());
        }
    }
}

/// The taps of a world, if its store is on a server. Strangers read by way of them as well: the world's clock is not the servers'.
pub(crate) fn taps(world: &World) -> Vec<Tap> {
    let text = fs::read_to_string(world.dir().join("taps")).unwrap_or_default();
    text.lines().map(Tap::of).collect()
}
