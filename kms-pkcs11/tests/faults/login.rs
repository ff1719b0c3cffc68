//! Logins and PINs: how often which is sent, and what is said of those that are refused.

use std::sync::Mutex;

use kms_core::{
    Error, ErrorKind, Execution, KeySpec, KeyType, OpenOptions, Registry, Secret, SecretPrompt, SecretRequest, block_on,
};
use kms_pkcs11::Pkcs11;
use kms_testkit::pkcs11::{FaultModule, SoftHsm};

use crate::Case;
use crate::scene::{PIN, fail, policy, scene, token, uri};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        ("pin::sent_once", sent_once),
        ("pin::refused_in_any_way", refused_in_any_way),
        ("pin::refused_for_one_signature", refused_for_one_signature),
        ("pin::refused_later", refused_later),
        ("pin::right_but_unanswered", right_but_unanswered),
        ("pin::said_what_is_wrong", said_what_is_wrong),
        ("pin::not_sent_where_it_could_lock", not_sent_where_it_could_lock),
        ("pin::asked_for", asked_for),
        ("pin::absent", absent),
        ("login::once_for_all", once_for_all),
        ("login::somebody_elses", somebody_elses),
        ("login::another_token_is_not_disturbed", another_token_is_not_disturbed),
        ("login::asked_for_by_public_objects", asked_for_by_public_objects),
    ]
}

fn module() -> FaultModule {
    FaultModule::wrap(&SoftHsm::module().unwrap()).unwrap()
}

fn registry() -> Registry {
    Registry::new()
        .with(Pkcs11::default())
        .with_options(OpenOptions::default().with_policy(policy(Execution::Guarded, 5000)))
}

fn is_pin_incorrect(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::PinIncorrect { .. })
}

/// By ten calls, eight threads, a manager each.
fn sent_once() {
    let (module, registry) = (module(), registry());
    let wrong = uri(&module, &token(), ";object=x", "0000");
    for _ in 0..10 {
        let error = block_on(registry.signer(&wrong)).unwrap_err();
        assert!(is_pin_incorrect(&error), "{error}");
    }
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let error = block_on(registry.signer(&wrong)).unwrap_err();
                assert!(is_pin_incorrect(&error), "{error}");
            });
        }
    });
    assert_eq!(module.calls("C_Login").unwrap(), 1);
}

/// However the token says it, and even if all it says is that something failed: by ten calls, three managers.
fn refused_in_any_way() {
    let token = token();
    for (answer, kind) in [
        ("CKR_PIN_INCORRECT", ErrorKind::PinIncorrect { tries_left: None }),
        ("CKR_PIN_INVALID", ErrorKind::PinIncorrect { tries_left: None }),
        ("CKR_PIN_LEN_RANGE", ErrorKind::PinIncorrect { tries_left: None }),
        ("CKR_PIN_LOCKED", ErrorKind::PinLocked),
        ("CKR_PIN_EXPIRED", ErrorKind::Unauthenticated),
        ("CKR_ARGUMENTS_BAD", ErrorKind::Unsupported),
        ("CKR_FUNCTION_FAILED", ErrorKind::Unavailable),
        ("CKR_GENERAL_ERROR", ErrorKind::Unavailable),
        ("0x80000001", ErrorKind::Unavailable),
    ] {
        let (module, registry) = (module(), registry());
        module.set(&format!("fault C_Login rv={answer}")).unwrap();
        let place = uri(&module, &token, ";object=x", PIN);
        for _ in 0..3 {
            let manager = block_on(registry.open(&place)).unwrap_or_else(fail);
            for _ in 0..3 {
                let error = block_on(manager.signer(&place, None)).map(drop).unwrap_err();
                assert_eq!(error.kind(), kind, "{answer}: {error}");
                assert!(error.hint().is_some(), "{answer}: {error}");
            }
        }
        // Not even when it would be right by now.
        module.clear().unwrap();
        assert_eq!(block_on(registry.signer(&place)).unwrap_err().kind(), kind, "{answer}");
        assert_eq!(module.calls("C_Login").unwrap(), 1, "{answer}");
    }
}

/// The right PIN, which a token refuses after it was unplugged.
fn refused_later() {
    for (fault, locked) in [("pin-incorrect", false), ("pin-locked", true)] {
        let scene = scene("", policy(Execution::Guarded, 2000));
        let signer = scene.signer();
        let before = scene.module.calls("C_Login").unwrap();
        scene.module.set(&format!("fault C_SignInit at=1 logout\nfault C_Login {fault}")).unwrap();
        for _ in 0..5 {
            let error = block_on(signer.sign(b"message")).unwrap_err();
            assert!(if locked { error.kind() == ErrorKind::PinLocked } else { is_pin_incorrect(&error) }, "{error}");
        }
        assert_eq!(scene.module.calls("C_Login").unwrap() - before, 1, "{fault}");
    }
}

