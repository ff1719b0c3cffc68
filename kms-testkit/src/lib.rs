//! What proves a `kmskit` backend: a conformance suite that is a library, a judge that shares no code with the backends,
//! and backends that misbehave on purpose.
//!
//! # For the author of a backend
//!
//! Write a [`Harness`](conformance::Harness) (it says how to open the place, how to name a new key, and what the place
//! cannot do) and make it the whole of a test with `harness = false` in `Cargo.toml`:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use kms_core::{KeyUri, Registry};
//! use kms_testkit::conformance::{self, Harness};
//!
//! struct Memory {
//!     registry: Registry,
//! }
//!
//! impl Harness for Memory {
//!     fn name(&self) -> &str {
//!         "mykms"
//!     }
//!     fn registry(&self) -> Registry {
//!         self.registry.clone()
//!     }
//!     fn place(&self) -> KeyUri {
//!         "mykms:region=here".parse().unwrap()
//!     }
//!     fn fresh_key(&self, hint: &str) -> KeyUri {
//!         self.place().with_path("name", hint).unwrap()
//!     }
//!     fn capabilities(&self) -> &[&str] {
//!         &["delete", "search"]
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     # let my_backend = || -> Registry { Registry::new() };
//!     conformance::run([Memory { registry: my_backend() }])
//! }
//! ```
//!
//! Every case has its own name, `mykms::signing::ec-p256::ecdsa-sha256::digest`, and the usual arguments of a test
//! choose among them. What cannot run, because the place cannot do it, is shown as ignored with the reason, never as
//! passed; and what [`capabilities`](conformance::Harness::capabilities) promises but the manager lacks, fails.
//!
//! # For a certification authority
//!
//! [`judge::verify`] checks a signature with the `RustCrypto` implementations, while `kmskit` itself verifies with
//! aws-lc: two libraries that agree are worth more than one that agrees with itself. [`faults::FaultyBackend`] put over
//! a real backend in the [`Registry`](kms_core::Registry) shows that the authority's own code withholds what it should.

#![forbid(unsafe_code)]

#[cfg(feature = "aws")]
pub mod aws;
pub mod conformance;
pub mod faults;
#[cfg(feature = "gcp")]
pub mod gcp;
pub mod judge;
#[cfg(feature = "piv")]
pub mod piv;
#[cfg(feature = "pkcs11")]
pub mod pkcs11;

mod certificate;
#[cfg(any(feature = "aws", feature = "gcp"))]
mod http;
#[cfg(any(feature = "aws", feature = "gcp"))]
mod material;
