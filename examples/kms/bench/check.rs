//! Afterwards: is every signature right, by a library that the backends do not use?

use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use kms_testkit::judge;
use kmskit::Signer;

use crate::bench::load::{Sample, message};

/// How many signatures do not verify. Uses all processors.
pub(crate) fn count_wrong(signer: &Arc<dyn Signer>, samples: &[Sample]) -> u64 {
    let spki = signer.public_key().spki_der();
    let is_wrong = |sample: &&Sample| {
        judge::verify(spki, signer.algorithm(), &message(sample.index), sample.signature.as_bytes()).is_err()
    };
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let share = samples.len().div_ceil(processors).max(1);
    thread::scope(|scope| {
        let counts: Vec<_> = samples
            .chunks(share)
            .map(|samples| (samples.len(), scope.spawn(move || samples.iter().filter(is_wrong).count())))
            .collect();
        // A judge that breaks has accepted nothing.
        counts.into_iter().map(|(all, count)| count.join().unwrap_or(all) as u64).sum()
    })
}