/// Of a key that wants the PIN each time.
fn refused_for_one_signature() {
    let scene = scene("require-context-login=true", policy(Execution::Guarded, 2000));
    let signer = scene.signer();
    block_on(signer.sign(b"message")).unwrap_or_else(fail);
    let before = scene.module.calls("C_Login").unwrap();
    scene.module.set("require-context-login=true\nfault C_Login rv=CKR_PIN_LOCKED").unwrap();
    for _ in 0..5 {
        let error = block_on(signer.sign(b"message")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PinLocked, "{error}");
    }
    assert_eq!(scene.module.calls("C_Login").unwrap() - before, 1);
}

/// A PIN that has logged in may be sent again after an answer that says nothing of it, as long as the token counts no
/// wrong ones: `CKF_USER_PIN_COUNT_LOW`.
fn right_but_unanswered() {
    for answer in ["CKR_FUNCTION_FAILED", "CKR_DEVICE_ERROR", "0x80000001"] {
        let scene = scene("", policy(Execution::Guarded, 5000));
        let signer = scene.signer();
        let fault = format!("fault C_SignInit at=1 logout\nfault C_Login at=1 times=2 rv={answer}");
        scene.module.set(&fault).unwrap();
        block_on(signer.sign(b"message")).unwrap_or_else(fail);
    }
    let scene = scene("", policy(Execution::Guarded, 5000));
    let (signer, before) = (scene.signer(), scene.module.calls("C_Login").unwrap());
    let fault = "flip-token-flags=0x10000\nfault C_SignInit at=1 logout\nfault C_Login rv=0x80000001";
    scene.module.set(fault).unwrap();
    for _ in 0..3 {
        block_on(signer.sign(b"message")).unwrap_err();
    }
    assert_eq!(scene.module.calls("C_Login").unwrap() - before, 1);
}

fn said_what_is_wrong() {
    let token = token();
    for (answer, kind, says) in [
        ("CKR_PIN_EXPIRED", ErrorKind::Unauthenticated, "expired"),
        ("CKR_PIN_LOCKED", ErrorKind::PinLocked, "security officer"),
        ("CKR_USER_PIN_NOT_INITIALIZED", ErrorKind::Unauthenticated, "security officer"),
        ("CKR_USER_ANOTHER_ALREADY_LOGGED_IN", ErrorKind::Unauthenticated, "another user"),
        ("CKR_USER_TOO_MANY_TYPES", ErrorKind::Unauthenticated, "another user"),
        ("CKR_PIN_LEN_RANGE", ErrorKind::PinIncorrect { tries_left: None }, "shorter or longer"),
        ("CKR_PIN_INVALID", ErrorKind::PinIncorrect { tries_left: None }, "characters"),
    ] {
        let module = module();
        module.set(&format!("fault C_Login rv={answer}")).unwrap();
        let error = block_on(registry().signer(&uri(&module, &token, ";object=x", PIN))).unwrap_err();
        assert_eq!(error.kind(), kind, "{answer}: {error}");
        assert!(error.hint().unwrap_or_default().contains(says), "{answer}: {error}");
        assert!(!error.is_transient() && !error.chain().contains(PIN), "{answer}: {error}");
        assert_eq!(module.calls("C_Login").unwrap(), 1, "{answer}");
    }
}

/// Where the token says that it is locked, or that one try is left: `CKF_USER_PIN_LOCKED`, `CKF_USER_PIN_FINAL_TRY`.
fn not_sent_where_it_could_lock() {
    let token = token();
    for (flag, kind) in
        [("0x40000", ErrorKind::PinLocked), ("0x20000", ErrorKind::PinIncorrect { tries_left: Some(1) })]
    {
        let module = module();
        module.set(&format!("flip-token-flags={flag}")).unwrap();
        let error = block_on(registry().signer(&uri(&module, &token, ";object=x", PIN))).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(module.calls("C_Login").unwrap(), 0);
    }
}

