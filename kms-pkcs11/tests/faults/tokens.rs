//! Tokens that differ, and libraries.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use kms_core::{ErrorKind, Execution, KeySpec, KeyType, OpenOptions, Registry, SignatureAlgorithm, block_on};
use kms_pkcs11::Pkcs11;
use kms_testkit::judge;
use kms_testkit::pkcs11::{FaultModule, SoftHsm};

use crate::Case;
use crate::scene::{PIN, fail, policy, scene, token, uri};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        ("cap::sessions_of_the_device", cap_of_the_device),
        ("cap::cloudhsm", cap_of_cloudhsm),
        ("cap::reused_first", reused_first),
        ("tokens::points", points),
        ("tokens::hashing_mechanisms", hashing_mechanisms),
        ("tokens::eddsa_parameters", eddsa_parameters),
        ("tokens::mechanism_missing", mechanism_missing),
        ("tokens::context_login", context_login),
        ("tokens::read_only", read_only),
        ("tokens::made_later", made_later),
        ("tokens::silent_for_a_moment", silent_for_a_moment),
        ("writes::one_at_a_time", writes),
        ("library::initialised_by_others", initialised_by_others),
        ("library::initialised_once", initialised_once),
        ("library::cannot_be_initialised_again", cannot_be_initialised_again),
        ("library::one_call_at_a_time", one_call_at_a_time),
    ]
}

fn cap_of_the_device() {
    capped("CKR_SESSION_COUNT");
}

fn cap_of_cloudhsm() {
    capped("CKR_ARGUMENTS_BAD");
}

fn capped(answer: &str) {
    for cap in [1, 2, 4] {
        let settings = format!("cap-sessions={cap}\ncap-sessions-rv={answer}");
        let scene = scene(&settings, policy(Execution::Guarded, 20_000));
        let signer = scene.signer();
        scene.sign_on(&signer, 64, 5);
        assert_eq!(scene.module.misuse().unwrap(), [], "{cap}");
    }
}

/// One caller after the other needs one session, however many there may be.
fn reused_first() {
    let scene = scene("", policy(Execution::Guarded, 5000));
    let signer = scene.signer();
    block_on(signer.sign(b"first")).unwrap_or_else(fail);
    let before = scene.module.calls("C_OpenSession").unwrap();
    for _ in 0..100 {
        block_on(signer.sign(b"message")).unwrap_or_else(fail);
    }
    assert_eq!(scene.module.calls("C_OpenSession").unwrap(), before);
    scene.sign_on(&signer, 64, 5);
    let opened = scene.module.calls("C_OpenSession").unwrap() - scene.module.calls("C_CloseSession").unwrap();
    assert!(opened <= 8, "{opened} sessions");
}

fn points() {
    for form in ["raw", "octet-string", "bit-string", "xy"] {
        let scene = scene("", policy(Execution::Guarded, 5000));
        scene.module.set(&format!("ec-point={form}")).unwrap();
        let key = block_on(scene.manager.public_key(&scene.key.uri)).unwrap_or_else(fail);
        assert_eq!(key, scene.key.public_key, "{form}");
    }
}

