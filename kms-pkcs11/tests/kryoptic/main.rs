//! What kryoptic does otherwise than SoftHSM: a PIN that locks, ML-DSA, objects of more classes; and its recovery.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::encoding::AsRawBytes as _;
use aws_lc_rs::signature::{KeyPair as _, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair};
use der::Encode as _;
use der::asn1::OctetStringRef;
use der::referenced::OwnedToRef as _;
use kms_core::{
    Error, ErrorKind, Execution, KeyManager, KeySpec, KeyType, KeyUri, OpenOptions, OperationPolicy, Registry, Secret,
    Signer, block_on,
};
use kms_pkcs11::Pkcs11;
use kms_testkit::judge;
use kms_testkit::pkcs11::{FaultModule, Kryoptic, reexec_with_kryoptic};
use libtest_mimic::{Arguments, Trial};
use pkcs8::PrivateKeyInfoRef;

const PIN: &str = "1234";

static TOKENS: OnceLock<Kryoptic> = OnceLock::new();

fn main() -> ExitCode {
    TOKENS.set(reexec_with_kryoptic().expect("kryoptic can be configured")).expect("set once");
    let cases: [(&str, fn()); 6] = [
        ("kryoptic::survives", survives),
        ("kryoptic::ml_dsa_is_imported", ml_dsa_is_imported),
        ("kryoptic::search_shows_keys_only", search_shows_keys_only),
        ("kryoptic::alg_stays_in_the_uri", alg_stays_in_the_uri),
        ("kryoptic::managers_come_and_go", managers_come_and_go),
        ("kryoptic::pin_locks", pin_locks),
    ];
    let trials = cases.map(|(name, case)| {
        Trial::test(name, move || {
            case();
            Ok(())
        })
    });
    // Two instances in one process, as a module and its copy in a faulty one, must not write at the same time.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

fn token(label: &str) {
    TOKENS.get().expect("set at the start").init_token(label, PIN).expect("kryoptic makes a token");
}

fn uri(module: &Path, token: &str, path: &str, pin: &str) -> KeyUri {
    format!("pkcs11:token={token}{path}?module-path={}&pin-value={pin}", module.display()).parse().unwrap()
}

fn plain(token: &str, path: &str) -> KeyUri {
    uri(&Kryoptic::module().expect("kryoptic is built"), token, path, PIN)
}

fn registry() -> Registry {
    let policy = OperationPolicy::default().with_timeout(Duration::from_secs(10));
    Registry::new().with(Pkcs11::default()).with_options(OpenOptions::default().with_policy(policy))
}

fn manager(token: &str) -> Arc<dyn KeyManager> {
    block_on(registry().open(&plain(token, ""))).unwrap_or_else(fail)
}

#[allow(clippy::needless_pass_by_value, reason = "for `unwrap_or_else`")]
fn fail<T>(error: Error) -> T {
    panic!("{:?}: {}", error.kind(), error.chain())
}

/// Each happens in 200 signatures on 8 threads.
fn survives() {
    token("faulty");
    let module = FaultModule::wrap(&Kryoptic::module().expect("kryoptic is built")).unwrap();
    let name = uri(&module.path(), "faulty", ";object=key", PIN);
    for execution in [Execution::Guarded, Execution::Direct] {
        let policy = OperationPolicy::default().with_timeout(Duration::from_secs(10)).with_execution(execution);
        let registry = Registry::new().with(Pkcs11::default()).with_options(OpenOptions::default().with_policy(policy));
        let manager = block_on(registry.open(&name)).unwrap_or_else(fail);
        let _ = block_on(manager.create_key(&name, &KeySpec::new(KeyType::EcP256)));
        let signer = block_on(manager.signer(&name, None)).unwrap_or_else(fail);
        for fault in [
            "fault C_SignInit at=50 lose-sessions",
            "fault C_Sign at=50 logout",
            "fault C_Sign at=50 not-initialized",
            "fault C_Sign at=50 token-gone for=300",
            "fault C_Sign at=50 rv=CKR_DEVICE_ERROR",
        ] {
            module.set(fault).unwrap();
            sign_on_eight_threads(&signer, fault);
            assert_eq!(module.misuse().unwrap(), [], "{fault}");
        }
    }
}

fn sign_on_eight_threads(signer: &Arc<dyn Signer>, what: &str) {
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let signature =
                        block_on(signer.sign(b"message")).unwrap_or_else(|error| panic!("{what}: {}", error.chain()));
                    let key = signer.public_key().spki_der();
                    judge::verify(key, signer.algorithm(), b"message", signature.as_bytes()).unwrap();
                }
            });
        }
    });
}

