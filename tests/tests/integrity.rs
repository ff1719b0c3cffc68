//! A device that answers wrongly, late or never: every wrong signature is withheld, and no call outlasts its deadline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kms_core::{
    ErrorKind, KeyType, KeyUri, OpenOptions, OperationPolicy, Registry, SignatureAlgorithm, Signer, block_on,
};
use kms_soft::Soft;
use kms_testkit::faults::{Fault, FaultyBackend, FaultySigner};
use kmskit_tests::{create, memory, signer, uri};

const CORRUPTED: usize = 10_000;

/// A signer for every algorithm, and another of the same kind with another key.
fn every_algorithm() -> Vec<(Arc<dyn Signer>, Arc<dyn Signer>)> {
    let manager = memory();
    let types = KeyType::CREATABLE.into_iter().filter(|key_type| {
        // Longer moduli add nothing but time.
        !matches!(key_type, KeyType::Rsa { bits: 3072.. })
    });
    types
        .flat_map(|key_type| {
            let one = create(&manager, &format!("{key_type}-one"), key_type);
            let two = create(&manager, &format!("{key_type}-two"), key_type);
            let open = |uri: &KeyUri, algorithm| block_on(manager.signer(uri, Some(algorithm))).unwrap();
            let both = |algorithm: &SignatureAlgorithm| (open(&one.uri, *algorithm), open(&two.uri, *algorithm));
            key_type.algorithms().iter().map(both).collect::<Vec<_>>()
        })
        .collect()
}

/// The next way to spoil a signature, in turn; the bits that are turned over wander through all of it.
fn fault(number: usize, other: &Arc<dyn Signer>) -> Fault {
    match number % 10 {
        0..=3 => Fault::FlipBit(number.wrapping_mul(7919)),
        4 => Fault::Truncate(1 + number / 10 % 8),
        5 => Fault::Extend(1 + number / 10 % 8),
        6 => Fault::OtherForm,
        7 => Fault::OtherKey(Arc::clone(other)),
        8 => Fault::OtherInput,
        _ => Fault::Empty,
    }
}

/// How many of the corrupted signatures come back as (errors of kind `Integrity`, signatures).
fn sign_corrupted(policy: &OperationPolicy) -> (usize, usize) {
    let signers = every_algorithm();
    assert_eq!(signers.len(), 14, "every algorithm once, and P-256 and secp256k1 share one");
    let faulty: Vec<_> = signers
        .iter()
        .map(|(right, other)| {
            (FaultySigner::new(Arc::clone(right), Fault::None).with_policy(policy.clone()), other, right)
        })
        .collect();
    let (mut caught, mut passed) = (0, 0);
    for number in 0..CORRUPTED {
        let (signer, other, right) = &faulty[number % faulty.len()];
        let number = number / faulty.len();
        let fault = fault(number, other);
        signer.set(fault.clone());
        let message = number.to_be_bytes();
        let result = match right.algorithm().hash() {
            Some(hash) if number % 2 == 1 => block_on(signer.sign_digest(hash.digest(&message).as_bytes())),
            _ => block_on(signer.sign(&message)),
        };
        match result {
            Err(error) if error.kind() == ErrorKind::Integrity => caught += 1,
            Err(error) => panic!("{} {fault:?}: {error:?}", signer.algorithm()),
            Ok(signature) => {
                let verified = right.public_key().verify(right.algorithm(), &message, signature.as_bytes());
                assert!(verified.is_err(), "{} {fault:?} spoilt nothing", signer.algorithm());
                passed += 1;
            }
        }
    }
    for (signer, _, right) in faulty {
        signer.set(Fault::None);
        let signature = block_on(signer.sign(b"whole again")).unwrap();
        right.public_key().verify(right.algorithm(), b"whole again", signature.as_bytes()).unwrap();
    }
    (caught, passed)
}

#[test]
fn every_corrupted_signature_is_caught() {
    assert_eq!(sign_corrupted(&OperationPolicy::default()), (CORRUPTED, 0));
}

/// Shows that it is the verification that catches them, and that they are corrupted.
#[test]
fn without_verification_every_one_passes() {
    assert_eq!(sign_corrupted(&OperationPolicy::default().dangerous_without_verification()), (0, CORRUPTED));
}

