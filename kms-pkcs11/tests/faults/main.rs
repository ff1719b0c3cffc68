//! What may happen to sessions, logins, tokens and libraries, made to happen.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kms_core::{ErrorKind, Execution, KeySpec, KeyType, Registry, block_on};
use kms_pkcs11::Pkcs11;
use kms_testkit::judge;
use kms_testkit::pkcs11::{FaultModule, SoftHsm, reexec_with_softhsm};
use libtest_mimic::{Arguments, Trial};

mod killed;
mod scene;

use scene::{TOKENS, fail, policy, scene, token, uri};

fn main() -> ExitCode {
    let softhsm = reexec_with_softhsm().expect("SoftHSM can be configured");
    let softhsm: &'static SoftHsm = Box::leak(Box::new(softhsm));
    TOKENS.set(softhsm).expect("set once");
    let mut trials: Vec<_> = SURVIVED
        .iter()
        .flat_map(|(name, faults)| {
            [Execution::Guarded, Execution::Direct].map(|execution| {
                Trial::test(format!("survived::{name}::{execution:?}").to_lowercase(), move || {
                    survives(faults, execution);
                    Ok(())
                })
            })
        })
        .collect();
    let single: [(&str, fn()); 13] = [
        ("cap::sessions_of_the_device", cap_of_the_device),
        ("cap::cloudhsm", cap_of_cloudhsm),
        ("hang::sign", hang_in_sign),
        ("hang::each_call", hang_in_each_call),
        ("pin::sent_once", pin_sent_once),
        ("pin::refused_later", pin_refused_later),
        ("wrong::signatures", wrong_signatures),
        ("wrong::stale_handles", stale_handles),
        ("tokens::points", points),
        ("tokens::hashing_mechanisms", hashing_mechanisms),
        ("tokens::context_login", context_login),
        ("writes::one_at_a_time", writes),
        ("gone::error_at_the_deadline", gone),
    ];
    trials.extend(single.map(|(name, case)| {
        Trial::test(name, move || {
            case();
            Ok(())
        })
    }));
    trials.push(Trial::test("killed::ten_times", move || {
        killed::ten_times(softhsm);
        Ok(())
    }));
    // One after the other: SoftHSM does not bear programs that make tokens while others read them, and times are
    // compared with deadlines.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Each happens once or more in 600 signatures on 8 threads: none may fail, none be wrong.
const SURVIVED: &[(&str, &str)] = &[
    ("sessions_lost_at_init", "fault C_SignInit at=100 lose-sessions"),
    ("sessions_lost_at_sign", "fault C_Sign at=100 lose-sessions"),
    ("sessions_lost_often", "fault C_SignInit at=50 every=100 times=5 lose-sessions"),
    ("logout_at_init", "fault C_SignInit at=100 logout"),
    ("logout_at_sign", "fault C_Sign at=100 logout"),
    ("finalized", "fault C_Sign at=100 not-initialized"),
    ("finalized_at_init", "fault C_SignInit at=100 not-initialized"),
    ("token_gone", "fault C_Sign at=100 token-gone for=300"),
    ("token_gone_until_initialize", "fault C_Sign at=100 token-gone-until-initialize"),
    ("device_error", "fault C_Sign at=100 rv=CKR_DEVICE_ERROR"),
    ("device_error_for_a_time", "fault * at=500 for=200 rv=CKR_DEVICE_ERROR"),
    ("general_error", "fault C_Sign at=100 rv=CKR_GENERAL_ERROR"),
    ("function_failed", "fault C_SignInit at=100 rv=CKR_FUNCTION_FAILED"),
    ("vendor_code", "fault C_Sign at=100 rv=0x8000001A"),
    ("unknown_code", "fault C_Sign at=100 rv=0x7777"),
    ("session_closed", "fault C_Sign at=100 rv=CKR_SESSION_CLOSED"),
    ("object_handle", "fault C_SignInit at=100 rv=CKR_OBJECT_HANDLE_INVALID"),
    ("key_handle", "fault C_SignInit at=100 rv=CKR_KEY_HANDLE_INVALID"),
    ("operation_active", "fault C_SignInit at=100 rv=CKR_OPERATION_ACTIVE"),
    ("not_logged_in", "fault C_SignInit at=100 rv=CKR_USER_NOT_LOGGED_IN"),
    ("host_memory", "fault C_Sign at=100 rv=CKR_HOST_MEMORY"),
    ("answer_lost", "fault C_Sign at=100 rv-after=CKR_DEVICE_ERROR"),
];

fn survives(faults: &str, execution: Execution) {
    let scene = scene("", policy(execution, 10_000));
    let signer = scene.signer();
    scene.module.set(faults).unwrap();
    let slowest = scene.sign_on(&signer, 8, 75);
    println!("{faults} ({execution:?}): slowest {slowest:?}, {} faults", scene.module.faults().unwrap());
    assert!(scene.module.faults().unwrap() > 0, "the fault never happened");
    assert_eq!(scene.module.misuse().unwrap(), []);
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

fn hang_in_sign() {
    let scene = scene("", policy(Execution::Guarded, 10_000)).with_policy(policy(Execution::Guarded, 300));
    let signer = scene.signer();
    block_on(signer.sign(b"before")).unwrap_or_else(fail);
    scene.module.set("fault C_Sign at=1 hang=3000").unwrap();
    let start = Instant::now();
    let error = block_on(signer.sign(b"hangs")).unwrap_err();
    let elapsed = start.elapsed();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(elapsed < Duration::from_millis(400), "{elapsed:?}");
    let start = Instant::now();
    block_on(signer.sign(b"after")).unwrap_or_else(fail);
    println!("the next one took {:?}", start.elapsed());
    scene.sign_on(&signer, 8, 10);
    assert_eq!(scene.module.misuse().unwrap(), []);
}

fn hang_in_each_call() {
    for call in
        ["C_SignInit", "C_Sign", "C_OpenSession", "C_FindObjectsInit", "C_GetAttributeValue", "C_GetSessionInfo"]
    {
        let scene = scene("", policy(Execution::Guarded, 10_000)).with_policy(policy(Execution::Guarded, 300));
        scene.module.set(&format!("fault {call} at=1 hang=1500")).unwrap();
        let start = Instant::now();
        let result = block_on(scene.manager.signer(&scene.key.uri, None)).and_then(|signer| {
            let first = block_on(signer.sign(b"one"));
            std::thread::sleep(Duration::from_millis(20));
            first
        });
        let elapsed = start.elapsed();
        if let Err(error) = result {
            assert_eq!(error.kind(), ErrorKind::Timeout, "{call}: {error}");
        }
        assert!(elapsed < Duration::from_millis(750), "{call}: {elapsed:?}");
        scene.module.clear().unwrap();
        let signer = scene.signer();
        block_on(signer.sign(b"after")).unwrap_or_else(fail);
        assert_eq!(scene.module.misuse().unwrap(), [], "{call}");
    }
}

fn pin_sent_once() {
    let module = FaultModule::wrap(&SoftHsm::module().unwrap()).unwrap();
    let registry = Registry::new().with(Pkcs11::default());
    let wrong = uri(&module, &token(), ";object=x", "0000");
    for _ in 0..10 {
        let error = block_on(registry.signer(&wrong)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::PinIncorrect { .. }), "{error}");
    }
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let error = block_on(registry.signer(&wrong)).unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::PinIncorrect { .. }), "{error}");
            });
        }
    });
    assert_eq!(module.calls("C_Login").unwrap(), 1);
}

