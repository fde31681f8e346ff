//! A remote over ssh: a real sshd on loopback, the user's own ssh, and what happens when the server goes away.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lifeboat::effects::{Git as _, RefUpdate, Remote as _};
use lifeboat::error::{ErrorKind, Part};
use lifeboat::model::RemoteName;
use lifeboat::remotes::GitRemote;

use crate::git::scratch::{Scratch, patched};

/// An sshd that takes one key; it ends with the test.
struct Sshd {
    child: Child,
    port: u16,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn ran(command: &mut Command, package: &str) -> String {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; apt-get install {package}"));
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn key(s: &Scratch, name: &str) -> String {
    let path = s.path(name).display().to_string();
    ran(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path]), "openssh-client");
    path
}

impl Sshd {
    fn start(s: &Scratch) -> Self {
        let (host, user) = (key(s, "host"), key(s, "id"));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // Where a privileged sshd keeps nothing, by design; a package's init script makes it.
        if rustix::process::geteuid().is_root() {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        s.write(
            "sshd.conf",
            &format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {host}\nAuthorizedKeysFile {user}.pub\nStrictModes no\n\
                 PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nPidFile none\n\
                 SetEnv GIT_CONFIG_GLOBAL=/dev/null\n"
            ),
        );
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(s.path("sshd.conf"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run `/usr/sbin/sshd` ({e}): apt-get install openssh-server"));
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "sshd does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        let public = std::fs::read_to_string(format!("{host}.pub")).unwrap();
        s.write("known_hosts", &format!("[127.0.0.1]:{port} {public}"));
        Self { child, port }
    }

    /// The repository `remote.git` as the user reaches it.
    fn remote(&self, s: &Scratch) -> GitRemote {
        self.remote_at(s, self.port)
    }

    /// The same by way of another port of this machine.
    fn remote_at(&self, s: &Scratch, port: u16) -> GitRemote {
        let user = ran(Command::new("id").arg("-un"), "coreutils");
        let ssh = format!(
            "ssh -F /dev/null -i {} -o IdentitiesOnly=yes -o UserKnownHostsFile={} -o HostKeyAlias=[127.0.0.1]:{} \
             -o BatchMode=yes",
            s.path("id").display(),
            s.path("known_hosts").display(),
            self.port
        );
        let program = s.program().clone().with_variable("GIT_SSH_COMMAND", ssh);
        let url = format!("ssh://{user}@127.0.0.1:{port}{}", s.path("remote.git").display());
        GitRemote::new(program, RemoteName::new("origin").unwrap(), url).with_deadline(Duration::from_secs(30))
    }
}

#[tokio::test]
async fn branch_and_tag_arrive_together_over_ssh_and_are_never_forced() {
    let s = Scratch::new();
    s.git(".", &["clone", "-q", "--bare", "user", "remote.git"]);
    let repo = s.private();
    let (base, head) = patched(&s, &repo);
    let text = format!("object {head}\ntype commit\ntag v1.0.1\ntagger A <a@example.org> 1 +0000\n\nv1.0.1\n");
    let tag = s.git.write_tag(&repo, text.as_bytes()).unwrap();
    let updates = [
        RefUpdate { name: "refs/heads/release-1.0".into(), old: Some(base.clone()), new: head.clone() },
        RefUpdate { name: "refs/tags/v1.0.1".into(), old: None, new: tag.clone() },
    ];
    let names = updates.clone().map(|u| u.name);
    let sshd = Sshd::start(&s);
    let origin = sshd.remote(&s);
    origin.probe().await.unwrap_or_else(|e| panic!("{}", e.report()));

    // A rule of the server denies the tag: the branch stays too.
    s.write("remote.git/hooks/pre-receive", "#!/bin/sh\necho 'the branch is protected' >&2\nexit 1\n");
    s.make_executable("remote.git/hooks/pre-receive");
    let e = origin.push(&repo.dir, &updates).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Fatal);
    assert!(e.report().contains("the branch is protected"), "{}", e.report());
    assert_eq!(origin.observe(&names).await.unwrap(), [Some(base.clone()), None]);

    // The server dies after it took everything: the next look finds it there, and nothing is sent again.
    s.write("remote.git/hooks/pre-receive", "#!/bin/sh\ncat >/dev/null\n");
    s.write("remote.git/hooks/post-receive", "#!/bin/sh\necho once >> \"$GIT_DIR/arrived\"\nkill -9 $PPID\n");
    s.make_executable("remote.git/hooks/post-receive");
    let died = origin.push(&repo.dir, &updates).await;
    assert_eq!(origin.observe(&names).await.unwrap(), [Some(head.clone()), Some(tag.clone())], "{died:?}");
    if let Err(e) = &died {
        assert_eq!(e.kind(), ErrorKind::Unreachable, "an answer that was lost is not a refusal: {}", e.report());
    }
    origin.push(&repo.dir, &updates).await.unwrap();
    assert_eq!(std::fs::read_to_string(s.path("remote.git/arrived")).unwrap(), "once\n");
    std::fs::remove_file(s.path("remote.git/hooks/post-receive")).unwrap();

    // Somebody moved the tag: never forced, even if we are given it as the expected one.
    s.git("remote.git", &["update-ref", "refs/tags/v1.0.1", base.as_str()]);
    let mut expected = updates.clone();
    expected[1].old = Some(base.clone());
    let e = origin.push(&repo.dir, &expected).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Conflict, "{}", e.report());
    assert_eq!(origin.observe(&names).await.unwrap(), [Some(head), Some(base)]);

