//! Each fault provoked once on SoftHSM, and seen as what was promised; and nothing seen without one.

use std::process::ExitCode;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use kms_testkit::pkcs11::{FaultModule, SoftHsm, reexec_with_softhsm};
use libtest_mimic::{Arguments, Trial};

mod answers;
mod events;
mod raw;
mod rig;
mod tokens;
mod transparency;

const PIN: &str = "1234";
const DIGEST: [u8; 32] = [0x5a; 32];

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut arguments = Arguments::from_args();
    // SoftHSM corrupts a token that two library instances write to at a time.
    arguments.test_threads = Some(1);
    let softhsm = reexec_with_softhsm()?;
    if !arguments.list {
        softhsm.init_token("faults", PIN)?;
        make_keys()?;
    }
    let tests = [answers::TESTS, events::TESTS, raw::TESTS, rig::TESTS, tokens::TESTS, transparency::TESTS].concat();
    Ok(libtest_mimic::run(&arguments, trials(&tests)).exit_code())
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

type Test = (&'static str, fn() -> Outcome);

fn trials(tests: &[Test]) -> Vec<Trial> {
    let trial = |(name, test): Test| Trial::test(name, move || test().map_err(|error| error.to_string().into()));
    tests.iter().copied().map(trial).collect()
}

/// Key pairs `one` and `two` on P-256, and `rsa`.
fn make_keys() -> Result<(), Box<dyn std::error::Error>> {
    let module = FaultModule::wrap(&SoftHsm::module()?)?;
    let token = Token::open(&module)?;
    let session = token.log_in()?;
    for label in ["one", "two"] {
        generate(&session, label)?;
    }
    let bits = Attribute::ModulusBits(2048.into());
    session.generate_key_pair(
        &Mechanism::RsaPkcsKeyPairGen,
        &[Attribute::Token(true), Attribute::Label(b"rsa".into()), Attribute::Verify(true), bits],
        &[Attribute::Token(true), Attribute::Label(b"rsa".into()), Attribute::Sign(true), Attribute::Private(true)],
    )?;
    drop(session);
    token.pkcs11.finalize()?;
    Ok(())
}

fn generate(session: &Session, label: &str) -> cryptoki::error::Result<(ObjectHandle, ObjectHandle)> {
    let prime256v1 = vec![0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let (id, label) = (Attribute::Id(label.into()), Attribute::Label(label.into()));
    session.generate_key_pair(
        &Mechanism::EccKeyPairGen,
        &[Attribute::Token(true), id.clone(), label.clone(), Attribute::Verify(true), Attribute::EcParams(prime256v1)],
        &[Attribute::Token(true), id, label, Attribute::Sign(true), Attribute::Private(true)],
    )
}

/// A module that is initialised, and its one token.
struct Token {
    pkcs11: Pkcs11,
    slot: Slot,
}

impl Token {
    fn open(module: &FaultModule) -> Result<Self, Error> {
        let pkcs11 = Pkcs11::new(module.path())?;
        initialize(&pkcs11)?;
        let slot = pkcs11.get_slots_with_initialized_token()?[0];
        Ok(Self { pkcs11, slot })
    }

    fn log_in(&self) -> Result<Session, Error> {
        let session = self.pkcs11.open_rw_session(self.slot)?;
        session.login(UserType::User, Some(&AuthPin::new(PIN.into())))?;
        Ok(session)
    }
}

fn initialize(pkcs11: &Pkcs11) -> Result<(), Error> {
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
}

/// A module without faults, its token, a session that is logged in, and the private key `one`.
fn ready() -> Result<(FaultModule, Token, Session, ObjectHandle), Box<dyn std::error::Error>> {
    let module = FaultModule::wrap(&SoftHsm::module()?)?;
    let token = Token::open(&module)?;
    let session = token.log_in()?;
    let key = find(&session, ObjectClass::PRIVATE_KEY, "one")?;
    Ok((module, token, session, key))
}

fn find(session: &Session, class: ObjectClass, label: &str) -> Result<ObjectHandle, Error> {
    let found = session.find_objects(&[Attribute::Class(class), Attribute::Label(label.into())])?;
    found.first().copied().ok_or(Error::InvalidValue)
}

fn sign(session: &Session, key: ObjectHandle) -> Result<Vec<u8>, Error> {
    session.sign(&Mechanism::Ecdsa, key, &DIGEST)
}

/// Whether the signature is that of the key pair of that label.
fn verifies(session: &Session, label: &str, signature: &[u8]) -> bool {
    let key = find(session, ObjectClass::PUBLIC_KEY, label).unwrap();
    session.verify(&Mechanism::Ecdsa, key, &DIGEST, signature).is_ok()
}

/// The return value that a call failed with.
#[track_caller]
fn rv<T>(result: Result<T, Error>) -> RvError {
    match result {
        Err(Error::Pkcs11(rv, _)) => rv,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("no error"),
    }
}
