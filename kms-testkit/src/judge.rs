//! Verification by a library that no backend uses: the `RustCrypto` crates.

use ml_dsa::{MlDsa44, MlDsa65, MlDsa87, MlDsaParams};
use rsa::sha2::{Digest as _, Sha256, Sha384, Sha512};
use rsa::traits::PublicKeyParts;
use rsa::{RsaPublicKey, pkcs1v15, pss};
use signature::Verifier;
use signature::hazmat::PrehashVerifier;
use spki::{AssociatedAlgorithmIdentifier, DecodePublicKey};

use kms_core::{HashAlgorithm, SignatureAlgorithm};

/// Verifies a signature over a message.
///
/// `spki_der` is a DER `SubjectPublicKeyInfo`; `signature` is as X.509 carries it: DER for ECDSA, plain octets for the
/// others. ECDSA signatures must be DER and not BER, RSA signatures as long as the modulus, a PSS salt as long as the
/// digest; small-order Ed25519 keys and signatures are refused, and on secp256k1 a high s, which Bitcoin, Ethereum and
/// the `k256` crate refuse too.
///
/// # Errors
/// Why it does not verify, for people.
pub fn verify(spki_der: &[u8], algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> Result<(), String> {
    match algorithm {
        SignatureAlgorithm::Ed25519 => ed25519(spki_der, message, signature),
        SignatureAlgorithm::MlDsa44 => ml_dsa::<MlDsa44>(spki_der, message, signature),
        SignatureAlgorithm::MlDsa65 => ml_dsa::<MlDsa65>(spki_der, message, signature),
        SignatureAlgorithm::MlDsa87 => ml_dsa::<MlDsa87>(spki_der, message, signature),
        _ => verify_digest(spki_der, algorithm, &digest(algorithm, message)?, signature),
    }
}

/// Verifies a signature over the digest of a message; otherwise as [`verify`].
///
/// # Errors
/// Also when the algorithm signs messages only, or the digest is not as long as its hash makes them.
pub fn verify_digest(
    spki_der: &[u8],
    algorithm: SignatureAlgorithm,
    digest: &[u8],
    signature: &[u8],
) -> Result<(), String> {
    let hash = algorithm.hash().ok_or_else(|| format!("{algorithm} signs no digest"))?;
    if digest.len() != hash.output_len() {
        return Err(format!("a {hash} digest has {} octets, not {}", hash.output_len(), digest.len()));
    }
    let rsa = || rsa_key(spki_der, signature);
    match algorithm {
        SignatureAlgorithm::EcdsaSha256 => ecdsa_sha256(spki_der, digest, signature),
        SignatureAlgorithm::EcdsaSha384 => {
            check::<_, p384::ecdsa::DerSignature>(&key::<p384::ecdsa::VerifyingKey>(spki_der)?, digest, signature)
        }
        SignatureAlgorithm::EcdsaSha512 => {
            check::<_, p521::ecdsa::DerSignature>(&key::<p521::ecdsa::VerifyingKey>(spki_der)?, digest, signature)
        }
        SignatureAlgorithm::RsaPkcs1Sha256 => check(&pkcs1v15::VerifyingKey::<Sha256>::new(rsa()?), digest, signature),
        SignatureAlgorithm::RsaPkcs1Sha384 => check(&pkcs1v15::VerifyingKey::<Sha384>::new(rsa()?), digest, signature),
        SignatureAlgorithm::RsaPkcs1Sha512 => check(&pkcs1v15::VerifyingKey::<Sha512>::new(rsa()?), digest, signature),
        SignatureAlgorithm::RsaPssSha256 => check(&pss::VerifyingKey::<Sha256>::new(rsa()?), digest, signature),
        SignatureAlgorithm::RsaPssSha384 => check(&pss::VerifyingKey::<Sha384>::new(rsa()?), digest, signature),
        SignatureAlgorithm::RsaPssSha512 => check(&pss::VerifyingKey::<Sha512>::new(rsa()?), digest, signature),
        other => Err(format!("the judge does not know {other}")),
    }
}

/// The digest of a message by the algorithm's hash, computed here and not by `kms_core`.
///
/// # Errors
/// When the algorithm signs messages only.
pub fn digest(algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, String> {
    match algorithm.hash() {
        Some(HashAlgorithm::Sha256) => Ok(Sha256::digest(message).to_vec()),
        Some(HashAlgorithm::Sha384) => Ok(Sha384::digest(message).to_vec()),
        Some(HashAlgorithm::Sha512) => Ok(Sha512::digest(message).to_vec()),
        _ => Err(format!("{algorithm} signs no digest")),
    }
}

/// One name for two curves: the key says which.
fn ecdsa_sha256(spki_der: &[u8], digest: &[u8], signature: &[u8]) -> Result<(), String> {
    if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_der(spki_der) {
        return check::<_, p256::ecdsa::DerSignature>(&key, digest, signature);
    }
    check::<_, k256::ecdsa::DerSignature>(&key::<k256::ecdsa::VerifyingKey>(spki_der)?, digest, signature)
}

fn ed25519(spki_der: &[u8], message: &[u8], signature: &[u8]) -> Result<(), String> {
    let signature = ed25519_dalek::Signature::from_slice(signature).map_err(malformed)?;
    key::<ed25519_dalek::VerifyingKey>(spki_der)?.verify_strict(message, &signature).map_err(mismatch)
}

fn ml_dsa<P>(spki_der: &[u8], message: &[u8], signature: &[u8]) -> Result<(), String>
where
    P: MlDsaParams + AssociatedAlgorithmIdentifier<Params = spki::der::AnyRef<'static>>,
{
    let signature = ml_dsa::Signature::<P>::try_from(signature).map_err(malformed)?;
    key::<ml_dsa::VerifyingKey<P>>(spki_der)?.verify(message, &signature).map_err(mismatch)
}

/// The key, once the signature is known to be as long as its modulus.
fn rsa_key(spki_der: &[u8], signature: &[u8]) -> Result<RsaPublicKey, String> {
    let key = key::<RsaPublicKey>(spki_der)?;
    if signature.len() == key.size() {
        Ok(key)
    } else {
        Err(format!("RSA signature of {} octets, modulus of {}", signature.len(), key.size()))
    }
}

fn key<K: DecodePublicKey>(spki_der: &[u8]) -> Result<K, String> {
    K::from_public_key_der(spki_der).map_err(|error| format!("not a public key for this algorithm: {error}"))
}

fn check<K, S>(key: &K, digest: &[u8], signature: &[u8]) -> Result<(), String>
where
    K: PrehashVerifier<S>,
    S: for<'a> TryFrom<&'a [u8]>,
{
    let signature = S::try_from(signature).map_err(|_| malformed("wrong form"))?;
    key.verify_prehash(digest, &signature).map_err(mismatch)
}

fn malformed(error: impl std::fmt::Display) -> String {
    format!("malformed signature: {error}")
}

fn mismatch(error: impl std::fmt::Display) -> String {
    format!("signature does not verify: {error}")
}

#[cfg(test)]
mod tests;