fn hashing_mechanisms() {
    let scene = scene("", policy(Execution::Guarded, 5000));
    let key = scene.create("fips", KeyType::Rsa { bits: 2048 });
    scene.module.set("hide-mechanism=CKM_RSA_PKCS\nhide-mechanism=CKM_RSA_PKCS_PSS").unwrap();
    for reopened in [false, true] {
        for &algorithm in key.public_key.key_type().algorithms() {
            let manager = if reopened {
                block_on(scene.registry.open(&scene.uri(""))).unwrap_or_else(fail)
            } else {
                Arc::clone(&scene.manager)
            };
            let signer = block_on(manager.signer(&key.uri, Some(algorithm))).unwrap_or_else(fail);
            for _ in 0..2 {
                let signature = block_on(signer.sign(b"message")).unwrap_or_else(fail);
                judge::verify(key.public_key.spki_der(), algorithm, b"message", signature.as_bytes()).unwrap();
            }
            let digest = algorithm.hash().unwrap().digest(b"message");
            let error = block_on(signer.sign_digest(digest.as_bytes())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        }
    }
}

/// A token that wants parameters says so of the first attempt; from then on it is given them.
fn eddsa_parameters() {
    let scene = scene("", policy(Execution::Guarded, 5000));
    let key = scene.create("edwards", KeyType::Ed25519);
    let signer = block_on(scene.manager.signer(&key.uri, None)).unwrap_or_else(fail);
    scene.module.set("fault C_SignInit at=1 rv=CKR_MECHANISM_PARAM_INVALID").unwrap();
    let before = scene.module.calls("C_SignInit").unwrap();
    for _ in 0..2 {
        // SoftHSM takes no notice of parameters.
        let signature = block_on(signer.sign(b"message")).unwrap_or_else(fail);
        let algorithm = SignatureAlgorithm::Ed25519;
        judge::verify(key.public_key.spki_der(), algorithm, b"message", signature.as_bytes()).unwrap();
    }
    assert_eq!(scene.module.calls("C_SignInit").unwrap() - before, 3);
}

fn mechanism_missing() {
    let scene = scene("", policy(Execution::Guarded, 5000));
    let module = FaultModule::wrap(&SoftHsm::module().unwrap()).unwrap();
    module.set("hide-mechanism=CKM_ECDSA\nhide-mechanism=CKM_EDDSA\nhide-mechanism=CKM_EC_KEY_PAIR_GEN").unwrap();
    let manager = block_on(scene.registry.open(&uri(&module, &scene.token, "", PIN))).unwrap_or_else(fail);
    let name = uri(&module, &scene.token, ";object=key", PIN);
    let other = uri(&module, &scene.token, ";object=other", PIN);
    for error in [
        block_on(manager.signer(&name, None)).map(drop).unwrap_err(),
        block_on(manager.create_key(&other, &KeySpec::new(KeyType::EcP256))).map(drop).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
}

fn context_login() {
    let scene = scene("", policy(Execution::Guarded, 5000));
    scene.module.set("require-context-login=true").unwrap();
    let signer = scene.signer();
    scene.sign_on(&signer, 4, 10);
    assert!(scene.module.calls("C_Login").unwrap() >= 40);
}

/// By its flag, `CKF_WRITE_PROTECTED`, before a PIN is spent; or only when it is written to.
fn read_only() {
    let scene = scene("", policy(Execution::Guarded, 5000));
    let spec = KeySpec::new(KeyType::EcP256);
    for (settings, logins) in [
        ("flip-token-flags=0x2", 0),
        ("fault C_GenerateKeyPair,C_DestroyObject rv=CKR_TOKEN_WRITE_PROTECTED", 1),
        ("fault C_GenerateKeyPair,C_DestroyObject rv=CKR_SESSION_READ_ONLY", 1),
    ] {
        let module = FaultModule::wrap(&SoftHsm::module().unwrap()).unwrap();
        module.set(settings).unwrap();
        let name = |path: &str| uri(&module, &scene.token, path, PIN);
        let manager = block_on(scene.registry.open(&name(""))).unwrap_or_else(fail);
        for error in [
            block_on(manager.create_key(&name(";object=new"), &spec)).map(drop).unwrap_err(),
            block_on(manager.as_key_deleter().unwrap().delete_key(&name(";object=key"))).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{settings}: {error}");
            assert!(error.to_string().contains("read-only"), "{settings}: {error}");
        }
        assert_eq!(module.calls("C_Login").unwrap(), logins, "{settings}");
        let signer = block_on(manager.signer(&name(";object=key"), None)).unwrap_or_else(fail);
        block_on(signer.sign(b"message")).unwrap_or_else(fail);
    }
}

/// A token that comes after the library was initialised, which shows only those it saw then.
fn made_later() {
    let module = FaultModule::wrap(&SoftHsm::module().unwrap()).unwrap();
    let registry = Registry::new().with(Pkcs11::default());
    let error = block_on(registry.open(&uri(&module, "not-yet", "", PIN))).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let later = token();
    block_on(registry.open(&uri(&module, &later, "", PIN))).unwrap_or_else(fail);
}

/// A token that does not tell what it is: not another one, nor none at all.
fn silent_for_a_moment() {
    let token = token();
    let open = |module: &FaultModule| {
        block_on(Registry::new().with(Pkcs11::default()).open(&uri(module, &token, "", PIN))).map(drop)
    };
    let module = FaultModule::wrap(&SoftHsm::module().unwrap()).unwrap();
    module.set("fault C_GetTokenInfo at=1 times=2 rv=CKR_DEVICE_ERROR").unwrap();
    open(&module).unwrap_or_else(fail);
    let module = FaultModule::wrap(&SoftHsm::module().unwrap()).unwrap();
    module.set("fault C_GetTokenInfo rv=CKR_DEVICE_ERROR").unwrap();
    let error = open(&module).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.chain().contains("C_GetTokenInfo"), "{}", error.chain());
}

fn writes() {
    let scene = scene("refuse-parallel-writes=true", policy(Execution::Guarded, 20_000));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let scene = &scene;
            scope.spawn(move || {
                for number in 0..5 {
                    let key = scene.create(&format!("write-{thread}-{number}"), KeyType::EcP256);
                    let signer = block_on(scene.manager.signer(&key.uri, None)).unwrap_or_else(fail);
                    block_on(signer.sign(b"message")).unwrap_or_else(fail);
                    block_on(scene.manager.as_key_deleter().unwrap().delete_key(&key.uri)).unwrap_or_else(fail);
                }
            });
        }
    });
    assert_eq!(scene.module.misuse().unwrap(), []);
}