/// The right PIN, which a token refuses after it was unplugged.
fn pin_refused_later() {
    for (fault, locked) in [("pin-incorrect", false), ("pin-locked", true)] {
        let scene = scene("", policy(Execution::Guarded, 2000));
        let signer = scene.signer();
        let before = scene.module.calls("C_Login").unwrap();
        scene.module.set(&format!("fault C_SignInit at=1 logout\nfault C_Login {fault}")).unwrap();
        for _ in 0..5 {
            let error = block_on(signer.sign(b"message")).unwrap_err();
            let expected = matches!(error.kind(), ErrorKind::PinIncorrect { .. }) && !locked
                || error.kind() == ErrorKind::PinLocked && locked;
            assert!(expected, "{error}");
        }
        let sent = scene.module.calls("C_Login").unwrap() - before;
        assert!(sent == 1 || locked, "{sent} logins");
    }
}

fn wrong_signatures() {
    let scene = scene("", policy(Execution::Guarded, 5000));
    let other = scene.signer();
    let name = ";object=other-key";
    let _ = block_on(scene.manager.create_key(&scene.uri(name), &KeySpec::new(KeyType::EcP256)));
    for fault in ["flip-bit", "flip-bit=0", "short", "short=64", "other-key=other-key"] {
        scene.module.set(&format!("fault C_Sign {fault}")).unwrap();
        for _ in 0..20 {
            let error = block_on(other.sign(b"message")).expect_err(fault);
            assert_eq!(error.kind(), ErrorKind::Integrity, "{fault}: {error}");
        }
    }
    scene.module.set("fault C_Sign der").unwrap();
    scene.sign_on(&other, 4, 10);
}

