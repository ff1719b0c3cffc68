//! Calls that answer wrongly, late or never.

use std::time::{Duration, Instant};

use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::ObjectClass;
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;

use crate::{Outcome, PIN, Test, find, generate, ready, rv, sign, verifies};

pub(crate) const TESTS: &[Test] = &[
    ("answer::any_value_at_a_call", any_value_at_a_call),
    ("answer::for_a_time", for_a_time),
    ("answer::before_or_after", before_or_after),
    ("answer::pin_refused", pin_refused),
    ("answer::wrong_signatures", wrong_signatures),
    ("answer::der_that_does_not_fit", der_that_does_not_fit),
    ("answer::other_key", other_key),
    ("answer::slow_and_hanging", slow_and_hanging),
    ("answer::hang_until_the_configuration_changes", hang_until_the_configuration_changes),
    ("answer::broken_configuration", broken_configuration),
];

fn any_value_at_a_call() -> Outcome {
    let (module, _token, session, key) = ready()?;
    module.set("fault C_SignInit at=2 times=2 rv=CKR_DEVICE_ERROR\nfault C_SignInit at=4 rv=0x8000001A")?;
    sign(&session, key)?;
    assert_eq!(rv(sign(&session, key)), RvError::DeviceError);
    assert_eq!(rv(sign(&session, key)), RvError::DeviceError);
    assert_eq!(rv(sign(&session, key)), RvError::VendorDefined(0x8000_001a));
    sign(&session, key)?;
    assert_eq!(module.faults()?, 3);
    Ok(())
}

fn for_a_time() -> Outcome {
    let (module, _token, session, key) = ready()?;
    module.set("fault C_SignInit at=2 for=100 rv=CKR_FUNCTION_FAILED")?;
    sign(&session, key)?;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(80) {
        assert_eq!(rv(sign(&session, key)), RvError::FunctionFailed);
    }
    std::thread::sleep(Duration::from_millis(40));
    sign(&session, key)?;
    Ok(())
}

/// Before: the operation stays active, as on tokens that a failed `C_Sign` leaves so. After: it has ended.
fn before_or_after() -> Outcome {
    let (module, _token, session, key) = ready()?;
    module.set("fault C_Sign at=1 rv-after=CKR_DEVICE_ERROR")?;
    // A call for the length does not end the operation either.
    assert_eq!(rv(sign(&session, key)), RvError::DeviceError);
    assert_eq!(rv(sign(&session, key)), RvError::OperationActive);

    let (module, token, session, key) = ready()?;
    module.set("fault C_Sign at=2 rv-after=CKR_DEVICE_ERROR")?;
    assert_eq!(rv(sign(&session, key)), RvError::DeviceError);
    sign(&session, key)?;
    module.set("fault C_Sign at=2 rv=CKR_DEVICE_ERROR")?;
    assert_eq!(rv(sign(&session, key)), RvError::DeviceError);
    assert_eq!(rv(sign(&session, key)), RvError::OperationActive);
    module.set("fault C_GenerateKeyPair rv-after=CKR_DEVICE_REMOVED")?;
    let session = token.pkcs11.open_rw_session(token.slot)?;
    assert_eq!(rv(generate(&session, "made-but-not-told")), RvError::DeviceRemoved);
    find(&session, ObjectClass::PUBLIC_KEY, "made-but-not-told")?;
    Ok(())
}

fn pin_refused() -> Outcome {
    let (module, token, session, _key) = ready()?;
    session.logout()?;
    module.set("fault C_Login at=1 pin-incorrect\nfault C_Login at=2 pin-locked")?;
    let before = module.calls("C_Login")?;
    let pin = AuthPin::new(PIN.into());
    assert_eq!(rv(session.login(UserType::User, Some(&pin))), RvError::PinIncorrect);
    assert_eq!(rv(session.login(UserType::User, Some(&pin))), RvError::PinLocked);
    session.login(UserType::User, Some(&pin))?;
    assert_eq!(module.calls("C_Login")? - before, 3);
    drop((session, token));
    Ok(())
}

