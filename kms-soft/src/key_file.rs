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
const OPENSSH: &str = "OPENSSH PRIVATE KEY";

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
    parse(&content).map_err(|error| error::with_remedy(error).in_context(path.display()))
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

/// Deletes a file after a look whether it is one private key and nothing else, encrypted or not, of whatever mode.
///
/// # Errors
/// `NotFound`; `Ambiguous` for more than one key, `InvalidArgument` for a link, another file, or one that holds more
/// than the key. It stays then.
pub(crate) fn delete(path: &Path) -> Result<()> {
    let content = file::read(path, LIMIT).map_err(|error| directory::with_similar(error, path))?;
    let what = path.display();
    if path.is_symlink() {
        // To remove it would leave the key where it is.
        return Err(error::invalid(format!("{what} is a link and was not deleted"))
            .with_hint("give the path of the key file that it leads to"));
    }
    check_deletable(&content).map_err(|error| error.in_context(format_args!("{what} was not deleted")))?;
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
        other => Err(error::unsupported(format!("a PEM block {other}")).with_hint(if other == OPENSSH {
            "convert a copy of it: ssh-keygen -p -m PKCS8 -f COPY"
        } else {
            "convert it: openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW"
        })),
    }
}

fn parse_der(der: &[u8]) -> Result<KeyFile> {
    if encryption::is_encrypted(der) {
        return EncryptedKey::from_der(der).map(KeyFile::Encrypted);
    }
    let read = KeyPair::from_pkcs8(der);
    if read.is_err() && PrivateKeyInfoRef::from_der(der).is_err() {
        // What OpenSSL writes in DER is not always PKCS #8.
        let other = KeyPair::from_sec1(der).or_else(|_| KeyPair::from_pkcs1(der));
        return other.or(read).map(KeyFile::Plain);
    }
    read.map(KeyFile::Plain)
}

fn unencodable(fault: der::Error) -> Error {
    error::undecodable("a private key", fault)
}

/// Also kinds that are not read, such as OpenSSH's: that they are private keys decides whether they may be deleted.
fn is_private(block: &Block<'_>) -> bool {
    block.label.ends_with("PRIVATE KEY")
}

fn check_deletable(content: &[u8]) -> Result<()> {
    let no_key = || error::invalid("it is not a private key").with_hint("check the path, or remove the file by hand");
    let blocks = match str::from_utf8(content) {
        Ok(text) => pem::blocks(text).map_err(|_| no_key())?,
        Err(_) => Vec::new(),
    };
    // Beside a key these two say nothing that the key does not.
    let is_extra = |label: &str| label == "EC PARAMETERS" || label.ends_with("PUBLIC KEY");
    let other = blocks.iter().find(|block| !is_private(block) && !is_extra(block.label));
    match (blocks.iter().filter(|block| is_private(block)).count(), other) {
        (1, None) => Ok(()),
        (1, Some(other)) => Err(error::invalid(format!("it holds a {} too", other.label))
            .with_hint("move that into a file of its own first")),
        (2.., _) => Err(Error::new(ErrorKind::Ambiguous, "it holds more than one private key")
            .with_hint("put each in a file of its own")),
        (0, _) => {
            let is_key = PrivateKeyInfoRef::from_der(content).is_ok() || parse_der(content).is_ok();
            if is_key { Ok(()) } else { Err(no_key()) }
        }
    }
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
