//! PINs: how many tries a wrong one costs, and that none is sent that must not be.

use std::sync::PoisonError;

use kms_core::{ErrorKind, KeySpec, KeyType, OpenOptions, OperationPolicy, Registry, block_on};
use kms_testkit::piv::PcscRig;
use kms_yubikey::YubiKey;

use crate::{LOG, NOTICES, Outcome, PIN, Scene, Test, USE_KEY, VERIFY, fails, sign};

pub(crate) const TESTS: &[Test] = &[
    ("pin::a_wrong_one_costs_one_try", a_wrong_one_costs_one_try),
    ("pin::the_last_try_is_not_spent", the_last_try_is_not_spent),
    ("pin::none_is_sent_unasked", none_is_sent_unasked),
    ("pin::commands_for_a_signature", commands_for_a_signature),
    ("pin::nothing_is_shown", nothing_is_shown),
];

fn a_wrong_one_costs_one_try(rig: &mut PcscRig) -> Outcome {
    let scene = Scene::new(rig);
    scene.key("9a", "")?;
    for (pin, left) in [("000000", 2), ("999999", 1)] {
        for _ in 0..20 {
            // A new manager each time: the process remembers, not the manager.
            fails(scene.sign_with("9a", pin), ErrorKind::PinIncorrect { tries_left: Some(left) });
        }
    }
    Ok(())
}

/// With one try left not even the right PIN is sent, unless the application says so.
fn the_last_try_is_not_spent(rig: &mut PcscRig) -> Outcome {
    let scene = Scene::new(rig);
    scene.key("9a", "")?;
    for pin in ["000000", "999999"] {
        let left = if pin == "000000" { 2 } else { 1 };
        fails(scene.sign_with("9a", pin), ErrorKind::PinIncorrect { tries_left: Some(left) });
    }
    scene.control.take_instructions();
    let error = fails(scene.sign_with("9a", PIN), ErrorKind::PinIncorrect { tries_left: Some(1) });
    assert!(error.to_string().contains("none is sent"), "{error}");
    let asked = scene.control.take_instructions().into_iter().filter(|instruction| *instruction == VERIFY).count();
    assert!(asked <= 1, "the counter is asked once, no PIN is sent: {asked}");

    let daring = |pin: &str| {
        let registry = Registry::new().with(YubiKey::default().with_last_try());
        let uri = scene.uri(&format!(";slot-id=9a?pin-value={pin}"));
        sign(&block_on(registry.signer(&uri))?)
    };
    daring(PIN)?;
    // That gave the tries back; now all three are spent.
    for (pin, kind) in [
        ("111111", ErrorKind::PinIncorrect { tries_left: Some(2) }),
        ("222222", ErrorKind::PinIncorrect { tries_left: Some(1) }),
        ("333333", ErrorKind::PinLocked),
        (PIN, ErrorKind::PinLocked),
    ] {
        fails(daring(pin), kind);
    }
    Ok(())
}

/// Neither a factory PIN nor a factory management key is ever tried.
fn none_is_sent_unasked(rig: &mut PcscRig) -> Outcome {
    let scene = Scene::new(rig);
    scene.key("9a", "")?;
    scene.control.take_instructions();
    let manager = scene.open("", OperationPolicy::default())?;
    let signer = block_on(manager.signer(&scene.uri(";slot-id=9a"), None));
    let error = fails(signer.and_then(|signer| sign(&signer)), ErrorKind::Unauthenticated);
    assert!(error.to_string().contains("pin-source"), "{error}");
    let error = block_on(manager.create_key(&scene.uri(";slot-id=82"), &KeySpec::new(KeyType::EcP256))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{}", error.chain());
    assert!(error.to_string().contains("management-key"), "{error}");
    let sent = scene.control.take_instructions();
    assert!(!sent.contains(&VERIFY), "{sent:02x?}");
    Ok(())
}

/// One for the policies `never` and, after the first, `once`; two for `always`. The first asks for the counter too.
fn commands_for_a_signature(rig: &mut PcscRig) -> Outcome {
    let scene = Scene::new(rig);
    for (slot, policy, commands) in
        [("9a", "once", vec![USE_KEY]), ("9c", "always", vec![VERIFY, USE_KEY]), ("9e", "never", vec![USE_KEY])]
    {
        scene.key(slot, &format!(";pin-policy={policy}"))?;
        let signer = scene.signer(slot, PIN)?;
        // What made the key has gone, and resets the card.
        std::thread::sleep(NOTICES);
        sign(&signer)?;
        for _ in 0..5 {
            scene.control.take_instructions();
            sign(&signer)?;
            assert_eq!(scene.control.take_instructions(), commands, "{policy}");
        }
    }
    Ok(())
}

/// PIN and management key are in no error, no Debug and no log at trace level; nor are they in hex, as in a command.
fn nothing_is_shown(rig: &mut PcscRig) -> Outcome {
    const CANARY: &str = "cnry7731";
    let scene = Scene::new(rig);
    scene.key("9a", "")?;
    let uri = scene.uri(&format!(";slot-id=9a?pin-value={CANARY}&management-key={}", "c0ffee".repeat(8)));
    let registry = Registry::new().with(YubiKey::default()).with_options(OpenOptions::default());
    let manager = block_on(registry.open(&uri))?;
    let refused = block_on(manager.signer(&uri, None)).map(drop);
    let refused = fails(refused, ErrorKind::PinIncorrect { tries_left: Some(2) });
    let spec = KeySpec::new(KeyType::EcP256);
    let unmanaged = block_on(manager.create_key(&scene.uri(";slot-id=82"), &spec)).unwrap_err();
    let mut shown = format!("{manager:?} {uri} {uri:?}");
    for error in [refused, unmanaged] {
        shown = format!("{shown} {error} {error:?} {}", error.chain());
    }
    let log = String::from_utf8_lossy(&LOG.0.lock().unwrap_or_else(PoisonError::into_inner)).to_lowercase();
    assert!(log.contains("no card in the reader"), "the log is read at all: {log}");
    let hex = CANARY.bytes().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().concat();
    let parted = CANARY.bytes().map(|octet| octet.to_string()).collect::<Vec<_>>().join(", ");
    for secret in [CANARY, &hex, &parted, "c0ffee"] {
        assert!(!shown.contains(secret) && !log.contains(secret), "{secret} in {shown}\n{log}");
    }
    Ok(())
}
