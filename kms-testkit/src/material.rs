//! The private keys of the stand-ins: made, imported, and used, with aws-lc and for ML-DSA with `RustCrypto`.

use aws_lc_rs::digest::{Digest as NativeDigest, SHA256, SHA384, SHA512};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{self, KeySize, OaepAlgorithm, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{self as lc, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _};
use kms_core::{DecryptionAlgorithm, HashAlgorithm, KeyType, SignatureAlgorithm};
use ml_dsa::{MlDsa44, MlDsa65, MlDsa87, MlDsaParams, SigningKey};
use signature::Signer as _;
use spki::EncodePublicKey as _;

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

/// Why a key does not do it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unfit {
    /// Not with this algorithm, or not with this kind of input.
    Misfit,
    /// The digest or the representative is of another length.
    Length,
    /// Longer than the algorithm takes.
    TooLong,
    /// What should not happen.
    Broken(&'static str),
}

pub(crate) type Done<T> = Result<T, Unfit>;

/// What is signed.
pub(crate) enum Message<'a> {
    Raw(&'a [u8]),
    Digest(&'a [u8]),
    ExternalMu(&'a [u8]),
}

impl Material {
    /// Makes a key of that type.
    pub(crate) fn generate(key_type: KeyType) -> Done<Self> {
        let made = match key_type {
            KeyType::Rsa { bits: 2048 } => rsa::KeyPair::generate(KeySize::Rsa2048).map(Self::Rsa),
            KeyType::Rsa { bits: 3072 } => rsa::KeyPair::generate(KeySize::Rsa3072).map(Self::Rsa),
            KeyType::Rsa { bits: 4096 } => rsa::KeyPair::generate(KeySize::Rsa4096).map(Self::Rsa),
            KeyType::Ed25519 => Ed25519KeyPair::generate().map(Self::Ed25519),
            KeyType::MlDsa44 => return Ok(Self::MlDsa44(Box::new(ml_dsa()?))),
            KeyType::MlDsa65 => return Ok(Self::MlDsa65(Box::new(ml_dsa()?))),
            KeyType::MlDsa87 => return Ok(Self::MlDsa87(Box::new(ml_dsa()?))),
            other => EcdsaKeyPair::generate(curve(other).ok_or(Unfit::Misfit)?).map(Self::Ecdsa),
        };
        made.map_err(|_| Unfit::Broken("cannot make a key"))
    }

    /// Takes a key of that type from PKCS #8.
    pub(crate) fn from_pkcs8(key_type: KeyType, pkcs8: &[u8]) -> Option<Self> {
        let found = match key_type {
            KeyType::Rsa { bits } => {
                let pair = rsa::KeyPair::from_pkcs8(pkcs8).ok()?;
                let found = u32::try_from(pair.public_modulus_len() * 8).ok()?;
                return (found == bits).then_some(Self::Rsa(pair));
            }
            KeyType::Ed25519 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map(Self::Ed25519),
            other => EcdsaKeyPair::from_pkcs8(curve(other)?, pkcs8).map(Self::Ecdsa),
        };
        found.ok()
    }

    /// DER `SubjectPublicKeyInfo`.
    pub(crate) fn spki(&self) -> Done<Vec<u8>> {
        let der = match self {
            Self::Ecdsa(key) => {
                AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key()).map(|der| der.as_ref().to_vec())
            }
            Self::Rsa(key) => key.public_key().as_der().map(|der| der.as_ref().to_vec()),
            Self::Ed25519(key) => key.public_key().as_der().map(|der| der.as_ref().to_vec()),
            Self::MlDsa44(key) => return ml_dsa_spki(key),
            Self::MlDsa65(key) => return ml_dsa_spki(key),
            Self::MlDsa87(key) => return ml_dsa_spki(key),
            Self::Opaque => return Err(Unfit::Misfit),
        };
        der.map_err(|_| Unfit::Broken("cannot encode a public key"))
    }

    /// Signs with an algorithm that goes with the key.
    pub(crate) fn sign(&self, algorithm: SignatureAlgorithm, message: &Message<'_>) -> Done<Vec<u8>> {
        match (self, message) {
            (Self::Ecdsa(key), Message::Raw(_) | Message::Digest(_)) => {
                let digest = digest(algorithm, message)?;
                let signature = key.sign_digest(&digest).map(|signature| signature.as_ref().to_vec());
                signature.map_err(|_| Unfit::Broken("cannot sign"))
            }
            (Self::Rsa(key), Message::Raw(_) | Message::Digest(_)) => {
                let mut signature = vec![0; key.public_modulus_len()];
                let digest = digest(algorithm, message)?;
                let signed = key.sign_digest(padding(algorithm)?, &digest, &mut signature);
                signed.map(|()| signature).map_err(|_| Unfit::Broken("cannot sign"))
            }
            (Self::Ed25519(key), Message::Raw(message)) => Ok(key.sign(message).as_ref().to_vec()),
            (Self::MlDsa44(key), _) => ml_dsa_sign(key, message),
            (Self::MlDsa65(key), _) => ml_dsa_sign(key, message),
            (Self::MlDsa87(key), _) => ml_dsa_sign(key, message),
            _ => Err(Unfit::Misfit),
        }
    }

    /// Decrypts with RSAES-OAEP; `None` when it does not decrypt.
    pub(crate) fn decrypt(&self, algorithm: DecryptionAlgorithm, ciphertext: &[u8]) -> Done<Option<Vec<u8>>> {
        use aws_lc_rs::encoding::Pkcs8V1Der;
        let Self::Rsa(key) = self else { return Err(Unfit::Misfit) };
        let oaep = oaep(algorithm)?;
        let open = || {
            let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(key).ok()?;
            OaepPrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).ok()?).ok()
        };
        let Some(key) = open() else { return Err(Unfit::Broken("cannot decrypt")) };
        let mut buffer = vec![0; key.min_output_size()];
        Ok(key.decrypt(oaep, ciphertext, &mut buffer, None).ok().map(|plain| plain.to_vec()))
    }
}

