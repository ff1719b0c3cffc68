//! Without a fault: the same answers as without the module, at little cost; and each copy for itself.

use std::time::{Duration, Instant};

use cryptoki::context::Pkcs11;
use cryptoki::error::RvError;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::Session;
use kms_testkit::pkcs11::SoftHsm;

use crate::{Outcome, Test, Token, find, initialize, ready, rv, sign, verifies};

pub(crate) const TESTS: &[Test] = &[
    ("transparent::same_answers", same_answers),
    ("transparent::log_and_counts", log_and_counts),
    ("transparent::copies_are_independent", copies_are_independent),
    ("transparent::overhead", overhead),
];

/// The wrapped library itself, without this module.
fn direct() -> Result<(Token, Session), Box<dyn std::error::Error>> {
    let pkcs11 = Pkcs11::new(SoftHsm::module()?)?;
    match initialize(&pkcs11) {
        Err(cryptoki::error::Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        other => other?,
    }
    let slot = pkcs11.get_slots_with_initialized_token()?[0];
    let token = Token { pkcs11, slot };
    let session = token.log_in()?;
    Ok((token, session))
}

fn same_answers() -> Outcome {
    let (_module, wrapped, through, _key) = ready()?;
    let (bare, straight) = direct()?;
    let rsa = |session: &Session| -> Result<_, cryptoki::error::Error> {
        let key = find(session, ObjectClass::PRIVATE_KEY, "rsa")?;
        session.sign(&Mechanism::Sha256RsaPkcs, key, b"message")
    };
    assert_eq!(rsa(&through)?, rsa(&straight)?);
    let library = |token: &Token| token.pkcs11.get_library_info().map(|info| format!("{info:?}"));
    assert_eq!(library(&wrapped)?, library(&bare)?);
    let details = |token: &Token| token.pkcs11.get_token_info(token.slot).map(|info| info.serial_number().to_owned());
    assert_eq!(details(&wrapped)?, details(&bare)?);
    let mechanisms = |token: &Token| token.pkcs11.get_mechanism_list(token.slot);
    assert_eq!(mechanisms(&wrapped)?, mechanisms(&bare)?);
    let objects = |session: &Session| session.find_objects(&[]).map(|all| all.len());
    assert_eq!(objects(&through)?, objects(&straight)?);
    let attributes = |session: &Session| {
        let wanted = [AttributeType::EcPoint, AttributeType::Label, AttributeType::Value, AttributeType::KeyType];
        let key = find(session, ObjectClass::PUBLIC_KEY, "one")?;
        session.get_attributes(key, &wanted).map(|found| format!("{found:?}"))
    };
    assert_eq!(attributes(&through)?, attributes(&straight)?);
    let absent = |session: &Session| {
        rv(session.find_objects(&[Attribute::Label(b"no".into())]).and_then(|found| {
            assert!(found.is_empty());
            session.login(cryptoki::session::UserType::User, None)
        }))
    };
    assert_eq!(absent(&through), absent(&straight));
    let signature = sign(&through, find(&through, ObjectClass::PRIVATE_KEY, "one")?)?;
    assert!(verifies(&straight, "one", &signature));
    Ok(())
}

fn log_and_counts() -> Outcome {
    let (module, _token, session, key) = ready()?;
    assert_eq!((module.calls("C_Login")?, module.calls("C_Sign")?, module.log()?.len()), (1, 0, 0));
    module.set("log=true\nfault C_Sign at=2 rv=CKR_DEVICE_ERROR")?;
    assert_eq!(rv(sign(&session, key)), RvError::DeviceError);
    assert_eq!((module.calls("C_SignInit")?, module.calls("C_Sign")?, module.faults()?), (1, 2, 1));
    let log = module.log()?;
    let words: Vec<Vec<_>> = log.iter().map(|line| line.split(' ').collect()).collect();
    assert_eq!(words[0][..3], ["1", "C_SignInit", "CKR_OK"]);
    assert_eq!(words[2][..3], ["3", "C_Sign", "CKR_DEVICE_ERROR"]);
    assert_eq!(words[2][4..], ["rv=CKR_DEVICE_ERROR"]);
    assert!(module.calls("C_Sing").is_err());
    Ok(())
}

fn copies_are_independent() -> Outcome {
    let (left, left_token, left_session, left_key) = ready()?;
    let (right, _right_token, right_session, right_key) = ready()?;
    left.set("fault C_SignInit rv=CKR_DEVICE_ERROR")?;
    assert_eq!(rv(sign(&left_session, left_key)), RvError::DeviceError);
    sign(&right_session, right_key)?;
    drop(left_session);
    left_token.pkcs11.finalize()?;
    sign(&right_session, right_key)?;
    assert_eq!((left.faults()?, right.faults()?), (1, 0));
    Ok(())
}

/// The median cost of the module for a signature, three calls in cryptoki.
fn overhead() -> Outcome {
    let (module, _token, through, key) = ready()?;
    let (_bare, straight) = direct()?;
    let bare_key = find(&straight, ObjectClass::PRIVATE_KEY, "one")?;
    let median = |session: &Session, key| -> Result<Duration, cryptoki::error::Error> {
        let mut times = Vec::new();
        for _ in 0..500 {
            let begin = Instant::now();
            sign(session, key)?;
            times.push(begin.elapsed());
        }
        times.sort();
        Ok(times[times.len() / 2])
    };
    // In turns, the best of each: others share the machine.
    let (mut with, mut without) = (Duration::MAX, Duration::MAX);
    for _ in 0..6 {
        with = with.min(median(&through, key)?);
        without = without.min(median(&straight, bare_key)?);
    }
    module.set("log=true")?;
    let logged = median(&through, key)?;
    println!("one signature: {without:?} without, {with:?} through the module, {logged:?} with the log");
    assert!(with < without + Duration::from_micros(60), "{with:?} against {without:?}");
    Ok(())
}
