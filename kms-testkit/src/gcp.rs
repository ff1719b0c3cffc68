//! A stand-in for Google Cloud KMS: version 1 of its API as JSON over HTTP, real cryptography, and faults on demand.
//!
//! It answers as the reference says, for asymmetric keys: a version has one algorithm, states allow what they allow, what
//! is sent with a checksum of something else is refused, lists have pages, names are checked. Enumerations are answered as
//! names, or as numbers to clients that ask for those. It keeps everything in memory.
//!
//! ```no_run
//! use kms_testkit::gcp::{Fault, GcpKms};
//!
//! # fn main() -> std::io::Result<()> {
//! let server = GcpKms::start()?;
//! let key = server.uri("/cryptoKeys/root/cryptoKeyVersions/1");
//! server.set("AsymmetricSign", Fault::Throttle { percent: 50 });
//! # let _ = key;
//! # Ok(())
//! # }
//! ```
//!
//! Not there: gRPC; encryption with symmetric keys, MACs and encapsulation (such keys can be made, for listings); SLH-DSA;
//! rotation, Autokey, EKM connections, access policies.

mod algorithm;
mod answer;
mod attestation;
mod credentials;
mod enumeration;
mod fault;
mod import;
mod key;
mod operation;
mod padding;
mod route;
mod server;
mod store;
mod usage;
mod version;

pub use fault::Fault;
pub use server::GcpKms;
