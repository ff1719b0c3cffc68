//! Files in and out: stdin where none is named, and nothing overwritten unless told so.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use kmskit::{Error, ErrorKind};
use tempfile::NamedTempFile;

use crate::context::{print_bytes, tell};
use crate::failure::Outcome;

/// Where output goes.
#[derive(clap::Args)]
pub(crate) struct Target {
    /// Write to FILE, which must not exist, instead of stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Replace FILE if it exists
    #[arg(long, requires = "out")]
    force: bool,
}

impl Target {
    /// Writes all or nothing. A `private` file is readable by its owner only.
    pub(crate) fn write(&self, octets: &[u8], private: bool) -> Outcome {
        let Some(path) = &self.out else { return print_bytes(octets) };
        Ok(write(path, octets, self.force, private)?)
    }
}

/// Opens `path` for reading, or stdin for none and for `-`.
pub(crate) fn open(path: Option<&Path>) -> Result<Box<dyn Read>, Error> {
    match path {
        Some(path) if path != Path::new("-") => {
            File::open(path).map(|file| Box::new(file) as Box<dyn Read>).map_err(|error| cannot("read", path, error))
        }
        _ => {
            if io::stdin().is_terminal() {
                tell("reading from the terminal; end with Ctrl-D");
            }
            Ok(Box::new(io::stdin().lock()))
        }
    }
}

/// Reads all of `path`, or of stdin for none and for `-`.
pub(crate) fn read(path: Option<&Path>) -> Result<Vec<u8>, Error> {
    let mut octets = Vec::new();
    let name = path.unwrap_or(Path::new("-"));
    open(path)?.read_to_end(&mut octets).map_err(|error| cannot("read", name, error))?;
    Ok(octets)
}

/// The error for a file that cannot be used.
pub(crate) fn cannot(what: &str, path: &Path, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
        io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        _ => ErrorKind::Other,
    };
    let name = if path == Path::new("-") { "stdin".into() } else { path.display().to_string() };
    Error::new(kind, format!("cannot {what} {name}")).with_source(error)
}

fn write(path: &Path, octets: &[u8], force: bool, private: bool) -> Result<(), Error> {
    let failed = |error| cannot("write", path, error);
    // A device or pipe is written to; to rename over it would destroy it.
    if force && path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut file| file.write_all(octets))
            .map_err(failed);
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = temporary(directory, private).map_err(failed)?;
    file.write_all(octets).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    let kept = if force { file.persist(path) } else { file.persist_noclobber(path) };
    kept.map(|_| ()).map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => {
            failed(error.error).with_hint("name another file, or add --force to replace this one")
        }
        _ => failed(error.error),
    })
}

#[cfg(unix)]
fn temporary(directory: &Path, private: bool) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;

    let mode = if private { 0o600 } else { 0o666 };
    tempfile::Builder::new().permissions(fs::Permissions::from_mode(mode)).tempfile_in(directory)
}

#[cfg(not(unix))]
fn temporary(directory: &Path, _private: bool) -> io::Result<NamedTempFile> {
    NamedTempFile::new_in(directory)
}
