//! A digest that is not of the algorithm's hash is refused before any signing call.

use kmskit::adapters::cause;
use kmskit::signature::hazmat::{AsyncPrehashSigner, PrehashSigner as _};
use kmskit::{AsyncSigner, Error, ErrorKind, Signature, SyncSigner, block_on};

use crate::counting::{Counting, every_signer};

#[test]
fn only_digests_of_the_right_length_are_signed() {
    for signer in every_signer() {
        let counting = Counting::new(signer);
        let (sync, asynchronous) = (SyncSigner::new(counting.clone()), AsyncSigner::new(counting.clone()));
        let algorithm = sync.inner().algorithm();
        for length in [0, 1, 20, 28, 31, 32, 33, 47, 48, 49, 63, 64, 65, 66, 256] {
            let digest = vec![0x5a; length];
            let before = counting.calls();
            let waiting = AsyncPrehashSigner::<Signature>::sign_prehash_async(&asynchronous, &digest);
            let outcomes: [Result<Signature, _>; 2] = [sync.sign_prehash(&digest), block_on(waiting)];
            let expected = match algorithm.hash() {
                Some(hash) if hash.output_len() == length => None,
                Some(_) => Some(ErrorKind::InvalidArgument),
                None => Some(ErrorKind::Unsupported),
            };
            for outcome in &outcomes {
                let kind = outcome.as_ref().err().map(|error| cause(error).map(Error::kind).expect("our error"));
                assert_eq!(kind, expected, "{algorithm}, {length} octets");
            }
            let calls = if expected.is_none() { 2 } else { 0 };
            assert_eq!(counting.calls() - before, calls, "{algorithm}, {length} octets");
        }
    }
}
