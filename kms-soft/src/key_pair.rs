//! A key pair over aws-lc-rs: parsed and checked once, then signing in place.

use std::fmt;

use aws_lc_rs::digest::Digest as NativeDigest;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{self, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, PqdsaKeyPair};
use kms_core::{
    DecryptionAlgorithm, Digest, Error, KeyType, PublicKey, Result, Secret, SignInput, Signature, SignatureAlgorithm,
};
use zeroize::Zeroizing;

use crate::{algorithm, error};

mod encoding;

/// A private key with its public key. `Debug` shows the public one only.
pub(crate) struct KeyPair {
    native: Native,
    public_key: PublicKey,
}

enum Native {
    Ecdsa(EcdsaKeyPair),
    Rsa(rsa::KeyPair),
    Ed25519(Ed25519KeyPair),
    MlDsa(PqdsaKeyPair),
}

impl KeyPair {
    /// Generates one. RSA takes from a tenth of a second to some seconds, the others next to no time.
    ///
    /// # Errors
    /// `Unsupported` for a type that is not made here.
    pub(crate) fn generate(key_type: KeyType) -> Result<Self> {
        let cannot = || {
            let known: Vec<_> = KeyType::CREATABLE.iter().map(ToString::to_string).collect();
            error::unsupported(format!("cannot make a key of type {key_type}"))
                .with_hint(format!("known: {}", known.join(", ")))
        };
        let native = if let Some(curve) = algorithm::ecdsa(key_type) {
            EcdsaKeyPair::generate(curve).map(Native::Ecdsa)
        } else if let Some(parameters) = algorithm::ml_dsa(key_type) {
            PqdsaKeyPair::generate(parameters).map(Native::MlDsa)
        } else {
            match key_type {
                KeyType::Ed25519 => Ed25519KeyPair::generate().map(Native::Ed25519),
                KeyType::Rsa { bits } => {
                    rsa::KeyPair::generate(algorithm::rsa_size(bits).ok_or_else(cannot)?).map(Native::Rsa)
                }
                _ => return Err(cannot()),
            }
        };
        Self::new(native.map_err(|fault| error::failed("key generation", fault))?)
    }

    /// The public key.
    pub(crate) fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Signs in place, in microseconds to milliseconds.
    ///
    /// # Errors
    /// `Unsupported` when algorithm and input do not go with the key.
    pub(crate) fn sign(&self, algorithm: SignatureAlgorithm, input: SignInput<'_>) -> Result<Signature> {
        let octets = match (&self.native, input) {
            (Native::Ecdsa(key), SignInput::Digest(digest)) => {
                key.sign_digest(&native_digest(digest)?).map_err(signing)?.as_ref().to_vec()
            }
            (Native::Rsa(key), SignInput::Digest(digest)) => {
                let encoding = algorithm::rsa_encoding(algorithm).ok_or_else(|| misfit(algorithm))?;
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign_digest(encoding, &native_digest(digest)?, &mut signature).map_err(signing)?;
                signature
            }
            (Native::Ed25519(key), SignInput::Message(message)) => {
                key.try_sign(message).map_err(signing)?.as_ref().to_vec()
            }
            (Native::MlDsa(key), SignInput::Message(message)) => {
                let mut signature = vec![0; key.algorithm().signature_len()];
                let length = key.sign(message, &mut signature).map_err(signing)?;
                signature.truncate(length);
                signature
            }
            _ => return Err(misfit(algorithm)),
        };
        Ok(Signature::from_x509(algorithm, octets))
    }

    /// Decrypts one block with RSAES-OAEP. Checks the key again, which takes about as long as a signature.
    ///
    /// # Errors
    /// `InvalidArgument` when it does not decrypt; `Unsupported` for another key or padding.
    pub(crate) fn decrypt(&self, algorithm: DecryptionAlgorithm, ciphertext: &[u8]) -> Result<Secret> {
        let Native::Rsa(key) = &self.native else {
            let key_type = self.public_key.key_type();
            return Err(
                error::unsupported(format!("a key of type {key_type} does not decrypt")).with_hint("use an RSA key")
            );
        };
        let oaep = algorithm::oaep(algorithm).ok_or_else(|| {
            error::unsupported("decryption with PKCS #1 v1.5 padding is not offered")
                .with_hint("whoever can tell a good block from a bad one can decrypt; use rsa-oaep-sha256")
        })?;
        let undecrypted = || error::invalid("the block does not decrypt with this key and algorithm");
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(key).map_err(decrypting)?;
        let key = PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).map_err(|fault| error::rejected("RSA", fault))?;
        let key = OaepPrivateDecryptingKey::new(key).map_err(decrypting)?;
        if ciphertext.len() != key.key_size_bytes() {
            return Err(undecrypted());
        }
        let mut buffer = Zeroizing::new(vec![0; key.min_output_size()]);
        let length = key.decrypt(oaep, ciphertext, &mut buffer, None).map_err(|_| undecrypted())?.len();
        buffer.truncate(length);
        Ok(Secret::new(std::mem::take(&mut *buffer)))
    }

    fn new(native: Native) -> Result<Self> {
        let spki = match &native {
            Native::Ecdsa(key) => AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key()),
            Native::Rsa(key) => key.public_key().as_der(),
            Native::Ed25519(key) => key.public_key().as_der(),
            Native::MlDsa(key) => key.public_key().as_der(),
        };
        let spki = spki.map_err(|fault| error::failed("encoding the public key", fault))?;
        Ok(Self { public_key: PublicKey::from_spki_der(spki.as_ref())?, native })
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("public_key", &self.public_key).finish_non_exhaustive()
    }
}

fn native_digest(digest: &Digest) -> Result<NativeDigest> {
    let hash = algorithm::hash(digest.algorithm()).ok_or_else(|| error::unsupported("unknown hash"))?;
    NativeDigest::import_less_safe(digest.as_bytes(), hash).map_err(signing)
}

fn misfit(algorithm: SignatureAlgorithm) -> Error {
    error::unsupported(format!("this key does not sign with {algorithm}"))
}

fn signing(fault: Unspecified) -> Error {
    error::failed("signing", fault)
}

fn decrypting(fault: Unspecified) -> Error {
    error::failed("decryption", fault)
}

#[cfg(test)]
mod tests {
    use kms_core::ErrorKind;

    use super::*;

    #[test]
    fn every_type_survives_pkcs8_and_signs_with_each_of_its_algorithms() {
        for key_type in KeyType::CREATABLE {
            let made = KeyPair::generate(key_type).unwrap();
            assert_eq!(made.public_key().key_type(), key_type);
            let key = KeyPair::from_pkcs8(made.to_pkcs8().unwrap().expose()).unwrap();
            assert_eq!(key.public_key(), made.public_key());
            for algorithm in key_type.algorithms() {
                let digest = algorithm.hash().map(|hash| hash.digest(b"message"));
                let input = digest.as_ref().map_or(SignInput::Message(b"message"), SignInput::Digest);
                let signature = key.sign(*algorithm, input).unwrap();
                key.public_key().verify(*algorithm, b"message", signature.as_bytes()).unwrap();
                let other = key.public_key().verify(*algorithm, b"another", signature.as_bytes()).unwrap_err();
                assert_eq!(other.kind(), ErrorKind::Integrity, "{key_type} {algorithm}");
            }
        }
    }

    #[test]
    fn the_private_key_is_not_printed() {
        let key = KeyPair::generate(KeyType::Ed25519).unwrap();
        assert_eq!(format!("{key:?}"), format!("KeyPair {{ public_key: {:?}, .. }}", key.public_key()));
    }
}
