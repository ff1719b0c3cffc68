//! Encrypted PKCS #8 (RFC 5958 section 3) with PBES2 (RFC 8018 section 6.2).

use aws_lc_rs::rand;
use der::asn1::{OctetString, OctetStringRef};
use der::{Decode, Encode, SecretDocument, Sequence};
use kms_core::{Result, Secret};
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{Kdf, Parameters};
use pkcs8::{
    AlgorithmIdentifierRef, EncryptedPrivateKeyInfo, EncryptedPrivateKeyInfoOwned, ObjectIdentifier, PrivateKeyInfoRef,
};
use zeroize::Zeroizing;

use crate::error;

/// Rounds of PBKDF2-HMAC-SHA-256 for new files: the least that OWASP's Password Storage Cheat Sheet asks for. A quarter
/// of a second or so, once for each time a key is opened.
const ROUNDS: u32 = 600_000;

/// Most rounds of PBKDF2 carried out for a file from outside: some seconds.
const MAX_ROUNDS: u32 = 10_000_000;

/// Most memory that scrypt is given for a file from outside, in octets.
const MAX_MEMORY: u64 = 256 * 1024 * 1024;

/// An encrypted key, read but not decrypted.
#[derive(Debug, PartialEq)]
pub(crate) struct EncryptedKey(EncryptedPrivateKeyInfoOwned);

impl EncryptedKey {
    /// Reads a DER `EncryptedPrivateKeyInfo`.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self> {
        EncryptedPrivateKeyInfo::from_der(der).map(Self).map_err(|fault| {
            if is_encrypted(der) {
                error::unknown_encryption(fault)
            } else {
                error::undecodable("an encrypted private key", fault)
            }
        })
    }

    /// Decrypts it to DER PKCS #8. As slow as whoever encrypted it wanted.
    ///
    /// # Errors
    /// `Unauthenticated` for a wrong password, `Unsupported` for what is not PBES2 with PBKDF2 or scrypt and AES.
    pub(crate) fn decrypt(&self, password: &Secret) -> Result<Secret> {
        let EncryptionScheme::Pbes2(parameters) = &self.0.encryption_algorithm else {
            return Err(error::undecryptable(pkcs8::pkcs5::Error::NoPbes1CryptSupport));
        };
        check_cost(&parameters.kdf)?;
        let mut buffer = Zeroizing::new(self.0.encrypted_data.as_bytes().to_vec());
        let length = parameters.decrypt_in_place(password.expose(), &mut buffer).map_err(error::undecryptable)?.len();
        buffer.truncate(length);
        PrivateKeyInfoRef::from_der(&buffer).map_err(|_| error::wrong_password())?;
        Ok(Secret::new(std::mem::take(&mut *buffer)))
    }
}

/// Whether it is a DER `EncryptedPrivateKeyInfo`, with whatever password-based algorithm of PKCS #5 or #12. Other things
/// have the same shape: a `DigestInfo`.
pub(crate) fn is_encrypted(der: &[u8]) -> bool {
    const PKCS5: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5");
    const PKCS12_PBE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1");

    Shape::from_der(der).is_ok_and(|shape| {
        let algorithm = shape.algorithm.oid;
        algorithm.starts_with(PKCS5) || algorithm.starts_with(PKCS12_PBE)
    })
}

#[derive(Sequence)]
struct Shape<'a> {
    algorithm: AlgorithmIdentifierRef<'a>,
    #[allow(dead_code, reason = "only its form counts")]
    data: &'a OctetStringRef,
}

/// Encrypts DER PKCS #8 with a fresh salt, PBKDF2-HMAC-SHA-256 and AES-256-CBC: what OpenSSL reads since 1.1.0.
pub(crate) fn encrypt(pkcs8: &Secret, password: &Secret) -> Result<SecretDocument> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    let fill = |octets: &mut [u8]| rand::fill(octets).map_err(|fault| error::failed("drawing random octets", fault));
    fill(&mut salt)?;
    fill(&mut iv)?;
    let encrypt = || -> pkcs8::Result<SecretDocument> {
        let parameters = Parameters::generate_pbkdf2_sha256_aes256cbc(ROUNDS, &salt, iv)?;
        // Room for the padding: it is encrypted where it stands, so that no plain copy is left.
        let mut buffer = Zeroizing::new(vec![0; pkcs8.expose().len() + 16]);
        buffer[..pkcs8.expose().len()].copy_from_slice(pkcs8.expose());
        let encrypted = parameters.encrypt_in_place(password.expose(), &mut buffer, pkcs8.expose().len())?;
        let info = EncryptedPrivateKeyInfo {
            encryption_algorithm: EncryptionScheme::Pbes2(parameters.clone()),
            encrypted_data: OctetString::new(encrypted)?,
        };
        Ok(SecretDocument::try_from(info.to_der()?)?)
    };
    encrypt().map_err(error::unencryptable)
}

