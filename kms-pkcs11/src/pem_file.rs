//! Certificates as PEM files beside a token that holds none (AWS `CloudHSM`): `HEX-OF-THE-IDENTIFIER.crt`.

use std::fs::{self, File};
use std::io::{ErrorKind as IoKind, Read, Write};
use std::path::{Path, PathBuf};

use der::Document;
use der::pem::LineEnding;
use kms_core::certificate::CertificateParts;
use kms_core::{Error, ErrorKind, Result};

use crate::error::invalid;
use crate::options::percent;

/// Longest file that is read, in octets.
const LIMIT: u64 = 1024 * 1024;

const LABEL: &str = "CERTIFICATE";
const END: &str = "-----END CERTIFICATE-----";

/// Writes a chain where there is none; the file appears whole or not at all, with mode 0644.
pub(crate) fn create(directory: &Path, id: &[u8], chain: &[Vec<u8>]) -> Result<()> {
    let path = path(directory, id)?;
    let encode = |certificate: &Vec<u8>| Document::try_from(&certificate[..])?.to_pem(LABEL, LineEnding::LF);
    let text: der::Result<String> = chain.iter().map(encode).collect();
    let text = text.map_err(|fault| invalid("cannot write certificates as PEM").with_source(fault))?;
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".certificate-").tempfile_in(directory)?;
        file.write_all(text.as_bytes())?;
        #[cfg(unix)]
        file.as_file().set_permissions(<fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644))?;
        file.as_file().sync_all()?;
        file.persist_noclobber(&path).map_err(|fault| fault.error)?;
        Ok(())
    };
    write().map_err(|fault| failed("write", &path, fault))
}

/// Reads the chain of a key.
pub(crate) fn read(directory: &Path, id: &[u8]) -> Result<Vec<Vec<u8>>> {
    let path = path(directory, id)?;
    let mut text = String::new();
    let file = File::open(&path).map_err(|fault| failed("read", &path, fault))?;
    file.take(LIMIT).read_to_string(&mut text).map_err(|fault| failed("read", &path, fault))?;
    let mut chain = Vec::new();
    for block in text.split_inclusive(END).map(str::trim).filter(|block| !block.is_empty()) {
        let damaged = || invalid(format!("{} is not a PEM file of certificates", path.display()));
        let (label, document) = Document::from_pem(block).map_err(|fault| damaged().with_source(fault))?;
        if label != LABEL || CertificateParts::from_der(document.as_bytes()).is_err() {
            return Err(damaged());
        }
        chain.push(document.as_bytes().to_vec());
    }
    if chain.is_empty() { Err(invalid(format!("{} is empty", path.display()))) } else { Ok(chain) }
}

/// Deletes the file of a key, once it is known to be one of certificates.
pub(crate) fn delete(directory: &Path, id: &[u8]) -> Result<()> {
    read(directory, id)?;
    let path = path(directory, id)?;
    fs::remove_file(&path).map_err(|fault| failed("delete", &path, fault))
}

fn path(directory: &Path, id: &[u8]) -> Result<PathBuf> {
    if id.is_empty() || id.len() > 100 {
        let context = "a key without `id`, or with a long one, has no place in a directory of certificates";
        return Err(Error::new(ErrorKind::Unsupported, context).with_hint("give the key an `id`"));
    }
    Ok(directory.join(format!("{}.crt", percent(id).replace('%', "").to_lowercase())))
}

fn failed(attempt: &str, path: &Path, fault: std::io::Error) -> Error {
    let kind = match fault.kind() {
        IoKind::NotFound => ErrorKind::NotFound,
        IoKind::AlreadyExists => ErrorKind::AlreadyExists,
        IoKind::PermissionDenied | IoKind::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
        IoKind::InvalidData => ErrorKind::InvalidArgument,
        _ => ErrorKind::Other,
    };
    Error::new(kind, format!("cannot {attempt} {}", path.display())).with_source(fault)
}
