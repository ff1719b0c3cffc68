//! Sessions, logins, tokens and libraries that are lost.

use std::time::Duration;

use cryptoki::error::RvError;
use cryptoki::object::ObjectClass;
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;

use crate::{Outcome, PIN, Test, find, initialize, ready, rv, sign, verifies};

pub(crate) const TESTS: &[Test] = &[
    ("event::lose_sessions", lose_sessions),
    ("event::logout", logout),
    ("event::token_gone", token_gone),
    ("event::token_gone_for_good", token_gone_for_good),
    ("event::token_gone_until_initialize", token_gone_until_initialize),
    ("event::not_initialized", not_initialized),
    ("event::stale_handles_mean_another_key", stale_handles_mean_another_key),
    ("event::under_load", under_load),
];

fn lose_sessions() -> Outcome {
    let (module, token, session, key) = ready()?;
    let other = token.pkcs11.open_ro_session(token.slot)?;
    module.set("fault C_Sign at=3 lose-sessions")?;
    sign(&session, key)?;
    assert_eq!(rv(sign(&session, key)), RvError::SessionHandleInvalid);
    assert_eq!(rv(sign(&session, key)), RvError::SessionHandleInvalid);
    assert_eq!(rv(other.get_session_info()), RvError::SessionHandleInvalid);
    let session = token.log_in()?;
    let key = find(&session, ObjectClass::PRIVATE_KEY, "one")?;
    assert!(verifies(&session, "one", &sign(&session, key)?));
    Ok(())
}

fn logout() -> Outcome {
    let (module, _token, session, key) = ready()?;
    module.set("fault C_SignInit at=2 logout")?;
    sign(&session, key)?;
    assert_eq!(rv(sign(&session, key)), RvError::UserNotLoggedIn);
    assert_eq!(rv(sign(&session, key)), RvError::UserNotLoggedIn);
    session.login(UserType::User, Some(&AuthPin::new(PIN.into())))?;
    // It was a real logout: SoftHSM has forgotten the private handles.
    assert_eq!(rv(sign(&session, key)), RvError::ObjectHandleInvalid);
    let key = find(&session, ObjectClass::PRIVATE_KEY, "one")?;
    sign(&session, key)?;
    Ok(())
}

fn token_gone() -> Outcome {
    let (module, token, session, key) = ready()?;
    module.set("fault C_SignInit at=1 token-gone for=150")?;
    assert_eq!(rv(sign(&session, key)), RvError::DeviceRemoved);
    assert_eq!(rv(sign(&session, key)), RvError::DeviceRemoved);
    assert_eq!(rv(token.pkcs11.open_ro_session(token.slot)), RvError::TokenNotPresent);
    assert_eq!(rv(token.pkcs11.get_token_info(token.slot)), RvError::TokenNotPresent);
    assert!(!token.pkcs11.get_slot_info(token.slot)?.token_present());
    assert!(token.pkcs11.get_slots_with_token()?.is_empty());
    std::thread::sleep(Duration::from_millis(160));
    assert_eq!(rv(sign(&session, key)), RvError::SessionHandleInvalid);
    assert!(token.pkcs11.get_slot_info(token.slot)?.token_present());
    let session = token.log_in()?;
    sign(&session, find(&session, ObjectClass::PRIVATE_KEY, "one")?)?;
    Ok(())
}

fn token_gone_for_good() -> Outcome {
    let (module, token, session, key) = ready()?;
    module.set("fault * at=1 token-gone")?;
    assert_eq!(rv(sign(&session, key)), RvError::DeviceRemoved);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(rv(sign(&session, key)), RvError::DeviceRemoved);
    module.clear()?;
    let session = token.log_in()?;
    sign(&session, find(&session, ObjectClass::PRIVATE_KEY, "one")?)?;
    Ok(())
}

