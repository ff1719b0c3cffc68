//! Between our names and those of Cloud KMS, where a version has one algorithm: the only table.

use google_cloud_kms_v1::model::crypto_key_version::CryptoKeyVersionAlgorithm as Native;
use kms_core::{DecryptionAlgorithm, Error, ErrorKind, KeySpec, KeyType, KeyUsage, Result, SignatureAlgorithm};

/// How a version signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signing {
    pub(crate) key_type: KeyType,
    /// What it can, the default first. More than one only for raw PKCS #1, where the hash is ours to choose.
    pub(crate) algorithms: &'static [SignatureAlgorithm],
    pub(crate) input: Input,
}

/// What is sent to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The digest, in the field of its hash.
    Digest,
    /// `DigestInfo` (RFC 8017 section 9.2) as data: the service only pads.
    DigestInfo,
    /// The message as data.
    Data,
    /// The message representative of ML-DSA.
    ExternalMu,
}

/// How a version signs, if it does in a way that is known here.
pub(crate) fn signing(native: &Native) -> Option<Signing> {
    use Input::{Data, Digest, DigestInfo, ExternalMu};
    use SignatureAlgorithm as Alg;
    const RAW: &[SignatureAlgorithm] = &[Alg::RsaPkcs1Sha256, Alg::RsaPkcs1Sha384, Alg::RsaPkcs1Sha512];
    let rsa = |bits| KeyType::Rsa { bits };
    let (key_type, algorithms, input): (_, &'static [_], _) = match native {
        Native::EcSignP256Sha256 => (KeyType::EcP256, &[Alg::EcdsaSha256], Digest),
        Native::EcSignP384Sha384 => (KeyType::EcP384, &[Alg::EcdsaSha384], Digest),
        Native::EcSignSecp256K1Sha256 => (KeyType::EcSecp256k1, &[Alg::EcdsaSha256], Digest),
        Native::EcSignEd25519 => (KeyType::Ed25519, &[Alg::Ed25519], Data),
        Native::RsaSignPkcs12048Sha256 => (rsa(2048), &[Alg::RsaPkcs1Sha256], Digest),
        Native::RsaSignPkcs13072Sha256 => (rsa(3072), &[Alg::RsaPkcs1Sha256], Digest),
        Native::RsaSignPkcs14096Sha256 => (rsa(4096), &[Alg::RsaPkcs1Sha256], Digest),
        Native::RsaSignPkcs14096Sha512 => (rsa(4096), &[Alg::RsaPkcs1Sha512], Digest),
        Native::RsaSignPss2048Sha256 => (rsa(2048), &[Alg::RsaPssSha256], Digest),
        Native::RsaSignPss3072Sha256 => (rsa(3072), &[Alg::RsaPssSha256], Digest),
        Native::RsaSignPss4096Sha256 => (rsa(4096), &[Alg::RsaPssSha256], Digest),
        Native::RsaSignPss4096Sha512 => (rsa(4096), &[Alg::RsaPssSha512], Digest),
        Native::RsaSignRawPkcs12048 => (rsa(2048), RAW, DigestInfo),
        Native::RsaSignRawPkcs13072 => (rsa(3072), RAW, DigestInfo),
        Native::RsaSignRawPkcs14096 => (rsa(4096), RAW, DigestInfo),
        Native::PqSignMlDsa44 => (KeyType::MlDsa44, &[Alg::MlDsa44], Data),
        Native::PqSignMlDsa65 => (KeyType::MlDsa65, &[Alg::MlDsa65], Data),
        Native::PqSignMlDsa87 => (KeyType::MlDsa87, &[Alg::MlDsa87], Data),
        Native::PqSignMlDsa44ExternalMu => (KeyType::MlDsa44, &[Alg::MlDsa44], ExternalMu),
        Native::PqSignMlDsa65ExternalMu => (KeyType::MlDsa65, &[Alg::MlDsa65], ExternalMu),
        Native::PqSignMlDsa87ExternalMu => (KeyType::MlDsa87, &[Alg::MlDsa87], ExternalMu),
        _ => return None,
    };
    Some(Signing { key_type, algorithms, input })
}

