//! Which schemes a key offers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_lite::future::block_on;
use kms_testkit::faults::{Fault, FaultySigner};
use kmskit::adapters::tls::TlsKey;
use kmskit::{ErrorKind, KeySpec, KeyType, OpenOptions, Secret, SecretPrompt, SecretRequest, SignatureAlgorithm};
use kmskit_tests::{create, memory};
use rustls::SignatureScheme as Scheme;
use rustls::sign::SigningKey as _;

#[test]
fn a_key_offers_what_it_can_sign_with() {
    let rsa = [
        Scheme::RSA_PSS_SHA256,
        Scheme::RSA_PSS_SHA384,
        Scheme::RSA_PSS_SHA512,
        Scheme::RSA_PKCS1_SHA256,
        Scheme::RSA_PKCS1_SHA384,
        Scheme::RSA_PKCS1_SHA512,
    ];
    let manager = memory();
    for (key_type, expected, algorithm) in [
        (KeyType::EcP256, &[Scheme::ECDSA_NISTP256_SHA256][..], rustls::SignatureAlgorithm::ECDSA),
        (KeyType::EcP384, &[Scheme::ECDSA_NISTP384_SHA384], rustls::SignatureAlgorithm::ECDSA),
        (KeyType::EcP521, &[Scheme::ECDSA_NISTP521_SHA512], rustls::SignatureAlgorithm::ECDSA),
        (KeyType::Rsa { bits: 2048 }, &rsa, rustls::SignatureAlgorithm::RSA),
        (KeyType::Ed25519, &[Scheme::ED25519], rustls::SignatureAlgorithm::ED25519),
        (KeyType::MlDsa44, &[Scheme::ML_DSA_44], rustls::SignatureAlgorithm::Unknown(0)),
        (KeyType::MlDsa65, &[Scheme::ML_DSA_65], rustls::SignatureAlgorithm::Unknown(0)),
        (KeyType::MlDsa87, &[Scheme::ML_DSA_87], rustls::SignatureAlgorithm::Unknown(0)),
    ] {
        let made = create(&manager, &key_type.to_string(), key_type);
        let key = block_on(TlsKey::open(&*manager, &made.uri)).unwrap();
        assert_eq!(key.schemes().collect::<Vec<_>>(), expected, "{key_type}");
        assert_eq!(key.algorithm(), algorithm, "{key_type}");
        let spki = rustls::sign::SigningKey::public_key(&key).unwrap();
        assert_eq!(spki.as_ref(), made.public_key.spki_der(), "{key_type}");
        for scheme in expected {
            let signer = key.choose_scheme(&[Scheme::ED448, *scheme]).unwrap();
            assert_eq!(signer.scheme(), *scheme);
        }
        assert!(key.choose_scheme(&[Scheme::ED448]).is_none(), "{key_type}");
        // Its own order counts, not the peer's.
        let offered: Vec<_> = expected.iter().rev().copied().collect();
        assert_eq!(key.choose_scheme(&offered).unwrap().scheme(), expected[0], "{key_type}");
    }
}

#[test]
fn what_has_no_scheme_or_is_not_one_key_is_refused() {
    let manager = memory();
    let k256 = create(&manager, "k256", KeyType::EcSecp256k1);
    let error = block_on(TlsKey::open(&*manager, &k256.uri)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);

    let [one, other] = ["one", "other"].map(|name| create(&manager, name, KeyType::EcP256));
    let signers = [one, other].map(|key| block_on(manager.signer(&key.uri, None)).unwrap());
    assert_eq!(TlsKey::new(signers).unwrap_err().kind(), ErrorKind::KeyMismatch);
    assert_eq!(TlsKey::new([]).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

/// For all six schemes of an RSA key, and again once nobody uses it any more.
#[test]
fn a_password_is_asked_for_once() {
    #[derive(Debug)]
    struct Typed(Arc<AtomicUsize>);
    impl SecretPrompt for Typed {
        fn prompt(&self, _: &SecretRequest) -> kmskit::Result<Secret> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Secret::new("password"))
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let place = format!("softkms:path={}/key.pem", directory.path().display());
    let asked = Arc::new(AtomicUsize::new(0));
    let registry = kmskit::registry().with_options(OpenOptions::default().with_prompt(Typed(Arc::clone(&asked))));
    let make = kmskit_tests::uri(&format!("{place}?password-value=password"));
    let manager = block_on(registry.open(&make)).unwrap();
    block_on(manager.create_key(&make, &KeySpec::new(KeyType::Rsa { bits: 2048 }))).unwrap();

    let uri = kmskit_tests::uri(&place);
    let manager = block_on(registry.open(&uri)).unwrap();
    for expected in [1, 2] {
        let key = block_on(TlsKey::open(&*manager, &uri)).unwrap();
        assert_eq!((key.schemes().count(), asked.load(Ordering::Relaxed)), (6, expected));
    }
}

#[test]
fn a_stated_algorithm_is_the_only_one_and_others_faults_are_not_passed_over() {
    let manager = memory();
    let rsa = create(&manager, "rsa", KeyType::Rsa { bits: 2048 });
    let stated = rsa.uri.with_path("alg", "rsa-pkcs1-sha512").unwrap();
    let key = block_on(TlsKey::open(&*manager, &stated)).unwrap();
    assert_eq!(key.schemes().collect::<Vec<_>>(), [Scheme::RSA_PKCS1_SHA512]);

    let absent = kmskit_tests::uri("softkms:name=absent");
    assert_eq!(block_on(TlsKey::open(&*manager, &absent)).unwrap_err().kind(), ErrorKind::NotFound);

    // A backend with a wrong table: the key never gets as far as a signature.
    let signer = block_on(manager.signer(&rsa.uri, None)).unwrap();
    let wrong = FaultySigner::new(signer, Fault::None).with_algorithm(SignatureAlgorithm::Ed25519);
    assert_eq!(TlsKey::new([Arc::new(wrong) as _]).unwrap_err().kind(), ErrorKind::Unsupported);
}
