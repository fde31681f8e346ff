//! Recipes that look for what is not theirs on another machine, and what others can see of a job there.

use std::fs;
use std::time::{Duration, Instant};

use lifeboat::effects::{Handle, JobStatus};
use lifeboat::model::{Secret, SecretRef};
use lifeboat::step::Isolation;

use super::{Bench, ended, nap};

/// How many processes have a text in their command lines.
pub(super) fn with_argument(text: &str) -> usize {
    let line = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).unwrap_or_default();
    let lines = fs::read_dir("/proc").unwrap().flatten().map(line);
    lines.filter(|line| String::from_utf8_lossy(line).contains(text)).count()
}

async fn until(what: &str, happens: impl Fn() -> bool) {
    let start = Instant::now();
    while !happens() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}: it does not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A job that has what it needs and sees nothing else.
#[tokio::test]
async fn a_job_sees_its_own_files_and_the_system_alone() {
    sees_nothing_else(Bench::new(), 40501).await;
}

#[tokio::test]
async fn a_job_of_an_ordinary_user_sees_no_more() {
    if super::is_root() {
        sees_nothing_else(Bench::of_an_ordinary_user(), 40505).await;
    }
}

/// Both run at once: the other job of each sleeps for another number of `seconds`.
async fn sees_nothing_else(bench: Bench, seconds: u32) {
    let theirs_sleep = nap(seconds);
    let (kept, outside) = (bench.dir.join("secret"), tempfile::tempdir_in("/var/tmp").unwrap());
    fs::write(&kept, "the key").unwrap();
    fs::write(outside.path().join("key"), "the key").unwrap();
    let victim = bench.request(&[&format!("mkdir dist; echo true > dist/a; sleep {theirs_sleep}")], &["dist/a"]);
    let theirs = bench.runner.dispatch(&victim).await.unwrap();
    until("the other job runs", || with_argument(&theirs_sleep) > 0).await;
    let (far, own) = (bench.far(&theirs), bench.dir.display().to_string());
    let (neighbour, pattern) = (std::process::id(), theirs_sleep.replacen("4050", "405[0]", 1));
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned());
    let look = [
        format!("no cat {}; no cat {}/key", kept.display(), outside.path().display()),
        format!("no ls {own}/far/objects; no ls {}; no cat {}/inside/work/top/dist/a", far.display(), far.display()),
        format!("test ! -e {home}; test \"$(ls -A /home /root /srv /mnt /media /run 2> /dev/null | grep -v :)\" = ''"),
        format!(
            "no kill -0 {neighbour}; no cat /proc/{neighbour}/environ; no grep -aq '{pattern}' /proc/[0-9]*/cmdline"
        ),
        "no cat /proc/1/environ; no ls /proc/1/root/; no ls -l /proc/1/fd/3".to_owned(),
        "for d in / /usr /usr/bin /etc /opt /dev /sys /var; do no touch $d/lifeboat-x; done".to_owned(),
        "no umount /usr; no mount -t tmpfs tmpfs /usr; no unshare --mount umount /usr; no umount -l /proc".to_owned(),
        "no head -c1 /etc/shadow; no ls /etc/ssh; echo x > /tmp/a; test -e \"$TMPDIR/a\"; echo x > \"$HOME/a\""
            .to_owned(),
        "kill -9 -1 || :".to_owned(),
    ];
    // A command that must fail: a shell that ends at failures takes no notice of `!`.
    let fails = "no() { if \"$@\"; then echo \"it worked: $*\"; exit 9; fi; }; ";
    let (look, all): (Vec<String>, _) = (look.iter().map(|line| format!("{fails}{line}")).collect(), look[8].clone());
    let look: Vec<&str> = look.iter().map(String::as_str).collect();
    for isolation in [Isolation::NoNetwork, Isolation::Network] {
        let mut request = bench.request(&look[..8], &[]);
        request.job.isolation = isolation;
        request.attempt = if isolation == Isolation::Network { 2 } else { 1 };
        let (handle, status) = bench.ended(&request).await;
        let log = bench.log(&request, &handle).await;
        assert_eq!(status, JobStatus::Exited(0), "{log}");
        assert!(!log.contains("the key"), "{log}");
    }
    // Every attack works outside, where a test of it means something.
    assert!(fs::read_to_string(&kept).is_ok() && fs::read_dir(&far).is_ok() && with_argument(&theirs_sleep) > 0);
    let all = bench.request(&[&all], &[]);
    let _ = bench.ended(&all).await;
    assert!(with_argument(&theirs_sleep) > 0, "the other job was killed");
    bench.runner.sweep(&all.train).await.unwrap();
    assert_eq!(with_argument(&theirs_sleep), 0);
}

