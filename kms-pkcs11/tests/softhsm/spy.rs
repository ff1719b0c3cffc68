//! What reaches the token, as the spy of `OpenSC` sees it.

use kms_core::{ErrorKind, Execution, KeySpec, KeyType, KeyUri, OperationPolicy, block_on};

use crate::Case;
use crate::keys::fail;
use crate::place::{PIN, registry, with_policy};

pub(crate) fn cases() -> Vec<Case> {
    vec![("spy::calls", calls)]
}

const SPIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/pkcs11/pkcs11-spy.so",
    "/usr/lib/aarch64-linux-gnu/pkcs11/pkcs11-spy.so",
    "/usr/lib64/pkcs11/pkcs11-spy.so",
];

fn spied(path: &str, pin: &str) -> KeyUri {
    let spy = SPIES.iter().find(|path| std::path::Path::new(path).exists());
    let spy = spy.expect("no pkcs11-spy.so: apt-get install opensc");
    format!("pkcs11:{path}?module-path={spy}&pin-value={pin}").parse().unwrap()
}

fn count(call: &str) -> usize {
    let log = std::env::var_os("KMS_TEST_SPY_LOG").expect("the spy's log");
    let text = std::fs::read(log).unwrap_or_default();
    let call = format!(": {call}");
    String::from_utf8_lossy(&text).lines().filter(|line| line.ends_with(&call)).count()
}

/// One log, so one case.
fn calls() {
    // A wrong PIN: one try, whatever is done with it, by however many managers.
    for _ in 0..3 {
        let manager = block_on(registry().open(&spied("token=pins", "0000"))).unwrap_or_else(fail);
        for _ in 0..5 {
            for error in [
                block_on(manager.signer(&spied("token=pins;object=x", "0000"), None)).map(drop).unwrap_err(),
                block_on(manager.public_key(&spied("token=pins;object=x", "0000"))).map(drop).unwrap_err(),
                block_on(manager.create_key(&spied("token=pins;object=x", "0000"), &KeySpec::new(KeyType::EcP256)))
                    .map(drop)
                    .unwrap_err(),
            ] {
                assert!(matches!(error.kind(), ErrorKind::PinIncorrect { .. }), "{error}");
            }
        }
    }
    assert_eq!(count("C_Login"), 1);

    // The right one, then; and a login for each token only.
    let manager = block_on(registry().open(&spied("token=pins", PIN))).unwrap_or_else(fail);
    let create = |label: &str| {
        let uri = spied(&format!("token=pins;object={label}"), PIN);
        block_on(manager.create_key(&uri, &KeySpec::new(KeyType::EcP256))).unwrap_or_else(fail)
    };
    let (key, _) = (create("spied"), create("other"));
    for _ in 0..3 {
        block_on(registry().signer(&key.uri.with_query("pin-value", PIN).unwrap())).unwrap_or_else(fail);
    }
    assert_eq!(count("C_Login"), 2);
    let error = block_on(registry().signer(&key.uri.with_query("pin-value", "0000").unwrap())).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::PinIncorrect { .. }), "{error}");
    assert_eq!(count("C_Login"), 2);

    // Two calls for a signature.
    for execution in [Execution::Direct, Execution::Guarded] {
        let registry = with_policy(OperationPolicy::default().with_execution(execution));
        let signer = block_on(registry.signer(&key.uri.with_query("pin-value", PIN).unwrap())).unwrap_or_else(fail);
        block_on(signer.sign(b"first")).unwrap_or_else(fail);
        let names = ["C_SignInit", "C_Sign", "C_OpenSession", "C_GetSessionInfo", "C_FindObjectsInit", "C_Login"];
        let before = names.map(count);
        for _ in 0..100 {
            block_on(signer.sign(b"message")).unwrap_or_else(fail);
        }
        let after = names.map(count);
        let made: Vec<_> = before.iter().zip(after).map(|(before, after)| after - before).collect();
        assert_eq!(made, [100, 100, 0, 0, 0, 0], "{execution:?}: {names:?}");
    }
    assert_eq!(count("C_Finalize"), 0);
}
