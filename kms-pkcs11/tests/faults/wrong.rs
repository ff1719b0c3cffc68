//! Answers that are wrong although the token says `CKR_OK`: none is handed out.

use std::sync::atomic::{AtomicUsize, Ordering};

use kms_core::{ErrorKind, Execution, KeySpec, KeyType, block_on};

use crate::Case;
use crate::scene::{fail, policy, scene};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        ("wrong::ten_thousand_signatures", ten_thousand_signatures),
        ("wrong::der_where_raw_is_due", der_where_raw_is_due),
        ("wrong::stale_handles", stale_handles),
        ("wrong::key_replaced", key_replaced),
        ("wrong::failed_operation_is_left", failed_operation_is_left),
    ]
}

/// Each kind of damage, 10,000 times in all: as many errors.
fn ten_thousand_signatures() {
    let scene = scene("", policy(Execution::Direct, 10_000));
    scene.create("other-key", KeyType::EcP256);
    let signers: Vec<_> = [KeyType::EcP256, KeyType::EcP384, KeyType::Ed25519, KeyType::Rsa { bits: 2048 }]
        .into_iter()
        .map(|key_type| {
            let key = scene.create(&format!("wrong-{key_type}"), key_type);
            block_on(scene.manager.signer(&key.uri, None)).unwrap_or_else(fail)
        })
        .collect();
    let caught = AtomicUsize::new(0);
    let spoil = |faults: &str, kind: usize, times: usize| {
        scene.module.set(faults).unwrap();
        let signer = &signers[kind];
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..times / 2 {
                        let error = block_on(signer.sign(b"message")).expect_err(faults);
                        assert_eq!(error.kind(), ErrorKind::Integrity, "{faults}: {error}");
                        caught.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
    };
    for bit in 0..512 {
        spoil(&format!("fault C_Sign flip-bit={bit}"), 0, 10);
        spoil(&format!("fault C_Sign flip-bit={bit}"), 2, 2);
    }
    for octets in 1..=64 {
        spoil(&format!("fault C_Sign short={octets}"), 0, 18);
        spoil(&format!("fault C_Sign short={octets}"), 2, 2);
        // In DER, and wrong as well.
        spoil(&format!("fault C_Sign flip-bit={octets}\nfault C_Sign der"), 0, 8);
        spoil(&format!("fault C_Sign flip-bit={octets}"), 1, 4);
        spoil(&format!("fault C_Sign flip-bit={octets}"), 3, 2);
        spoil(&format!("fault C_Sign short={octets}"), 3, 2);
    }
    let rest = 10_000 - caught.load(Ordering::Relaxed);
    spoil("fault C_Sign other-key=other-key", 0, rest);
    assert_eq!(caught.load(Ordering::Relaxed), 10_000);
    assert!(scene.module.faults().unwrap() >= 10_000);
    scene.module.clear().unwrap();
    for signer in &signers {
        block_on(signer.sign(b"message")).unwrap_or_else(fail);
    }
}

fn der_where_raw_is_due() {
    let scene = scene("", policy(Execution::Guarded, 5000));
    let signer = scene.signer();
    scene.module.set("fault C_Sign der").unwrap();
    scene.sign_on(&signer, 4, 10);
    assert!(scene.module.faults().unwrap() >= 40);
}

/// After a loss, the old handle of the key means another key.
fn stale_handles() {
    let scene = scene("", policy(Execution::Guarded, 5000));
    let signer = scene.signer();
    scene.create("stale-other", KeyType::EcP256);
    for event in ["lose-sessions", "not-initialized", "logout", "token-gone for=50"] {
        scene.module.set(&format!("stale-handles=stale-other\nfault C_SignInit at=5 {event}")).unwrap();
        scene.sign_on(&signer, 4, 20);
    }
}

/// Somebody put another key under the name: it is not used, and the error says so.
fn key_replaced() {
    let scene = scene("", policy(Execution::Guarded, 5000));
    let name = scene.uri(";object=replaced;id=%0A");
    let create = || block_on(scene.manager.create_key(&name, &KeySpec::new(KeyType::EcP256))).unwrap_or_else(fail);
    let signer = block_on(scene.manager.signer(&create().uri, None)).unwrap_or_else(fail);
    block_on(scene.manager.as_key_deleter().unwrap().delete_key(&name)).unwrap_or_else(fail);
    create();
    scene.module.set("fault C_SignInit at=1 lose-sessions").unwrap();
    let error = block_on(signer.sign(b"message")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyMismatch, "{error}");
    assert!(error.hint().is_some(), "{error}");
}

/// An operation that failed may still be active in its session: that session is not used again.
fn failed_operation_is_left() {
    for code in ["CKR_DATA_LEN_RANGE", "CKR_FUNCTION_REJECTED", "CKR_BUFFER_TOO_SMALL"] {
        let scene = scene("cap-sessions=1", policy(Execution::Guarded, 5000));
        let signer = scene.signer();
        block_on(signer.sign(b"before")).unwrap_or_else(fail);
        scene.module.set(&format!("cap-sessions=1\nfault C_Sign at=1 rv={code}")).unwrap();
        let refused = block_on(signer.sign(b"refused"));
        assert_eq!(refused.is_ok(), code == "CKR_BUFFER_TOO_SMALL", "{code}");
        scene.sign_on(&signer, 4, 5);
    }
}
