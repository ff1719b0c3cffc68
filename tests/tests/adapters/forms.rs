//! A form that is not the key's is refused before any signing call.

use std::sync::Arc;

use kmskit::adapters::cause;
use kmskit::signature::hazmat::{AsyncPrehashSigner, PrehashSigner as _};
use kmskit::signature::{self, Signer as _};
use kmskit::{AsyncSigner, ErrorKind, KeyType, SignatureAlgorithm as Alg, SyncSigner, block_on};

use crate::counting::{Counting, every_signer};

type Outcome = Result<(), signature::Error>;

/// A form: its name, whom it fits, and a signature in it by each of the four traits.
struct Form {
    name: &'static str,
    fits: fn(KeyType, Alg) -> bool,
    sign: fn(&SyncSigner, &AsyncSigner, &[u8]) -> [Outcome; 4],
}

macro_rules! form {
    ($type:ty, $fits:expr) => {
        Form {
            name: stringify!($type),
            fits: $fits,
            sign: |sync, asynchronous, digest| {
                [
                    sync.try_sign(b"message").map(|_: $type| ()),
                    block_on(signature::AsyncSigner::<$type>::sign_async(asynchronous, b"message")).map(drop),
                    sync.sign_prehash(digest).map(|_: $type| ()),
                    block_on(AsyncPrehashSigner::<$type>::sign_prehash_async(asynchronous, digest)).map(drop),
                ]
            },
        }
    };
}

fn forms() -> [Form; 11] {
    [
        form!(p256::ecdsa::Signature, |key, _| key == KeyType::EcP256),
        form!(p256::ecdsa::DerSignature, |key, _| key == KeyType::EcP256),
        form!(p384::ecdsa::Signature, |key, _| key == KeyType::EcP384),
        form!(p384::ecdsa::DerSignature, |key, _| key == KeyType::EcP384),
        form!(p521::ecdsa::Signature, |key, _| key == KeyType::EcP521),
        form!(p521::ecdsa::DerSignature, |key, _| key == KeyType::EcP521),
        form!(k256::ecdsa::Signature, |key, _| key == KeyType::EcSecp256k1),
        form!(k256::ecdsa::DerSignature, |key, _| key == KeyType::EcSecp256k1),
        form!(rsa::pkcs1v15::Signature, |_, alg| alg.name().starts_with("rsa-pkcs1-")),
        form!(rsa::pss::Signature, |_, alg| alg.name().starts_with("rsa-pss-")),
        form!(ed25519_dalek::Signature, |key, _| key == KeyType::Ed25519),
    ]
}

#[test]
fn only_the_forms_of_the_key_are_signed_in() {
    let (mut signed, mut refused) = (0, 0);
    for signer in every_signer() {
        let counting = Counting::new(signer);
        let adapters = (SyncSigner::new(counting.clone()), AsyncSigner::new(counting.clone()));
        let (key_type, algorithm) = (adapters.0.inner().public_key().key_type(), adapters.0.inner().algorithm());
        let digest = algorithm.hash().map(|hash| hash.digest(b"message").as_bytes().to_vec()).unwrap_or_default();
        for form in forms() {
            let before = counting.calls();
            let outcomes = (form.sign)(&adapters.0, &adapters.1, &digest);
            let calls = counting.calls() - before;
            let what = format!("{key_type} {algorithm} as {}", form.name);
            if (form.fits)(key_type, algorithm) {
                // Ed25519 has no digests to sign.
                let expected = if algorithm.hash().is_some() { 4 } else { 2 };
                let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
                assert_eq!((done, calls), (expected, expected), "{what}: {outcomes:?}");
                signed += 1;
            } else {
                for outcome in outcomes {
                    let error = outcome.expect_err(&what);
                    assert_eq!(cause(&error).map(kmskit::Error::kind), Some(ErrorKind::Unsupported), "{what}");
                }
                assert_eq!(calls, 0, "{what}");
                refused += 1;
            }
        }
    }
    // Two forms for each of four curves, one for each of six ways of RSA, one for Ed25519; none for ML-DSA.
    assert_eq!((signed, refused), (15, 14 * 11 - 15));
}

#[test]
fn the_error_says_what_to_do() {
    let signer = every_signer().into_iter().find(|signer| signer.algorithm() == Alg::Ed25519).unwrap();
    let error = SyncSigner::new(Arc::clone(&signer)).try_sign(b"").map(|_: p256::ecdsa::Signature| ()).unwrap_err();
    let text = cause(&error).unwrap().to_string();
    assert!(text.contains("ed25519") && text.contains("kmskit::Signature"), "{text}");
}