#[test]
fn every_single_bit_counts() {
    for key_type in [KeyType::EcP256, KeyType::EcSecp256k1, KeyType::EcP521, KeyType::Ed25519] {
        let faulty = FaultySigner::new(signer(key_type), Fault::None);
        let bits = block_on(faulty.sign(b"m")).unwrap().as_bytes().len() * 8;
        for bit in 0..bits {
            faulty.set(Fault::FlipBit(bit));
            let error = block_on(faulty.sign(b"m")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Integrity, "{key_type}, bit {bit}");
        }
    }
}

#[test]
fn another_algorithm_is_caught_even_without_verification() {
    let policy = OperationPolicy::default().dangerous_without_verification();
    let fault = Fault::OtherAlgorithm(SignatureAlgorithm::EcdsaSha384);
    let faulty = FaultySigner::new(signer(KeyType::EcP256), fault).with_policy(policy);
    assert_eq!(block_on(faulty.sign(b"m")).unwrap_err().kind(), ErrorKind::Integrity);
}

#[test]
fn what_hangs_is_cut_at_the_deadline() {
    for timeout in [Duration::ZERO, Duration::from_millis(20), Duration::from_millis(250)] {
        let policy = OperationPolicy::default().with_timeout(timeout);
        let faulty = FaultySigner::new(signer(KeyType::EcP256), Fault::Hang).with_policy(policy);
        for by_digest in [false, true] {
            let start = Instant::now();
            let result = if by_digest { block_on(faulty.sign_digest(&[7; 32])) } else { block_on(faulty.sign(b"m")) };
            let took = start.elapsed();
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Timeout);
            assert!(took >= timeout && took < timeout + Duration::from_secs(2), "{timeout:?}: {took:?}");
        }
        faulty.set(Fault::None);
        if !timeout.is_zero() {
            block_on(faulty.sign(b"m")).unwrap();
        }
    }
}

#[test]
fn what_is_slow_is_waited_for_until_the_deadline_and_no_longer() {
    let policy = OperationPolicy::default().with_timeout(Duration::from_millis(500));
    let faulty = FaultySigner::new(signer(KeyType::EcP256), Fault::Slow(Duration::from_millis(50))).with_policy(policy);
    let start = Instant::now();
    block_on(faulty.sign(b"m")).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(50));
    faulty.set(Fault::Slow(Duration::from_secs(20)));
    assert_eq!(block_on(faulty.sign(b"m")).unwrap_err().kind(), ErrorKind::Timeout);
}

#[test]
fn faults_keep_their_kind_and_signing_is_not_tried_again_here() {
    let faulty = FaultySigner::new(signer(KeyType::EcP256), Fault::None);
    for kind in [
        ErrorKind::Throttled,
        ErrorKind::Unavailable,
        ErrorKind::PinIncorrect { tries_left: Some(1) },
        ErrorKind::DeviceRemoved,
    ] {
        let before = faulty.calls();
        faulty.set(Fault::Fail(kind, 1));
        assert_eq!(block_on(faulty.sign(b"m")).unwrap_err().kind(), kind);
        assert_eq!(faulty.calls(), before + 1, "retries are the backend's: it knows what may be repeated");
        block_on(faulty.sign(b"m")).unwrap();
    }
}

/// The same through a registry, as an application would meet it.
#[test]
fn a_faulty_backend_is_caught_behind_a_registry() {
    let directory = tempfile::tempdir().unwrap();
    let key = uri("softkms:name=root").with_path("dir", directory.path().to_str().unwrap()).unwrap();
    let good = Registry::new().with(Soft::default());
    let manager = block_on(good.open(&key)).unwrap();
    block_on(manager.create_key(&key, &kms_core::KeySpec::new(KeyType::EcP384))).unwrap();
    block_on(block_on(good.signer(&key)).unwrap().sign(b"m")).unwrap();

    let faulty = Registry::new().with(FaultyBackend::new(Soft::default(), Fault::FlipBit(99)));
    let error = block_on(block_on(faulty.signer(&key)).unwrap().sign(b"m")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    let policy = OperationPolicy::default().dangerous_without_verification();
    let blind = faulty.with_options(OpenOptions::default().with_policy(policy));
    block_on(block_on(blind.signer(&key)).unwrap().sign(b"m")).unwrap();
}