fn ml_dsa<P: MlDsaParams>() -> Done<SigningKey<P>> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|_| Unfit::Broken("no randomness"))?;
    Ok(SigningKey::from_seed(&seed.into()))
}

fn ml_dsa_spki<P>(key: &SigningKey<P>) -> Done<Vec<u8>>
where
    P: MlDsaParams + spki::AssociatedAlgorithmIdentifier<Params = spki::der::AnyRef<'static>>,
{
    let der = key.expanded_key().verifying_key().to_public_key_der();
    der.map(|der| der.as_bytes().to_vec()).map_err(|_| Unfit::Broken("cannot encode a public key"))
}

fn ml_dsa_sign<P: MlDsaParams>(key: &SigningKey<P>, message: &Message<'_>) -> Done<Vec<u8>> {
    let signature = match message {
        Message::Raw(message) => key.expanded_key().sign(message),
        Message::ExternalMu(mu) => match <[u8; 64]>::try_from(*mu) {
            Ok(mu) => key.expanded_key().sign_mu_deterministic(&mu.into()),
            Err(_) => return Err(Unfit::Length),
        },
        Message::Digest(_) => return Err(Unfit::Misfit),
    };
    Ok(signature.encode().to_vec())
}

/// The digest that is signed: computed here, or taken as it is if it is as long as the algorithm's hash makes it.
pub(crate) fn digest(algorithm: SignatureAlgorithm, message: &Message<'_>) -> Done<NativeDigest> {
    let hash = match algorithm.hash() {
        Some(HashAlgorithm::Sha256) => &SHA256,
        Some(HashAlgorithm::Sha384) => &SHA384,
        Some(HashAlgorithm::Sha512) => &SHA512,
        _ => return Err(Unfit::Misfit),
    };
    match message {
        Message::Raw(message) => Ok(aws_lc_rs::digest::digest(hash, message)),
        Message::Digest(digest) => NativeDigest::import_less_safe(digest, hash).map_err(|_| Unfit::Length),
        Message::ExternalMu(_) => Err(Unfit::Misfit),
    }
}

fn padding(algorithm: SignatureAlgorithm) -> Done<&'static dyn lc::RsaEncoding> {
    Ok(match algorithm {
        SignatureAlgorithm::RsaPkcs1Sha256 => &lc::RSA_PKCS1_SHA256,
        SignatureAlgorithm::RsaPkcs1Sha384 => &lc::RSA_PKCS1_SHA384,
        SignatureAlgorithm::RsaPkcs1Sha512 => &lc::RSA_PKCS1_SHA512,
        SignatureAlgorithm::RsaPssSha256 => &lc::RSA_PSS_SHA256,
        SignatureAlgorithm::RsaPssSha384 => &lc::RSA_PSS_SHA384,
        SignatureAlgorithm::RsaPssSha512 => &lc::RSA_PSS_SHA512,
        _ => return Err(Unfit::Misfit),
    })
}

pub(crate) fn oaep(algorithm: DecryptionAlgorithm) -> Done<&'static OaepAlgorithm> {
    match algorithm {
        DecryptionAlgorithm::RsaOaepSha1 => Ok(&rsa::OAEP_SHA1_MGF1SHA1),
        DecryptionAlgorithm::RsaOaepSha256 => Ok(&rsa::OAEP_SHA256_MGF1SHA256),
        DecryptionAlgorithm::RsaOaepSha512 => Ok(&rsa::OAEP_SHA512_MGF1SHA512),
        _ => Err(Unfit::Misfit),
    }
}

fn curve(key_type: KeyType) -> Option<&'static EcdsaSigningAlgorithm> {
    Some(match key_type {
        KeyType::EcP256 => &lc::ECDSA_P256_SHA256_ASN1_SIGNING,
        KeyType::EcP384 => &lc::ECDSA_P384_SHA384_ASN1_SIGNING,
        KeyType::EcP521 => &lc::ECDSA_P521_SHA512_ASN1_SIGNING,
        KeyType::EcSecp256k1 => &lc::ECDSA_P256K1_SHA256_ASN1_SIGNING,
        _ => return None,
    })
}
