//! A [`Signer`](crate::Signer) in the shape of other crates' traits: one handle, no logic of its own.
//!
//! [`SyncSigner`] implements the synchronous traits and parks the calling thread while the device or service works;
//! inside a runtime use [`AsyncSigner`], which only waits. Two types, because `signature` implements its asynchronous
//! trait for everything that has the synchronous one.
//!
//! Both sign to [`Signature`](crate::Signature) whatever the algorithm, and to the typed signatures of `p256`, `p384`,
//! `p521`, `k256`, `rsa` and `ed25519` under the features of those names. Both serve the builders of `x509-cert`
//! (certificates, CSRs, CRLs) as they are; its feature here re-exports the crate.
//!
//! Under `rustls`, the module `tls` makes keys of TLS servers and clients; under `rcgen`, `RcgenSigner` signs what `rcgen`
//! makes.
//!
//! Under `ssh`, the module `ssh` makes certificates and signatures of OpenSSH; under `jws`, the module `jws` those of JOSE.
//!
//! A failed signature arrives as the opaque `signature::Error`, or within an error of the builders, of `rustls` or of
//! `std::io`: [`cause`] finds ours.

mod asynchronous;
#[cfg(feature = "cms")]
pub mod cms;
mod form;
#[cfg(feature = "jws")]
pub mod jws;
#[cfg(feature = "rcgen")]
mod rcgen;
#[cfg(any(feature = "jws", feature = "ssh"))]
mod rsa_components;
#[cfg(feature = "ssh")]
pub mod ssh;
mod synchronous;
#[cfg(feature = "rustls")]
pub mod tls;

pub use self::asynchronous::AsyncSigner;
pub use self::form::SignatureForm;
#[cfg(feature = "rcgen")]
pub use self::rcgen::RcgenSigner;
pub use self::synchronous::SyncSigner;

/// The error beneath one that passed through another crate's trait.
///
/// ```
/// # use kmskit::{Error, ErrorKind, adapters::cause};
/// let outer = kmskit::signature::Error::from_source(Error::new(ErrorKind::PinLocked, "token"));
/// assert_eq!(cause(&outer).map(Error::kind), Some(ErrorKind::PinLocked));
/// ```
pub fn cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a crate::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = beneath(error);
    }
    None
}

/// The source of an error, also where it keeps one but does not call it so.
fn beneath<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a (dyn std::error::Error + 'static)> {
    #[cfg(feature = "x509-cert")]
    if let Some(x509_cert::builder::Error::Signature(beneath)) = error.downcast_ref() {
        return Some(beneath);
    }
    #[cfg(feature = "rustls")]
    if let Some(rustls::Error::Other(beneath)) = error.downcast_ref() {
        return Some(beneath);
    }
    // What it wraps; its source would be one further down.
    if let Some(error) = error.downcast_ref::<std::io::Error>() {
        return error.get_ref().map(|beneath| beneath as _);
    }
    error.source()
}
