//! What only some managers can do: one small trait each, reached through `KeyManager::as_…`.

use async_trait::async_trait;

use crate::{Key, KeyManager, KeySpec, KeyUri, PublicKey, Result, Secret};

/// Deletion of keys.
#[async_trait]
pub trait KeyDeleter: Send + Sync {
    /// Deletes the key pair, for ever or as the service schedules it. Certificates stay.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound); [`Ambiguous`](crate::ErrorKind::Ambiguous), and then nothing is deleted.
    async fn delete_key(&self, key: &KeyUri) -> Result<()>;
}

/// Listing of keys.
#[async_trait]
pub trait KeySearcher: Send + Sync {
    /// The keys that match every attribute the query states, in the order of their URIs. None is not an error.
    ///
    /// # Errors
    /// The backend's faults; a key that cannot be read is left out and logged.
    async fn search_keys(&self, query: &KeyUri) -> Result<Vec<Key>>;
}

/// Certificates and chains kept with keys. All certificates are DER.
#[async_trait]
pub trait CertificateManager: Send + Sync {
    /// Stores the certificate, or the chain with the certificate first, that goes with a key.
    ///
    /// # Errors
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists) when there is one: it is never overwritten.
    /// [`KeyMismatch`](crate::ErrorKind::KeyMismatch) when the first certificate's public key is not the key's.
    async fn store_certificates(&self, key: &KeyUri, chain: &[Vec<u8>]) -> Result<()>;

    /// The certificate and, after it, what is kept of its chain.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is none.
    async fn load_certificates(&self, key: &KeyUri) -> Result<Vec<Vec<u8>>>;

    /// Deletes the certificate and what is kept of its chain.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is none.
    async fn delete_certificates(&self, key: &KeyUri) -> Result<()>;
}

/// Proof of where a key was made.
#[async_trait]
pub trait Attester: Send + Sync {
    /// Fetches the statement and the chain that certifies it.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for a key that was not made in the device.
    async fn attest(&self, key: &KeyUri) -> Result<Attestation>;
}

/// A statement by a device about one of its keys.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attestation {
    /// The key it speaks of.
    pub public_key: PublicKey,
    /// The statement, in the device's own format; for a YubiKey, a DER certificate.
    pub statement: Vec<u8>,
    /// The DER certificates that vouch for it, nearest first.
    pub chain: Vec<Vec<u8>>,
}

impl Attestation {
    /// A statement about `public_key`.
    pub fn new(public_key: PublicKey, statement: Vec<u8>, chain: Vec<Vec<u8>>) -> Self {
        Self { public_key, statement, chain }
    }
}

/// Decryption with RSA keys.
#[async_trait]
pub trait Decrypter: Send + Sync {
    /// Decrypts one block, as long as the key's modulus. For OAEP the label is empty.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) when the block does not decrypt (nothing says why),
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for a key or algorithm that cannot.
    async fn decrypt(&self, key: &KeyUri, algorithm: DecryptionAlgorithm, ciphertext: &[u8]) -> Result<Secret>;
}

/// How a block was encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecryptionAlgorithm {
    /// RSAES-OAEP with SHA-1 for hash and mask (RFC 8017): still what some services offer only.
    RsaOaepSha1,
    /// RSAES-OAEP with SHA-256 for hash and mask.
    RsaOaepSha256,
    /// RSAES-OAEP with SHA-384 for hash and mask.
    RsaOaepSha384,
    /// RSAES-OAEP with SHA-512 for hash and mask.
    RsaOaepSha512,
    /// RSAES-PKCS1-v1_5. Where answers can be told apart by an attacker, it is broken.
    RsaPkcs1,
}

impl DecryptionAlgorithm {
    /// Every algorithm with its name: `rsa-oaep-sha256`.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::RsaOaepSha256, "rsa-oaep-sha256"),
        (Self::RsaOaepSha384, "rsa-oaep-sha384"),
        (Self::RsaOaepSha512, "rsa-oaep-sha512"),
        (Self::RsaOaepSha1, "rsa-oaep-sha1"),
        (Self::RsaPkcs1, "rsa-pkcs1"),
    ];
}

/// Import of software keys.
#[async_trait]
pub trait KeyImporter: Send + Sync {
    /// Imports a PKCS #8 private key, DER (RFC 5208, 5958).
    ///
    /// # Errors
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists) when there is a key of that name: it is never overwritten.
    /// [`KeyMismatch`](crate::ErrorKind::KeyMismatch) when the key is not of `spec`'s type.
    async fn import_key(&self, key: &KeyUri, pkcs8: &Secret, spec: &KeySpec) -> Result<Key>;
}

impl dyn KeyManager + '_ {
    /// Every optional capability by name, and whether this manager has it. Computed from the accessors.
    pub fn capabilities(&self) -> [(&'static str, bool); 6] {
        [
            ("delete", self.as_key_deleter().is_some()),
            ("search", self.as_key_searcher().is_some()),
            ("certificates", self.as_certificate_manager().is_some()),
            ("attestation", self.as_attester().is_some()),
            ("decryption", self.as_decrypter().is_some()),
            ("import", self.as_key_importer().is_some()),
        ]
    }
}
