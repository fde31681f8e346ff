//! Kill points on the wire: between a store's client in this process and its real server, each request that changes something.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::faulty_proxy::{self, Fault};
use super::kill_points::KillPoints;

/// What the labels of these kill points begin with.
pub const WIRE: &str = "wire ";

/// Where a tap is, and what is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tap {
    /// Of requests of HTTP, for the server at a port.
    Http { port: u16, server: u16 },
    /// Of packets of SFTP, between the program and its `ssh`.
    Ssh { port: u16 },
}

impl Tap {
    /// As a file says it.
    pub fn to_text(self) -> String {
        match self {
            Self::Http { port, server } => format!("http {port} {server}"),
            Self::Ssh { port } => format!("ssh {port}"),
        }
    }

    /// What a file says.
    pub fn of(text: &str) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["http", port, server] => Self::Http { port: port.parse().unwrap(), server: server.parse().unwrap() },
            ["ssh", port] => Self::Ssh { port: port.parse().unwrap() },
            _ => panic!("`{text}` is no tap"),
        }
    }

    /// Starts it in this process; it ends with it.
    pub fn start(self, points: Arc<KillPoints>) {
        match self {
            Self::Http { port, server } => {
                let half = points.clone();
                let decide = move |seen: &faulty_proxy::Seen| {
                    let label = || format!("{WIRE}{} {}", seen.method, seen.path);
                    if (seen.changes() || seen.method == "UNLOCK") && points.tick(label).is_err() {
                        Fault::Reset
                    } else {
                        Fault::None
                    }
                };
                let amid = move |seen: &faulty_proxy::Seen| {
                    drop(half.tick(|| format!("{WIRE}half of {} {}", seen.method, seen.path)));
                };
                faulty_proxy::start_at(listen(port), server, decide, amid);
            }
            Self::Ssh { port } => {
                let listener = listen(port);
                std::thread::spawn(move || {
                    for client in listener.incoming().flatten() {
                        let points = points.clone();
                        // A session that fails ends.
                        std::thread::spawn(move || drop(session(&client, &points)));
                    }
                });
            }
        }
    }
}

/// The one before may just have died.
fn listen(port: u16) -> TcpListener {
    let tries = std::iter::repeat_with(|| TcpListener::bind(("127.0.0.1", port)));
    let mut tries = tries.inspect(|_| std::thread::sleep(Duration::from_millis(5))).take(200);
    tries.find_map(Result::ok).unwrap_or_else(|| panic!("the port {port} is taken"))
}

/// Makes a program `ssh` in `dir` that goes by way of the tap at a port; the real one is asked for there.
pub fn put_ssh_in(dir: &Path, port: u16) {
    fs::create_dir_all(dir).unwrap();
    let text = format!(
        "#!/bin/bash\nexec 3<>/dev/tcp/127.0.0.1/{port} || exit 255\nprintf '%s\\n' $# \"$@\" >&3\ncat <&3 &\nexec cat >&3\n"
    );
    fs::write(dir.join("ssh"), text).unwrap();
    fs::set_permissions(dir.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// The ssh of this machine, which is not the one of [`put_ssh_in`].
fn real_ssh() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut all = std::env::split_paths(&path).map(|dir| dir.join("ssh")).filter(|file| file.exists());
    all.find(|file| !fs::read(file).unwrap().starts_with(b"#!")).expect("no `ssh`: apt-get install openssh-client")
}

/// Starts the real ssh and passes its packets on, each after its kill point.
fn session(client: &TcpStream, points: &KillPoints) -> io::Result<()> {
    let mut from = BufReader::new(client.try_clone()?);
    let mut line = || {
        let mut line = String::new();
        from.read_line(&mut line).map(|_| line.trim_end().to_owned())
    };
    let count: usize = line()?.parse().map_err(io::Error::other)?;
    let arguments = (0..count).map(|_| line()).collect::<io::Result<Vec<_>>>()?;
    let mut ssh = Command::new(real_ssh())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (mut to, mut back) = (ssh.stdin.take().unwrap(), ssh.stdout.take().unwrap());
    let answers = client.try_clone()?;
    std::thread::spawn(move || {
        drop(io::copy(&mut back, &mut &answers));
        drop(answers.shutdown(std::net::Shutdown::Both));
        ssh.wait()
    });
    loop {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut packet = vec![0; u32::from_be_bytes(length) as usize];
        from.read_exact(&mut packet)?;
        if let Some(what) = changes(&packet) {
            points.tick(|| format!("{WIRE}{what}"))?;
        }
        to.write_all(&length)?;
        to.write_all(&packet)?;
        to.flush()?;
    }
}

/// What a packet of SFTP 3 would change, if it changes something.
fn changes(packet: &[u8]) -> Option<String> {
    let text = |at: usize| {
        let length = u32::from_be_bytes(packet.get(at..at + 4)?.try_into().ok()?) as usize;
        Some(String::from_utf8_lossy(packet.get(at + 4..at + 4 + length)?).into_owned())
    };
    let first = text(5).unwrap_or_default();
    match packet.first()? {
        3 => {
            let at = 5 + 4 + u32::from_be_bytes(packet.get(5..9)?.try_into().ok()?) as usize;
            let flags = u32::from_be_bytes(packet.get(at..at + 4)?.try_into().ok()?);
            // Anything but reading.
            (flags & !1 != 0).then(|| format!("open {first}"))
        }
        6 => Some(format!("write {} bytes", packet.len())),
        9 => Some(format!("setstat {first}")),
        10 => Some("fsetstat".to_owned()),
        13 => Some(format!("remove {first}")),
        14 => Some(format!("mkdir {first}")),
        15 => Some(format!("rmdir {first}")),
        18 => Some(format!("rename {first}")),
        20 => Some(format!("symlink {first}")),
        200 if !matches!(&*first, "limits@openssh.com" | "statvfs@openssh.com" | "expand-path@openssh.com") => {
            Some(first)
        }
        _ => None,
    }
}
