//! Private keys: made, imported, and used.

use std::borrow::Cow;

use aws_lc_rs::digest::{Digest as NativeDigest, SHA256, SHA384, SHA512};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{self, KeySize, OaepAlgorithm, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::rsa::{OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::{self as lc, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _};
use kms_core::{HashAlgorithm, SignatureAlgorithm};
use ml_dsa::{MlDsa44, MlDsa65, MlDsa87, MlDsaParams, SigningKey};
use signature::Signer as _;
use spki::{DecodePublicKey as _, EncodePublicKey as _};

use crate::judge;

use super::answer::{Answer, invalid, refuse};

/// A private key.
pub(crate) enum Material {
    Ecdsa(EcdsaKeyPair),
    Rsa(rsa::KeyPair),
    Ed25519(Ed25519KeyPair),
    MlDsa44(Box<SigningKey<MlDsa44>>),
    MlDsa65(Box<SigningKey<MlDsa65>>),
    MlDsa87(Box<SigningKey<MlDsa87>>),
    /// A key that is not asymmetric: there, but of no use here.
    Opaque,
}

/// What is signed.
pub(crate) enum Message<'a> {
    Raw(&'a [u8]),
    Digest(&'a [u8]),
    ExternalMu(&'a [u8]),
}

impl Material {
    /// Makes a key of that spec.
    pub(crate) fn generate(spec: &str) -> Answer<Self> {
        let made = match spec {
            "RSA_2048" => rsa::KeyPair::generate(KeySize::Rsa2048).map(Self::Rsa),
            "RSA_3072" => rsa::KeyPair::generate(KeySize::Rsa3072).map(Self::Rsa),
            "RSA_4096" => rsa::KeyPair::generate(KeySize::Rsa4096).map(Self::Rsa),
            "ECC_NIST_EDWARDS25519" => Ed25519KeyPair::generate().map(Self::Ed25519),
            "ML_DSA_44" => return Ok(Self::MlDsa44(Box::new(ml_dsa()?))),
            "ML_DSA_65" => return Ok(Self::MlDsa65(Box::new(ml_dsa()?))),
            "ML_DSA_87" => return Ok(Self::MlDsa87(Box::new(ml_dsa()?))),
            _ => match curve(spec) {
                Some(curve) => EcdsaKeyPair::generate(curve).map(Self::Ecdsa),
                None => return Ok(Self::Opaque),
            },
        };
        made.or_else(|_| broken("cannot make a key"))
    }

    /// Takes a key of that spec from PKCS #8.
    pub(crate) fn from_pkcs8(spec: &str, pkcs8: &[u8]) -> Option<Self> {
        let found = match spec {
            "RSA_2048" | "RSA_3072" | "RSA_4096" => {
                let pair = rsa::KeyPair::from_pkcs8(pkcs8).ok()?;
                let bits = format!("RSA_{}", pair.public_modulus_len() * 8);
                return (bits == spec).then_some(Self::Rsa(pair));
            }
            "ECC_NIST_EDWARDS25519" => Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map(Self::Ed25519),
            _ => EcdsaKeyPair::from_pkcs8(curve(spec)?, pkcs8).map(Self::Ecdsa),
        };
        found.ok()
    }

    /// DER `SubjectPublicKeyInfo`.
    pub(crate) fn spki(&self) -> Answer<Vec<u8>> {
        let der = match self {
            Self::Ecdsa(key) => {
                AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key()).map(|der| der.as_ref().to_vec())
            }
            Self::Rsa(key) => key.public_key().as_der().map(|der| der.as_ref().to_vec()),
            Self::Ed25519(key) => key.public_key().as_der().map(|der| der.as_ref().to_vec()),
            Self::MlDsa44(key) => return ml_dsa_spki(key),
            Self::MlDsa65(key) => return ml_dsa_spki(key),
            Self::MlDsa87(key) => return ml_dsa_spki(key),
            Self::Opaque => return refuse("UnsupportedOperationException", "the key is not asymmetric"),
        };
        der.or_else(|_| broken("cannot encode a public key"))
    }

    /// Signs with an algorithm that goes with the key.
    pub(crate) fn sign(&self, algorithm: &str, message: &Message<'_>) -> Answer<Vec<u8>> {
        match (self, message) {
            (Self::Ecdsa(key), Message::Raw(_) | Message::Digest(_)) => {
                let digest = digest(algorithm, message)?;
                let signature = key.sign_digest(&digest).map(|signature| signature.as_ref().to_vec());
                signature.or_else(|_| broken("cannot sign"))
            }
            (Self::Rsa(key), Message::Raw(_) | Message::Digest(_)) => {
                let mut signature = vec![0; key.public_modulus_len()];
                let digest = digest(algorithm, message)?;
                let signed = key.sign_digest(padding(algorithm)?, &digest, &mut signature);
                signed.map(|()| signature).or_else(|_| broken("cannot sign"))
            }
            (Self::Ed25519(key), Message::Raw(message)) => Ok(key.sign(message).as_ref().to_vec()),
            (Self::MlDsa44(key), _) => ml_dsa_sign(key, message),
            (Self::MlDsa65(key), _) => ml_dsa_sign(key, message),
            (Self::MlDsa87(key), _) => ml_dsa_sign(key, message),
            _ => misfit(algorithm),
        }
    }

    /// Whether a signature is one; by the judge, which is another library than the one that signs.
    pub(crate) fn verify(&self, algorithm: &str, message: &Message<'_>, signature: &[u8]) -> Answer<bool> {
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
                Ok(judge::verify_digest(&spki, named(algorithm)?, digest.as_ref(), &signature).is_ok())
            }
            _ => misfit(algorithm),
        }
    }

    /// Decrypts with RSAES-OAEP; `None` when it does not decrypt.
    pub(crate) fn decrypt(&self, algorithm: &str, ciphertext: &[u8]) -> Answer<Option<Vec<u8>>> {
        use aws_lc_rs::encoding::Pkcs8V1Der;
        let Self::Rsa(key) = self else { return misfit(algorithm) };
        let oaep = oaep(algorithm)?;
        let open = || {
            let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(key).ok()?;
            OaepPrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).ok()?).ok()
        };
        let Some(key) = open() else { return broken("cannot decrypt") };
        let mut buffer = vec![0; key.min_output_size()];
        Ok(key.decrypt(oaep, ciphertext, &mut buffer, None).ok().map(|plain| plain.to_vec()))
    }

    /// Encrypts with RSAES-OAEP.
    pub(crate) fn encrypt(&self, algorithm: &str, plaintext: &[u8]) -> Answer<Vec<u8>> {
        let oaep = oaep(algorithm)?;
        let key = PublicEncryptingKey::from_der(&self.spki()?).ok();
        let Some(key) = key.and_then(|key| OaepPublicEncryptingKey::new(key).ok()) else { return misfit(algorithm) };
        let mut buffer = vec![0; key.ciphertext_size()];
        let length = key.encrypt(oaep, plaintext, &mut buffer, None).map(|block| block.len());
        length.map(|length| buffer[..length].to_vec()).or_else(|_| invalid("Plaintext is too long for this algorithm"))
    }
}

