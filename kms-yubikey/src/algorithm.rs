//! The only table between our names and those of PIV: key types, and what a key is given to sign.

use kms_core::{Digest, HashAlgorithm, KeyType, PublicKey, Result, SignInput, SignatureAlgorithm};
use yubikey::piv::AlgorithmId;
use zeroize::Zeroizing;

use crate::error::{garbled, invalid, unsupported};
use crate::padding;
use crate::tlv;

/// The octet of a key type (SP 800-78-4 table 6-2, and Yubico's extensions).
pub(crate) fn native(key_type: KeyType) -> Option<u8> {
    Some(u8::from(match key_type {
        KeyType::EcP256 => AlgorithmId::EccP256,
        KeyType::EcP384 => AlgorithmId::EccP384,
        KeyType::Rsa { bits: 2048 } => AlgorithmId::Rsa2048,
        KeyType::Rsa { bits: 3072 } => AlgorithmId::Rsa3072,
        KeyType::Rsa { bits: 4096 } => AlgorithmId::Rsa4096,
        KeyType::Ed25519 => AlgorithmId::Ed25519,
        _ => return None,
    }))
}

/// The key type of an octet.
pub(crate) fn key_type(octet: u8) -> Result<KeyType> {
    Ok(match AlgorithmId::try_from(octet) {
        Ok(AlgorithmId::EccP256) => KeyType::EcP256,
        Ok(AlgorithmId::EccP384) => KeyType::EcP384,
        Ok(AlgorithmId::Rsa2048) => KeyType::Rsa { bits: 2048 },
        Ok(AlgorithmId::Rsa3072) => KeyType::Rsa { bits: 3072 },
        Ok(AlgorithmId::Rsa4096) => KeyType::Rsa { bits: 4096 },
        Ok(AlgorithmId::Ed25519) => KeyType::Ed25519,
        _ => return Err(unsupported(format!("a key of the card's type {octet:02X} cannot be used here"))),
    })
}

/// A public key as a card gives it: 86 a point, 81 and 82 modulus and exponent.
pub(crate) fn public_key(key_type: KeyType, octets: &[u8]) -> Result<PublicKey> {
    let part = |tag| tlv::find(octets, tag).ok_or_else(|| garbled("public key"));
    if !matches!(key_type, KeyType::Rsa { .. }) {
        return PublicKey::from_raw(key_type, part(0x86)?);
    }
    let integer = |octets| pkcs1::UintRef::new(octets).map_err(|_| garbled("public key"));
    let key = pkcs1::RsaPublicKey { modulus: integer(part(0x81)?)?, public_exponent: integer(part(0x82)?)? };
    let der = der::Encode::to_der(&key).map_err(|_| garbled("public key"))?;
    PublicKey::from_raw(key_type, &der)
}

/// Longest message for Ed25519, in octets: the card takes 3072 in one command, the template around it included.
const MAX_MESSAGE: usize = 3000;

/// What a key is given to sign: a digest for ECDSA, the message for Ed25519, a whole padded block for RSA.
///
/// # Errors
/// `Unsupported` for algorithms that no card has; `InvalidArgument` for a message that is too long for it.
pub(crate) fn challenge(algorithm: SignatureAlgorithm, key: &PublicKey, input: &SignInput<'_>) -> Result<Vec<u8>> {
    let digest = match (input, key.key_type()) {
        (SignInput::Message(message), KeyType::Ed25519) if message.len() <= MAX_MESSAGE => return Ok(message.to_vec()),
        (SignInput::Message(message), KeyType::Ed25519) => {
            let length = message.len();
            return Err(invalid(format!("a YubiKey signs at most {MAX_MESSAGE} octets with Ed25519, not {length}"))
                .with_hint("sign a digest of it, or use an ECDSA key"));
        }
        (SignInput::Digest(digest), KeyType::EcP256 | KeyType::EcP384) => return Ok(digest.as_bytes().to_vec()),
        (SignInput::Digest(digest), KeyType::Rsa { .. }) => *digest,
        _ => return Err(unsupported(format!("a YubiKey does not sign with {algorithm}"))),
    };
    let KeyType::Rsa { bits } = key.key_type() else { return Err(unsupported("not an RSA key")) };
    let block = if algorithm.is_pss() {
        padding::pss(digest.algorithm(), digest.as_bytes(), bits)
    } else {
        padding::pkcs1(&digest_info(digest), bits)
    };
    block.ok_or_else(|| invalid("the key is too short for the digest"))
}

/// The digest in the DER `DigestInfo` of RFC 8017 section 9.2.
fn digest_info(digest: &Digest) -> Vec<u8> {
    let (last, length) = match digest.algorithm() {
        HashAlgorithm::Sha384 => (2, 48),
        HashAlgorithm::Sha512 => (3, 64),
        _ => (1, 32),
    };
    // SEQUENCE { SEQUENCE { OBJECT IDENTIFIER 2.16.840.1.101.3.4.2.x, NULL }, OCTET STRING }
    let head =
        [0x30, length + 17, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, last, 0x05, 0];
    [&head[..], &[0x04, length], digest.as_bytes()].concat()
}

/// GENERAL AUTHENTICATE's template for a challenge (SP 800-73-4 part 2 section 3.2.4).
pub(crate) fn template(challenge: &[u8]) -> Zeroizing<Vec<u8>> {
    tlv::object(0x7c, &[&tlv::object(0x82, &[])[..], &tlv::object(0x81, challenge)].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_one_octet_each() {
        for (key_type, octet) in [
            (KeyType::EcP256, 0x11),
            (KeyType::EcP384, 0x14),
            (KeyType::Rsa { bits: 2048 }, 0x07),
            (KeyType::Rsa { bits: 3072 }, 0x05),
            (KeyType::Rsa { bits: 4096 }, 0x16),
            (KeyType::Ed25519, 0xe0),
        ] {
            assert_eq!((native(key_type), self::key_type(octet).ok()), (Some(octet), Some(key_type)));
        }
        assert!(native(KeyType::EcP521).is_none() && key_type(0x06).is_err() && key_type(0xe1).is_err());
    }

    #[test]
    fn digest_info_is_that_of_rfc_8017() {
        let info = digest_info(&HashAlgorithm::Sha256.digest(b""));
        assert_eq!((info[..4].to_vec(), info.len()), (vec![0x30, 0x31, 0x30, 0x0d], 51));
        assert_eq!(digest_info(&HashAlgorithm::Sha512.digest(b""))[1], 0x51);
    }
}
