//! What shows whether a file was written since it was last read.

use std::time::{Duration, SystemTime};

use super::Tree;
use crate::effects::{Area, DirEntry, PathKind};
use crate::error::{Context as _, Result};
use crate::model::Stat;

/// How long a file system may take to notice that time has passed: two writes within one tick of the kernel's clock (10 ms
/// at 100 Hz) show the same time.
const TICK: Duration = Duration::from_millis(20);

impl Tree {
    /// See [`crate::effects::Store::stat`]. The token is the file's device, number and time of change, which no program can
    /// set; a file that changed just now is looked at again a tick later, so that whoever writes it then is seen.
    pub(super) fn stat(&self, area: &Area, path: &str) -> Result<Option<Stat>> {
        let target = self.locate(area, path)?;
        let look = || self.disk.entry(&target).context(format!("cannot look at `{}`", target.display()));
        let Some(mut entry) = look()?.filter(|e| e.kind == PathKind::File) else { return Ok(None) };
        if is_young(&entry, SystemTime::now()) {
            std::thread::sleep(TICK);
            match look()?.filter(|e| e.kind == PathKind::File) {
                Some(again) => entry = again,
                None => return Ok(None),
            }
        }
        let ((device, inode), (seconds, nanoseconds)) = (entry.inode, entry.changed);
        Ok(Some(Stat { size: entry.size, token: format!("{device:x}.{inode:x}.{seconds:x}.{nanoseconds:x}") }))
    }
}

/// Whether a file changed within the last tick, or at a time that has not come by this machine's clock.
fn is_young(entry: &DirEntry, now: SystemTime) -> bool {
    let (seconds, nanoseconds) = entry.changed;
    let since = u64::try_from(seconds).ok().zip(u32::try_from(nanoseconds).ok()).map(|(s, n)| Duration::new(s, n));
    let changed = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    changed.is_none_or(|at| now.duration_since(at).map_or(true, |age| age < TICK))
}
