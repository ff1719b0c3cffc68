//! Signing with keys that cannot be read: the traits every backend implements, and what they share.
//!
//! A [`KeyUri`] names a key. A [`Registry`] finds the [`Backend`] for its scheme, which opens a [`KeyManager`], which
//! opens a [`Signer`]: one key with one algorithm, both checked. Each signature is verified before it is handed out,
//! and no call outlasts the deadline of its [`OperationPolicy`].
//!
//! Applications use the `kmskit` crate, which adds the backends and the adapters to other crates' traits. This crate is
//! for those who write backends: two traits, one error type, and the pieces that must exist only once.

#![forbid(unsafe_code)]

mod alarm;
pub mod algorithm;
pub mod capability;
pub mod certificate;
pub mod digest;
pub mod ecdsa;
pub mod error;
pub mod external_mu;
pub mod key_manager;
mod low_s;
pub mod policy;
pub mod public_key;
pub mod registry;
#[cfg(feature = "runtime")]
pub mod runtime;
pub mod secret;
pub mod signer;
pub mod uri;
pub mod verification;
pub mod worker;

pub use crate::algorithm::{KeyType, SignatureAlgorithm};
pub use crate::capability::{
    Attestation, Attester, CertificateManager, Decrypter, DecryptionAlgorithm, KeyDeleter, KeyImporter, KeySearcher,
};
pub use crate::digest::{Digest, HashAlgorithm};
pub use crate::error::{Error, ErrorKind, Result};
pub use crate::key_manager::{Key, KeyManager, KeySpec, KeyUsage};
pub use crate::policy::{Deadline, Execution, OperationPolicy, RetryPolicy};
pub use crate::public_key::PublicKey;
pub use crate::registry::{Backend, OpenOptions, Registry};
pub use crate::secret::{Secret, SecretPrompt, SecretRequest, SecretSource};
pub use crate::signer::{SignInput, Signature, Signer};
pub use crate::uri::KeyUri;
pub use crate::worker::block_on;