fn initialised_by_others() {
    let scene = scene("", policy(Execution::Guarded, 5000));
    let module = FaultModule::wrap(&SoftHsm::module().unwrap()).unwrap();
    module.set("fault C_Initialize rv-after=CKR_CRYPTOKI_ALREADY_INITIALIZED").unwrap();
    let name = uri(&module, &scene.token, ";object=key", PIN);
    let signer = block_on(scene.registry.signer(&name)).unwrap_or_else(fail);
    scene.sign_on(&signer, 2, 10);
    // What others initialised is theirs: it is not initialised anew for the sake of a token that is not there.
    block_on(scene.registry.open(&uri(&module, "absent", "", PIN))).map(drop).unwrap_err();
    assert_eq!(module.calls("C_Finalize").unwrap(), 0);
    // Nor for a fault, which may pass without.
    module.set("fault C_SignInit at=1 times=3 rv=CKR_DEVICE_ERROR").unwrap();
    scene.sign_on(&signer, 2, 10);
    assert_eq!((module.calls("C_Initialize").unwrap(), module.calls("C_Finalize").unwrap()), (1, 0));
}

/// Sixteen at once, each with a registry and a manager of its own.
fn initialised_once() {
    let scene = scene("", policy(Execution::Guarded, 10_000));
    let module = FaultModule::wrap(&SoftHsm::module().unwrap()).unwrap();
    let name = uri(&module, &scene.token, ";object=key", PIN);
    // The login lasts as long as somebody holds on to it, so all do until the end.
    let (start, end) = (Barrier::new(16), Barrier::new(16));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                start.wait();
                let registry = Registry::new().with(Pkcs11::default());
                let signer = block_on(registry.signer(&name));
                let signed = signer.as_ref().map(|signer| block_on(signer.sign(b"message")));
                end.wait();
                assert!(matches!(signed, Ok(Ok(_))), "{signed:?}");
            });
        }
    });
    let calls = ["C_Initialize", "C_Finalize", "C_Login"].map(|call| module.calls(call).unwrap());
    assert_eq!(calls, [1, 0, 1]);
    assert_eq!(module.misuse().unwrap(), []);
}

/// Some libraries work once in a process.
fn cannot_be_initialised_again() {
    let scene = scene("", policy(Execution::Guarded, 5000)).with_policy(policy(Execution::Guarded, 600));
    let signer = scene.signer();
    scene.module.set("fault C_Sign at=1 not-initialized\nfault C_Initialize rv=CKR_GENERAL_ERROR").unwrap();
    let start = Instant::now();
    let error = block_on(signer.sign(b"message")).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.chain().contains("C_Initialize"), "{}", error.chain());
    scene.module.clear().unwrap();
    block_on(signer.sign(b"message")).unwrap_or_else(fail);
}

/// Signatures that take 20 ms each, four at a time, but one after the other.
fn one_call_at_a_time() {
    let scene = scene("", policy(Execution::Guarded, 10_000));
    let options = OpenOptions::default().with_policy(policy(Execution::Guarded, 10_000));
    let elapsed = |backend: Pkcs11| {
        let registry = Registry::new().with(backend).with_options(options.clone());
        let signer = block_on(registry.signer(&scene.with_pin())).unwrap_or_else(fail);
        block_on(signer.sign(b"first")).unwrap_or_else(fail);
        scene.module.set("fault C_Sign slow=20").unwrap();
        let start = Instant::now();
        scene.sign_on(&signer, 4, 5);
        scene.module.clear().unwrap();
        start.elapsed()
    };
    let (alone, together) = (elapsed(Pkcs11::default().with_one_call_at_a_time()), elapsed(Pkcs11::default()));
    println!("20 signatures of 20 ms on 4 threads: {alone:?} one at a time, {together:?} else");
    assert!(alone >= Duration::from_millis(400) && together < Duration::from_millis(300), "{alone:?} {together:?}");
}
