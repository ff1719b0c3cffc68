//! Between our names and those of AWS KMS: the only table.

use aws_sdk_kms::types::{AlgorithmSpec, EncryptionAlgorithmSpec, KeySpec, SigningAlgorithmSpec};
use kms_core::{DecryptionAlgorithm, Error, ErrorKind, KeyType, Result, SignatureAlgorithm};

/// Key types AWS KMS makes, with its names for them.
const KEY_SPECS: [(KeyType, KeySpec); 11] = [
    (KeyType::EcP256, KeySpec::EccNistP256),
    (KeyType::EcP384, KeySpec::EccNistP384),
    (KeyType::EcP521, KeySpec::EccNistP521),
    (KeyType::EcSecp256k1, KeySpec::EccSecgP256K1),
    (KeyType::Rsa { bits: 2048 }, KeySpec::Rsa2048),
    (KeyType::Rsa { bits: 3072 }, KeySpec::Rsa3072),
    (KeyType::Rsa { bits: 4096 }, KeySpec::Rsa4096),
    (KeyType::Ed25519, KeySpec::EccNistEdwards25519),
    (KeyType::MlDsa44, KeySpec::MlDsa44),
    (KeyType::MlDsa65, KeySpec::MlDsa65),
    (KeyType::MlDsa87, KeySpec::MlDsa87),
];

/// Their name for a key type.
///
/// # Errors
/// `Unsupported` for a type they do not make.
pub(crate) fn key_spec(key_type: KeyType) -> Result<KeySpec> {
    KEY_SPECS.iter().find(|row| row.0 == key_type).map(|row| row.1.clone()).ok_or_else(|| {
        let known: Vec<_> = KEY_SPECS.iter().map(|row| row.0.to_string()).collect();
        Error::new(ErrorKind::Unsupported, format!("AWS KMS makes no key of type {key_type}"))
            .with_hint(format!("known: {}", known.join(", ")))
    })
}

/// Whether that is one of their names for a key type that can sign or decrypt.
pub(crate) fn is_key_spec(name: &str) -> bool {
    KEY_SPECS.iter().any(|row| row.1.as_str() == name)
}

/// Their name for a signature algorithm.
///
/// # Errors
/// `Unsupported` for one they do not offer.
pub(crate) fn signing_algorithm(algorithm: SignatureAlgorithm) -> Result<SigningAlgorithmSpec> {
    use SignatureAlgorithm as Ours;
    use SigningAlgorithmSpec as Theirs;
    Ok(match algorithm {
        Ours::EcdsaSha256 => Theirs::EcdsaSha256,
        Ours::EcdsaSha384 => Theirs::EcdsaSha384,
        Ours::EcdsaSha512 => Theirs::EcdsaSha512,
        Ours::RsaPkcs1Sha256 => Theirs::RsassaPkcs1V15Sha256,
        Ours::RsaPkcs1Sha384 => Theirs::RsassaPkcs1V15Sha384,
        Ours::RsaPkcs1Sha512 => Theirs::RsassaPkcs1V15Sha512,
        Ours::RsaPssSha256 => Theirs::RsassaPssSha256,
        Ours::RsaPssSha384 => Theirs::RsassaPssSha384,
        Ours::RsaPssSha512 => Theirs::RsassaPssSha512,
        Ours::Ed25519 => Theirs::Ed25519Sha512,
        Ours::MlDsa44 | Ours::MlDsa65 | Ours::MlDsa87 => Theirs::MlDsaShake256,
        other => return Err(Error::new(ErrorKind::Unsupported, format!("AWS KMS does not sign with {other}"))),
    })
}

/// Their name for a way to decrypt.
///
/// # Errors
/// `Unsupported` for one they do not offer.
pub(crate) fn encryption_algorithm(algorithm: DecryptionAlgorithm) -> Result<EncryptionAlgorithmSpec> {
    match algorithm {
        DecryptionAlgorithm::RsaOaepSha1 => Ok(EncryptionAlgorithmSpec::RsaesOaepSha1),
        DecryptionAlgorithm::RsaOaepSha256 => Ok(EncryptionAlgorithmSpec::RsaesOaepSha256),
        other => Err(Error::new(ErrorKind::Unsupported, format!("AWS KMS does not decrypt with {other:?}"))
            .with_hint("it knows RSA-OAEP with SHA-1 and SHA-256")),
    }
}

/// How the private key is wrapped on its way to AWS KMS: RSA keys are too long for OAEP alone, and the combination with
/// AES is not offered everywhere.
pub(crate) fn wrapping_algorithm(key_type: KeyType) -> AlgorithmSpec {
    match key_type {
        KeyType::Rsa { .. } => AlgorithmSpec::RsaAesKeyWrapSha256,
        _ => AlgorithmSpec::RsaesOaepSha256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_and_algorithm_has_a_name() {
        for key_type in KeyType::CREATABLE {
            assert!(is_key_spec(key_spec(key_type).unwrap().as_str()));
            for algorithm in key_type.algorithms() {
                assert!(signing_algorithm(*algorithm).is_ok(), "{algorithm}");
            }
        }
        for bits in [0, 1024, 2047, 8192] {
            assert_eq!(key_spec(KeyType::Rsa { bits }).unwrap_err().kind(), ErrorKind::Unsupported);
        }
        assert!(!is_key_spec("SYMMETRIC_DEFAULT") && !is_key_spec(""));
    }

    #[test]
    fn names_are_those_of_the_service() {
        for (algorithm, name) in [
            (SignatureAlgorithm::RsaPkcs1Sha256, "RSASSA_PKCS1_V1_5_SHA_256"),
            (SignatureAlgorithm::RsaPssSha512, "RSASSA_PSS_SHA_512"),
            (SignatureAlgorithm::Ed25519, "ED25519_SHA_512"),
            (SignatureAlgorithm::MlDsa65, "ML_DSA_SHAKE_256"),
        ] {
            assert_eq!(signing_algorithm(algorithm).unwrap().as_str(), name);
        }
    }
}