    // No server, and a server with another host key.
    drop(sshd);
    let e = origin.probe().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Unreachable, "{}", e.report());
    for file in ["host", "host.pub", "id", "id.pub"] {
        std::fs::remove_file(s.path(file)).unwrap();
    }
    let known = std::fs::read_to_string(s.path("known_hosts")).unwrap();
    let other = Sshd::start(&s);
    let moved =
        known.replacen(&format!("[127.0.0.1]:{}", known_port(&known)), &format!("[127.0.0.1]:{}", other.port), 1);
    s.write("known_hosts", &moved);
    let e = other.remote(&s).probe().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Fatal, "a stranger's server is not an outage: {}", e.report());
}

fn known_port(known: &str) -> &str {
    known.split("]:").nth(1).unwrap().split(' ').next().unwrap()
}

/// A link to a port of this machine that swallows everything both ways once the client has sent this many bytes.
fn link(to: u16, silent_after: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
            let silent = Arc::new(AtomicBool::new(false));
            let (back, from) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let quiet = silent.clone();
            std::thread::spawn(move || forward(client, server, &silent, silent_after));
            std::thread::spawn(move || forward(from, back, &quiet, usize::MAX));
        }
    });
    port
}

fn forward(mut from: TcpStream, mut to: TcpStream, silent: &AtomicBool, silent_after: usize) {
    let (mut sent, mut buffer) = (0, vec![0; 16 << 10]);
    while let Ok(n) = from.read(&mut buffer) {
        // The ends stay open: neither end sees that the link is gone.
        if sent + n > silent_after || silent.load(Ordering::SeqCst) {
            silent.store(true, Ordering::SeqCst);
            std::thread::park();
        }
        if n == 0 || to.write_all(&buffer[..n]).is_err() {
            break;
        }
        sent += n;
    }
    drop(to.shutdown(Shutdown::Write));
}

/// A link that goes silent in the middle of a push is ended long before the time that a push may take.
#[tokio::test]
async fn silence_in_the_middle_of_a_push_over_ssh_ends_it() {
    let s = Scratch::new();
    s.git(".", &["clone", "-q", "--bare", "user", "remote.git"]);
    // More than what the buffers on the way hold, and no two bytes alike enough to be compressed.
    let mut seed = 1_u32;
    let noise = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    });
    std::fs::write(s.path("user/noise"), noise.take(24 << 20).collect::<Vec<u8>>()).unwrap();
    s.git("user", &["add", "."]);
    s.git("user", &["commit", "-q", "-m", "large"]);
    let (base, head) = (s.head("remote.git", "release-1.0"), s.head("user", "release-1.0"));
    let name = "refs/heads/release-1.0".to_owned();
    let updates = [RefUpdate { name: name.clone(), old: Some(base.clone()), new: head.clone() }];
    let sshd = Sshd::start(&s);
    let origin = sshd.remote_at(&s, link(sshd.port, 1 << 20));
    // As long as pushes really may take: this call can only end by itself.
    let origin = origin.with_deadline(Duration::from_secs(900)).with_still(Duration::from_secs(4));
    let e = origin.push(&s.path("user/.git"), &updates).await.unwrap_err();
    assert_eq!((e.kind(), e.part()), (ErrorKind::Unreachable, Some(Part::Git)), "{}", e.report());
    assert!(e.message().contains("not responding"), "{}", e.report());
    // The server may wait for the rest as long as it likes; another link brings all of it.
    let origin = sshd.remote(&s);
    assert_eq!(origin.observe(std::slice::from_ref(&name)).await.unwrap(), [Some(base)]);
    origin.push(&s.path("user/.git"), &updates).await.unwrap_or_else(|e| panic!("{}", e.report()));
    assert_eq!(origin.observe(&[name]).await.unwrap(), [Some(head)]);
}

/// A command for ssh that the user configured gets options that end it, and its own options go first.
#[tokio::test]
async fn an_ssh_that_the_user_configured_is_told_when_to_end() {
    let s = Scratch::new();
    s.write("ssh.sh", "#!/bin/sh\necho \"$@\" > \"$HOME/args\"\nexit 255\n");
    s.make_executable("ssh.sh");
    std::os::unix::fs::symlink(s.path("ssh.sh"), s.path("ssh")).unwrap();
    let command = format!("{} -i key -o ServerAliveInterval=7", s.path("ssh").display());
    s.git("user", &["config", "--global", "core.sshCommand", &command]);
    let url = "git@example.invalid:a/b.git";
    let origin = GitRemote::new(s.program().clone(), RemoteName::new("origin").unwrap(), url);
    origin.probe().await.unwrap_err();
    let args = std::fs::read_to_string(s.path("home/args")).unwrap();
    let ours =
        "-i key -o ServerAliveInterval=7 -o ConnectTimeout=15 -o ServerAliveInterval=15 -o ServerAliveCountMax=3";
    assert!(args.starts_with(ours) && args.contains("git@example.invalid git-upload-pack"), "{args}");
}
