//! Our names for keys and algorithms, and those of aws-lc-rs: the only table between them.

use aws_lc_rs::digest;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512, OaepAlgorithm,
};
use aws_lc_rs::signature::{self as lc, EcdsaSigningAlgorithm, PqdsaSigningAlgorithm, RsaEncoding};
use kms_core::{DecryptionAlgorithm, HashAlgorithm, KeyType, SignatureAlgorithm};

/// The curve with the hash that goes with it; `None` for a key that is not on a curve.
pub(crate) fn ecdsa(key_type: KeyType) -> Option<&'static EcdsaSigningAlgorithm> {
    match key_type {
        KeyType::EcP256 => Some(&lc::ECDSA_P256_SHA256_ASN1_SIGNING),
        KeyType::EcP384 => Some(&lc::ECDSA_P384_SHA384_ASN1_SIGNING),
        KeyType::EcP521 => Some(&lc::ECDSA_P521_SHA512_ASN1_SIGNING),
        KeyType::EcSecp256k1 => Some(&lc::ECDSA_P256K1_SHA256_ASN1_SIGNING),
        _ => None,
    }
}

/// The parameter set; `None` for a key that is not ML-DSA.
pub(crate) fn ml_dsa(key_type: KeyType) -> Option<&'static PqdsaSigningAlgorithm> {
    match key_type {
        KeyType::MlDsa44 => Some(&lc::ML_DSA_44_SIGNING),
        KeyType::MlDsa65 => Some(&lc::ML_DSA_65_SIGNING),
        KeyType::MlDsa87 => Some(&lc::ML_DSA_87_SIGNING),
        _ => None,
    }
}

/// The modulus lengths that are generated.
pub(crate) fn rsa_size(bits: u32) -> Option<KeySize> {
    match bits {
        2048 => Some(KeySize::Rsa2048),
        3072 => Some(KeySize::Rsa3072),
        4096 => Some(KeySize::Rsa4096),
        _ => None,
    }
}

/// Padding and hash; `None` for an algorithm that is not RSA.
pub(crate) fn rsa_encoding(algorithm: SignatureAlgorithm) -> Option<&'static dyn RsaEncoding> {
    match algorithm {
        SignatureAlgorithm::RsaPkcs1Sha256 => Some(&lc::RSA_PKCS1_SHA256),
        SignatureAlgorithm::RsaPkcs1Sha384 => Some(&lc::RSA_PKCS1_SHA384),
        SignatureAlgorithm::RsaPkcs1Sha512 => Some(&lc::RSA_PKCS1_SHA512),
        SignatureAlgorithm::RsaPssSha256 => Some(&lc::RSA_PSS_SHA256),
        SignatureAlgorithm::RsaPssSha384 => Some(&lc::RSA_PSS_SHA384),
        SignatureAlgorithm::RsaPssSha512 => Some(&lc::RSA_PSS_SHA512),
        _ => None,
    }
}

/// RSAES-OAEP with one hash throughout; `None` for what is not OAEP.
pub(crate) fn oaep(algorithm: DecryptionAlgorithm) -> Option<&'static OaepAlgorithm> {
    match algorithm {
        DecryptionAlgorithm::RsaOaepSha1 => Some(&OAEP_SHA1_MGF1SHA1),
        DecryptionAlgorithm::RsaOaepSha256 => Some(&OAEP_SHA256_MGF1SHA256),
        DecryptionAlgorithm::RsaOaepSha384 => Some(&OAEP_SHA384_MGF1SHA384),
        DecryptionAlgorithm::RsaOaepSha512 => Some(&OAEP_SHA512_MGF1SHA512),
        _ => None,
    }
}

/// The hash.
pub(crate) fn hash(algorithm: HashAlgorithm) -> Option<&'static digest::Algorithm> {
    match algorithm {
        HashAlgorithm::Sha256 => Some(&digest::SHA256),
        HashAlgorithm::Sha384 => Some(&digest::SHA384),
        HashAlgorithm::Sha512 => Some(&digest::SHA512),
        _ => None,
    }
}
