//! The token in another process, which is killed.

use std::path::Path;
use std::time::{Duration, Instant};

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::object::{ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use kms_testkit::pkcs11::{FaultModule, P11KitRig, SoftHsm, reexec_with_softhsm};

use crate::{Outcome, Test, Token, find, initialize, rv, sign, verifies};

pub(crate) const TESTS: &[Test] = &[
    ("rig::killed_and_back", killed_and_back),
    ("rig::faults_at_the_far_end", far_end),
    ("rig::faults_at_the_near_end", near_end),
];

fn connect(client: &Path) -> Result<(Token, Session, ObjectHandle), Box<dyn std::error::Error>> {
    let pkcs11 = Pkcs11::new(client)?;
    initialize(&pkcs11)?;
    let slot = pkcs11.get_slots_with_initialized_token()?[0];
    let token = Token { pkcs11, slot };
    let session = token.log_in()?;
    let key = find(&session, ObjectClass::PRIVATE_KEY, "one")?;
    Ok((token, session, key))
}

fn killed_and_back() -> Outcome {
    let softhsm = reexec_with_softhsm()?;
    let mut rig = P11KitRig::start(&softhsm, "faults")?;
    let (mut token, mut session, mut key) = connect(&P11KitRig::module()?)?;
    for _ in 0..3 {
        assert!(verifies(&session, "one", &sign(&session, key)?));
        rig.kill()?;
        assert_eq!(rv(sign(&session, key)), RvError::DeviceError);
        assert_eq!(rv(token.pkcs11.open_ro_session(token.slot)), RvError::DeviceError);
        rig.restart()?;
        // Still: the client does not connect again by itself.
        assert_eq!(rv(sign(&session, key)), RvError::DeviceError);
        let back = Instant::now();
        drop(session);
        token.pkcs11.finalize()?;
        (token, session, key) = connect(&P11KitRig::module()?)?;
        sign(&session, key)?;
        assert!(back.elapsed() < Duration::from_secs(1), "{:?}", back.elapsed());
    }
    drop(session);
    token.pkcs11.finalize()?;
    Ok(())
}

/// Faults in the server's process, steered from here.
fn far_end() -> Outcome {
    let softhsm = reexec_with_softhsm()?;
    let module = FaultModule::wrap(&SoftHsm::module()?)?;
    let _rig = P11KitRig::start_with(&softhsm, "faults", &module.path())?;
    let (token, session, key) = connect(&P11KitRig::module()?)?;
    let signed = |fault: &str| -> Result<Vec<u8>, Error> {
        module.set(fault).map_err(|_| Error::InvalidValue)?;
        sign(&session, key)
    };
    assert!(verifies(&session, "one", &signed("")?));
    assert!(!verifies(&session, "one", &signed("fault C_Sign flip-bit")?));
    assert_eq!(rv(signed("fault C_SignInit rv=0x8000001A")), RvError::VendorDefined(0x8000_001a));
    assert_eq!(rv(signed("fault C_SignInit lose-sessions")), RvError::SessionHandleInvalid);
    drop(session);
    token.pkcs11.finalize()?;
    Ok(())
}

/// Around the client.
fn near_end() -> Outcome {
    let softhsm = reexec_with_softhsm()?;
    let _rig = P11KitRig::start(&softhsm, "faults")?;
    let module = FaultModule::wrap(&P11KitRig::module()?)?;
    let (token, session, key) = connect(&module.path())?;
    assert!(verifies(&session, "one", &sign(&session, key)?));
    module.set("fault C_Sign at=2 token-gone for=50")?;
    assert_eq!(rv(sign(&session, key)), RvError::DeviceRemoved);
    drop(session);
    token.pkcs11.finalize()?;
    Ok(())
}
