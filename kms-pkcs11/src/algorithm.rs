//! The only table between our names and those of PKCS #11: mechanisms, curves, parameter sets.

use cryptoki_sys as sys;
use kms_core::{DecryptionAlgorithm, Error, ErrorKind, HashAlgorithm, KeyType, PublicKey, Result, SignatureAlgorithm};

use crate::mechanism::{Mechanism, Parameters};

/// One way to sign: the mechanism, and what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SigningPlan {
    pub(crate) mechanism: Mechanism,
    pub(crate) input: Input,
}

/// What a mechanism is given to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The digest.
    Digest,
    /// The digest in a `DigestInfo` (RFC 8017 section 9.2).
    DigestInfo,
    /// The message: the algorithm has no hash, or the token hashes.
    Message,
}

/// The ways to sign with `algorithm` that the token offers, the best first: those that take a digest, since a message
/// may be long and the way to the token slow. A token that lists nothing is tried with all.
///
/// # Errors
/// `Unsupported` when it offers none.
pub(crate) fn signing_plans(
    algorithm: SignatureAlgorithm,
    offered: &[sys::CK_MECHANISM_TYPE],
) -> Result<Vec<SigningPlan>> {
    let plans = all_plans(algorithm);
    let offered: Vec<_> =
        plans.into_iter().filter(|plan| offered.is_empty() || offered.contains(&plan.mechanism.kind)).collect();
    if offered.is_empty() {
        return Err(Error::new(ErrorKind::Unsupported, format!("the token has no mechanism for {algorithm}"))
            .with_hint("`pkcs11-tool --list-mechanisms` shows what it has"));
    }
    Ok(offered)
}

fn all_plans(algorithm: SignatureAlgorithm) -> Vec<SigningPlan> {
    use SignatureAlgorithm as Alg;
    let plan = |kind, parameters, input| SigningPlan { mechanism: Mechanism { kind, parameters }, input };
    let Some(hash) = algorithm.hash() else {
        return match algorithm {
            // RFC 8032 without parameters first, as PKCS #11 3.0 has it.
            Alg::Ed25519 => vec![
                plan(sys::CKM_EDDSA, Parameters::None, Input::Message),
                plan(sys::CKM_EDDSA, Parameters::Ed25519, Input::Message),
            ],
            _ => vec![plan(sys::CKM_ML_DSA, Parameters::None, Input::Message)],
        };
    };
    if algorithm.is_ecdsa() {
        return vec![
            plan(sys::CKM_ECDSA, Parameters::None, Input::Digest),
            plan(hashing(hash).ecdsa, Parameters::None, Input::Message),
        ];
    }
    if algorithm.is_pss() {
        let parameters = pss(hash);
        return vec![
            plan(sys::CKM_RSA_PKCS_PSS, parameters, Input::Digest),
            plan(hashing(hash).pss, parameters, Input::Message),
        ];
    }
    vec![
        plan(sys::CKM_RSA_PKCS, Parameters::None, Input::DigestInfo),
        plan(hashing(hash).pkcs1, Parameters::None, Input::Message),
    ]
}

/// Octets of a signature in the token's form: r‖s for ECDSA.
pub(crate) fn signature_len(algorithm: SignatureAlgorithm, key: &PublicKey) -> usize {
    use SignatureAlgorithm as Alg;
    if let Some(width) = algorithm.ecdsa_width() {
        return 2 * width;
    }
    match (algorithm, key.key_type()) {
        (_, KeyType::Rsa { bits }) => bits.div_ceil(8) as usize,
        (Alg::MlDsa44, _) => 2420,
        (Alg::MlDsa65, _) => 3309,
        (Alg::MlDsa87, _) => 4627,
        _ => 64,
    }
}

/// The digest in the DER `DigestInfo` of RFC 8017 section 9.2.
pub(crate) fn digest_info(hash: HashAlgorithm, digest: &[u8]) -> Vec<u8> {
    let (last, length) = match hash {
        HashAlgorithm::Sha384 => (2, 48),
        HashAlgorithm::Sha512 => (3, 64),
        _ => (1, 32),
    };
    let head = [
        0x30,
        length + 17,
        0x30,
        0x0d,
        0x06,
        0x09,
        0x60,
        0x86,
        0x48,
        0x01,
        0x65,
        0x03,
        0x04,
        0x02,
        last,
        0x05,
        0x00,
        0x04,
        length,
    ];
    [&head[..], digest].concat()
}