/// The key type and the way in which a version decrypts, if it does.
pub(crate) fn decryption(native: &Native) -> Option<(KeyType, DecryptionAlgorithm)> {
    use DecryptionAlgorithm::{RsaOaepSha1, RsaOaepSha256, RsaOaepSha512};
    let (bits, algorithm) = match native {
        Native::RsaDecryptOaep2048Sha256 => (2048, RsaOaepSha256),
        Native::RsaDecryptOaep3072Sha256 => (3072, RsaOaepSha256),
        Native::RsaDecryptOaep4096Sha256 => (4096, RsaOaepSha256),
        Native::RsaDecryptOaep4096Sha512 => (4096, RsaOaepSha512),
        Native::RsaDecryptOaep2048Sha1 => (2048, RsaOaepSha1),
        Native::RsaDecryptOaep3072Sha1 => (3072, RsaOaepSha1),
        Native::RsaDecryptOaep4096Sha1 => (4096, RsaOaepSha1),
        _ => return None,
    };
    Some((KeyType::Rsa { bits }, algorithm))
}

/// The type of a version's key, if it is one known here.
pub(crate) fn key_type(native: &Native) -> Option<KeyType> {
    signing(native).map(|signing| signing.key_type).or_else(|| decryption(native).map(|row| row.0))
}

/// What an application chooses of a new key's algorithm beside its type.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Choice {
    pub(crate) signature: Option<SignatureAlgorithm>,
    pub(crate) decryption: Option<DecryptionAlgorithm>,
    pub(crate) raw_pkcs1: bool,
    pub(crate) external_mu: bool,
}

/// Their algorithm for a new key.
///
/// # Errors
/// `Unsupported` for one they do not offer.
pub(crate) fn of_new_key(spec: &KeySpec, choice: Choice) -> Result<Native> {
    match spec.usage {
        KeyUsage::Decrypt => {
            let wanted = choice.decryption.unwrap_or(DecryptionAlgorithm::RsaOaepSha256);
            DECRYPTING.into_iter().find(|native| decryption(native) == Some((spec.key_type, wanted))).ok_or_else(|| {
                let context = format!("Cloud KMS makes no key of type {} that decrypts with {wanted:?}", spec.key_type);
                Error::new(ErrorKind::Unsupported, context).with_hint(
                    "RSA keys of 2048, 3072 and 4096 bits decrypt with OAEP and SHA-1 or SHA-256, of 4096 with SHA-512",
                )
            })
        }
        KeyUsage::Sign => {
            let wanted = spec.key_type.settle(choice.signature)?;
            let fits = |native: &Native| {
                signing(native).is_some_and(|row| {
                    row.key_type == spec.key_type
                        && row.algorithms.contains(&wanted)
                        && (row.input == Input::DigestInfo) == choice.raw_pkcs1
                        && (row.input == Input::ExternalMu) == (choice.external_mu && is_ml_dsa(spec.key_type))
                })
            };
            SIGNING.into_iter().find(fits).ok_or_else(|| unsupported(spec.key_type, wanted))
        }
        _ => Err(Error::new(ErrorKind::Unsupported, "Cloud KMS keys here are for signing and decrypting only")),
    }
}

fn unsupported(key_type: KeyType, wanted: SignatureAlgorithm) -> Error {
    Error::new(ErrorKind::Unsupported, format!("Cloud KMS makes no key of type {key_type} that signs with {wanted}"))
        .with_hint(
            "known: ec-p256, ec-p384, ec-secp256k1, ed25519, rsa-2048, rsa-3072 and rsa-4096 with SHA-256, rsa-4096 with \
             SHA-512, ml-dsa-44, ml-dsa-65, ml-dsa-87",
        )
}

fn is_ml_dsa(key_type: KeyType) -> bool {
    matches!(key_type, KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87)
}