/// A person is asked once, and again after a slip; what was refused is not sent, should it be typed once more.
fn asked_for() {
    #[derive(Debug)]
    struct Typed(Mutex<Vec<&'static str>>);
    impl SecretPrompt for Typed {
        fn prompt(&self, _: &SecretRequest) -> kms_core::Result<Secret> {
            let next = self.0.lock().unwrap().pop();
            next.map(Secret::new).ok_or_else(|| Error::new(ErrorKind::Unauthenticated, "asked once too often"))
        }
    }
    let scene = scene("", policy(Execution::Guarded, 5000));
    let module = module();
    let prompt = Typed(Mutex::new(vec![PIN, "0000", "0000"]));
    let options = OpenOptions::default().with_prompt(prompt);
    let registry = Registry::new().with(Pkcs11::default()).with_options(options);
    let text = format!("pkcs11:token={};object=key?module-path={}", scene.token, module.path().display());
    let place = text.parse().unwrap();
    let manager = block_on(registry.open(&place)).unwrap_or_else(fail);
    for _ in 0..2 {
        let error = block_on(manager.signer(&place, None)).map(drop).unwrap_err();
        assert!(is_pin_incorrect(&error), "{error}");
    }
    assert_eq!(module.calls("C_Login").unwrap(), 1);
    for _ in 0..3 {
        block_on(manager.signer(&place, None)).unwrap_or_else(fail);
    }
    assert_eq!(module.calls("C_Login").unwrap(), 2);
}

fn absent() {
    let scene = scene("", policy(Execution::Guarded, 5000));
    let module = module();
    let text = format!("pkcs11:token={};object=key?module-path={}", scene.token, module.path().display());
    let manager = block_on(registry().open(&text.parse().unwrap())).unwrap_or_else(fail);
    for error in [
        block_on(manager.signer(&text.parse().unwrap(), None)).map(drop).unwrap_err(),
        block_on(manager.create_key(&text.parse().unwrap(), &KeySpec::new(KeyType::EcP256))).map(drop).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
        assert!(error.hint().unwrap().contains("pin-source"), "{error}");
    }
    assert_eq!(module.calls("C_Login").unwrap(), 0);
}

/// One login for all, never taken back: not by sessions that close, nor by managers that go, nor by writes.
fn once_for_all() {
    let scene = scene("", policy(Execution::Guarded, 10_000));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let scene = &scene;
            scope.spawn(move || {
                for number in 0..5 {
                    let signer = block_on(registry().signer(&scene.with_pin())).unwrap_or_else(fail);
                    block_on(signer.sign(b"message")).unwrap_or_else(fail);
                    if number == 2 {
                        scene.create(&format!("beside-{thread}"), KeyType::EcP256);
                    }
                }
            });
        }
    });
    let calls = ["C_Login", "C_Logout", "C_Finalize"].map(|call| scene.module.calls(call).unwrap());
    assert_eq!(calls, [1, 0, 0]);
}

/// The token answers that somebody is logged in already: just as good.
fn somebody_elses() {
    let scene = scene("", policy(Execution::Guarded, 5000));
    let module = module();
    module.set("fault C_Login rv-after=CKR_USER_ALREADY_LOGGED_IN").unwrap();
    let signer = block_on(registry().signer(&uri(&module, &scene.token, ";object=key", PIN))).unwrap_or_else(fail);
    scene.sign_on(&signer, 4, 10);
    assert_eq!(module.calls("C_Login").unwrap(), 1);
}

fn another_token_is_not_disturbed() {
    let scene = scene("", policy(Execution::Guarded, 5000));
    let signer = scene.signer();
    // Made later, it is seen only by a library that is initialised anew: another, then.
    let other = token();
    let error = block_on(registry().signer(&uri(&scene.module, &other, ";object=x", "0000"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    scene.sign_on(&signer, 4, 10);

    let module = module();
    let signer = block_on(registry().signer(&uri(&module, &scene.token, ";object=key", PIN))).unwrap_or_else(fail);
    for _ in 0..3 {
        let error = block_on(registry().signer(&uri(&module, &other, ";object=x", "0000"))).unwrap_err();
        assert!(is_pin_incorrect(&error), "{error}");
        scene.sign_on(&signer, 2, 5);
    }
    assert_eq!((module.calls("C_Finalize").unwrap(), module.calls("C_Login").unwrap()), (0, 2));
}

/// Some tokens show nothing before the login.
fn asked_for_by_public_objects() {
    let scene = scene("", policy(Execution::Guarded, 5000));
    let mut attributes = kms_pkcs11::KeyAttributes::default();
    attributes.public_key_private = Some(true);
    let registry = Registry::new().with(Pkcs11::default().with_key_attributes(attributes));
    let manager = block_on(registry.open(&scene.uri(""))).unwrap_or_else(fail);
    let key = block_on(manager.create_key(&scene.uri(";object=hidden"), &KeySpec::new(KeyType::EcP256)));
    let key = key.unwrap_or_else(fail);
    let module = module();
    let place = uri(&module, &scene.token, ";object=hidden;type=public", PIN);
    let manager = block_on(registry.open(&place)).unwrap_or_else(fail);
    assert_eq!(block_on(manager.public_key(&place)).unwrap_or_else(fail), key.public_key);
}