fn wrong_signatures() -> Outcome {
    let (module, _token, session, key) = ready()?;
    let right = sign(&session, key)?;
    assert!(right.len() == 64 && verifies(&session, "one", &right));
    for fault in ["flip-bit", "flip-bit=0", "flip-bit=511", "flip-bit=4000"] {
        module.set(&format!("fault C_Sign {fault}"))?;
        let signature = sign(&session, key)?;
        assert!(signature.len() == 64 && !verifies(&session, "one", &signature), "{fault}");
    }
    module.set("fault C_Sign short")?;
    assert_eq!(sign(&session, key)?.len(), 63);
    module.set("fault C_Sign short=64")?;
    assert_eq!(sign(&session, key)?.len(), 0);
    module.set("fault C_Sign der")?;
    let signature = sign(&session, key)?;
    assert_eq!((signature[0], usize::from(signature[1])), (0x30, signature.len() - 2));
    module.clear()?;
    assert!(verifies(&session, "one", &sign(&session, key)?));
    Ok(())
}

/// A caller that knows how long r‖s is gives no room for DER: `CKR_BUFFER_TOO_SMALL`, as a token would.
fn der_that_does_not_fit() -> Outcome {
    let (module, _token, session, key) = ready()?;
    // The first call, for the length, is not spoilt: cryptoki then has 64 octets.
    module.set("fault C_Sign at=2 der")?;
    assert_eq!(rv(sign(&session, key)), RvError::BufferTooSmall);
    Ok(())
}

fn other_key() -> Outcome {
    let (module, _token, session, key) = ready()?;
    module.set("fault C_Sign other-key=two")?;
    let signature = sign(&session, key)?;
    assert!(verifies(&session, "two", &signature) && !verifies(&session, "one", &signature));

    let rsa = find(&session, ObjectClass::PRIVATE_KEY, "rsa")?;
    module.set("fault C_Sign other-key=none")?;
    assert_eq!(rv(session.sign(&Mechanism::Sha256RsaPkcs, rsa, b"message")), RvError::KeyHandleInvalid);
    Ok(())
}

fn slow_and_hanging() -> Outcome {
    let (module, _token, session, key) = ready()?;
    for fault in ["slow=60", "hang=60"] {
        module.set(&format!("fault C_SignInit at=2 {fault}"))?;
        let took = |begin: Instant| begin.elapsed() >= Duration::from_millis(60);
        let begin = Instant::now();
        sign(&session, key)?;
        assert!(!took(begin), "{fault}");
        let begin = Instant::now();
        assert!(verifies(&session, "one", &sign(&session, key)?));
        assert!(took(begin), "{fault}");
    }
    Ok(())
}

fn hang_until_the_configuration_changes() -> Outcome {
    let (module, token, session, key) = ready()?;
    module.set("fault C_SignInit at=1 hang")?;
    std::thread::scope(|scope| -> Outcome {
        let hanging = scope.spawn(move || sign(&session, key).map_err(|error| error.to_string()));
        std::thread::sleep(Duration::from_millis(50));
        // Other sessions do not wait for it.
        let other = token.pkcs11.open_ro_session(token.slot)?;
        sign(&other, key)?;
        assert!(!hanging.is_finished());
        module.clear()?;
        hanging.join().map_err(|_| "panicked")??;
        Ok(())
    })
}

fn broken_configuration() -> Outcome {
    let (module, _token, session, key) = ready()?;
    assert!(module.set("fault C_Sing hang").unwrap_err().to_string().contains("no function `C_Sing`"));
    sign(&session, key)?;
    let conf = format!("{}.conf", module.path().display());
    std::fs::write(conf, "module=/nowhere\nfault C_Sign explode\n")?;
    assert_eq!(rv(sign(&session, key)), RvError::GeneralError);
    module.clear()?;
    sign(&session, key)?;
    Ok(())
}
