//! A directory of key files: `NAME.key`, and `NAME.crt` beside it.

use std::fs;
use std::io;
use std::path::Path;

use kms_core::{Error, ErrorKind, Result};

use crate::error;

const SUFFIX: &str = ".key";

/// Longest name of a key, in octets: with its suffix it fits every file system.
const MAX_NAME: usize = 128;

/// Most names in a hint.
const MAX_HINT: usize = 8;

/// Whether a key in a directory may have that name: letters, digits, `.`, `_` and `-`, no `.` in front.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"._-".contains(&octet))
}

/// The names of the key files in a directory, sorted; none in one that is still to be made.
pub(crate) fn names(directory: &Path) -> Result<Vec<String>> {
    let failed = |fault| error::file("list", directory, fault);
    let entries = match fs::read_dir(directory) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let file = entry.map_err(failed)?.file_name();
        let name = file.to_str().and_then(|file| file.strip_suffix(SUFFIX));
        names.extend(name.filter(|name| is_name(name)).map(ToOwned::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

/// Makes the directory with mode 0700 if it is missing, and says whether it was; what it lies in must be there.
pub(crate) fn make(directory: &Path) -> Result<bool> {
    match builder().create(directory) {
        // Made a moment ago by another, or a link to one, it is as good.
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(false),
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {
            Err(error::invalid(format!("{} is not a directory", directory.display())))
        }
        made => made.map(|()| true).map_err(|fault| error::write(directory, fault)),
    }
}

/// Adds to "not found" which keys there are.
pub(crate) fn with_similar(error: Error, missing: &Path) -> Error {
    if error.kind() != ErrorKind::NotFound || error.hint().is_some() {
        return error;
    }
    let directory = missing.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match names(directory) {
        Ok(names) if !names.is_empty() => {
            let more = if names.len() > MAX_HINT { ", …" } else { "" };
            let shown: Vec<_> = names.iter().take(MAX_HINT).map(|name| format!("{name}{SUFFIX}")).collect();
            error.with_hint(format!("in {} there is: {}{more}", directory.display(), shown.join(", ")))
        }
        _ => error.with_hint("check the path, or create the key first"),
    }
}

#[cfg(unix)]
fn builder() -> fs::DirBuilder {
    use std::os::unix::fs::DirBuilderExt;

    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700);
    builder
}

#[cfg(not(unix))]
fn builder() -> fs::DirBuilder {
    fs::DirBuilder::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_the_directory() {
        let longest = "n".repeat(MAX_NAME);
        for good in ["root", "root.v2", "Root_CA-1", "a", "a..b", &longest] {
            assert!(is_name(good), "{good}");
        }
        let too_long = "n".repeat(MAX_NAME + 1);
        for bad in ["", ".", "..", ".root", "a/b", "../root", "a\\b", "a b", "a\0", "wurzel-ä", "a:b", &too_long] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
