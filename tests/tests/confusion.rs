//! Algorithm confusion: each cell of key type × algorithm × length of a digest outside the allowed ones is refused, and
//! before anything is signed.

use std::sync::Arc;

use kms_core::{ErrorKind, KeyType, SignatureAlgorithm, Signer, block_on};
use kms_testkit::faults::{Fault, FaultySigner};
use kmskit_tests::{create, memory};

const LENGTHS: [usize; 7] = [0, 20, 28, 32, 48, 64, 65];

#[test]
fn only_allowed_cells_are_signed() {
    let manager = memory();
    let (mut cells, mut signed) = (0, 0);
    for key_type in KeyType::CREATABLE {
        let key = create(&manager, &key_type.to_string(), key_type);
        let able = block_on(manager.signer(&key.uri, None)).unwrap();
        for algorithm in SignatureAlgorithm::all() {
            let allowed = key_type.algorithms().contains(&algorithm);
            let opened = block_on(manager.signer(&key.uri, Some(algorithm)));
            assert_eq!(opened.is_ok(), allowed, "{key_type} {algorithm}");
            // Where the backend lets none be opened, one as a backend with a wrong table would give.
            let spy = match opened {
                Ok(opened) => FaultySigner::new(opened, Fault::None),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unsupported, "{key_type} {algorithm}");
                    FaultySigner::new(Arc::clone(&able), Fault::None).with_algorithm(algorithm)
                }
            };
            for length in LENGTHS {
                let before = spy.calls();
                let result = block_on(spy.sign_digest(&vec![0x5a; length]));
                let expected = allowed && algorithm.hash().is_some_and(|hash| hash.output_len() == length);
                let calls = usize::from(expected);
                assert_eq!(result.is_ok(), expected, "{key_type} {algorithm} {length}: {result:?}");
                assert_eq!(spy.calls() - before, calls, "{key_type} {algorithm} {length}: calls to the device");
                if let Err(error) = result {
                    let kind = error.kind();
                    let refused = matches!(kind, ErrorKind::InvalidArgument | ErrorKind::Unsupported);
                    assert!(refused, "{key_type} {algorithm} {length}: {error:?}");
                }
                cells += 1;
                signed += calls;
            }
            let before = spy.calls();
            let result = block_on(spy.sign(b"a message"));
            assert_eq!(result.is_ok(), allowed, "{key_type} {algorithm}: {result:?}");
            assert_eq!(spy.calls() - before, usize::from(allowed), "{key_type} {algorithm}: calls to the device");
        }
    }
    // 4 curves with one hash each, 3 moduli with 6 algorithms each; the other types sign no digests.
    assert_eq!((cells, signed), (11 * 13 * 7, 4 + 3 * 6));
}

/// The key verifies by its own algorithms only, whatever a certificate or a caller says.
#[test]
fn verification_is_not_confused_either() {
    let manager = memory();
    for key_type in KeyType::CREATABLE {
        let key = create(&manager, &key_type.to_string(), key_type);
        let signer = block_on(manager.signer(&key.uri, None)).unwrap();
        let signature = block_on(signer.sign(b"a message")).unwrap();
        for algorithm in SignatureAlgorithm::all() {
            let verified = key.public_key.verify(algorithm, b"a message", signature.as_bytes());
            assert_eq!(verified.is_ok(), algorithm == signer.algorithm(), "{key_type} {algorithm}");
        }
    }
}