fn token_gone_until_initialize() -> Outcome {
    let (module, token, session, key) = ready()?;
    module.set("fault C_SignInit at=1 token-gone-until-initialize for=30")?;
    assert_eq!(rv(sign(&session, key)), RvError::DeviceRemoved);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(rv(sign(&session, key)), RvError::DeviceRemoved);
    assert_eq!(rv(token.log_in()), RvError::TokenNotPresent);
    drop(session);
    token.pkcs11.finalize()?;
    let token = crate::Token::open(&module)?;
    let session = token.log_in()?;
    sign(&session, find(&session, ObjectClass::PRIVATE_KEY, "one")?)?;
    Ok(())
}

fn not_initialized() -> Outcome {
    let (module, token, session, key) = ready()?;
    module.set("fault C_Sign at=2 not-initialized")?;
    assert_eq!(rv(sign(&session, key)), RvError::CryptokiNotInitialized);
    assert_eq!(rv(sign(&session, key)), RvError::CryptokiNotInitialized);
    assert_eq!(rv(token.pkcs11.get_slots_with_token()), RvError::CryptokiNotInitialized);
    initialize(&token.pkcs11)?;
    assert_eq!(rv(sign(&session, key)), RvError::SessionHandleInvalid);
    let session = token.log_in()?;
    sign(&session, find(&session, ObjectClass::PRIVATE_KEY, "one")?)?;
    Ok(())
}

/// The number of a handle from before signs, but with the wrong key.
fn stale_handles_mean_another_key() -> Outcome {
    let (module, token, session, key) = ready()?;
    module.set("stale-handles=two\nfault C_SignInit at=2 not-initialized")?;
    assert!(verifies(&session, "one", &sign(&session, key)?));
    assert_eq!(rv(sign(&session, key)), RvError::CryptokiNotInitialized);
    initialize(&token.pkcs11)?;
    let session = token.log_in()?;
    let signature = sign(&session, key)?;
    assert!(verifies(&session, "two", &signature) && !verifies(&session, "one", &signature));
    let found = find(&session, ObjectClass::PRIVATE_KEY, "one")?;
    assert_ne!(found, key);
    assert!(verifies(&session, "one", &sign(&session, found)?));
    Ok(())
}

/// Events while four threads sign: what a call gets is a right signature or the promised answer, and nothing crashes.
fn under_load() -> Outcome {
    let (module, token, _session, key) = ready()?;
    module.set("fault C_Sign at=200 every=200 times=8 lose-sessions\nfault C_SignInit at=900 logout")?;
    let (signed, lost) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| load(&token, key))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).fold((0, 0), |(a, b), (c, d)| (a + c, b + d))
    });
    assert!(signed >= 2000 && lost >= 8, "{signed} signed, {lost} lost");
    assert_eq!(module.faults()?, 9);
    assert_eq!(module.misuse()?, []);
    Ok(())
}

/// 500 signatures, with as much recovery as it takes; how many there were, and how many calls failed.
fn load(token: &crate::Token, mut key: cryptoki::object::ObjectHandle) -> (u32, u32) {
    use RvError::{ObjectHandleInvalid, SessionHandleInvalid, UserNotLoggedIn};
    let mut session = token.pkcs11.open_ro_session(token.slot).unwrap();
    let (mut signed, mut lost) = (0, 0);
    while signed < 500 {
        match sign(&session, key) {
            Ok(signature) => signed += u32::from(signature.len() == 64),
            Err(error) => {
                assert!(matches!(rv::<()>(Err(error)), SessionHandleInvalid | ObjectHandleInvalid | UserNotLoggedIn));
                lost += 1;
                session = token.pkcs11.open_ro_session(token.slot).unwrap();
                // Another thread may have been first, or a further event may come in between.
                let _ = session.login(UserType::User, Some(&AuthPin::new(PIN.into())));
                key = find(&session, ObjectClass::PRIVATE_KEY, "one").unwrap_or(key);
            }
        }
    }
    (signed, lost)
}
