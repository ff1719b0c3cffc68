//! Files that have no name until they are whole: a process that is killed in the middle leaves nothing behind.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open as open_at};

use super::Access;

/// A new file in the directory, without a name; `None` where the file system or the system cannot (no `O_TMPFILE`, no
/// `/proc` to name it through), or anything else is wrong, which the other way will then tell.
pub(super) fn open(directory: &Path, access: Access) -> Option<File> {
    let mode = match access {
        Access::Owner => 0o600,
        Access::Everybody => 0o644,
    };
    let file =
        open_at(directory, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::from_raw_mode(mode)).ok()?;
    let file = File::from(file);
    proc_path(&file).exists().then_some(file)
}

/// Gives it its name, if nothing has that name.
pub(super) fn name(file: &File, path: &Path) -> io::Result<()> {
    Ok(linkat(CWD, proc_path(file), CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

fn proc_path(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}