fn stale_handles() {
    let scene = scene("", policy(Execution::Guarded, 5000));
    let signer = scene.signer();
    let name = ";object=stale-other";
    let _ = block_on(scene.manager.create_key(&scene.uri(name), &KeySpec::new(KeyType::EcP256)));
    for event in ["lose-sessions", "not-initialized", "logout", "token-gone for=50"] {
        scene.module.set(&format!("stale-handles=stale-other\nfault C_SignInit at=5 {event}")).unwrap();
        scene.sign_on(&signer, 4, 20);
    }
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
    let rsa = scene.uri(";object=fips");
    let key = block_on(scene.manager.create_key(&rsa, &KeySpec::new(KeyType::Rsa { bits: 2048 }))).unwrap_or_else(fail);
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

fn context_login() {
    let scene = scene("", policy(Execution::Guarded, 5000));
    scene.module.set("require-context-login=true").unwrap();
    let signer = scene.signer();
    scene.sign_on(&signer, 4, 10);
}

fn writes() {
    let scene = scene("refuse-parallel-writes=true", policy(Execution::Guarded, 20_000));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let scene = &scene;
            scope.spawn(move || {
                for number in 0..5 {
                    let uri = scene.uri(&format!(";object=write-{thread}-{number}"));
                    let key =
                        block_on(scene.manager.create_key(&uri, &KeySpec::new(KeyType::EcP256))).unwrap_or_else(fail);
                    let signer = block_on(scene.manager.signer(&key.uri, None)).unwrap_or_else(fail);
                    block_on(signer.sign(b"message")).unwrap_or_else(fail);
                    block_on(scene.manager.as_key_deleter().unwrap().delete_key(&key.uri)).unwrap_or_else(fail);
                }
            });
        }
    });
    assert_eq!(scene.module.misuse().unwrap(), []);
}

fn gone() {
    for execution in [Execution::Guarded, Execution::Direct] {
        let scene = scene("", policy(execution, 10_000)).with_policy(policy(execution, 400));
        let signer = scene.signer();
        scene.module.set("fault C_SignInit at=1 token-gone").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let start = Instant::now();
                    let error = block_on(signer.sign(b"message")).unwrap_err();
                    let kinds = [ErrorKind::DeviceRemoved, ErrorKind::Unavailable, ErrorKind::Timeout];
                    assert!(kinds.contains(&error.kind()), "{error}");
                    println!("{execution:?} {:?} {error} after {:?}", error.kind(), start.elapsed());
                    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
                });
            }
        });
        scene.module.clear().unwrap();
        let start = Instant::now();
        block_on(signer.sign(b"message")).unwrap_or_else(fail);
        assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    }
}
