//! Files of text, and the mistake of a key URI in their place, and of a file in a URI's.

#![allow(dead_code, reason = "shared: each example uses its own part")]

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use kmskit::{Error, ErrorKind, KeyUri, Result};

const LIMIT: u64 = 1024 * 1024;

/// The schemes that nobody would call a file by.
const SCHEMES: [&str; 13] = [
    "softkms",
    "pkcs11",
    "aws",
    "awskms",
    "cloudkms",
    "gcpkms",
    "azurekms",
    "hashivault",
    "yubikey",
    "sshagentkms",
    "tpmkms",
    "capi",
    "mackms",
];

/// Whether the text is meant as a key URI. Says nothing of whether it is a good one.
pub(crate) fn is_key_uri(text: &str) -> bool {
    scheme(text).is_some()
}

/// The scheme of a key URI, in lower case.
pub(crate) fn scheme(text: &str) -> Option<String> {
    let scheme = text.split_once(':')?.0.to_ascii_lowercase();
    SCHEMES.contains(&&*scheme).then_some(scheme)
}

/// The path, unless a key URI was given where a file is meant. `option` names the place; the URI may hold a PIN and is
/// not repeated.
pub(crate) fn path<'a>(option: &str, text: &'a OsStr) -> Result<&'a Path> {
    if is_key_uri(&text.to_string_lossy()) {
        return Err(bad(format!("{option}: a key URI, where the path of a file is meant"))
            .with_hint("for a file of such a name write `./` before it"));
    }
    Ok(Path::new(text))
}

/// The URI, unless a file was given where a key is meant. `option` names the place.
pub(crate) fn key_uri(option: &str, text: &str) -> Result<KeyUri> {
    KeyUri::parse(text).map_err(|error| Error::from(error).in_context(option))
}

/// Reads a file of text.
pub(crate) fn read(path: &Path) -> Result<String> {
    let mut octets = Vec::new();
    let cannot_read = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            _ => ErrorKind::Other,
        };
        Error::new(kind, format!("cannot read {}", path.display())).with_source(error)
    };
    File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut octets)).map_err(cannot_read)?;
    if octets.len() as u64 > LIMIT {
        return Err(bad(format!("{} is longer than {} KiB", path.display(), LIMIT / 1024)));
    }
    String::from_utf8(octets).map_err(|_| bad(format!("{} is not text in UTF-8", path.display())))
}

fn bad(context: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}