/// The mechanisms that make a key of that type, the usual one first.
pub(crate) fn generation(key_type: KeyType) -> &'static [sys::CK_MECHANISM_TYPE] {
    match key_type {
        // FIPS tokens (AWS CloudHSM) have the second only.
        KeyType::Rsa { .. } => &[sys::CKM_RSA_PKCS_KEY_PAIR_GEN, sys::CKM_RSA_X9_31_KEY_PAIR_GEN],
        KeyType::Ed25519 => &[sys::CKM_EC_EDWARDS_KEY_PAIR_GEN],
        KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87 => &[sys::CKM_ML_DSA_KEY_PAIR_GEN],
        _ => &[sys::CKM_EC_KEY_PAIR_GEN],
    }
}

/// `CKA_KEY_TYPE`.
pub(crate) fn native_key_type(key_type: KeyType) -> sys::CK_KEY_TYPE {
    match key_type {
        KeyType::Rsa { .. } => sys::CKK_RSA,
        KeyType::Ed25519 => sys::CKK_EC_EDWARDS,
        KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87 => sys::CKK_ML_DSA,
        _ => sys::CKK_EC,
    }
}

/// `CKA_EC_PARAMS`: the DER object identifier of the curve (RFC 5480, RFC 8410).
pub(crate) fn ec_parameters(key_type: KeyType) -> Option<Vec<u8>> {
    let oid = match key_type {
        KeyType::Ed25519 => key_type.oid(),
        _ => key_type.curve_oid()?,
    };
    der::Encode::to_der(&oid).ok()
}

/// The curve that `CKA_EC_PARAMS` names: by its object identifier or, for Ed25519, by the name PKCS #11 3.0 gives it.
pub(crate) fn curve(ec_parameters: &[u8]) -> Option<KeyType> {
    // PrintableString, as PKCS #11 3.0 has it and SoftHSM writes it.
    if matches!(ec_parameters.split_at_checked(2), Some(([0x13, _], b"edwards25519" | b"Ed25519"))) {
        return Some(KeyType::Ed25519);
    }
    let curves = [KeyType::EcP256, KeyType::EcP384, KeyType::EcP521, KeyType::EcSecp256k1, KeyType::Ed25519];
    curves.into_iter().find(|curve| self::ec_parameters(*curve).is_some_and(|known| known == ec_parameters))
}

/// `CKA_PARAMETER_SET` of an ML-DSA key.
pub(crate) fn parameter_set(key_type: KeyType) -> Option<sys::CK_ULONG> {
    match key_type {
        KeyType::MlDsa44 => Some(sys::CKP_ML_DSA_44),
        KeyType::MlDsa65 => Some(sys::CKP_ML_DSA_65),
        KeyType::MlDsa87 => Some(sys::CKP_ML_DSA_87),
        _ => None,
    }
}

/// The ML-DSA key type of a `CKA_PARAMETER_SET`.
pub(crate) fn ml_dsa(parameter_set: sys::CK_ULONG) -> Option<KeyType> {
    let types = [KeyType::MlDsa44, KeyType::MlDsa65, KeyType::MlDsa87];
    types.into_iter().find(|key_type| self::parameter_set(*key_type) == Some(parameter_set))
}

/// How to decrypt.
///
/// # Errors
/// `Unsupported` for an algorithm unknown here.
pub(crate) fn decryption(algorithm: DecryptionAlgorithm) -> Result<Mechanism> {
    let oaep = |hash, mask| Mechanism { kind: sys::CKM_RSA_PKCS_OAEP, parameters: Parameters::Oaep { hash, mask } };
    Ok(match algorithm {
        DecryptionAlgorithm::RsaOaepSha1 => oaep(sys::CKM_SHA_1, sys::CKG_MGF1_SHA1),
        DecryptionAlgorithm::RsaOaepSha256 => oaep(sys::CKM_SHA256, sys::CKG_MGF1_SHA256),
        DecryptionAlgorithm::RsaOaepSha384 => oaep(sys::CKM_SHA384, sys::CKG_MGF1_SHA384),
        DecryptionAlgorithm::RsaOaepSha512 => oaep(sys::CKM_SHA512, sys::CKG_MGF1_SHA512),
        DecryptionAlgorithm::RsaPkcs1 => Mechanism::plain(sys::CKM_RSA_PKCS),
        _ => return Err(Error::new(ErrorKind::Unsupported, "unknown decryption algorithm")),
    })
}

/// The mechanisms that hash as they sign.
struct Hashing {
    ecdsa: sys::CK_MECHANISM_TYPE,
    pkcs1: sys::CK_MECHANISM_TYPE,
    pss: sys::CK_MECHANISM_TYPE,
}

