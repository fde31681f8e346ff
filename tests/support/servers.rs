//! Real servers on loopback that end with their test: nginx, rclone, sshd.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// As whom WebDAV servers are asked.
pub const USER: &str = "release";
pub const PASSWORD: &str = "a password of the tests";

/// A port of loopback that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A port that is free, outside of the range from which connections get theirs; another one each time. For servers that end and come
/// back at the same port.
pub fn quiet_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = 10_000 + std::process::id() % 20_000;
    let ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::SeqCst));
    let mut ports = ports.map(|port| (10_000 + (port - 10_000) % 22_000) as u16);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// A server's process.
struct Running(Child);

impl Running {
    fn start(command: &mut Command, port: u16, package: &str) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run {command:?} ({e}): apt-get install {package}"));
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{command:?} ended: {status}");
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{command:?} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self(child)
    }
}

impl Drop for Running {
    /// Asks it to end: nginx takes its workers along.
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.0.wait().unwrap();
    }
}

/// nginx with the configuration that `docs/stores.md` shows: a port for the team, and one for strangers.
pub struct Nginx {
    _running: Running,
    /// Where it writes and where strangers read, by port.
    pub dav: u16,
    pub public: u16,
    /// What `docs/stores.md` calls `/srv/releases`.
    pub root: PathBuf,
}

impl Nginx {
    /// Starts it in an empty directory. Locks last eight seconds: longer than an act on a busy machine, and short enough to wait
    /// for.
    pub fn start(dir: &Path) -> Self {
        Self::with_locks(dir, 8)
    }

    /// The same with locks of so many seconds.
    pub fn with_locks(dir: &Path, seconds: u32) -> Self {
        Self::over(&dir.join("releases"), dir, seconds)
    }

    /// The same over the directory `root`, which may be replaced meanwhile.
    pub fn over(root: &Path, dir: &Path, seconds: u32) -> Self {
        let lasting = format!("zone=releases:10m timeout={seconds}s;");
        Self::edited_over(root, dir, |text| text.replace("zone=releases:10m;", &lasting))
    }

    /// One that asks nobody for a password.
    pub fn without_password(dir: &Path) -> Self {
        Self::edited(dir, |text| text.replace("auth_basic \"releases\";", "auth_basic off;"))
    }

    /// One that shows strangers the names of what is staged, and not the files.
    pub fn that_lists(dir: &Path) -> Self {
        let hidden = "location ~ /\\.(?!well-known/) {";
        let files = "autoindex on;\n    location ~ /\\.(?!well-known/).*[^/]$ {";
        Self::edited(dir, |text| text.replace(hidden, files))
    }

    /// One that shows strangers everything.
    pub fn that_hides_nothing(dir: &Path) -> Self {
        Self::edited(dir, |text| text.replace("return 404;", ""))
    }

    fn edited(dir: &Path, edit: impl Fn(String) -> String) -> Self {
        Self::edited_over(&dir.join("releases"), dir, edit)
    }

    fn edited_over(root: &Path, dir: &Path, edit: impl Fn(String) -> String) -> Self {
        let (root, arriving, own) = (root.to_owned(), dir.join("arriving"), dir.join("nginx"));
        for dir in [&root, &arriving, &own] {
            fs::create_dir_all(dir).unwrap();
        }
        let hash = Command::new("openssl").args(["passwd", "-apr1", PASSWORD]).output().unwrap();
        let hash = String::from_utf8(hash.stdout).unwrap();
        fs::write(own.join("htpasswd"), format!("{USER}:{}\n", hash.trim())).unwrap();
        let (dav, public) = (free_port(), free_port());
        let (shown, documented) = (edit(snippet("nginx")), snippet("nginx"));
        assert_ne!(shown, documented, "`docs/stores.md` says something else");
        let (writes, reads) = shown.split_once("# Where strangers read.").unwrap();
        let listens = |text: &str, port: u16| {
            let with_port = text.replace("listen 443 ssl;", &format!("listen 127.0.0.1:{port};"));
            assert_ne!(with_port, text, "`docs/stores.md` listens elsewhere");
            let lines = with_port.lines().filter(|line| !line.trim().starts_with("ssl_certificate"));
            lines.map(|line| format!("{line}\n")).collect::<String>()
        };
        let servers = format!("{}{}", listens(writes, dav), listens(reads, public))
            .replace("/etc/nginx/releases.htpasswd", &own.join("htpasswd").display().to_string())
            .replace("/srv/releases-arriving", &arriving.display().to_string())
            .replace("/srv/releases", &root.display().to_string());
        let own_path = own.display();
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let temporary: String = ["proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("    {name}_temp_path {own_path}/{name};\n"))
            .concat();
        let text = format!(
            "load_module /usr/lib/nginx/modules/ngx_http_dav_ext_module.so;\ndaemon off;\n{user}\nworker_processes 4;\n\
             pid {own_path}/pid;\nerror_log {own_path}/error.log;\nevents {{ worker_connections 256; }}\nhttp {{\n\
             access_log {own_path}/access.log;\ndefault_type application/octet-stream;\n{temporary}{servers}}}\n"
        );
        fs::write(own.join("nginx.conf"), text).unwrap();
        let running = Running::start(
            Command::new("/usr/sbin/nginx").arg("-e").arg(own.join("error.log")).arg("-c").arg(own.join("nginx.conf")),
            dav,
            "nginx-light libnginx-mod-http-dav-ext",
        );
        Self { _running: running, dav, public, root }
    }
}

/// Caddy with the configuration that `docs/stores.md` shows, over a directory.
pub struct Caddy {
    _running: Running,
    pub port: u16,
}

impl Caddy {
    /// Starts it over `root`, with its own files in `dir`.
    pub fn start(root: &Path, dir: &Path) -> Self {
        let port = free_port();
        let shown = snippet("caddy");
        let text = shown
            .replace("releases.example.org", &format!("http://:{port}"))
            .replace("/srv/releases", &root.display().to_string());
        let config = dir.join("Caddyfile");
        fs::write(&config, format!("{{\n\tadmin off\n}}\n{text}")).unwrap();
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&config).env("HOME", dir);
        Self { _running: Running::start(&mut command, port, "caddy"), port }
    }
}