fn ml_dsa<P: MlDsaParams>() -> Answer<SigningKey<P>> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).or_else(|_| broken("no randomness"))?;
    Ok(SigningKey::from_seed(&seed.into()))
}

fn ml_dsa_spki<P>(key: &SigningKey<P>) -> Answer<Vec<u8>>
where
    P: MlDsaParams + spki::AssociatedAlgorithmIdentifier<Params = spki::der::AnyRef<'static>>,
{
    let der = key.expanded_key().verifying_key().to_public_key_der();
    der.map(|der| der.as_bytes().to_vec()).or_else(|_| broken("cannot encode a public key"))
}

fn ml_dsa_sign<P: MlDsaParams>(key: &SigningKey<P>, message: &Message<'_>) -> Answer<Vec<u8>> {
    let signature = match message {
        Message::Raw(message) => key.expanded_key().sign(message),
        Message::ExternalMu(mu) => match <[u8; 64]>::try_from(*mu) {
            Ok(mu) => key.expanded_key().sign_mu_deterministic(&mu.into()),
            Err(_) => return invalid("EXTERNAL_MU takes 64 bytes"),
        },
        Message::Digest(_) => return invalid("ML_DSA_SHAKE_256 takes RAW or EXTERNAL_MU messages"),
    };
    Ok(signature.encode().to_vec())
}

