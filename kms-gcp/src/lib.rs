//! `cloudkms:` — signing keys in Google Cloud KMS, for kmskit.
//!
//! # URIs
//!
//! | URI | what |
//! |---|---|
//! | `cloudkms:projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/1` | a key version: what signs. Version 1 may also be created: with its key |
//! | `cloudkms:projects/P/locations/L/keyRings/R/cryptoKeys/K` | a key, to be created, or whose versions are searched |
//! | `cloudkms:projects/P/locations/L/keyRings/R`, `cloudkms:projects/P/locations/L` | where to search |
//! | `gcpkms://projects/…/cryptoKeyVersions/1`, `gcpkms://projects/…/versions/1` | the same, as sigstore writes them |
//!
//! Besides, in the path or after the `?`:
//!
//! | attribute | |
//! |---|---|
//! | `credentials-file` | JSON of a service account, a user, workload identity federation or impersonation |
//! | `impersonate-service-account` | an account to act as, with those credentials |
//! | `endpoint-url` | another address of the service: https, or a plain one on this machine; else `CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS` |
//! | `alg` (path only) | the signature algorithm; of a new RSA key, for ever |
//! | `label=KEY=VALUE` (path only) | for searches |
//!
//! Without a file, application default credentials are used: `GOOGLE_APPLICATION_CREDENTIALS`, what `gcloud auth
//! application-default login` left, or the machine's own. To a plain-HTTP endpoint only what is stated is sent, by the
//! URI, the application or that variable; otherwise no token at all. URIs that are handed out name a version, and no
//! secret.
//!
//! A version has one algorithm. Which version signs is stated, since a rotation would otherwise change a CA's key
//! unseen; [`Gcp::with_newest_enabled_version`] lets it be chosen when a key is opened.
//!
//! # Requests
//!
//! Opening a signer is one `GetPublicKey` (two for ML-DSA), a signature one `AsymmetricSign`; no other permission is
//! needed for them. Requests carry the CRC32C of what is to be signed. An answer must acknowledge it, name the version
//! that was asked, state the protection level that the version had when it was opened, and carry the CRC32C of what it
//! returns; then the signature must verify. What does not fit is asked again, at most twice, and then
//! [`Integrity`](kms_core::ErrorKind::Integrity).
//!
//! Requests run on the library's own runtime, so a synchronous call after an asynchronous one does not hang. What was
//! throttled, or met a service that is unwell, is sent again after growing, jittered pauses, inside the deadline; but a
//! request that creates or destroys something only if the service refused it. Credentials that are refused are loaded
//! anew, once.
//!
//! The client's TLS needs a provider for the whole process. When the application has installed none by the first
//! request, the one of aws-lc-rs is.
//!
//! # Example
//!
//! ```no_run
//! use kms_core::{KeySpec, KeyType, KeyUri, Registry, block_on};
//! use kms_gcp::Gcp;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new().with(Gcp::default());
//! let ring = KeyUri::parse("cloudkms:projects/example/locations/europe-west3/keyRings/pki")?;
//! let manager = block_on(registry.open(&ring))?;
//!
//! let root = KeyUri::parse("cloudkms:projects/example/locations/europe-west3/keyRings/pki/cryptoKeys/root")?;
//! let key = block_on(manager.create_key(&root, &KeySpec::new(KeyType::EcP384)))?;
//! let signer = block_on(manager.signer(&key.uri, None))?;
//! let signature = block_on(signer.sign(b"message"))?;
//! key.public_key.verify(signer.algorithm(), b"message", signature.as_bytes())?;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod algorithm;
mod attestation;
mod backend;
mod capability;
mod checksum;
mod connection;
mod credentials;
mod error;
mod import;
mod key_info;
mod lifecycle;
mod manager;
mod new_key;
mod operation;
mod options;
mod resource_name;
mod search;
mod signer;
mod text;

pub use crate::backend::Gcp;
pub use crate::manager::GcpKeyManager;
pub use crate::new_key::{GcpKeyOptions, GcpProtectionLevel};
pub use crate::signer::GcpSigner;

/// The schemes of the URIs: that of step, and that of sigstore.
const SCHEMES: &[&str] = &["cloudkms", "gcpkms"];
