//! Files in and out: stdin where none is named, and nothing overwritten unless told so.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use kmskit::{Error, ErrorKind};
use tempfile::NamedTempFile;

use crate::context::{print_bytes, tell};
use crate::failure::Outcome;

/// Stands for stdin where a file is named.
pub(crate) const STDIN: &str = "-";

/// Far beyond any honest key, signature or chain, in octets.
const SHORT: u64 = 1024 * 1024;

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
        Some(path) if path != Path::new(STDIN) => {
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

/// Reads all of `path`, or of stdin for none and for `-`, whatever its size.
pub(crate) fn read(path: Option<&Path>) -> Result<Vec<u8>, Error> {
    let mut octets = Vec::new();
    let input = path.unwrap_or(STDIN.as_ref());
    open(path)?.read_to_end(&mut octets).map_err(|error| cannot("read", input, error))?;
    Ok(octets)
}

/// As [`read`], for what cannot be long: a key, a signature, certificates.
pub(crate) fn read_short(path: Option<&Path>) -> Result<Vec<u8>, Error> {
    let mut octets = Vec::new();
    let input = path.unwrap_or(STDIN.as_ref());
    open(path)?.take(SHORT + 1).read_to_end(&mut octets).map_err(|error| cannot("read", input, error))?;
    if octets.len() as u64 > SHORT {
        let context = format!("{} is longer than {} KiB", name(input), SHORT / 1024);
        return Err(Error::new(ErrorKind::InvalidArgument, context).with_hint("check which file is given"));
    }
    Ok(octets)
}

/// The error for a file that cannot be used.
pub(crate) fn cannot(what: &str, path: &Path, error: io::Error) -> Error {
    let (kind, hint) = match error.kind() {
        io::ErrorKind::NotFound => (ErrorKind::NotFound, "check the path; directories are not made"),
        io::ErrorKind::AlreadyExists => (ErrorKind::AlreadyExists, "name another file"),
        io::ErrorKind::PermissionDenied => (ErrorKind::PermissionDenied, "this user may not; check owner and mode"),
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => (ErrorKind::InvalidArgument, "name a file"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            (ErrorKind::Other, "the disk or quota is full; make room and try again")
        }
        _ => (ErrorKind::Other, "the cause tells more"),
    };
    Error::new(kind, format!("cannot {what} {}", name(path))).with_hint(hint).with_source(error)
}

fn name(path: &Path) -> String {
    if path == Path::new(STDIN) { "stdin".to_owned() } else { path.display().to_string() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_not_read_to_it() {
        let error = read_short(Some(Path::new("/dev/zero"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let file = NamedTempFile::new().unwrap();
        fs::write(file.path(), vec![0; 1024 * 1024]).unwrap();
        assert_eq!(read_short(Some(file.path())).unwrap().len(), 1024 * 1024);
    }

    #[test]
    fn a_file_that_cannot_be_used_gets_a_remedy() {
        for (path, kind) in [("/nonexistent", ErrorKind::NotFound), ("/", ErrorKind::InvalidArgument)] {
            let error = read(Some(Path::new(path))).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.hint().is_some(), "{error}");
        }
    }
}
