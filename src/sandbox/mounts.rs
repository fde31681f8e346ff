//! Makes a view: an empty root with what the view lists, and nothing else of the machine.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::view::{Mount, SandboxView};

/// A directory that every machine has: what lies in it is not needed by its path afterwards.
const BASE: &str = "/tmp";
/// While the view is made, the machine's root and the new one, below [`BASE`].
const OLD: &str = "/old";
const NEW: &str = "/new";
/// Devices that hold nothing of the machine.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
/// proc(5): what root could change, or read about the whole machine, through its own `/proc`.
const KERNEL: [&str; 14] = [
    "acpi",
    "bus",
    "fs",
    "irq",
    "scsi",
    "sys",
    "sysrq-trigger",
    "kcore",
    "keys",
    "key-users",
    "kmsg",
    "sched_debug",
    "timer_list",
    "latency_stats",
];

/// What went wrong at which path.
fn at<E: Into<io::Error>>(what: &str, path: &Path) -> impl FnOnce(E) -> io::Error {
    move |e| {
        let e: io::Error = e.into();
        io::Error::new(e.kind(), format!("cannot {what} `{}`: {e}", path.display()))
    }
}

/// Makes the view and enters it.
pub(super) fn make(view: &SandboxView) -> io::Result<()> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(at("make private", Path::new("/")))?;
    tmpfs(Path::new(BASE), 0o755)?;
    for dir in [OLD, NEW] {
        fs::create_dir(Path::new(BASE).join(&dir[1..]))?;
    }
    let old = Path::new(BASE).join(&OLD[1..]);
    rustix::process::pivot_root(BASE, &old).map_err(at("change the root to", Path::new(BASE)))?;
    std::env::set_current_dir("/")?;
    tmpfs(Path::new(NEW), 0o755)?;
    devices()?;
    let mut layers = Vec::new();
    for (number, mount) in view.mounts().iter().enumerate() {
        if one(number, mount)? == Shown::AsItIs {
            layers.push(number);
        }
    }
    read_only(view, &layers)?;
    proc()?;
    let new = Path::new(NEW);
    remount(new, MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV)?;
    rustix::mount::unmount(OLD, UnmountFlags::DETACH).map_err(at("take off", Path::new(OLD)))?;
    std::env::set_current_dir(new)?;
    rustix::process::pivot_root(".", ".").map_err(at("change the root to", new))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(at("take off", Path::new("/")))?;
    std::env::set_current_dir("/")
}

/// A path of the machine, while the view is made.
fn outside(path: &Path) -> PathBuf {
    below(OLD, path)
}

/// A path of the view, while it is made.
fn inside(path: &Path) -> PathBuf {
    below(NEW, path)
}

fn below(root: &str, path: &Path) -> PathBuf {
    Path::new(root).join(path.strip_prefix("/").unwrap_or(path))
}

/// How a mount was made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// As it says.
    AsAsked,
    /// A directory that should have got a writable layer, and has none: it must not be written.
    AsItIs,
}

fn one(number: usize, mount: &Mount) -> io::Result<Shown> {
    let made = match mount {
        Mount::Read { from, to } | Mount::Write { from, to } => bind(&outside(from), &inside(to)),
        Mount::Empty { at: path, mode } => {
            directory(&inside(path))?;
            tmpfs(&inside(path), *mode)
        }
        Mount::Hidden { path } => hide(&inside(path)),
        Mount::Link { path, to } => {
            let link = inside(path);
            directory(link.parent().unwrap_or(Path::new(NEW)))?;
            match std::os::unix::fs::symlink(to, &link) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                done => done.map_err(at("make the link", path)),
            }
        }
        Mount::Overlay { lower, upper, to, must } => {
            directory(&inside(to))?;
            let disk = overlay(number, &outside(lower), &outside(upper), &inside(to));
            if *must || disk.is_ok() {
                return disk.map(|()| Shown::AsAsked).map_err(at("lay a writable layer over", lower));
            }
            // The file system of `upper` may be one that cannot be a layer, as a container's often is.
            let memory = PathBuf::from(format!("/layer-{number}"));
            directory(&memory)?;
            if overlay(number, &outside(lower), &memory, &inside(to)).is_ok() {
                return Ok(Shown::AsAsked);
            }
            return bind(&outside(lower), &inside(to)).map(|()| Shown::AsItIs);
        }
    };
    made.map(|()| Shown::AsAsked)
}

/// Lays an overlay; its parts are bound to plain names first, since some characters mean something in its options.
fn overlay(number: usize, lower: &Path, upper: &Path, to: &Path) -> io::Result<()> {
    let parts = [PathBuf::from(format!("/lower-{number}")), PathBuf::from(format!("/upper-{number}"))];
    bind(lower, &parts[0])?;
    bind(upper, &parts[1])?;
    for dir in ["upper", "work"] {
        directory(&parts[1].join(dir))?;
    }
    let options =
        format!("userxattr,lowerdir=/lower-{number},upperdir=/upper-{number}/upper,workdir=/upper-{number}/work");
    let options = CString::new(options)?;
    Ok(rustix::mount::mount("overlay", to, "overlay", MountFlags::NOSUID | MountFlags::NODEV, options.as_c_str())?)
}

fn directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(at("make the directory", path))
}

