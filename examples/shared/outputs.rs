//! Files that are written all or not at all, and never over others.

#![allow(dead_code, reason = "shared: each example uses its own part")]

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kmskit::{Error, ErrorKind, Result};
use tempfile::NamedTempFile;

/// A directory to write into, and the files that wait to be named. Dropped without [`commit`](Self::commit) it leaves
/// nothing behind, not even a directory that it made, if that is still empty.
#[derive(Debug)]
pub(crate) struct Outputs {
    directory: PathBuf,
    /// Directories made here, innermost first.
    made: Vec<PathBuf>,
    waiting: Vec<(NamedTempFile, PathBuf)>,
}

impl Outputs {
    /// Makes the directory if need be, and tries it out: what cannot be written to shows here, before any key is made.
    pub(crate) fn new(directory: &Path) -> Result<Self> {
        let missing = |path: &&Path| !path.as_os_str().is_empty() && path.symlink_metadata().is_err();
        let made = directory.ancestors().take_while(missing).map(Path::to_owned).collect();
        let outputs = Self { directory: directory.to_owned(), made, waiting: Vec::new() };
        fs::create_dir_all(directory)
            .and_then(|()| NamedTempFile::new_in(directory))
            .map_err(|error| cannot_write(directory, error))?;
        Ok(outputs)
    }

    /// The path of a file in the directory.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.join(name)
    }

    /// Writes a file under a name of its own; it appears as `name` with [`commit`](Self::commit). A name with
    /// directories in it leads out of the directory, into one that must be there.
    pub(crate) fn add(&mut self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Result<()> {
        let path = self.path(name);
        // A file can be given its name within one file system only.
        let beside = path.parent().unwrap_or(&self.directory);
        let file = write_unnamed(beside, content.as_ref()).map_err(|error| cannot_write(&path, error))?;
        self.waiting.push((file, path));
        Ok(())
    }

    /// Gives the files their names, all of them or none. One that exists already is left alone and ends it.
    pub(crate) fn commit(mut self) -> Result<()> {
        self.made.clear();
        let mut named = Vec::new();
        for (file, path) in self.waiting.drain(..) {
            if let Err(error) = file.persist_noclobber(&path) {
                // Ours, made a moment ago.
                for path in &named {
                    drop(fs::remove_file(path));
                }
                return Err(cannot_write(&path, error.error));
            }
            named.push(path);
        }
        Ok(())
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        self.waiting.clear();
        // Fails, as it should, where something has come to lie in it.
        for directory in &self.made {
            drop(fs::remove_dir(directory));
        }
    }
}

/// Writes to one new file, or to stdout where there is none.
pub(crate) fn write_new(path: Option<&Path>, content: &[u8]) -> Result<()> {
    let Some(path) = path else {
        let mut stdout = io::stdout().lock();
        return stdout.write_all(content).and_then(|()| stdout.flush()).map_err(|error| cannot_write("stdout", error));
    };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    check_absent(path)?;
    let file = write_unnamed(directory, content).map_err(|error| cannot_write(path, error))?;
    file.persist_noclobber(path).map(drop).map_err(|error| cannot_write(path, error.error))
}

/// Whether there is nothing of that name: to be asked before work that would be in vain.
pub(crate) fn check_absent(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(_) => Err(cannot_write(path, io::ErrorKind::AlreadyExists.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot_write(path, error)),
    }
}

/// Readable by everybody: certificates, requests and public keys are no secret.
fn write_unnamed(directory: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(content)?;
    #[cfg(unix)]
    file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn cannot_write(path: impl AsRef<Path>, error: io::Error) -> Error {
    let path = path.as_ref().display();
    let (kind, hint) = match error.kind() {
        io::ErrorKind::AlreadyExists => (ErrorKind::AlreadyExists, "it was left as it is; choose another name"),
        io::ErrorKind::NotFound => (ErrorKind::NotFound, "make its directory first"),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            (ErrorKind::PermissionDenied, "choose a directory you may write to")
        }
        io::ErrorKind::NotADirectory => (ErrorKind::InvalidArgument, "a part of the path is a file"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            (ErrorKind::Other, "the disk or quota is full; nothing was left behind")
        }
        _ => (ErrorKind::Other, "see the cause"),
    };
    Error::new(kind, format!("cannot write {path}")).with_hint(hint).with_source(error)
}
