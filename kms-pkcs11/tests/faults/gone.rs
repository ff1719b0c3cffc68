//! Tokens that do not come back.

use std::time::{Duration, Instant};

use kms_core::{ErrorKind, Execution, block_on};

use crate::Case;
use crate::scene::{fail, policy, scene};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        ("gone::error_at_the_deadline", error_at_the_deadline),
        ("gone::probed_by_one", probed_by_one),
        ("gone::for_good", for_good),
    ]
}

fn error_at_the_deadline() {
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
                    assert!(start.elapsed() < Duration::from_millis(2500), "{:?}", start.elapsed());
                });
            }
        });
        scene.module.clear().unwrap();
        let start = Instant::now();
        block_on(signer.sign(b"message")).unwrap_or_else(fail);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}

/// A dead device is asked not much oftener by sixteen callers than by one: each finds out for himself, and then waits.
fn probed_by_one() {
    let calls = |threads: usize| {
        let scene = scene("", policy(Execution::Direct, 10_000)).with_policy(policy(Execution::Direct, 1000));
        let signer = scene.signer();
        block_on(signer.sign(b"before")).unwrap_or_else(fail);
        let names = ["C_Initialize", "C_GetSlotList", "C_OpenSession", "C_SignInit", "C_Login"];
        let count = || names.iter().map(|name| scene.module.calls(name).unwrap()).sum::<u64>();
        scene.module.set("fault C_SignInit at=1 token-gone").unwrap();
        let before = count();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| block_on(signer.sign(b"message")).unwrap_err());
            }
        });
        count() - before
    };
    let (one, sixteen) = (calls(1), calls(16));
    println!("calls in a second: {one} by one caller, {sixteen} by sixteen");
    assert!(sixteen <= one + 16 * 5 && one <= 150, "{one} by one, {sixteen} by sixteen");
}

/// A fault that no rebuilding cures ends before the deadline, and says what it is.
fn for_good() {
    for (code, name) in [("0x8000001A", "0x8000001a"), ("CKR_GENERAL_ERROR", "CKR_GENERAL_ERROR")] {
        let scene = scene("", policy(Execution::Guarded, 20_000));
        let signer = scene.signer();
        scene.module.set(&format!("fault C_SignInit rv={code}")).unwrap();
        let start = Instant::now();
        let error = block_on(signer.sign(b"message")).unwrap_err();
        println!("{name} after {:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.is_transient() && error.chain().contains(name), "{}", error.chain());
        scene.module.clear().unwrap();
        block_on(signer.sign(b"after")).unwrap_or_else(fail);
    }
}
