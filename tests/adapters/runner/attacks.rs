//! Recipes that look for what is not theirs: keys, agents, other jobs, the state, the store, the machine. Every attack is
//! tried outside of the sandbox first, where it must succeed: a test of an attack that never works shows nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lifeboat::effects::JobStatus;
use lifeboat::step::Isolation;

use super::{Bench, nap, open, runs, until, wait};

/// Who can do it at all.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Anybody,
    Root,
}

/// What is around a job on an operator's machine; what is started ends with it.
struct Machine {
    dir: tempfile::TempDir,
    children: Vec<Child>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
        let home = self.dir.path().join("home/.gnupg");
        drop(Command::new("gpgconf").args(["--homedir"]).arg(home).args(["--kill", "all"]).status());
    }
}

impl Machine {
    fn new() -> Self {
        // A short path: sockets have no long ones.
        let dir = tempfile::Builder::new().prefix("lb").tempdir_in("/var/tmp").unwrap();
        let at = |path: &str| dir.path().join(path);
        for (path, text) in [
            ("home/.ssh/id_ed25519", "the key"),
            ("home/.gnupg/marker", "the key"),
            ("secret/release.key", "the key"),
            ("state/sample/operator-key.asc", "the key"),
            ("state/sample/trains/other/jobs/x/inside/work/top/dist/a", "their artifact"),
            ("store/releases/index.json", "{}"),
            ("checkout/.git/hooks/sample", "hook"),
            ("checkout/.git/config", "the token"),
        ] {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            fs::write(at(path), text).unwrap();
        }
        fs::set_permissions(at("home/.gnupg"), fs::Permissions::from_mode(0o700)).unwrap();
        Self { dir, children: Vec::new() }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn train(&self) -> PathBuf {
        let train = self.at("state/sample/trains/one");
        fs::create_dir_all(&train).unwrap();
        train
    }

    fn start(&mut self, command: &mut Command) -> u32 {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pid = child.id();
        self.children.push(child);
        pid
    }

    fn ssh_agent(&mut self, socket: &str) {
        let socket = self.at(socket);
        self.start(Command::new("ssh-agent").arg("-D").arg("-a").arg(socket));
    }

    /// Another user's or program's process that stays.
    fn neighbour(&mut self) -> u32 {
        let (key, seconds) = ("the key in a variable", nap(40100));
        self.start(Command::new("sleep").arg(seconds).env("NEIGHBOUR", key).current_dir(self.at("secret")))
    }

    fn gpg_agent(&self) {
        let status =
            Command::new("gpg-connect-agent").arg("--homedir").arg(self.at("home/.gnupg")).arg("/bye").status();
        assert!(status.unwrap().success());
    }

    /// Every attack as a line of shell that ends with 0 if it works.
    fn attacks(&self, neighbour: u32) -> Vec<(By, String)> {
        let dir = self.dir.path().display();
        let anybody = [
            // Keys and state, by their paths and by looking for them.
            format!("cat {dir}/secret/release.key"),
            format!("cat {dir}/home/.ssh/id_ed25519"),
            format!("cat {dir}/state/sample/operator-key.asc"),
            format!("ls {dir}/state/sample/trains/other/jobs"),
            "find /var/tmp /home /root /tmp /srv /mnt -name release.key 2> /dev/null | grep -q .".to_owned(),
            format!("cat {dir}/checkout/.git/config"),
            // What is public or runs later.
            format!("echo forged > {dir}/store/releases/forged"),
            format!("echo 'exit 0' > {dir}/checkout/.git/hooks/pre-push"),
            format!("echo forged > {dir}/state/sample/trains/other/jobs/x/inside/work/top/dist/a"),
            // Agents, real ones.
            format!("SSH_AUTH_SOCK={dir}/agent ssh-add -l; test $? != 2"),
            format!("SSH_AUTH_SOCK={dir}/late ssh-add -l; test $? != 2"),
            format!("gpg-connect-agent --no-autostart --homedir {dir}/home/.gnupg 'GETINFO pid' /bye | grep -q OK"),
            // Processes of the machine.
            format!("kill -0 {neighbour} && test \"$(cat /proc/{neighbour}/comm)\" = sleep"),
            format!("tr '\\0' '\\n' < /proc/{neighbour}/environ | grep -q '^NEIGHBOUR=the key'"),
            format!("ls /proc/{neighbour}/cwd/release.key"),
            // Other processes come and go meanwhile: what counts is that one of them leads there.
            "cat /proc/*/cwd/release.key | grep -q key".to_owned(),
            format!("cat /proc/*/root/{dir}/secret/release.key | grep -q key"),
            format!("grep -aq {} /proc/*/cmdline", nap(40100).replace("40100", "4010[0]")),
        ];
        let root = [
            // The same values: nothing changes where it works.
            "v=$(cat /proc/sys/kernel/core_pattern); echo \"$v\" > /proc/sys/kernel/core_pattern".to_owned(),
            "v=$(cat /proc/sys/vm/swappiness); echo \"$v\" > /proc/sys/vm/swappiness".to_owned(),
            "touch -c /etc/passwd && test -w /etc/passwd".to_owned(),
            "touch /etc/lifeboat-attack && rm /etc/lifeboat-attack".to_owned(),
            "touch /usr/bin/lifeboat-attack && rm /usr/bin/lifeboat-attack".to_owned(),
            "head -c1 /etc/shadow | grep -q .".to_owned(),
            format!("mkdir {dir}/m && mount -t tmpfs none {dir}/m && umount {dir}/m"),
            "d=$(mktemp -d) && mount -t tmpfs none \"$d\" && umount \"$d\"".to_owned(),
            "d=$(mktemp -d) && mknod \"$d/n\" c 1 3 && echo x > \"$d/n\"".to_owned(),
            format!("nsenter -t {neighbour} -m true"),
            format!("chroot /proc/{neighbour}/root true"),
            format!("strace -o /dev/null -p {neighbour} & sleep 0.3; kill -INT $!"),
        ];
        let by = |by: By| move |line: String| (by, line);
        anybody.map(by(By::Anybody)).into_iter().chain(root.map(by(By::Root))).collect()
    }
}

/// Which attacks work, by their numbers, with both kinds of network.
async fn that_work_in_a_job(machine: &Machine, attacks: &[(By, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for isolation in [Isolation::NoNetwork, Isolation::Network] {
        let bench = Bench::new();
        let runner = open(&machine.train());
        let lines: Vec<String> = attacks
            .iter()
            .enumerate()
            .map(|(i, _)| {
                format!("if timeout 20 sh -c \"$ATTACK_{i}\" > /dev/null 2>&1; then echo \"worked: {i}\"; fi")
            })
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).chain(["echo all tried"]).collect();
        let mut request = bench.request(&lines, &[]);
        request.job.isolation = isolation;
        for (i, (_, line)) in attacks.iter().enumerate() {
            request.job.env.insert(format!("ATTACK_{i}"), line.clone());
        }
        let handle = runner.dispatch(&request).await.unwrap_or_else(|e| panic!("{}", e.report()));
        assert_eq!(wait(&*runner, &handle).await, JobStatus::Exited(0));
        let log = fs::read_to_string(runner.log(&request, &handle).await.unwrap().path).unwrap();
        assert!(log.ends_with("all tried\n"), "{log}");
        let numbers = log.lines().filter_map(|l| l.strip_prefix("worked: ")?.parse::<usize>().ok());
        found.extend(numbers.map(|i| format!("{isolation:?}: {}", attacks[i].1)));
        runner.cancel(&handle).await.unwrap();
    }
    found
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

#[tokio::test]
async fn no_attack_of_a_recipe_works() {
    let mut machine = Machine::new();
    machine.ssh_agent("agent");
    machine.gpg_agent();
    let neighbour = machine.neighbour();
    let attacks = machine.attacks(neighbour);
    // Sockets that appear while a job runs are looked for by the test below; here the second agent is there as well.
    machine.ssh_agent("late");
    until("the agents listen", || machine.at("agent").exists() && machine.at("late").exists()).await;
    let possible: Vec<(By, String)> = attacks.into_iter().filter(|(by, _)| *by == By::Anybody || is_root()).collect();
    for (_, line) in &possible {
        let mut outside = Command::new("sh");
        outside.args(["-c", line]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(outside.status().unwrap().success(), "it does not even work outside: {line}");
    }
    assert_eq!(that_work_in_a_job(&machine, &possible).await, Vec::<String>::new());
}

/// The same as a user without rights: CI runs as root.
#[test]
fn no_attack_of_a_recipe_works_as_an_ordinary_user() {
    if !is_root() {
        // The other test is that.
        return;
    }
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let own = dir.path().join("own");
    fs::create_dir(&own).unwrap();
    for path in [dir.path(), &own] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    std::os::unix::fs::chown(&own, Some(NOBODY), Some(NOBODY)).unwrap();
    // Programs that the user can reach, wherever they were built.
    let placed = |from: &Path, name: &str| {
        let to = dir.path().join(name);
        fs::copy(from, &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
        to
    };
    let test = placed(&std::env::current_exe().unwrap(), "test");
    let program = placed(Path::new(env!("CARGO_BIN_EXE_lifeboat")), "lifeboat");
    let mut command = Command::new(test);
    command
        .args(["--nocapture", "--test-threads=2", "runner::attacks::", "runner::isolation::"])
        .uid(NOBODY)
        .gid(NOBODY);
    command.env("LIFEBOAT_TEST_PROGRAM", program).env("TMPDIR", &own).env("HOME", &own).current_dir(&own);
    let out = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && said.contains("attacks::no_attack_of_a_recipe_works ... ok"), "{said}");
}

const NOBODY: u32 = 65534;

/// Other jobs run beside it and are not there for it; nor is who watches over it.
#[tokio::test]
async fn a_job_sees_no_process_but_its_own() {
    let machine = Machine::new();
    let (bench, runner) = (Bench::new(), open(&machine.train()));
    let mut victim = bench.request(&[&format!("mkdir dist; echo true > dist/a; sleep {}", nap(40101))], &["dist/a"]);
    victim.job.env.insert("THEIR_VARIABLE".into(), "theirs".into());
    let theirs = runner.dispatch(&victim).await.unwrap();
    until("the other job runs", || runs(&nap(40101))).await;
    let look = [
        "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done; ls -l /proc/*/cwd /proc/*/exe 2>&1 || :",
        "cat /proc/*/environ 2> /dev/null | tr '\\0' '\\n' | grep THEIR || echo no variable of theirs",
        "for f in /proc/[0-9]*/cwd/dist/a; do echo forged > $f || :; done",
        "kill -9 -1 || :",
    ];
    let request = bench.request(&look[..3], &[]);
    let handle = runner.dispatch(&request).await.unwrap();
    assert_eq!(wait(&*runner, &handle).await, JobStatus::Exited(0));
    let log = fs::read_to_string(runner.log(&request, &handle).await.unwrap().path).unwrap();
    assert!(log.contains("no variable of theirs"), "{log}");
    for word in ["supervise-job", &nap(40101), "cargo", "runner-"] {
        assert!(!log.contains(word), "`{word}` is in\n{log}");
    }
    // Signals to all that it may signal: of this machine, nothing.
    let all = bench.request(&look[3..], &[]);
    let handle = runner.dispatch(&all).await.unwrap();
    let _ = wait(&*runner, &handle).await;
    assert!(runs(&nap(40101)), "the other job was killed");
    let kept = machine.train().join("jobs").join(&theirs.job).join("inside/work/top/dist/a");
    assert_eq!(fs::read_to_string(kept).unwrap(), "true\n");
    runner.sweep(&all.train).await.unwrap();
    assert!(!runs(&nap(40101)));
}

/// An agent starts on demand, after the job.
#[tokio::test]
async fn a_socket_that_appears_later_is_not_there_either() {
    let mut machine = Machine::new();
    let (bench, runner) = (Bench::new(), open(&machine.train()));
    let socket = machine.at("late").display().to_string();
    let look = format!("for i in $(seq 60); do test -S {socket} && exit 9; sleep 0.05; done");
    for isolation in [Isolation::NoNetwork, Isolation::Network] {
        let mut request = bench.request(&[&look], &[]);
        request.job.isolation = isolation;
        let handle = runner.dispatch(&request).await.unwrap();
        if !Path::new(&socket).exists() {
            machine.ssh_agent("late");
        }
        until("the agent listens", || Path::new(&socket).exists()).await;
        assert_eq!(wait(&*runner, &handle).await, JobStatus::Exited(0), "{isolation:?}");
        runner.cancel(&handle).await.unwrap();
    }
}

/// Arguments can be read by every user of a machine.
#[tokio::test]
async fn no_value_of_a_variable_stands_in_an_argument() {
    let bench = Bench::new();
    let mut request = bench.request(&[&format!("test \"$TOKEN\" = \"$PLAIN\"; sleep {}", nap(40102))], &[]);
    let value = format!("value-{}", std::process::id());
    request.job.env.insert("PLAIN".into(), value.clone());
    request.job.env.insert("TOKEN".into(), value.clone());
    request.job.env.insert("LD_PRELOAD".into(), "./evil.so".into());
    let handle = bench.runner.dispatch(&request).await.unwrap();
    until("the job runs", || runs(&nap(40102))).await;
    let shown = |pid: fs::DirEntry| fs::read(pid.path().join("cmdline")).unwrap_or_default();
    let shown: Vec<Vec<u8>> = fs::read_dir("/proc").unwrap().flatten().map(shown).collect();
    let with = shown.iter().filter(|line| String::from_utf8_lossy(line).contains(&value)).count();
    assert_eq!(with, 0);
    bench.runner.cancel(&handle).await.unwrap();
}

/// What is written where it cannot be kept is lost with the job, and what the system has stays as it is.
#[tokio::test]
async fn a_job_writes_to_its_own_directories_only() {
    let bench = Bench::new();
    let recipe = [
        "echo x > /tmp/a; echo x > /var/tmp/a; echo x > \"$HOME/a\"; echo x > \"$TMPDIR/b\"; echo x > ../a; echo x > /run/a || :",
        "for d in / /usr /usr/bin /etc /opt /dev /proc /sys /var; do ! touch $d/lifeboat-x 2> /dev/null || exit 9; done",
        "test \"$(ls -A /home /root /srv /mnt /media 2> /dev/null)\" = ''",
        "echo x > /dev/null; head -c1 /dev/urandom > a; (echo t > /dev/tty) 2> /dev/null && exit 8 || :",
    ];
    let request = bench.request(&recipe, &[]);
    let (handle, status) = bench.finish(&request).await;
    assert_eq!(status, JobStatus::Exited(0), "{}", bench.log(&request, &handle).await);
    assert!(!Path::new("/var/tmp/a").exists() && !Path::new("/usr/lifeboat-x").exists());
}

/// A daemon that leaves its session ends with the job, before its artifacts are taken.
#[tokio::test]
async fn no_daemon_survives_to_swap_artifacts() {
    let bench = Bench::new();
    let daemon = format!(
        "mkdir dist; echo good > dist/a; (unset HOME; cd /; setsid sh -c 'trap \"\" TERM HUP INT; sleep {} & while :; do echo \
         swapped > '$PWD'/dist/a; done' > /dev/null 2>&1 &) ; sleep 0.2; echo good > dist/a",
        nap(40103)
    );
    let request = bench.request(&[&daemon], &["dist/a"]);
    let (handle, status) = bench.finish(&request).await;
    assert_eq!(status, JobStatus::Exited(0), "{}", bench.log(&request, &handle).await);
    assert!(!runs(&nap(40103)));
    let report = bench.runner.collect(&request, &handle).await.unwrap();
    let before = fs::read(&report.artifacts[0].1).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(fs::read(&report.artifacts[0].1).unwrap(), before);
}

/// Sockets without a path belong to a network. A job without one has its own; with the machine's, the kernel keeps them apart.
#[tokio::test]
async fn a_job_reaches_no_abstract_socket() {
    use std::os::linux::net::SocketAddrExt as _;
    let name = format!("lifeboat-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let connect = format!("python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"\\0{name}\")'");
    assert!(Command::new("sh").args(["-c", &connect]).status().unwrap().success());
    for (isolation, refusal) in
        [(Isolation::NoNetwork, "ConnectionRefusedError"), (Isolation::Network, "PermissionError")]
    {
        if isolation == Isolation::Network && kernel() < (6, 12) {
            // README says so: an older kernel cannot do it.
            continue;
        }
        let bench = Bench::new();
        let mut request = bench.request(&[&connect], &[]);
        request.job.isolation = isolation;
        let (handle, status) = bench.finish(&request).await;
        let log = bench.log(&request, &handle).await;
        assert_eq!(status, JobStatus::Exited(1), "{isolation:?}: {log}");
        assert!(log.contains(refusal), "{isolation:?}: {log}");
    }
}

fn kernel() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|n| n.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}
