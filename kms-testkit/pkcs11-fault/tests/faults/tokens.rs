//! Tokens that differ: caps, logins, mechanisms, encodings, writes; and callers that do what they must not.

use std::process::Command;
use std::thread::scope;

use cryptoki::error::RvError;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use kms_testkit::pkcs11::{FaultModule, SoftHsm};

use crate::{Outcome, PIN, Test, find, generate, ready, rv, sign, verifies};

pub(crate) const TESTS: &[Test] = &[
    ("token::cap_sessions", cap_sessions),
    ("token::context_login", context_login),
    ("token::context_login_by_pkcs11_tool", context_login_by_pkcs11_tool),
    ("token::hidden_mechanism", hidden_mechanism),
    ("token::ec_point", ec_point),
    ("token::parallel_writes", parallel_writes),
];

fn cap_sessions() -> Outcome {
    let (module, token, session, _key) = ready()?;
    module.set("cap-sessions=2")?;
    let second = token.pkcs11.open_ro_session(token.slot)?;
    assert_eq!(rv(token.pkcs11.open_ro_session(token.slot)), RvError::SessionCount);
    second.close()?;
    let second = token.pkcs11.open_ro_session(token.slot)?;
    module.set("cap-sessions=2\ncap-sessions-rv=CKR_ARGUMENTS_BAD")?;
    assert_eq!(rv(token.pkcs11.open_ro_session(token.slot)), RvError::ArgumentsBad);
    drop((session, second));
    Ok(())
}

fn context_login() -> Outcome {
    let (module, token, session, key) = ready()?;
    let always = |key| session.get_attributes(key, &[AttributeType::AlwaysAuthenticate]);
    assert_eq!(always(key)?, [Attribute::AlwaysAuthenticate(false)]);
    module.set("require-context-login=true")?;
    assert_eq!(always(key)?, [Attribute::AlwaysAuthenticate(true)]);
    assert_eq!(rv(sign(&session, key)), RvError::UserNotLoggedIn);

    let session = token.pkcs11.open_ro_session(token.slot)?;
    let (rsa, pin) = (find(&session, ObjectClass::PRIVATE_KEY, "rsa")?, AuthPin::new(PIN.into()));
    let log_in = |pin: &AuthPin| session.login(UserType::ContextSpecific, Some(pin));
    let finish = || session.sign_update(b"message").and_then(|()| session.sign_final());
    let begin = || session.sign_init(&Mechanism::Sha256RsaPkcs, rsa);
    assert_eq!(rv(log_in(&pin)), RvError::OperationNotInitialized);
    begin()?;
    assert_eq!(rv(log_in(&AuthPin::new("4321".into()))), RvError::PinIncorrect);
    log_in(&pin)?;
    let signature = finish()?;
    module.clear()?;
    let public = find(&session, ObjectClass::PUBLIC_KEY, "rsa")?;
    session.verify(&Mechanism::Sha256RsaPkcs, public, b"message", &signature)?;

    module.set("require-context-login=true")?;
    begin()?;
    session.get_session_info()?;
    log_in(&pin)?;
    // Any call between the login and the signature loses the login.
    session.get_session_info()?;
    assert_eq!(rv(finish()), RvError::UserNotLoggedIn);
    // That was the end of the operation.
    begin()?;
    log_in(&pin)?;
    finish()?;
    Ok(())
}

/// A program that knows such keys signs; the one call `C_Sign` accepts its login.
fn context_login_by_pkcs11_tool() -> Outcome {
    let module = FaultModule::wrap(&SoftHsm::module()?)?;
    module.set("require-context-login=true\nlog=true")?;
    let directory = module.path().parent().ok_or("no directory")?.to_owned();
    let (input, output) = (directory.join("digest"), directory.join("signature"));
    std::fs::write(&input, crate::DIGEST)?;
    let mut tool = Command::new("pkcs11-tool");
    tool.arg("--module").arg(module.path()).args(["--token-label", "faults", "--login", "--pin", PIN]);
    tool.args(["--sign", "--mechanism", "ECDSA", "--id", "6f6e65", "--input-file"]).arg(&input);
    let run = tool.arg("--output-file").arg(&output).output()?;
    let log = module.log()?;
    assert!(run.status.success(), "{}\n{}", String::from_utf8_lossy(&run.stderr), log.join("\n"));
    let of_interest = |line: &String| line.split(' ').nth(1).map(str::to_owned);
    let calls: Vec<_> = log.iter().filter_map(of_interest).collect();
    assert!(calls.windows(3).any(|calls| calls == ["C_GetTokenInfo", "C_Login", "C_Sign"]), "{calls:?}");
    let (_module, _token, session, _key) = ready()?;
    assert!(verifies(&session, "one", &std::fs::read(output)?));
    Ok(())
}

fn hidden_mechanism() -> Outcome {
    let (module, token, session, key) = ready()?;
    let all = token.pkcs11.get_mechanism_list(token.slot)?;
    module.set("hide-mechanism=CKM_ECDSA\nhide-mechanism=CKM_EC_KEY_PAIR_GEN")?;
    let shown = token.pkcs11.get_mechanism_list(token.slot)?;
    assert_eq!(shown.len(), all.len() - 2);
    assert!(all.contains(&MechanismType::ECDSA) && !shown.contains(&MechanismType::ECDSA));
    assert_eq!(rv(token.pkcs11.get_mechanism_info(token.slot, MechanismType::ECDSA)), RvError::MechanismInvalid);
    assert_eq!(rv(sign(&session, key)), RvError::MechanismInvalid);
    assert_eq!(rv(generate(&session, "never")), RvError::MechanismInvalid);
    Ok(())
}

fn ec_point() -> Outcome {
    let (module, _token, session, _key) = ready()?;
    let public = find(&session, ObjectClass::PUBLIC_KEY, "one")?;
    let read = || match &session.get_attributes(public, &[AttributeType::Label, AttributeType::EcPoint])?[..] {
        [Attribute::Label(label), Attribute::EcPoint(point)] if label == b"one" => Ok(point.clone()),
        other => Err(format!("{other:?}").into()),
    } as Result<Vec<u8>, Box<dyn std::error::Error>>;
    let standard = read()?;
    assert_eq!(standard[..3], [4, 65, 4]);
    let expected: [(&str, Vec<u8>); 4] = [
        ("raw", standard[2..].into()),
        ("xy", standard[3..].into()),
        ("octet-string", standard.clone()),
        ("bit-string", [&[3, 66, 0][..], &standard[2..]].concat()),
    ];
    for (form, point) in expected {
        module.set(&format!("ec-point={form}"))?;
        assert_eq!(read()?, point, "{form}");
    }
    Ok(())
}

fn parallel_writes() -> Outcome {
    let (module, token, session, _key) = ready()?;
    module.set("refuse-parallel-writes=true\nfault C_GenerateKeyPair slow=80")?;
    let other = token.pkcs11.open_rw_session(token.slot)?;
    let results = scope(|scope| {
        let threads = [(session, "left"), (other, "right")]
            .map(|(session, label)| scope.spawn(move || generate(&session, label).map(drop)));
        threads.map(|thread| thread.join().unwrap())
    });
    let refused: Vec<_> = results.into_iter().filter_map(Result::err).map(|error| rv::<()>(Err(error))).collect();
    assert_eq!(refused, [RvError::GeneralError]);
    assert_eq!(module.misuse()?, [("parallel-write", 1)]);
    generate(&token.log_in()?, "alone")?;
    assert_eq!(module.misuse()?, [("parallel-write", 1)]);
    Ok(())
}
