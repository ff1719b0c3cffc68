//! Many callers at once, and callers of every kind.

use std::future::Future;
use std::sync::Arc;

use kms_core::{KeyType, Signature, SignatureAlgorithm, Signer, block_on};

use super::suite::{Cases, Outcome, Stop, Suite, ensure, judged};

const THREADS: u8 = 8;
const EACH: u8 = 25;

pub(crate) fn add(cases: &mut Cases) {
    for key_type in KeyType::CREATABLE {
        cases.add(format!("concurrency::{key_type}::one_signer_many_threads"), move |suite| threads(suite, key_type));
        cases.add(format!("concurrency::{key_type}::every_executor"), move |suite| executors(suite, key_type));
    }
}

fn threads(suite: &Suite, key_type: KeyType) -> Outcome {
    let signer = suite.signer(key_type, key_type.default_algorithm())?;
    let work = |thread: u8| -> Outcome<Vec<([u8; 2], Signature)>> {
        (0..EACH).map(|number| Ok(([thread, number], block_on(signer.sign(&[thread, number]))?))).collect()
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())).collect()
    });
    let mut count = 0;
    for result in results {
        for (message, signature) in result?? {
            judged(signer.public_key(), signer.algorithm(), &message, &signature)?;
            count += 1;
        }
    }
    ensure(count == usize::from(THREADS) * usize::from(EACH), format!("{count} signatures"))
}

/// A synchronous caller, an executor that is no runtime, both kinds of tokio runtime, and a synchronous caller inside
/// each of those: nobody may wait for a thread that nobody runs.
fn executors(suite: &Suite, key_type: KeyType) -> Outcome {
    let signer = suite.signer(key_type, key_type.default_algorithm())?;
    let single = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
    let several = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    let several = several.map_err(|error| error.to_string())?;
    let sign = || sendable(sign_owned(Arc::clone(&signer)));
    let join = |error: tokio::task::JoinError| Stop::Failed(format!("the task did not end: {error}"));
    let signatures = [
        ("block_on", block_on(sign())?),
        ("futures-lite", futures_lite::future::block_on(sign())?),
        ("current-thread runtime", single.block_on(sign())?),
        ("task on a current-thread runtime", single.block_on(async { single.spawn(sign()).await }).map_err(join)??),
        ("block_on in a current-thread runtime", single.block_on(async { block_on(sign()) })?),
        ("task on a multi-thread runtime", several.block_on(async { several.spawn(sign()).await }).map_err(join)??),
        ("block_on in a multi-thread runtime", several.block_on(async { block_on(sign()) })?),
    ];
    for (executor, signature) in &signatures {
        judged(signer.public_key(), signer.algorithm(), b"anywhere", signature)?;
        if is_deterministic(signer.algorithm()) {
            ensure(*signature == signatures[0].1, format!("{executor} gives another signature"))?;
        }
    }
    Ok(())
}

async fn sign_owned(signer: Arc<dyn Signer>) -> kms_core::Result<Signature> {
    signer.sign(b"anywhere").await
}

/// Compiles only while the futures of a signer may go from thread to thread.
fn sendable<F: Future + Send + 'static>(future: F) -> F {
    future
}

fn is_deterministic(algorithm: SignatureAlgorithm) -> bool {
    use SignatureAlgorithm::{Ed25519, RsaPkcs1Sha256, RsaPkcs1Sha384, RsaPkcs1Sha512};
    matches!(algorithm, Ed25519 | RsaPkcs1Sha256 | RsaPkcs1Sha384 | RsaPkcs1Sha512)
}
