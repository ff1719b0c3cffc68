//! Files: read only when they are what they should be, written whole or not at all, never over another.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::Path;

use kms_core::{Deadline, Error, ErrorKind, Result};
use tempfile::Builder;
use zeroize::Zeroizing;

use crate::error;

#[cfg(target_os = "linux")]
mod unnamed;
#[cfg(not(target_os = "linux"))]
mod unnamed {
    //! Files without a name are a speciality of Linux.

    pub(super) fn open(_: &std::path::Path, _: super::Access) -> Option<std::fs::File> {
        None
    }

    pub(super) fn name(_: &std::fs::File, _: &std::path::Path) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

/// Who else may read a file that is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The owner only: mode 0600.
    Owner,
    /// Everybody: mode 0644, less the umask.
    Everybody,
}

/// Reads a file that holds a secret: a regular one, of at most `limit` octets, that nobody but its owner may touch.
pub(crate) fn read_private(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>> {
    let (file, metadata) = open(path)?;
    // Of the file that is open, not of the path, which may mean another by now.
    check_owner_only(path, &metadata)?;
    read_all(path, file, &metadata, limit)
}

/// Reads a regular file of at most `limit` octets.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>> {
    let (file, metadata) = open(path)?;
    read_all(path, file, &metadata, limit)
}

/// Makes a file with that content: whole and on the disk, or not at all. One that exists stays as it is.
///
/// Nothing is made once the deadline has passed, since its caller no longer waits.
pub(crate) fn create(path: &Path, content: &[u8], access: Access, deadline: Deadline) -> Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    check_absent(path)?;
    let failed = |fault| error::write(path, fault);
    let in_time =
        || if deadline.has_passed() { Err(Deadline::error("write file").in_context(path.display())) } else { Ok(()) };
    if let Some(mut file) = unnamed::open(directory, access) {
        // Without a name there is nothing to clean up, even after a crash in the middle.
        file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
        in_time()?;
        unnamed::name(&file, path).map_err(failed)?;
    } else {
        // Removes itself when it is dropped before it has its name.
        let mut file = draft(access).tempfile_in(directory).map_err(failed)?;
        file.write_all(content).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        in_time()?;
        file.persist_noclobber(path).map_err(|fault| failed(fault.error))?;
    }
    sync_directory(directory).map_err(|fault| {
        // It is ours, and whether it would survive a crash is unknown.
        let removed = fs::remove_file(path);
        tracing::debug!(?removed, "took back a file that could not be synchronised");
        failed(fault)
    })
}

/// Whether there is nothing of that name, not even a link that leads nowhere.
pub(crate) fn check_absent(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(fault) => Err(error::write(path, fault)),
        Ok(_) => Err(error::exists(path.display())),
    }
}

/// Deletes a file.
pub(crate) fn delete(path: &Path) -> Result<()> {
    fs::remove_file(path).map_err(|fault| error::file("delete", path, fault))
}

fn open(path: &Path) -> Result<(File, Metadata)> {
    let failed = |fault| error::file("read", path, fault);
    // Before it is opened: a pipe would wait for its writer.
    check_regular(path, &fs::metadata(path).map_err(failed)?)?;
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    check_regular(path, &metadata)?;
    Ok((file, metadata))
}

fn check_regular(path: &Path, metadata: &Metadata) -> Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let path = path.display();
    let error = if metadata.is_dir() {
        error::invalid(format!("{path} is a directory, not a file"))
            .with_hint(format!("for a key in it write `softkms:name=NAME;dir={path}`"))
    } else {
        error::invalid(format!("{path} is a pipe, socket or device, not a regular file"))
            .with_hint("it was not opened; copy its content into a file of mode 0600")
    };
    Err(error)
}

fn read_all(path: &Path, file: File, metadata: &Metadata, limit: usize) -> Result<Zeroizing<Vec<u8>>> {
    let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    // One octet more than the file has: a buffer that grows leaves copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(length.min(limit) + 1));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut content).map_err(|fault| error::file("read", path, fault))?;
    if content.len() > limit {
        let context = format!("{} is longer than {} KiB", path.display(), limit / 1024);
        return Err(error::invalid(context).with_hint("no file of this kind is that long; check the path"));
    }
    Ok(content)
}

#[cfg(unix)]
fn check_owner_only(path: &Path, metadata: &Metadata) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    const OTHERS: u32 = 0o077;

    let mode = metadata.permissions().mode() & 0o777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(Error::new(ErrorKind::PermissionDenied, format!("{path} is open to others than its owner (mode {mode:04o})"))
        .with_hint(format!("close it: chmod 600 {path}")))
}

#[cfg(not(unix))]
fn check_owner_only(_: &Path, _: &Metadata) -> Result<()> {
    Ok(())
}

#[cfg(unix)]
fn draft(access: Access) -> Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt;

    let mode = match access {
        Access::Owner => 0o600,
        Access::Everybody => 0o644,
    };
    let mut builder = Builder::new();
    builder.prefix(".kms-").suffix(".tmp").permissions(fs::Permissions::from_mode(mode));
    builder
}

#[cfg(not(unix))]
fn draft(_: Access) -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(".kms-").suffix(".tmp");
    builder
}

/// Makes a new name in a directory last.
fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}
