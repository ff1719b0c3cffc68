//! Between the names of AWS and ours.

use kms_core::{DecryptionAlgorithm, KeyType, SignatureAlgorithm};

use crate::material::{Material, Unfit};

use super::answer::{Answer, Refusal, invalid};

/// The type of an asymmetric key of that spec.
pub(crate) fn key_type(spec: &str) -> Option<KeyType> {
    Some(match spec {
        "RSA_2048" => KeyType::Rsa { bits: 2048 },
        "RSA_3072" => KeyType::Rsa { bits: 3072 },
        "RSA_4096" => KeyType::Rsa { bits: 4096 },
        "ECC_NIST_P256" => KeyType::EcP256,
        "ECC_NIST_P384" => KeyType::EcP384,
        "ECC_NIST_P521" => KeyType::EcP521,
        "ECC_SECG_P256K1" => KeyType::EcSecp256k1,
        "ECC_NIST_EDWARDS25519" => KeyType::Ed25519,
        "ML_DSA_44" => KeyType::MlDsa44,
        "ML_DSA_65" => KeyType::MlDsa65,
        "ML_DSA_87" => KeyType::MlDsa87,
        _ => return None,
    })
}

/// What such a key does under that name of an algorithm.
pub(crate) fn signing(spec: &str, algorithm: &str) -> Answer<SignatureAlgorithm> {
    let key_type = key_type(spec);
    match (algorithm, key_type) {
        ("ML_DSA_SHAKE_256" | "ED25519_SHA_512", Some(key_type)) => Ok(key_type.default_algorithm()),
        _ => algorithm.parse().or_else(|_| misfit(algorithm)),
    }
}

pub(crate) fn decryption(algorithm: &str) -> Answer<DecryptionAlgorithm> {
    match algorithm {
        "RSAES_OAEP_SHA_1" => Ok(DecryptionAlgorithm::RsaOaepSha1),
        "RSAES_OAEP_SHA_256" => Ok(DecryptionAlgorithm::RsaOaepSha256),
        _ => misfit(algorithm),
    }
}

/// A new key of that spec.
pub(crate) fn generate(spec: &str) -> Answer<Material> {
    Ok(key_type(spec).map_or(Ok(Material::Opaque), Material::generate)?)
}

impl From<Unfit> for Refusal {
    fn from(unfit: Unfit) -> Self {
        let (status, code, message) = match unfit {
            Unfit::Misfit => (400, "ValidationException", "the algorithm does not go with the key or the message type"),
            Unfit::Length => (400, "ValidationException", "Digest is invalid length for the algorithm."),
            Unfit::TooLong => (400, "ValidationException", "Plaintext is too long for this algorithm"),
            Unfit::Broken(what) => (500, "KMSInternalException", what),
        };
        Self { status, code, message: message.into() }
    }
}

fn misfit<T>(algorithm: &str) -> Answer<T> {
    invalid(format!("{algorithm} does not go with the key or the message type"))
}
