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
//! A failed signature arrives as the opaque `signature::Error`, or within an error of the builders: [`cause`] finds ours.

mod asynchronous;
mod form;
mod synchronous;

pub use self::asynchronous::AsyncSigner;
pub use self::form::SignatureForm;
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
        // The builders' error keeps its cause but does not call it a source.
        #[cfg(feature = "x509-cert")]
        if let Some(x509_cert::builder::Error::Signature(beneath)) = error.downcast_ref() {
            return cause(beneath);
        }
        next = error.source();
    }
    None
}