/// A file from outside may ask for any amount of work and memory.
fn check_cost(kdf: &Kdf) -> Result<()> {
    let affordable = match kdf {
        Kdf::Pbkdf2(parameters) => (1..=MAX_ROUNDS).contains(&parameters.iteration_count),
        Kdf::Scrypt(parameters) => {
            let block = u64::from(parameters.block_size).max(1) * 128;
            let lanes = u64::from(parameters.parallelization).max(1);
            let memory = parameters.cost_parameter.saturating_mul(block);
            // The lanes take time one after the other and not memory; the bound on both is the same.
            parameters.cost_parameter >= 2 && memory.saturating_mul(lanes) <= MAX_MEMORY
        }
        _ => true,
    };
    if affordable {
        return Ok(());
    }
    Err(error::unsupported("encrypted so that decrypting would take too long or too much memory")
        .with_hint("re-encrypt: openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use kms_core::{ErrorKind, KeyType};
    use pkcs8::pkcs5::pbes2::{EncryptionScheme as Cipher, Pbkdf2Params, ScryptParams};

    use super::*;
    use crate::key_pair::KeyPair;

    #[test]
    fn only_the_right_password_decrypts() {
        let key = KeyPair::generate(KeyType::Ed25519).unwrap().to_pkcs8().unwrap();
        let document = encrypt(&key, &Secret::new("canary")).unwrap();
        let encrypted = EncryptedKey::from_der(document.as_bytes()).unwrap();
        assert_eq!(encrypted.decrypt(&Secret::new("canary")).unwrap(), key);
        for wrong in ["Canary", "canary ", ""] {
            assert_eq!(encrypted.decrypt(&Secret::new(wrong)).unwrap_err().kind(), ErrorKind::Unauthenticated);
        }
    }

    #[test]
    fn a_digest_is_not_taken_for_an_encrypted_key() {
        // DigestInfo (RFC 8017 section 9.2) with SHA-256.
        let algorithm = [0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00];
        let digest = [&[0x30, 0x31][..], &algorithm, &[0x04, 0x20], &[0x5a; 32]].concat();
        assert!(Shape::from_der(&digest).is_ok() && !is_encrypted(&digest));
        let key = KeyPair::generate(KeyType::Ed25519).unwrap().to_pkcs8().unwrap();
        assert!(is_encrypted(encrypt(&key, &Secret::new("canary")).unwrap().as_bytes()));
        assert!(!is_encrypted(key.expose()));
    }

    #[test]
    fn a_file_cannot_ask_for_endless_work() {
        let scrypt = |cost_parameter, block_size, parallelization| {
            let salt = [0; 8][..].try_into().unwrap();
            Kdf::Scrypt(ScryptParams { salt, cost_parameter, block_size, parallelization, key_length: None })
        };
        let start = Instant::now();
        for kdf in [
            Kdf::Pbkdf2(Pbkdf2Params::hmac_sha256(MAX_ROUNDS + 1, &[0; 8]).unwrap()),
            Kdf::Pbkdf2(Pbkdf2Params::hmac_sha256(0, &[0; 8]).unwrap()),
            scrypt(0, 8, 1),
            scrypt(1, 8, 1),
            scrypt(1 << 20, 8, 1),
            scrypt(1 << 14, u16::MAX, 1),
            scrypt(1 << 14, 8, u16::MAX),
        ] {
            let encryption_algorithm =
                EncryptionScheme::Pbes2(Parameters { kdf, encryption: Cipher::Aes256Cbc { iv: [0; 16] } });
            let encrypted_data = OctetString::new([0; 16]).unwrap();
            let key = EncryptedKey(EncryptedPrivateKeyInfo { encryption_algorithm, encrypted_data });
            assert_eq!(key.decrypt(&Secret::new("canary")).unwrap_err().kind(), ErrorKind::Unsupported);
        }
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}