const SIGNING: [Native; 21] = [
    Native::EcSignP256Sha256,
    Native::EcSignP384Sha384,
    Native::EcSignSecp256K1Sha256,
    Native::EcSignEd25519,
    Native::RsaSignPkcs12048Sha256,
    Native::RsaSignPkcs13072Sha256,
    Native::RsaSignPkcs14096Sha256,
    Native::RsaSignPkcs14096Sha512,
    Native::RsaSignPss2048Sha256,
    Native::RsaSignPss3072Sha256,
    Native::RsaSignPss4096Sha256,
    Native::RsaSignPss4096Sha512,
    Native::RsaSignRawPkcs12048,
    Native::RsaSignRawPkcs13072,
    Native::RsaSignRawPkcs14096,
    Native::PqSignMlDsa44,
    Native::PqSignMlDsa65,
    Native::PqSignMlDsa87,
    Native::PqSignMlDsa44ExternalMu,
    Native::PqSignMlDsa65ExternalMu,
    Native::PqSignMlDsa87ExternalMu,
];

const DECRYPTING: [Native; 7] = [
    Native::RsaDecryptOaep2048Sha256,
    Native::RsaDecryptOaep3072Sha256,
    Native::RsaDecryptOaep4096Sha256,
    Native::RsaDecryptOaep4096Sha512,
    Native::RsaDecryptOaep2048Sha1,
    Native::RsaDecryptOaep3072Sha1,
    Native::RsaDecryptOaep4096Sha1,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_is_reached() {
        for native in SIGNING {
            let row = signing(&native).unwrap();
            for algorithm in row.algorithms {
                assert!(row.key_type.algorithms().contains(algorithm));
                let choice = Choice {
                    signature: Some(*algorithm),
                    raw_pkcs1: row.input == Input::DigestInfo,
                    external_mu: row.input == Input::ExternalMu,
                    decryption: None,
                };
                assert_eq!(of_new_key(&KeySpec::new(row.key_type), choice).unwrap(), native);
            }
            assert_eq!(decryption(&native), None);
        }
        for native in DECRYPTING {
            let (key_type, algorithm) = decryption(&native).unwrap();
            let spec = KeySpec::new(key_type).with_usage(KeyUsage::Decrypt);
            let choice = Choice { decryption: Some(algorithm), ..Choice::default() };
            assert_eq!(of_new_key(&spec, choice).unwrap(), native);
            assert_eq!(signing(&native), None);
        }
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        for (key_type, signature) in [
            (KeyType::EcP521, None),
            (KeyType::Rsa { bits: 1024 }, None),
            (KeyType::Rsa { bits: 2048 }, Some(SignatureAlgorithm::RsaPssSha384)),
            (KeyType::Rsa { bits: 3072 }, Some(SignatureAlgorithm::RsaPkcs1Sha512)),
            (KeyType::EcP256, Some(SignatureAlgorithm::EcdsaSha384)),
        ] {
            let choice = Choice { signature, ..Choice::default() };
            let error = of_new_key(&KeySpec::new(key_type), choice).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{key_type}");
        }
        for native in [Native::Unspecified, Native::GoogleSymmetricEncryption, Native::HmacSha256, Native::from(4711)] {
            assert!(signing(&native).is_none() && decryption(&native).is_none());
        }
    }

    #[test]
    fn names_are_those_of_the_service() {
        for (native, name) in [
            (Native::RsaSignPkcs14096Sha512, "RSA_SIGN_PKCS1_4096_SHA512"),
            (Native::RsaSignRawPkcs12048, "RSA_SIGN_RAW_PKCS1_2048"),
            (Native::EcSignSecp256K1Sha256, "EC_SIGN_SECP256K1_SHA256"),
            (Native::PqSignMlDsa65ExternalMu, "PQ_SIGN_ML_DSA_65_EXTERNAL_MU"),
        ] {
            assert_eq!(native.name(), Some(name));
        }
    }
}
