//! A stand-in for AWS KMS: its JSON protocol over HTTP, signed requests, real cryptography, and faults on demand.
//!
//! It answers as the API reference says, for asymmetric keys: a digest is signed as one, a PSS salt is as long as the
//! digest, keys have states, lists have pages, requests must be signed with Signature Version 4 by credentials it
//! knows. It keeps everything in memory, each account and region apart.
//!
//! ```no_run
//! use kms_testkit::aws::{AwsKms, Fault};
//!
//! # fn main() -> std::io::Result<()> {
//! let server = AwsKms::start()?;
//! // AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION for whoever is to use it.
//! let environment = server.environment();
//! server.set("Sign", Fault::Throttle { percent: 50 });
//! # let _ = environment;
//! # Ok(())
//! # }
//! ```
//!
//! Not there: symmetric encryption and HMAC keys (they can be made, for listings), key stores, grants, rotation,
//! replication, `ED25519_PH_SHA_512`. Key policies are kept, not enforced.

mod algorithm;
mod alias;
mod answer;
mod credentials;
mod fault;
mod import;
mod key;
mod operation;
mod server;
mod sigv4;
mod store;
mod sts;
mod tag;
mod usage;
mod verify;

pub use credentials::Credentials;
pub use fault::Fault;
pub use server::AwsKms;