fn hashing(hash: HashAlgorithm) -> Hashing {
    match hash {
        HashAlgorithm::Sha384 => {
            Hashing { ecdsa: sys::CKM_ECDSA_SHA384, pkcs1: sys::CKM_SHA384_RSA_PKCS, pss: sys::CKM_SHA384_RSA_PKCS_PSS }
        }
        HashAlgorithm::Sha512 => {
            Hashing { ecdsa: sys::CKM_ECDSA_SHA512, pkcs1: sys::CKM_SHA512_RSA_PKCS, pss: sys::CKM_SHA512_RSA_PKCS_PSS }
        }
        _ => {
            Hashing { ecdsa: sys::CKM_ECDSA_SHA256, pkcs1: sys::CKM_SHA256_RSA_PKCS, pss: sys::CKM_SHA256_RSA_PKCS_PSS }
        }
    }
}

fn pss(hash: HashAlgorithm) -> Parameters {
    match hash {
        HashAlgorithm::Sha384 => Parameters::Pss { hash: sys::CKM_SHA384, mask: sys::CKG_MGF1_SHA384, salt: 48 },
        HashAlgorithm::Sha512 => Parameters::Pss { hash: sys::CKM_SHA512, mask: sys::CKG_MGF1_SHA512, salt: 64 },
        _ => Parameters::Pss { hash: sys::CKM_SHA256, mask: sys::CKG_MGF1_SHA256, salt: 32 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(algorithm: SignatureAlgorithm, offered: &[sys::CK_MECHANISM_TYPE]) -> Vec<sys::CK_MECHANISM_TYPE> {
        signing_plans(algorithm, offered).unwrap().iter().map(|plan| plan.mechanism.kind).collect()
    }

    #[test]
    fn a_digest_is_preferred_and_the_token_hashes_where_it_must() {
        use SignatureAlgorithm as Alg;
        for (algorithm, raw, hashing) in [
            (Alg::EcdsaSha256, sys::CKM_ECDSA, sys::CKM_ECDSA_SHA256),
            (Alg::EcdsaSha384, sys::CKM_ECDSA, sys::CKM_ECDSA_SHA384),
            (Alg::EcdsaSha512, sys::CKM_ECDSA, sys::CKM_ECDSA_SHA512),
            (Alg::RsaPkcs1Sha256, sys::CKM_RSA_PKCS, sys::CKM_SHA256_RSA_PKCS),
            (Alg::RsaPkcs1Sha384, sys::CKM_RSA_PKCS, sys::CKM_SHA384_RSA_PKCS),
            (Alg::RsaPkcs1Sha512, sys::CKM_RSA_PKCS, sys::CKM_SHA512_RSA_PKCS),
            (Alg::RsaPssSha256, sys::CKM_RSA_PKCS_PSS, sys::CKM_SHA256_RSA_PKCS_PSS),
            (Alg::RsaPssSha512, sys::CKM_RSA_PKCS_PSS, sys::CKM_SHA512_RSA_PKCS_PSS),
        ] {
            assert_eq!(kinds(algorithm, &[hashing, raw]), [raw, hashing], "{algorithm}");
            assert_eq!(kinds(algorithm, &[hashing]), [hashing], "{algorithm}");
            assert_eq!(kinds(algorithm, &[]), [raw, hashing], "{algorithm}");
            assert_eq!(signing_plans(algorithm, &[sys::CKM_SHA256]).unwrap_err().kind(), ErrorKind::Unsupported);
        }
        assert_eq!(kinds(Alg::Ed25519, &[sys::CKM_EDDSA]), [sys::CKM_EDDSA; 2]);
        assert_eq!(kinds(Alg::MlDsa65, &[sys::CKM_ML_DSA]), [sys::CKM_ML_DSA]);
        assert!(signing_plans(Alg::MlDsa65, &[sys::CKM_ECDSA]).is_err());
    }

    #[test]
    fn curves_are_known_by_what_tokens_write() {
        for key_type in [KeyType::EcP256, KeyType::EcP384, KeyType::EcP521, KeyType::EcSecp256k1, KeyType::Ed25519] {
            assert_eq!(curve(&ec_parameters(key_type).unwrap()), Some(key_type));
        }
        assert_eq!(curve(b"\x13\x0cedwards25519"), Some(KeyType::Ed25519));
        // brainpoolP256r1, and nothing at all.
        assert_eq!(curve(&[0x06, 0x09, 0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x07]), None);
        assert_eq!(curve(&[]), None);
    }

    #[test]
    fn digest_info_is_that_of_rfc_8017() {
        let info = digest_info(HashAlgorithm::Sha256, &[7; 32]);
        assert_eq!(info[..4], [0x30, 0x31, 0x30, 0x0d]);
        assert_eq!((info.len(), digest_info(HashAlgorithm::Sha512, &[7; 64])[1]), (51, 0x51));
    }
}
