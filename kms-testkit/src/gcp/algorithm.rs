//! The algorithms of versions: one row each.

use kms_core::{DecryptionAlgorithm, KeyType, SignatureAlgorithm};

/// `CryptoKeyVersionAlgorithm` of the reference, and what goes with it.
#[derive(Debug)]
pub(crate) struct Algorithm {
    pub(crate) name: &'static str,
    pub(crate) number: i64,
    pub(crate) purpose: &'static str,
    pub(crate) does: Does,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Does {
    /// Signs a digest; or data, of which it makes one.
    Digest(KeyType, SignatureAlgorithm),
    /// Signs data.
    Data(KeyType, SignatureAlgorithm),
    /// Pads data, and nothing else.
    Pad(KeyType),
    /// Signs the representative of a message.
    ExternalMu(KeyType, SignatureAlgorithm),
    Decrypt(KeyType, DecryptionAlgorithm),
    /// Nothing here.
    Nothing,
}

impl Does {
    pub(crate) fn key_type(self) -> Option<KeyType> {
        match self {
            Self::Digest(key_type, _)
            | Self::Data(key_type, _)
            | Self::Pad(key_type)
            | Self::ExternalMu(key_type, _)
            | Self::Decrypt(key_type, _) => Some(key_type),
            Self::Nothing => None,
        }
    }

    pub(crate) fn is_post_quantum(self) -> bool {
        matches!(self.key_type(), Some(KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87))
    }
}

const SIGN: &str = "ASYMMETRIC_SIGN";
const DECRYPT: &str = "ASYMMETRIC_DECRYPT";
const RSA_2048: KeyType = KeyType::Rsa { bits: 2048 };
const RSA_3072: KeyType = KeyType::Rsa { bits: 3072 };
const RSA_4096: KeyType = KeyType::Rsa { bits: 4096 };

const fn row(name: &'static str, number: i64, purpose: &'static str, does: Does) -> Algorithm {
    Algorithm { name, number, purpose, does }
}

pub(crate) static ALGORITHMS: [Algorithm; 31] = {
    use Does::{Data, Decrypt, Digest, ExternalMu, Nothing, Pad};
    use SignatureAlgorithm as Alg;
    let sha1 = DecryptionAlgorithm::RsaOaepSha1;
    let sha256 = DecryptionAlgorithm::RsaOaepSha256;
    let sha512 = DecryptionAlgorithm::RsaOaepSha512;
    [
        row("GOOGLE_SYMMETRIC_ENCRYPTION", 1, "ENCRYPT_DECRYPT", Nothing),
        row("RSA_SIGN_PSS_2048_SHA256", 2, SIGN, Digest(RSA_2048, Alg::RsaPssSha256)),
        row("RSA_SIGN_PSS_3072_SHA256", 3, SIGN, Digest(RSA_3072, Alg::RsaPssSha256)),
        row("RSA_SIGN_PSS_4096_SHA256", 4, SIGN, Digest(RSA_4096, Alg::RsaPssSha256)),
        row("RSA_SIGN_PSS_4096_SHA512", 15, SIGN, Digest(RSA_4096, Alg::RsaPssSha512)),
        row("RSA_SIGN_PKCS1_2048_SHA256", 5, SIGN, Digest(RSA_2048, Alg::RsaPkcs1Sha256)),
        row("RSA_SIGN_PKCS1_3072_SHA256", 6, SIGN, Digest(RSA_3072, Alg::RsaPkcs1Sha256)),
        row("RSA_SIGN_PKCS1_4096_SHA256", 7, SIGN, Digest(RSA_4096, Alg::RsaPkcs1Sha256)),
        row("RSA_SIGN_PKCS1_4096_SHA512", 16, SIGN, Digest(RSA_4096, Alg::RsaPkcs1Sha512)),
        row("RSA_SIGN_RAW_PKCS1_2048", 28, SIGN, Pad(RSA_2048)),
        row("RSA_SIGN_RAW_PKCS1_3072", 29, SIGN, Pad(RSA_3072)),
        row("RSA_SIGN_RAW_PKCS1_4096", 30, SIGN, Pad(RSA_4096)),
        row("RSA_DECRYPT_OAEP_2048_SHA256", 8, DECRYPT, Decrypt(RSA_2048, sha256)),
        row("RSA_DECRYPT_OAEP_3072_SHA256", 9, DECRYPT, Decrypt(RSA_3072, sha256)),
        row("RSA_DECRYPT_OAEP_4096_SHA256", 10, DECRYPT, Decrypt(RSA_4096, sha256)),
        row("RSA_DECRYPT_OAEP_4096_SHA512", 17, DECRYPT, Decrypt(RSA_4096, sha512)),
        row("RSA_DECRYPT_OAEP_2048_SHA1", 37, DECRYPT, Decrypt(RSA_2048, sha1)),
        row("RSA_DECRYPT_OAEP_3072_SHA1", 38, DECRYPT, Decrypt(RSA_3072, sha1)),
        row("RSA_DECRYPT_OAEP_4096_SHA1", 39, DECRYPT, Decrypt(RSA_4096, sha1)),
        row("EC_SIGN_P256_SHA256", 12, SIGN, Digest(KeyType::EcP256, Alg::EcdsaSha256)),
        row("EC_SIGN_P384_SHA384", 13, SIGN, Digest(KeyType::EcP384, Alg::EcdsaSha384)),
        row("EC_SIGN_SECP256K1_SHA256", 31, SIGN, Digest(KeyType::EcSecp256k1, Alg::EcdsaSha256)),
        row("EC_SIGN_ED25519", 40, SIGN, Data(KeyType::Ed25519, Alg::Ed25519)),
        row("HMAC_SHA256", 32, "MAC", Nothing),
        row("AES_256_GCM", 19, "RAW_ENCRYPT_DECRYPT", Nothing),
        row("PQ_SIGN_ML_DSA_44", 68, SIGN, Data(KeyType::MlDsa44, Alg::MlDsa44)),
        row("PQ_SIGN_ML_DSA_65", 56, SIGN, Data(KeyType::MlDsa65, Alg::MlDsa65)),
        row("PQ_SIGN_ML_DSA_87", 69, SIGN, Data(KeyType::MlDsa87, Alg::MlDsa87)),
        row("PQ_SIGN_ML_DSA_44_EXTERNAL_MU", 70, SIGN, ExternalMu(KeyType::MlDsa44, Alg::MlDsa44)),
        row("PQ_SIGN_ML_DSA_65_EXTERNAL_MU", 67, SIGN, ExternalMu(KeyType::MlDsa65, Alg::MlDsa65)),
        row("PQ_SIGN_ML_DSA_87_EXTERNAL_MU", 71, SIGN, ExternalMu(KeyType::MlDsa87, Alg::MlDsa87)),
    ]
};
