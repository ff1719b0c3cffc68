//! A place that holds keys.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Attester, CertificateManager, Decrypter, KeyDeleter, KeyImporter, KeySearcher, KeyType, KeyUri, PublicKey, Result,
    SignatureAlgorithm, Signer,
};

/// A place that holds keys: a directory, a PKCS #11 token, an account in a region, one YubiKey.
///
/// Every key is named by a complete URI, its scheme that of the manager; what the URI says of the place must agree with
/// the manager (else [`InvalidUri`](crate::ErrorKind::InvalidUri), before any call).
#[async_trait]
pub trait KeyManager: fmt::Debug + Send + Sync {
    /// Creates a key pair and returns its complete URI, which holds no secret, and its public key.
    ///
    /// Once begun it goes on even when the future is dropped or the deadline passes: look for the key before trying again.
    ///
    /// # Errors
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists) when there is a key of that name: it is never overwritten.
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for a key type or usage this place cannot make.
    async fn create_key(&self, key: &KeyUri, spec: &KeySpec) -> Result<Key>;

    /// Reads a public key.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound), or [`Ambiguous`](crate::ErrorKind::Ambiguous) when the URI matches more
    /// than one key.
    async fn public_key(&self, key: &KeyUri) -> Result<PublicKey>;

    /// Opens a signer: finds exactly one key, reads its public key, settles and checks the algorithm. All that can be
    /// wrong with the key shows here, not at the first signature.
    ///
    /// `algorithm`, or else `;alg=` in the URI, or else the key's default; stated twice, they must agree.
    ///
    /// # Errors
    /// As [`public_key`](Self::public_key), and [`Unsupported`](crate::ErrorKind::Unsupported) when the key cannot sign
    /// with the algorithm, [`KeyUnusable`](crate::ErrorKind::KeyUnusable) when it cannot sign at all.
    async fn signer(&self, key: &KeyUri, algorithm: Option<SignatureAlgorithm>) -> Result<Arc<dyn Signer>>;

    /// Deletion of keys.
    fn as_key_deleter(&self) -> Option<&dyn KeyDeleter> {
        None
    }

    /// Listing of keys.
    fn as_key_searcher(&self) -> Option<&dyn KeySearcher> {
        None
    }

    /// Certificates and chains kept with keys.
    fn as_certificate_manager(&self) -> Option<&dyn CertificateManager> {
        None
    }

    /// Proof of where a key was made.
    fn as_attester(&self) -> Option<&dyn Attester> {
        None
    }

    /// Decryption with RSA keys.
    fn as_decrypter(&self) -> Option<&dyn Decrypter> {
        None
    }

    /// Import of software keys.
    fn as_key_importer(&self) -> Option<&dyn KeyImporter> {
        None
    }
}

/// A key, as it was created or found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Key {
    /// Its complete URI: usable from anywhere, without a secret.
    pub uri: KeyUri,
    /// Its public key.
    pub public_key: PublicKey,
}

impl Key {
    /// A key of that URI.
    pub fn new(uri: KeyUri, public_key: PublicKey) -> Self {
        Self { uri, public_key }
    }
}

/// What key to create: what all backends share. Options of one backend are in its URI and its own crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeySpec {
    /// Type and size.
    pub key_type: KeyType,
    /// What for.
    pub usage: KeyUsage,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyUsage {
    /// Signatures.
    #[default]
    Sign,
    /// Decryption; RSA only.
    Decrypt,
}

impl KeySpec {
    /// A signing key of that type.
    pub fn new(key_type: KeyType) -> Self {
        Self { key_type, usage: KeyUsage::Sign }
    }

    /// Sets what the key is for.
    pub fn with_usage(mut self, usage: KeyUsage) -> Self {
        self.usage = usage;
        self
    }
}