#[tokio::test]
async fn a_job_without_network_has_loopback_only() {
    let bench = Bench::new();
    let mut request = bench.request(&["grep -c : /proc/net/dev; ip -o link 2> /dev/null || true"], &[]);
    request.job.isolation = Isolation::NoNetwork;
    let (handle, _) = bench.ended(&request).await;
    let log = bench.log(&request, &handle).await;
    assert!(log.contains("\n1\n") && (!log.contains("LOOPBACK") || log.contains("LOOPBACK,UP")), "{log}");
}

/// Arguments can be read by every user of a machine, and files stay there when it is switched off.
#[tokio::test]
async fn no_secret_stands_in_an_argument_or_a_file() {
    let bench = Bench::new();
    let value = format!("value'{}", std::process::id());
    let sleep = nap(40502);
    let mut request = bench.request(&[&format!("test \"$TOKEN\" = \"$EXPECTED$PID\"; sleep {sleep}")], &[]);
    request.job.secret_env.insert("TOKEN".into(), SecretRef::Env("X".into()));
    request.secrets.insert("TOKEN".into(), Secret::new(value.clone()));
    request.job.env.insert("EXPECTED".into(), "value'".into());
    request.job.env.insert("PID".into(), std::process::id().to_string());
    let handle = bench.runner.dispatch(&request).await.unwrap();
    until("the job runs", || with_argument(&format!("sleep\u{0}{sleep}")) > 0).await;
    assert_eq!(with_argument(&value), 0);
    let mut files = vec![bench.far(&handle)];
    let mut read = 0;
    while let Some(path) = files.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            files.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if meta.is_file() {
            read += 1;
            assert!(!String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(&value), "{}", path.display());
        }
    }
    assert!(read > 5, "{read}");
    bench.runner.cancel(&handle).await.unwrap();
    assert_eq!(with_argument(&sleep), 0);
}

/// A log without end fills no disk, and the recipe that writes it goes on.
#[tokio::test]
async fn a_log_is_cut_and_the_recipe_goes_on() {
    let bench = Bench::new();
    let request = bench.request(&["head -c 300000000 /dev/zero; mkdir dist; echo made > dist/a"], &["dist/a"]);
    let (handle, status) = bench.ended(&request).await;
    assert_eq!(status, JobStatus::Exited(0));
    let length = fs::metadata(bench.far(&handle).join("log")).unwrap().len() >> 20;
    assert!((256..280).contains(&length), "{length} MiB");
}

/// Somebody removed the directory of jobs by hand: nobody waits for them, so they end.
#[tokio::test]
async fn a_job_ends_whose_directory_is_gone() {
    let bench = Bench::new();
    let sleep = nap(40504);
    let request = bench.request(&[&format!("sleep {sleep}")], &[]);
    let handle = bench.runner.dispatch(&request).await.unwrap();
    until("the job runs", || with_argument(&sleep) > 0).await;
    fs::remove_dir_all(bench.far(&handle)).unwrap();
    until("it has ended", || with_argument(&sleep) == 0).await;
}

/// What escapes into a session of its own ends with the job, and after it.
#[tokio::test]
async fn nothing_outlives_its_job() {
    let bench = Bench::new();
    let sleep = nap(40503);
    let line = format!("(setsid sh -c 'trap \"\" TERM; exec env -i sleep {sleep}' &); sleep 0.2");
    let request = bench.request(&[&line], &[]);
    assert_eq!(bench.ended(&request).await.1, JobStatus::Exited(0));
    assert_eq!(with_argument(&format!("sleep\u{0}{sleep}")), 0);
}

#[tokio::test]
async fn artifacts_are_this_job_s_own() {
    let bench = Bench::new();
    for (run, path, refusal) in [
        ("mkdir dist; ln -s /usr/bin dist/here", "dist/here/env", "is reached through `here`"),
        ("mkdir dist; ln -s ../README dist/a", "dist/a", "is a symbolic link"),
        ("mkdir dist; mkfifo dist/a", "dist/a", "is a pipe"),
        ("cd ..; mv top away; ln -s away top", "README", "replaced the source's root"),
        ("mkdir dist; echo x > dist/a; printf x > \"dist/b\nc\"", "dist/a", "is not declared"),
        ("mkdir dist; echo x > dist/a; ln dist/a other", "dist/a", ""),
    ] {
        let request = bench.request(&[run], &[path]);
        let (handle, status): (Handle, _) = bench.ended(&request).await;
        assert_eq!(status, JobStatus::Exited(0), "{run}");
        match bench.runner.collect(&request, &handle).await {
            Ok(_) => assert_eq!(refusal, "", "{run}"),
            Err(e) => assert!(!refusal.is_empty() && e.report().contains(refusal), "{run}: {}", e.report()),
        }
    }
    let request = bench.request(&["mkdir dist; echo x > dist/a"], &["dist/a"]);
    let handle = bench.runner.dispatch(&request).await.unwrap();
    assert_eq!(ended(&*bench.runner, &handle).await, JobStatus::Exited(0));
}
