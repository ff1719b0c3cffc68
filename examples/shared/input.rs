//! Files that others made: PEM or DER, of a sensible size.

#![allow(dead_code, reason = "shared: each example uses its own part")]

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use der::Document;
use kmskit::{Error, ErrorKind, Result};

/// Far beyond any honest certificate or request.
const LIMIT: u64 = 1024 * 1024;

/// The DER of a file that holds it as it is, or in the first PEM block with one of the labels. Text around the block is
/// passed over; certtool and `openssl -text` write some.
pub(crate) fn read(path: &Path, labels: &[&str]) -> Result<Vec<u8>> {
    let octets = octets(path)?;
    // A SEQUENCE; no PEM starts with this character.
    if octets.starts_with(b"0") {
        return Ok(octets);
    }
    let text = String::from_utf8_lossy(&octets);
    let block = labels.iter().find_map(|label| block(&text, label)).ok_or_else(|| {
        bad(format!("{} holds no {}", path.display(), labels[0])).with_hint("expected it in PEM, whole, or in DER")
    })?;
    let (_, document) = Document::from_pem(block)
        .map_err(|error| bad(format!("{}: the {} block is damaged", path.display(), labels[0])).with_source(error))?;
    Ok(document.as_bytes().to_vec())
}

/// The content of a file, which must be no longer than any honest certificate, request or signature.
pub(crate) fn octets(path: &Path) -> Result<Vec<u8>> {
    let mut octets = Vec::new();
    let file = File::open(path).map_err(|error| cannot_read(path, error))?;
    file.take(LIMIT + 1).read_to_end(&mut octets).map_err(|error| cannot_read(path, error))?;
    if octets.len() as u64 > LIMIT {
        return Err(bad(format!("{} is longer than {} KiB", path.display(), LIMIT / 1024)));
    }
    Ok(octets)
}

/// Opens a file of any size, to be read as a stream.
pub(crate) fn stream(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(|error| cannot_read(path, error))?;
    // Opens well enough, and fails only when it is read.
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(bad(format!("{} is a directory", path.display())));
    }
    Ok(file)
}

/// Every PEM block with that label, from BEGIN to END; one that has no end is left out.
pub(crate) fn blocks<'a>(mut text: &'a str, label: &str) -> Vec<&'a str> {
    let [begin, end] = ["BEGIN", "END"].map(|word| format!("-----{word} {label}-----"));
    let mut all = Vec::new();
    while let Some(start) = text.find(&begin) {
        let Some(length) = text[start..].find(&end) else { break };
        let (found, rest) = text[start..].split_at(length + end.len());
        all.push(found);
        text = rest;
    }
    all
}

/// From BEGIN to END.
fn block<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let end = format!("-----END {label}-----");
    let from_begin = &text[text.find(&format!("-----BEGIN {label}-----"))?..];
    Some(&from_begin[..from_begin.find(&end)? + end.len()])
}

pub(crate) fn cannot_read(path: &Path, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        _ => ErrorKind::Other,
    };
    Error::new(kind, format!("cannot read {}", path.display())).with_source(error)
}

fn bad(context: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}