fn ml_dsa_verify<P: MlDsaParams>(key: &SigningKey<P>, mu: &[u8], signature: &[u8]) -> bool {
    let (Ok(mu), Ok(signature)) = (<[u8; 64]>::try_from(mu), ml_dsa::Signature::<P>::try_from(signature)) else {
        return false;
    };
    key.expanded_key().verifying_key().verify_mu(&mu.into(), &signature)
}

/// The digest that is signed: computed here, or taken as it is if it is as long as the algorithm's hash makes it.
fn digest(algorithm: &str, message: &Message<'_>) -> Answer<NativeDigest> {
    let hash = match named(algorithm)?.hash() {
        Some(HashAlgorithm::Sha256) => &SHA256,
        Some(HashAlgorithm::Sha384) => &SHA384,
        Some(HashAlgorithm::Sha512) => &SHA512,
        _ => return misfit(algorithm),
    };
    match message {
        Message::Raw(message) => Ok(aws_lc_rs::digest::digest(hash, message)),
        Message::Digest(digest) => NativeDigest::import_less_safe(digest, hash)
            .or_else(|_| invalid(format!("Digest is invalid length for algorithm {algorithm}."))),
        Message::ExternalMu(_) => misfit(algorithm),
    }
}

fn padding(algorithm: &str) -> Answer<&'static dyn lc::RsaEncoding> {
    Ok(match named(algorithm)? {
        SignatureAlgorithm::RsaPkcs1Sha256 => &lc::RSA_PKCS1_SHA256,
        SignatureAlgorithm::RsaPkcs1Sha384 => &lc::RSA_PKCS1_SHA384,
        SignatureAlgorithm::RsaPkcs1Sha512 => &lc::RSA_PKCS1_SHA512,
        SignatureAlgorithm::RsaPssSha256 => &lc::RSA_PSS_SHA256,
        SignatureAlgorithm::RsaPssSha384 => &lc::RSA_PSS_SHA384,
        SignatureAlgorithm::RsaPssSha512 => &lc::RSA_PSS_SHA512,
        _ => return misfit(algorithm),
    })
}

fn oaep(algorithm: &str) -> Answer<&'static OaepAlgorithm> {
    match algorithm {
        "RSAES_OAEP_SHA_1" => Ok(&rsa::OAEP_SHA1_MGF1SHA1),
        "RSAES_OAEP_SHA_256" => Ok(&rsa::OAEP_SHA256_MGF1SHA256),
        _ => misfit(algorithm),
    }
}

fn curve(spec: &str) -> Option<&'static EcdsaSigningAlgorithm> {
    Some(match spec {
        "ECC_NIST_P256" => &lc::ECDSA_P256_SHA256_ASN1_SIGNING,
        "ECC_NIST_P384" => &lc::ECDSA_P384_SHA384_ASN1_SIGNING,
        "ECC_NIST_P521" => &lc::ECDSA_P521_SHA512_ASN1_SIGNING,
        "ECC_SECG_P256K1" => &lc::ECDSA_P256K1_SHA256_ASN1_SIGNING,
        _ => return None,
    })
}

fn named(algorithm: &str) -> Answer<SignatureAlgorithm> {
    algorithm.parse().or_else(|_| misfit(algorithm))
}

fn misfit<T>(algorithm: &str) -> Answer<T> {
    invalid(format!("{algorithm} does not go with the key or the message type"))
}

fn broken<T>(what: &str) -> Answer<T> {
    Err(super::answer::Refusal { status: 500, code: "KMSInternalException", message: what.into() })
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
