//! What is in a key file: PKCS #8, SEC 1 or PKCS #1; PEM or DER; encrypted or not.

use std::path::Path;

use der::Decode;
use der::pem::LineEnding;
use kms_core::{Deadline, Error, ErrorKind, Result, Secret};
use pkcs8::{PrivateKeyInfoRef, SecretDocument};

use crate::encryption::{self, EncryptedKey};
use crate::file::{self, Access};
use crate::key_pair::KeyPair;
use crate::pem::{self, Block};
use crate::{directory, error};

/// Longest key file, in octets: twenty times an RSA key of 8192 bits.
const LIMIT: usize = 64 * 1024;

const PKCS8: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
const SEC1: &str = "EC PRIVATE KEY";
const PKCS1: &str = "RSA PRIVATE KEY";

/// The content of a key file.
#[derive(Debug)]
pub(crate) enum KeyFile {
    /// A key, parsed and checked.
    Plain(KeyPair),
    /// A key that needs its password.
    Encrypted(EncryptedKey),
}

/// Reads a key file. All buffers on the way are wiped.
///
/// # Errors
/// They name the file: `NotFound`, with the keys that are there; `PermissionDenied` when it cannot be read or is open to
/// others than its owner; `InvalidArgument` when it is no private key; `Unsupported`.
pub(crate) fn read(path: &Path) -> Result<KeyFile> {
    let content = file::read_private(path, LIMIT).map_err(|error| directory::with_similar(error, path))?;
    parse(&content).map_err(|error| error.in_context(path.display()))
}

/// Makes a key file of mode 0600, never over another.
///
/// # Errors
/// `AlreadyExists`, `PermissionDenied`, `NotFound` for the directory; nothing is left then.
pub(crate) fn create(path: &Path, pkcs8: &Secret, password: Option<&Secret>, deadline: Deadline) -> Result<()> {
    let (document, label) = match password {
        Some(password) => (encryption::encrypt(pkcs8, password), ENCRYPTED),
        None => (SecretDocument::try_from(pkcs8.expose()).map_err(unencodable), PKCS8),
    };
    let text = document?.to_pem(label, LineEnding::LF).map_err(unencodable)?;
    file::create(path, text.as_bytes(), Access::Owner, deadline)
}

/// Deletes a file after a look whether it is a private key, encrypted or not, of whatever mode.
///
/// # Errors
/// `NotFound`; `InvalidArgument` for another file, which stays.
pub(crate) fn delete(path: &Path) -> Result<()> {
    let content = file::read(path, LIMIT).map_err(|error| directory::with_similar(error, path))?;
    if !holds_private_key(&content) {
        return Err(error::invalid(format!("{} is not a private key and was not deleted", path.display())));
    }
    file::delete(path)
}

fn parse(content: &[u8]) -> Result<KeyFile> {
    if content.first() == Some(&0x30) {
        return parse_der(content);
    }
    let text = str::from_utf8(content).map_err(|_| error::invalid("neither PEM nor DER"))?;
    let blocks = pem::blocks(text)?;
    let mut keys = blocks.iter().filter(|block| is_private(block));
    match (keys.next(), keys.next()) {
        (Some(key), None) => parse_block(key),
        (Some(_), Some(_)) => Err(Error::new(ErrorKind::Ambiguous, "more than one private key in the file")
            .with_hint("put each in a file of its own")),
        (None, _) => Err(no_private_key(&blocks)),
    }
}

fn parse_block(block: &Block<'_>) -> Result<KeyFile> {
    if block.has_headers() {
        return Err(error::unsupported("encrypted in the way OpenSSL did before PKCS #8 (`Proc-Type: 4,ENCRYPTED`)")
            .with_hint("convert it: openssl pkcs8 -topk8 -in OLD -out NEW"));
    }
    let der = block.decode()?;
    match block.label {
        PKCS8 => KeyPair::from_pkcs8(der.expose()).map(KeyFile::Plain),
        ENCRYPTED => EncryptedKey::from_der(der.expose()).map(KeyFile::Encrypted),
        SEC1 => KeyPair::from_sec1(der.expose()).map(KeyFile::Plain),
        PKCS1 => KeyPair::from_pkcs1(der.expose()).map(KeyFile::Plain),
        other => Err(error::unsupported(format!("a PEM block {other}"))
            .with_hint("convert it: openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW")),
    }
}

fn parse_der(der: &[u8]) -> Result<KeyFile> {
    if encryption::is_encrypted(der) {
        return EncryptedKey::from_der(der).map(KeyFile::Encrypted);
    }
    KeyPair::from_pkcs8(der).map(KeyFile::Plain)
}

fn unencodable(fault: der::Error) -> Error {
    error::undecodable("a private key", fault)
}

/// Also kinds that are not read, such as OpenSSH's: that they are private keys decides whether they may be deleted.
fn is_private(block: &Block<'_>) -> bool {
    block.label.ends_with("PRIVATE KEY")
}

fn holds_private_key(content: &[u8]) -> bool {
    let in_pem = |text| pem::blocks(text).is_ok_and(|blocks| blocks.iter().any(is_private));
    str::from_utf8(content).is_ok_and(in_pem)
        || PrivateKeyInfoRef::from_der(content).is_ok()
        || encryption::is_encrypted(content)
}

fn no_private_key(blocks: &[Block<'_>]) -> Error {
    const HINT: &str = "give the file of the private key";
    match blocks.first() {
        None => error::invalid("neither PEM nor DER"),
        Some(block) if block.label.ends_with("PUBLIC KEY") => {
            error::invalid("a public key, where the private key is needed").with_hint(HINT)
        }
        Some(block) => error::invalid(format!("a {}, where the private key is needed", block.label)).with_hint(HINT),
    }
}
