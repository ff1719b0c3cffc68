//! Keys of certificates that `rcgen` 0.14 makes.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{PublicKeyData, SigningKey};

use crate::{Error, ErrorKind, KeyType, Result, SignatureAlgorithm, Signer, block_on};

/// A [`Signer`] as the key of `rcgen`'s certificates, requests and revocation lists.
///
/// Each costs one signature, for which the calling thread waits. `rcgen`'s error says no more than
/// [`RemoteKeyError`](rcgen::Error::RemoteKeyError): the real one is [`last_error`](Self::last_error).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use kmskit::adapters::RcgenSigner;
/// # let manager = kmskit::block_on(kmskit::open("softkms:mode=memory"))?;
/// # let key = "softkms:name=root".parse()?;
/// # kmskit::block_on(manager.create_key(&key, &kmskit::KeySpec::new(kmskit::KeyType::EcP256)))?;
///
/// let key = RcgenSigner::new(kmskit::block_on(manager.signer(&key, None))?)?;
/// let certificate = rcgen::CertificateParams::new(["www.example.com".to_owned()])?
///     .self_signed(&key)
///     .map_err(|error| key.last_error().map_or_else(|| error.to_string(), |cause| cause.chain()))?;
/// # let _ = certificate.pem();
/// # Ok(())
/// # }
/// ```
pub struct RcgenSigner {
    signer: Arc<dyn Signer>,
    algorithm: &'static rcgen::SignatureAlgorithm,
    last_error: Mutex<Option<Arc<Error>>>,
}

impl RcgenSigner {
    /// Wraps a signer. No call.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) where `rcgen` has no such algorithm: RSA-PSS, ECDSA on secp256k1.
    pub fn new(signer: Arc<dyn Signer>) -> Result<Self> {
        let algorithm = algorithm(signer.public_key().key_type(), signer.algorithm())?;
        Ok(Self { signer, algorithm, last_error: Mutex::default() })
    }

    /// The signer within.
    pub fn inner(&self) -> &Arc<dyn Signer> {
        &self.signer
    }

    /// Why the latest signature failed; `None` when it did not. Threads that share this also share the answer.
    pub fn last_error(&self) -> Option<Arc<Error>> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl PublicKeyData for RcgenSigner {
    fn der_bytes(&self) -> &[u8] {
        self.signer.public_key().raw()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.algorithm
    }
}

impl SigningKey for RcgenSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let (signature, error) = match block_on(self.signer.sign(message)) {
            Ok(signature) => (Ok(signature.into_bytes()), None),
            Err(error) => (Err(rcgen::Error::RemoteKeyError), Some(Arc::new(error))),
        };
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
        signature
    }
}

impl fmt::Debug for RcgenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RcgenSigner").field("signer", &self.signer).finish_non_exhaustive()
    }
}

fn algorithm(key_type: KeyType, algorithm: SignatureAlgorithm) -> Result<&'static rcgen::SignatureAlgorithm> {
    use SignatureAlgorithm as Alg;
    match (key_type, algorithm) {
        (KeyType::EcP256, Alg::EcdsaSha256) => Ok(&rcgen::PKCS_ECDSA_P256_SHA256),
        (KeyType::EcP384, Alg::EcdsaSha384) => Ok(&rcgen::PKCS_ECDSA_P384_SHA384),
        (KeyType::EcP521, Alg::EcdsaSha512) => Ok(&rcgen::PKCS_ECDSA_P521_SHA512),
        (KeyType::Rsa { .. }, Alg::RsaPkcs1Sha256) => Ok(&rcgen::PKCS_RSA_SHA256),
        (KeyType::Rsa { .. }, Alg::RsaPkcs1Sha384) => Ok(&rcgen::PKCS_RSA_SHA384),
        (KeyType::Rsa { .. }, Alg::RsaPkcs1Sha512) => Ok(&rcgen::PKCS_RSA_SHA512),
        (KeyType::Ed25519, Alg::Ed25519) => Ok(&rcgen::PKCS_ED25519),
        (KeyType::MlDsa44, Alg::MlDsa44) => Ok(&rcgen::PKCS_ML_DSA_44),
        (KeyType::MlDsa65, Alg::MlDsa65) => Ok(&rcgen::PKCS_ML_DSA_65),
        (KeyType::MlDsa87, Alg::MlDsa87) => Ok(&rcgen::PKCS_ML_DSA_87),
        _ => Err(Error::new(ErrorKind::Unsupported, format!("rcgen cannot express {algorithm} with a {key_type} key"))
            .with_hint("the builders of x509-cert can, by SyncSigner")),
    }
}
