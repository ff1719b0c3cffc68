//! `awskms:` — signing keys in AWS KMS, for kmskit.
//!
//! # URIs
//!
//! | URI | the key |
//! |---|---|
//! | `awskms:key-id=1234abcd-12ab-34cd-56ef-1234567890ab;region=us-east-1` | of that identifier; `mrk-…` is a multi-Region key |
//! | `awskms:key-id=alias/Root;region=us-east-1`, `awskms:name=Root;region=us-east-1` | of that alias; case counts |
//! | `awskms:key-id=arn:aws:kms:us-east-1:111122223333:key/…` | of that ARN, or the ARN of an alias: in any partition, and the region is in it |
//! | `awskms:///alias/Root`, `awskms:///arn:…`, `awskms:///1234abcd-…` | the same, as sigstore writes them |
//!
//! A key to be created has a `name`, which becomes its alias, or none. Besides, in the path or after the `?`:
//!
//! | attribute | |
//! |---|---|
//! | `region` | where the key is; without it that of the ARN, then `AWS_REGION`, then the profile's |
//! | `profile` | of the AWS configuration files; the environment's credentials then do not count |
//! | `credentials-file` | the file with the profiles' credentials, instead of `~/.aws/credentials` |
//! | `role-arn` | a role to take on with those credentials |
//! | `endpoint-url` | another address of the service: https, or a plain one on this machine |
//! | `alg` (path only) | the signature algorithm; an RSA key has several |
//! | `tag=KEY=VALUE`, `key-spec=ECC_NIST_P256` (path only) | for searches |
//!
//! What a URI does not state is taken from where every AWS tool takes it: environment, profile, container or instance.
//! URIs that are handed out have the key's ARN, and no secret. Managers for other accounts and regions live side by side.
//!
//! # Requests
//!
//! Opening a signer is one `GetPublicKey`, which says all there is to check: usage, state, algorithms. A signature is
//! one `Sign` over a digest, or for ML-DSA over the 64-octet message representative that is computed here, so that
//! messages may be of any size. Only Ed25519 takes the message itself, and so at most 4096 octets. The answer must name
//! the key and the algorithm that were asked for, and the signature must verify.
//!
//! Requests run on the library's own runtime, so a synchronous call after an asynchronous one does not hang. What was
//! throttled, or met a service that is unwell, is sent again after growing, jittered pauses, inside the deadline; but a
//! request that creates a key only if the service refused it. Credentials that are refused are loaded anew, once.
//!
//! The SDK's own log is switched off: at trace level it writes whole requests, session token included.
//!
//! # Example
//!
//! ```no_run
//! use kms_aws::Aws;
//! use kms_core::{KeySpec, KeyType, KeyUri, Registry, block_on};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new().with(Aws::default());
//! let account = KeyUri::parse("awskms:region=eu-central-1;profile=ca")?;
//! let manager = block_on(registry.open(&account))?;
//!
//! let key = block_on(manager.create_key(&KeyUri::parse("awskms:name=Root")?, &KeySpec::new(KeyType::EcP384)))?;
//! let signer = block_on(manager.signer(&key.uri, None))?;
//! let signature = block_on(signer.sign(b"message"))?;
//! key.public_key.verify(signer.algorithm(), b"message", signature.as_bytes())?;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod algorithm;
mod backend;
mod capability;
mod configuration;
mod connection;
mod error;
mod import;
mod key_id;
mod key_info;
mod lifecycle;
mod manager;
mod new_key;
mod options;
mod recent;
mod signer;

pub use crate::backend::Aws;
pub use crate::manager::AwsKeyManager;
pub use crate::new_key::AwsKeyOptions;
pub use crate::signer::AwsSigner;

/// The scheme of the URIs.
const SCHEME: &str = "awskms";