/// In each form of RFC 9881: seed, expanded, both.
fn ml_dsa_is_imported() {
    token("imported");
    let manager = manager("imported");
    let importer = manager.as_key_importer().unwrap();
    for (key_type, parameters) in [
        (KeyType::MlDsa44, &ML_DSA_44_SIGNING),
        (KeyType::MlDsa65, &ML_DSA_65_SIGNING),
        (KeyType::MlDsa87, &ML_DSA_87_SIGNING),
    ] {
        let seed = [7_u8; 32];
        let pair = PqdsaKeyPair::from_seed(parameters, &seed).unwrap();
        let expanded = pair.private_key().as_raw_bytes().unwrap();
        let both = vec![OctetStringRef::new(&seed).unwrap(), OctetStringRef::new(expanded.as_ref()).unwrap()];
        let forms = [
            ("seed", [&[0x80, 32][..], &seed].concat()),
            ("expanded", OctetStringRef::new(expanded.as_ref()).unwrap().to_der().unwrap()),
            ("both", both.to_der().unwrap()),
        ];
        for (form, private) in forms {
            let identifier = key_type.algorithm_identifier();
            let private = OctetStringRef::new(&private).unwrap();
            let pkcs8 = PrivateKeyInfoRef::new(identifier.owned_to_ref(), private).to_der().unwrap();
            let name = plain("imported", &format!(";object={key_type}-{form}"));
            let key = block_on(importer.import_key(&name, &Secret::new(pkcs8), &KeySpec::new(key_type)))
                .unwrap_or_else(|error| panic!("{key_type} {form}: {}", error.chain()));
            assert_eq!(key.public_key.raw(), pair.public_key().as_ref(), "{key_type} {form}");
            let signer = block_on(manager.signer(&key.uri, None)).unwrap_or_else(fail);
            let signature = block_on(signer.sign(b"message")).unwrap_or_else(fail);
            let key = key.public_key.spki_der();
            judge::verify(key, signer.algorithm(), b"message", signature.as_bytes()).unwrap();
        }
    }
}

/// An empty template finds an object for each mechanism as well.
fn search_shows_keys_only() {
    token("searched");
    let manager = manager("searched");
    let key = block_on(manager.create_key(&plain("searched", ";object=one"), &KeySpec::new(KeyType::Ed25519)));
    let key = key.unwrap_or_else(fail);
    let found = block_on(manager.as_key_searcher().unwrap().search_keys(&plain("searched", ""))).unwrap_or_else(fail);
    assert_eq!(found.iter().map(|found| &found.uri).collect::<Vec<_>>(), [&key.uri]);
}

/// And an algorithm that there is not is refused by everything that takes a URI.
fn alg_stays_in_the_uri() {
    token("stated");
    let manager = manager("stated");
    let name = plain("stated", ";object=pss;alg=rsa-pss-sha384");
    let key = block_on(manager.create_key(&name, &KeySpec::new(KeyType::Rsa { bits: 2048 }))).unwrap_or_else(fail);
    assert_eq!(key.uri.alg(), Some("rsa-pss-sha384"));
    let signer = block_on(manager.signer(&key.uri, None)).unwrap_or_else(fail);
    assert_eq!(signer.algorithm().name(), "rsa-pss-sha384");
    let unknown = plain("stated", ";object=pss;alg=rsa-pss-sha385");
    for error in [
        block_on(manager.create_key(&unknown, &KeySpec::new(KeyType::EcP256))).map(drop).unwrap_err(),
        block_on(manager.public_key(&unknown)).map(drop).unwrap_err(),
        block_on(manager.signer(&unknown, None)).map(drop).unwrap_err(),
        block_on(manager.as_key_deleter().unwrap().delete_key(&unknown)).unwrap_err(),
        block_on(manager.as_key_searcher().unwrap().search_keys(&unknown)).map(drop).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidUri, "{error}");
    }
    block_on(manager.as_key_deleter().unwrap().delete_key(&key.uri)).unwrap_or_else(fail);
}

/// It stays logged in when the last session is closed.
fn managers_come_and_go() {
    token("visited");
    let name = plain("visited", ";object=key");
    block_on(manager("visited").create_key(&name, &KeySpec::new(KeyType::EcP384))).unwrap_or_else(fail);
    for _ in 0..20 {
        let signer = block_on(registry().signer(&name)).unwrap_or_else(fail);
        block_on(signer.sign(b"message")).unwrap_or_else(fail);
    }
}

/// Ten wrong ones, each sent once, and then the right one, which the token would have taken before.
fn pin_locks() {
    token("locked");
    let module = Kryoptic::module().expect("kryoptic is built");
    let mut kinds = Vec::new();
    for number in 0..12 {
        let wrong = uri(&module, "locked", ";object=key", &format!("99{number:02}"));
        let error = block_on(registry().signer(&wrong)).map(drop).unwrap_err();
        kinds.push(error.kind());
    }
    println!("{kinds:?}");
    assert!(kinds[..9].iter().all(|kind| matches!(kind, ErrorKind::PinIncorrect { .. })), "{kinds:?}");
    let locked = kinds.contains(&ErrorKind::PinLocked);
    let spared = kinds.contains(&ErrorKind::PinIncorrect { tries_left: Some(1) });
    assert!(locked || spared, "{kinds:?}");
    let right = block_on(registry().signer(&plain("locked", ";object=key"))).map(drop).unwrap_err();
    let expected = [ErrorKind::PinLocked, ErrorKind::PinIncorrect { tries_left: Some(1) }];
    assert!(expected.contains(&right.kind()), "{right}");
    assert!(right.hint().is_some(), "{right}");
}