/// `rclone serve webdav` over a directory.
pub struct Rclone {
    _running: Running,
    pub port: u16,
}

impl Rclone {
    pub fn webdav(root: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new("rclone");
        // Without the user's own configuration, and without a variable that this version stumbles over.
        command.env_remove("AWS_CA_BUNDLE").env("RCLONE_CONFIG", "/dev/null");
        command.args(["serve", "webdav", "--addr", &format!("127.0.0.1:{port}"), "--user", USER, "--pass", PASSWORD]);
        Self { _running: Running::start(command.arg(root), port, "rclone"), port }
    }
}

/// The block of code in `docs/stores.md` in a language, of which there is one.
pub fn snippet(language: &str) -> String {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/stores.md")).unwrap();
    let mut blocks = text.split("```");
    let found = blocks.find_map(|block| block.strip_prefix(&format!("{language}\n")));
    found.unwrap_or_else(|| panic!("`docs/stores.md` has no configuration of {language}")).to_owned()
}

/// An sshd that takes one key, and the configuration of ssh that reaches it.
pub struct Sshd {
    _running: Running,
    pub port: u16,
    /// For `ssh -F`: one host, `store`.
    pub config: PathBuf,
}

impl Sshd {
    /// Starts it, with its files in `dir`.
    pub fn start(dir: &Path) -> Self {
        Self::on_machine(dir, None)
    }

    /// The same on a machine that is another one to whoever comes in: a line of `sh` changes what is mounted first, as root.
    pub fn on_other_machine(dir: &Path, change: &str) -> Self {
        Self::on_machine(dir, Some(change))
    }

    fn on_machine(dir: &Path, change: Option<&str>) -> Self {
        let own = dir.join("sshd");
        fs::create_dir_all(&own).unwrap();
        // Where a privileged sshd keeps nothing, by design; a package's init script makes it.
        if rustix::process::geteuid().is_root() {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let key = |name: &str| {
            let path = own.join(name).display().to_string();
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path]).status();
            assert!(made.unwrap_or_else(|e| panic!("ssh-keygen: {e}; apt-get install openssh-client")).success());
            path
        };
        let (host, id, port) = (key("host"), key("id"), free_port());
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {host}\nAuthorizedKeysFile {id}.pub\nStrictModes no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nPidFile none\n\
             MaxStartups 100\nSubsystem sftp internal-sftp\nSetEnv HOME={}\n",
            // What the profile of whoever runs the tests does, each call would wait for.
            own.display()
        );
        fs::write(own.join("sshd.conf"), config).unwrap();
        let mut command = match change {
            None => Command::new("/usr/sbin/sshd"),
            Some(change) => {
                let mut command = Command::new("unshare");
                let line = format!("set -e; {change}; exec /usr/sbin/sshd \"$@\"");
                command.args(["--mount", "--", "/bin/bash", "-c", &line, "sh"]);
                command
            }
        };
        let running =
            Running::start(command.args(["-D", "-e", "-f"]).arg(own.join("sshd.conf")), port, "openssh-server");
        let public = fs::read_to_string(format!("{host}.pub")).unwrap();
        fs::write(own.join("known_hosts"), format!("store {public}")).unwrap();
        let out = Command::new("id").arg("-un").output().unwrap();
        let user = String::from_utf8(out.stdout).unwrap();
        let sshd = Self { _running: running, port, config: own.join("config") };
        let text = format!("User {}\nIdentityFile {id}\nIdentitiesOnly yes\nStrictHostKeyChecking yes\n", user.trim())
            + &format!("UserKnownHostsFile {}\nHostKeyAlias store\n", own.join("known_hosts").display());
        fs::write(&sshd.config, text).unwrap();
        sshd
    }
}
