//! Futures that are dropped before they end.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use kms_core::{KeySpec, block_on};

use super::suite::{Cases, Outcome, Shared, Suite, ensure};

pub(crate) fn add(cases: &mut Cases) {
    cases.add("cancellation::never_polled", |suite| {
        let shared = suite.shared(suite.some_type()?)?;
        let signer = shared.signer(None)?;
        for _ in 0..100 {
            drop(signer.sign(b"never begun"));
        }
        shared.still_signs()
    });
    cases.add("cancellation::polled_once", polled_once);
    cases.add("cancellation::while_creating", while_creating);
}

/// More often than any pool has room: what a cancelled call held must come back.
fn polled_once(suite: &Suite) -> Outcome {
    let shared = suite.shared(suite.some_type()?)?;
    let signer = shared.signer(None)?;
    for _ in 0..200 {
        poll_once(signer.sign(b"begun and left"));
    }
    let signature = block_on(signer.sign(b"afterwards"))?;
    super::suite::judged(signer.public_key(), signer.algorithm(), b"afterwards", &signature)?;
    shared.still_signs()
}

/// The key is there whole or not at all, now or in a moment, and the manager still works.
fn while_creating(suite: &Suite) -> Outcome {
    let (manager, key_type, uri) = (suite.open()?, suite.some_type()?, suite.fresh_key("cancelled"));
    let spec = KeySpec::new(key_type);
    poll_once(manager.create_key(&uri, &spec));
    let key = match block_on(manager.create_key(&uri, &spec)) {
        Ok(key) => key,
        Err(error) => {
            ensure(error.kind() == kms_core::ErrorKind::AlreadyExists, format!("create_key afterwards: {error}"))?;
            kms_core::Key::new(uri.clone(), block_on(manager.public_key(&uri))?)
        }
    };
    Shared { manager, key }.still_signs()
}

fn poll_once<T>(future: impl Future<Output = T>) {
    let mut context = Context::from_waker(Waker::noop());
    // Where it is ready at once there was nothing to cancel, and nothing to fear.
    let _: Poll<T> = pin!(future).poll(&mut context);
}
