//! The public key to be signed, and for whom.

use std::path::{Path, PathBuf};

use kmskit::adapters::ssh::ssh_key::PublicKey;
use kmskit::{Error, ErrorKind, Result};

use crate::text_file;

/// Reads the one public key of a file: plain, no certificate, and strong enough.
pub(crate) fn read(path: &Path) -> Result<PublicKey> {
    let text = text_file::read(path)?;
    let shown = path.display();
    if text.contains("PRIVATE KEY-----") {
        return Err(bad(format!("{shown} is a private key")).with_hint("give the public key, from the file with .pub"));
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(bad(format!("{shown} does not hold one public key"))
            .with_hint("expected one line: `ssh-ed25519 AAAA… comment`"));
    };
    if line.split(' ').next().is_some_and(|name| name.contains("-cert-v01@")) {
        return Err(bad(format!("{shown} is a certificate already")).with_hint("give the public key it was made for"));
    }
    let key = PublicKey::from_openssh(line).map_err(|error| {
        bad(format!("{shown} holds no public key of OpenSSH"))
            .with_hint("expected one line: `ssh-ed25519 AAAA… comment`")
            .with_source(error)
    })?;
    let data = key.key_data();
    let weak = data.is_dsa() || data.rsa().is_some_and(|rsa| rsa.key_size() < 2048);
    if weak || data.is_other() || data.is_certificate() {
        return Err(bad(format!("{shown}: a key of type {} that is too weak or unknown", data.algorithm()))
            .with_hint("use Ed25519, ECDSA, or RSA of 2048 bits or more"));
    }
    Ok(key)
}

/// Where `ssh-keygen` writes it: `id.pub` becomes `id-cert.pub`.
pub(crate) fn certificate_path(public_key: &Path) -> PathBuf {
    let is_pub = public_key.extension().is_some_and(|extension| extension == "pub");
    let stem = if is_pub { public_key.file_stem() } else { public_key.file_name() };
    let mut name = stem.unwrap_or_default().to_owned();
    name.push("-cert.pub");
    public_key.with_file_name(name)
}

/// A name of a user or host, without what would make it another in a list.
pub(crate) fn check_principal(name: &str) -> Result<()> {
    if name.is_empty() || name.chars().any(|c| c == ',' || c.is_whitespace() || c.is_control()) {
        return Err(bad(format!("`{name}` is not the name of one user or host"))
            .with_hint("give --principal once for each name"));
    }
    Ok(())
}

fn bad(context: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}
