//! OpenSSH's text form of a public key.

use kmskit::{Error, ErrorKind, KeyType, PublicKey, Result};
use ssh_key::public::{EcdsaPublicKey, Ed25519PublicKey, KeyData, RsaPublicKey};

/// One line as in `authorized_keys`, with a line feed (RFC 4253 section 6.6, RFC 5656, RFC 8709).
pub(crate) fn authorized_key(key: &PublicKey, comment: &str) -> Result<String> {
    let data = match key.key_type() {
        KeyType::EcP256 | KeyType::EcP384 | KeyType::EcP521 => {
            EcdsaPublicKey::from_sec1_bytes(key.raw()).map(KeyData::Ecdsa).map_err(cannot_encode)?
        }
        KeyType::Ed25519 => Ed25519PublicKey::try_from(key.raw()).map(KeyData::Ed25519).map_err(cannot_encode)?,
        KeyType::Rsa { .. } => KeyData::Rsa(rsa(key.raw())?),
        other => return Err(unknown(other)),
    };
    let line = ssh_key::PublicKey::new(data, comment).to_openssh().map_err(cannot_encode)?;
    Ok(line + "\n")
}

/// Whether OpenSSH has keys of that type: asked before one is made.
pub(crate) fn check(key_type: KeyType) -> Result<()> {
    match key_type {
        KeyType::EcP256 | KeyType::EcP384 | KeyType::EcP521 | KeyType::Ed25519 | KeyType::Rsa { .. } => Ok(()),
        other => Err(unknown(other)),
    }
}

fn rsa(der: &[u8]) -> Result<RsaPublicKey> {
    #[derive(der::Sequence)]
    struct Components<'a> {
        modulus: der::asn1::UintRef<'a>,
        exponent: der::asn1::UintRef<'a>,
    }
    let components: Components<'_> = der::Decode::from_der(der).map_err(cannot_encode)?;
    let mpint = |integer: der::asn1::UintRef<'_>| ssh_key::Mpint::from_positive_bytes(integer.as_bytes());
    RsaPublicKey::new(mpint(components.exponent), mpint(components.modulus)).map_err(cannot_encode)
}

fn unknown(key_type: KeyType) -> Error {
    Error::new(ErrorKind::Unsupported, format!("OpenSSH knows no keys of type {key_type}"))
        .with_hint("choose another --ssh-type: ec-p256, ec-p384, ec-p521, ed25519, rsa-3072")
}

fn cannot_encode(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::InvalidArgument, "cannot write the key in OpenSSH's form").with_source(error)
}