fn tmpfs(path: &Path, mode: u32) -> io::Result<()> {
    let options = CString::new(format!("mode={mode:o}"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("tmpfs", path, "tmpfs", flags, options.as_c_str())
        .map_err(at("mount an empty directory on", path))
}

/// Binds a directory with all that is mounted below it, or a file.
fn bind(from: &Path, to: &Path) -> io::Result<()> {
    let kind = fs::metadata(from).map_err(at("find", from))?;
    match kind.is_dir() {
        true => directory(to)?,
        false if to.exists() => {}
        false => {
            directory(to.parent().unwrap_or(Path::new(NEW)))?;
            fs::File::create(to).map_err(at("make the file", to))?;
        }
    }
    rustix::mount::mount_bind_recursive(from, to).map_err(at("show", from))
}

/// Puts nothing in the place of a directory or file.
fn hide(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => tmpfs(path, 0o500),
        Ok(_) => rustix::mount::mount_bind(outside(Path::new("/dev/null")), path).map_err(at("hide", path)),
        // Nothing is there.
        Err(_) => Ok(()),
    }
}

fn devices() -> io::Result<()> {
    let dev = Path::new(NEW).join("dev");
    directory(&dev)?;
    for name in DEVICES {
        bind(&outside(&Path::new("/dev").join(name)), &dev.join(name))?;
    }
    for (name, to) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        std::os::unix::fs::symlink(to, dev.join(name))?;
    }
    directory(&dev.join("shm"))?;
    tmpfs(&dev.join("shm"), 0o1777)?;
    directory(&dev.join("pts"))?;
    // Terminals of its own, where the system lets it have them.
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    if rustix::mount::mount("devpts", dev.join("pts"), "devpts", flags, c"newinstance,ptmxmode=0666,mode=620").is_ok() {
        std::os::unix::fs::symlink("pts/ptmx", dev.join("ptmx"))?;
    }
    Ok(())
}

/// The processes of the namespace; what concerns the whole machine is there for nobody but root, and taken from root.
fn proc() -> io::Result<()> {
    let proc = Path::new(NEW).join("proc");
    directory(&proc)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", &proc, "proc", flags, None).map_err(at("mount", Path::new("/proc")))?;
    if !rustix::process::getuid().is_root() {
        return Ok(());
    }
    for path in KERNEL.iter().map(|name| proc.join(name)) {
        match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => {
                rustix::mount::mount_bind(&path, &path).map_err(at("keep", &path))?;
                remount(&path, flags | MountFlags::RDONLY)?;
            }
            Ok(_) => hide(&path)?,
            Err(_) => {}
        }
    }
    Ok(())
}

fn remount(path: &Path, flags: MountFlags) -> io::Result<()> {
    rustix::mount::mount_remount(path, MountFlags::BIND | flags, c"").map_err(at("make read-only", path))
}

/// Makes everything read-only that the view only shows, with what is mounted below it, and the mounts of these numbers.
fn read_only(view: &SandboxView, more: &[usize]) -> io::Result<()> {
    let shown: Vec<(PathBuf, bool)> = view
        .mounts()
        .iter()
        .enumerate()
        .filter_map(|(number, mount)| match mount {
            Mount::Read { to, .. } => Some((inside(to), true)),
            Mount::Overlay { to, .. } if more.contains(&number) => Some((inside(to), true)),
            Mount::Hidden { path } => Some((inside(path), true)),
            Mount::Write { to, .. } | Mount::Overlay { to, .. } | Mount::Empty { at: to, .. } => {
                Some((inside(to), false))
            }
            Mount::Link { .. } => None,
        })
        .collect();
    for (path, flags) in mounted(&fs::read_to_string(outside(Path::new("/proc/self/mountinfo")))?) {
        // The innermost one decides, and of two on one place the later one.
        let decides = shown.iter().filter(|(to, _)| path.starts_with(to)).max_by_key(|(to, _)| to.components().count());
        if decides.is_some_and(|(_, read)| *read)
            && !flags.contains(MountFlags::RDONLY)
            && path.symlink_metadata().is_ok()
        {
            remount(&path, flags | MountFlags::RDONLY | MountFlags::NOSUID)?;
        }
    }
    Ok(())
}

/// The places and flags in the text of `/proc/self/mountinfo`.
fn mounted(text: &str) -> Vec<(PathBuf, MountFlags)> {
    let flag = |name: &str| match name {
        "ro" => MountFlags::RDONLY,
        "nosuid" => MountFlags::NOSUID,
        "nodev" => MountFlags::NODEV,
        "noexec" => MountFlags::NOEXEC,
        _ => MountFlags::empty(),
    };
    let line = |line: &str| {
        let mut fields = line.split(' ').skip(4);
        let path = PathBuf::from(std::ffi::OsString::from_vec(unescaped(fields.next()?)));
        Some((path, fields.next()?.split(',').map(flag).fold(MountFlags::empty(), |a, b| a | b)))
    };
    text.lines().filter_map(line).collect()
}

/// Undoes `\040` and the like.
fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = (*first == b'\\').then(|| tail.get(..3)).flatten();
        let code = code.and_then(|c| u8::from_str_radix(std::str::from_utf8(c).ok()?, 8).ok());
        out.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[3..] } else { tail };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_flags_are_read() {
        let text = "36 35 98:0 /mnt1 /new/a\\040b rw,noatime,nosuid master:1 - ext3 /dev/root rw\n\
            37 35 98:0 / /new/c ro,nodev - tmpfs x rw\n";
        let read = [
            (PathBuf::from("/new/a b"), MountFlags::NOSUID),
            (PathBuf::from("/new/c"), MountFlags::RDONLY | MountFlags::NODEV),
        ];
        assert_eq!(mounted(text), read);
    }
}
