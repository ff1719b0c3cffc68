//! One URI opens any signing key.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use kmskit::signature::Signer as _;
//! use kmskit::{KeySpec, KeyType, SyncSigner};
//!
//! # let directory = tempfile::tempdir()?;
//! # let uri = kmskit::KeyUri::builder("softkms").path("name", "root").path("dir", directory.path().to_str().unwrap()).build()?.to_string();
//! // uri = "softkms:name=root;dir=pki"; a token, a card or a cloud key is another URI and nothing else.
//! let manager = kmskit::block_on(kmskit::open(&uri))?;
//! let key = kmskit::block_on(manager.create_key(&uri.parse()?, &KeySpec::new(KeyType::EcP256)))?;
//!
//! let signer = SyncSigner::new(kmskit::block_on(kmskit::signer(&uri))?);
//! let signature: kmskit::Signature = signer.try_sign(b"message")?;
//! key.public_key.verify(signature.algorithm(), b"message", signature.as_bytes())?;
//! # Ok(())
//! # }
//! ```
//!
//! [`open`] gives a [`KeyManager`]: it creates, reads and, where it can, deletes, lists, certifies keys. [`signer()`]
//! gives a [`Signer`]: one key with one algorithm, both checked when it is opened. Each signature is verified against
//! the public key first handed out before you see it, and no call outlasts its deadline; see [`OperationPolicy`].
//!
//! # Backends
//!
//! | scheme | feature | keys in |
//! |---|---|---|
//! | `awskms:` | `aws` | AWS KMS |
//! | `cloudkms:`, `gcpkms:` | `gcp` | Google Cloud KMS |
//! | `pkcs11:` | `pkcs11` (default) | any HSM, card or software token with a PKCS #11 module |
//! | `softkms:` | `soft` (default) | files or memory |
//! | `yubikey:` | `yubikey` | the PIV application of a YubiKey |
//!
//! An application that wants other deadlines, a PIN prompt, or a backend of its own builds a [`Registry`]; see
//! [`registry()`].
//!
//! # Adapters
//!
//! [`SyncSigner`] and [`AsyncSigner`] carry a signer into the crates that sign through the [`signature`] traits, among
//! them `x509-cert`: see [`adapters`].

#![forbid(unsafe_code)]

use std::sync::Arc;

pub mod adapters;

#[cfg(feature = "aws")]
pub use kms_aws as aws;
pub use kms_core::{
    Attestation, Attester, Backend, CertificateManager, Deadline, Decrypter, DecryptionAlgorithm, Digest, Error,
    ErrorKind, Execution, HashAlgorithm, Key, KeyDeleter, KeyImporter, KeyManager, KeySearcher, KeySpec, KeyType,
    KeyUri, KeyUsage, OpenOptions, OperationPolicy, PublicKey, Registry, Result, RetryPolicy, Secret, SecretPrompt,
    SecretRequest, SecretSource, SignInput, Signature, SignatureAlgorithm, Signer, block_on, ecdsa, uri,
};
#[cfg(feature = "gcp")]
pub use kms_gcp as gcp;
#[cfg(feature = "pkcs11")]
pub use kms_pkcs11 as pkcs11;
#[cfg(feature = "soft")]
pub use kms_soft as soft;
#[cfg(feature = "yubikey")]
pub use kms_yubikey as yubikey;
pub use signature;

pub use crate::adapters::{AsyncSigner, SyncSigner};

/// A registry with every backend that is switched on, with default options.
///
/// ```
/// use std::time::Duration;
/// use kmskit::{OpenOptions, OperationPolicy};
///
/// let policy = OperationPolicy::default().with_timeout(Duration::from_secs(5));
/// let registry = kmskit::registry().with_options(OpenOptions::default().with_policy(policy));
/// ```
pub fn registry() -> Registry {
    let registry = Registry::new();
    #[cfg(feature = "soft")]
    let registry = registry.with(kms_soft::Soft::default());
    #[cfg(feature = "pkcs11")]
    let registry = registry.with(kms_pkcs11::Pkcs11::default());
    #[cfg(feature = "aws")]
    let registry = registry.with(kms_aws::Aws::default());
    #[cfg(feature = "gcp")]
    let registry = registry.with(kms_gcp::Gcp::default());
    #[cfg(feature = "yubikey")]
    let registry = registry.with(kms_yubikey::YubiKey::default());
    registry
}

/// Opens the place a URI names: a directory, a token, an account. The URI may name a key in it.
///
/// # Errors
/// [`InvalidUri`](ErrorKind::InvalidUri) with the position of the fault; [`Unsupported`](ErrorKind::Unsupported) for an
/// unknown scheme, listing the known; those of the backend.
pub async fn open(uri: &str) -> Result<Arc<dyn KeyManager>> {
    registry().open(&uri.parse()?).await
}

/// Opens the one key a URI names, with the algorithm of its `;alg=` or the key's default.
///
/// # Errors
/// Those of [`open`] and of [`KeyManager::signer`].
pub async fn signer(uri: &str) -> Result<Arc<dyn Signer>> {
    registry().signer(&uri.parse()?).await
}
