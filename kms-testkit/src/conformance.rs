//! The conformance suite: what every backend must do, as a list of named cases.
//!
//! One entry point: [`run`] as a whole `main`, or [`trials`] to mix the cases with others. A case opens the place
//! afresh, and judges signatures by [`judge`](crate::judge), not by the backend. Keys the suite makes stay: give it a
//! place of its own.

use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

use kms_core::{DecryptionAlgorithm, ErrorKind, KeyType, KeyUri, Registry, SignatureAlgorithm};

mod attestation;
mod cancellation;
mod certificates;
mod concurrency;
mod decryption;
mod deletion;
mod errors;
mod import;
mod keys;
mod search;
mod secrets;
mod signing;
mod suite;
mod uris;

use suite::Cases;

/// What differs from backend to backend: how the place is set up, and what it cannot do.
///
/// The reasons that the `…_unsupported` methods give are printed with the cases that are ignored for them, and the
/// suite demands that the backend refuses those things with kind [`Unsupported`](kms_core::ErrorKind::Unsupported).
pub trait Harness: Send + Sync + 'static {
    /// First part of the name of every case: `softkms-directory`.
    fn name(&self) -> &str;

    /// A registry with the backend in it, as an application would build it. Asked for by every case.
    fn registry(&self) -> Registry;

    /// The place, without a key: what a search for all keys would be given.
    fn place(&self) -> KeyUri;

    /// A key in the place of which there has never been one, and no certificate. `hint` is of `[a-z0-9-]` and
    /// differs from call to call; ignore it where names are not free.
    fn fresh_key(&self, hint: &str) -> KeyUri;

    /// The capabilities the manager must have, by the names of `dyn KeyManager::capabilities`: no more and no fewer.
    fn capabilities(&self) -> &[&str];

    /// Why the place cannot make keys of that type.
    fn key_type_unsupported(&self, _key_type: KeyType) -> Option<String> {
        None
    }

    /// Why keys of that type, which the place can make, cannot sign with the algorithm.
    fn algorithm_unsupported(&self, _key_type: KeyType, _algorithm: SignatureAlgorithm) -> Option<String> {
        None
    }

    /// Why the place cannot decrypt so.
    fn decryption_unsupported(&self, _algorithm: DecryptionAlgorithm) -> Option<String> {
        None
    }

    /// Why the place cannot import keys of that type.
    fn import_unsupported(&self, _key_type: KeyType) -> Option<String> {
        None
    }

    /// How many octets a message may have for an algorithm without a hash. Others must be refused with kind
    /// [`InvalidArgument`](ErrorKind::InvalidArgument).
    fn message_lengths(&self, _algorithm: SignatureAlgorithm) -> RangeInclusive<usize> {
        0..=usize::MAX
    }

    /// What the use of a deleted key ends in: [`NotFound`](ErrorKind::NotFound), or
    /// [`KeyUnusable`](ErrorKind::KeyUnusable) where the service keeps it for a while.
    fn deleted_is(&self) -> ErrorKind {
        ErrorKind::NotFound
    }

    /// A fault of the place, and not of the backend, for which that case fails: for stand-ins by others that are not quite
    /// what they stand for. `case` is its name without that of the harness. It is run all the same, shown as ignored with
    /// the fault, and fails should it pass.
    fn known_fault(&self, _case: &str) -> Option<String> {
        None
    }

    /// URIs of the backend's scheme that are well-formed but wrong for it, beyond those the suite makes up itself:
    /// opening or using them must fail with kind [`InvalidUri`](kms_core::ErrorKind::InvalidUri).
    fn wrong_uris(&self) -> Vec<KeyUri> {
        Vec::new()
    }

    /// Fresh keys whose URIs hold `canary` in each place where a secret may stand. The suite creates a key at each (it
    /// may fail) and looks for the canary in all that it is shown.
    fn uris_with_secret(&self, _canary: &str) -> Vec<KeyUri> {
        Vec::new()
    }
}

/// Runs the suite on each harness in turn, with the arguments of the command line, and prints the outcome in the manner
/// of `cargo test`. For a test with `harness = false`.
pub fn run<H: Harness>(harnesses: impl IntoIterator<Item = H>) -> ExitCode {
    let trials = harnesses.into_iter().flat_map(trials).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// The cases of the suite for one harness.
pub fn trials(harness: impl Harness) -> Vec<Trial> {
    let mut cases = Cases::new(Arc::new(harness));
    keys::add(&mut cases);
    signing::add(&mut cases);
    concurrency::add(&mut cases);
    cancellation::add(&mut cases);
    uris::add(&mut cases);
    errors::add(&mut cases);
    secrets::add(&mut cases);
    deletion::add(&mut cases);
    search::add(&mut cases);
    certificates::add(&mut cases);
    decryption::add(&mut cases);
    import::add(&mut cases);
    attestation::add(&mut cases);
    cases.into_trials()
}
