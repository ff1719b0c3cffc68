//! What AWS does for callers that need no service for it: verification and encryption.

use std::borrow::Cow;

use aws_lc_rs::rsa::{OaepPublicEncryptingKey, PublicEncryptingKey};
use kms_core::{DecryptionAlgorithm, SignatureAlgorithm};
use ml_dsa::{MlDsaParams, SigningKey};
use spki::DecodePublicKey as _;

use crate::judge;
use crate::material::{Done, Material, Message, Unfit, digest, oaep};

impl Material {
    /// Whether a signature is one; by the judge, which is another library than the one that signs.
    pub(crate) fn verify(&self, algorithm: SignatureAlgorithm, message: &Message<'_>, signature: &[u8]) -> Done<bool> {
        let spki = self.spki()?;
        match (self, message) {
            (Self::MlDsa44(key), Message::ExternalMu(mu)) => Ok(ml_dsa_verify(key, mu, signature)),
            (Self::MlDsa65(key), Message::ExternalMu(mu)) => Ok(ml_dsa_verify(key, mu, signature)),
            (Self::MlDsa87(key), Message::ExternalMu(mu)) => Ok(ml_dsa_verify(key, mu, signature)),
            (Self::MlDsa44(_), Message::Raw(message)) => {
                Ok(judge::verify(&spki, SignatureAlgorithm::MlDsa44, message, signature).is_ok())
            }
            (Self::MlDsa65(_), Message::Raw(message)) => {
                Ok(judge::verify(&spki, SignatureAlgorithm::MlDsa65, message, signature).is_ok())
            }
            (Self::MlDsa87(_), Message::Raw(message)) => {
                Ok(judge::verify(&spki, SignatureAlgorithm::MlDsa87, message, signature).is_ok())
            }
            (Self::Ed25519(_), Message::Raw(message)) => {
                Ok(judge::verify(&spki, SignatureAlgorithm::Ed25519, message, signature).is_ok())
            }
            (Self::Ecdsa(_) | Self::Rsa(_), Message::Raw(_) | Message::Digest(_)) => {
                let digest = digest(algorithm, message)?;
                let signature = low_s(&spki, signature);
                Ok(judge::verify_digest(&spki, algorithm, digest.as_ref(), &signature).is_ok())
            }
            _ => Err(Unfit::Misfit),
        }
    }

    /// Encrypts with RSAES-OAEP.
    pub(crate) fn encrypt(&self, algorithm: DecryptionAlgorithm, plaintext: &[u8]) -> Done<Vec<u8>> {
        let oaep = oaep(algorithm)?;
        let key = PublicEncryptingKey::from_der(&self.spki()?).ok();
        let Some(key) = key.and_then(|key| OaepPublicEncryptingKey::new(key).ok()) else { return Err(Unfit::Misfit) };
        let mut buffer = vec![0; key.ciphertext_size()];
        let length = key.encrypt(oaep, plaintext, &mut buffer, None).map(|block| block.len());
        length.map(|length| buffer[..length].to_vec()).map_err(|_| Unfit::TooLong)
    }
}

fn ml_dsa_verify<P: MlDsaParams>(key: &SigningKey<P>, mu: &[u8], signature: &[u8]) -> bool {
    let (Ok(mu), Ok(signature)) = (<[u8; 64]>::try_from(mu), ml_dsa::Signature::<P>::try_from(signature)) else {
        return false;
    };
    key.expanded_key().verifying_key().verify_mu(&mu.into(), &signature)
}

/// A signature by a secp256k1 key with the smaller s: the service signs and verifies with either, the judge knows one.
fn low_s<'a>(spki: &[u8], signature: &'a [u8]) -> Cow<'a, [u8]> {
    if k256::ecdsa::VerifyingKey::from_public_key_der(spki).is_err() {
        return signature.into();
    }
    match k256::ecdsa::Signature::from_der(signature) {
        Ok(parsed) => parsed.normalize_s().to_der().as_bytes().to_vec().into(),
        Err(_) => signature.into(),
    }
}
