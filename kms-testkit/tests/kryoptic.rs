//! kryoptic as the tests have it: built, configured, beside SoftHSM in one process; and its oddities, which a driver has
//! to know and which would otherwise change unseen with its version.

use std::process::ExitCode;
use std::sync::OnceLock;
use std::thread;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::dsa::{HedgeType, SignAdditionalContext};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, MlDsaParameterSetType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use kms_core::SignatureAlgorithm;
use kms_testkit::judge;
use kms_testkit::pkcs11::{FaultModule, Kryoptic, SoftHsm, reexec_with_kryoptic, reexec_with_softhsm};
use libtest_mimic::{Arguments, Trial};

const PIN: &str = "1234";
const MESSAGE: &[u8] = b"message";

const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const SECP256K1: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];

type Outcome = Result<(), Box<dyn std::error::Error>>;

type Test = (&'static str, fn() -> Outcome);

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut arguments = Arguments::from_args();
    // The database of a token does not bear two instances in one process at a time.
    arguments.test_threads = Some(1);
    let softhsm = reexec_with_softhsm()?;
    let kryoptic = reexec_with_kryoptic()?;
    if !arguments.list {
        softhsm.init_token("softhsm", PIN)?;
        kryoptic.init_token("kryoptic", PIN)?;
        kryoptic.init_token("locked", PIN)?;
    }
    let tests: [Test; 11] = [
        ("signs::ec_p256", ec_p256),
        ("signs::ed25519", ed25519),
        ("signs::rsa_2048", rsa_2048),
        ("signs::ml_dsa_65", ml_dsa_65),
        ("signs::on_eight_threads", on_eight_threads),
        ("behind_the_fault_module", behind_the_fault_module),
        ("beside_softhsm", beside_softhsm),
        ("oddities::mechanisms", mechanisms),
        ("oddities::points", points),
        ("oddities::everything_found", everything_found),
        ("oddities::pin_locks", pin_locks),
    ];
    let trial = |(name, test): Test| Trial::test(name, move || test().map_err(|error| error.to_string().into()));
    Ok(libtest_mimic::run(&arguments, tests.into_iter().map(trial).collect()).exit_code())
}

fn ec_p256() -> Outcome {
    let session = log_in("kryoptic")?;
    let (public, private) = generate_ec(&session, &Mechanism::EccKeyPairGen, P256)?;
    let digest = judge::digest(SignatureAlgorithm::EcdsaSha256, MESSAGE)?;
    for (mechanism, data) in [(Mechanism::Ecdsa, &digest[..]), (Mechanism::EcdsaSha256, MESSAGE)] {
        let fixed = session.sign(&mechanism, private, data)?;
        assert_eq!(fixed.len(), 64);
        let der = p256::ecdsa::Signature::from_slice(&fixed)?.to_der();
        judge::verify(&spki(&session, public)?, SignatureAlgorithm::EcdsaSha256, MESSAGE, der.as_bytes())?;
    }
    Ok(())
}

fn ed25519() -> Outcome {
    let session = log_in("kryoptic")?;
    let (public, private) = generate_ec(&session, &Mechanism::EccEdwardsKeyPairGen, ED25519)?;
    for scheme in [EddsaSignatureScheme::Pure, EddsaSignatureScheme::Ed25519] {
        let signature = session.sign(&Mechanism::Eddsa(EddsaParams::new(scheme)), private, MESSAGE)?;
        judge::verify(&spki(&session, public)?, SignatureAlgorithm::Ed25519, MESSAGE, &signature)?;
    }
    Ok(())
}

fn rsa_2048() -> Outcome {
    let session = log_in("kryoptic")?;
    let (public, private) =
        generate(&session, &Mechanism::RsaPkcsKeyPairGen, vec![Attribute::ModulusBits(2048.into())])?;
    let spki = spki(&session, public)?;
    let signature = session.sign(&Mechanism::Sha256RsaPkcs, private, MESSAGE)?;
    judge::verify(&spki, SignatureAlgorithm::RsaPkcs1Sha256, MESSAGE, &signature)?;
    let pss = PkcsPssParams { hash_alg: MechanismType::SHA256, mgf: PkcsMgfType::MGF1_SHA256, s_len: 32.into() };
    let digest = judge::digest(SignatureAlgorithm::RsaPssSha256, MESSAGE)?;
    let signature = session.sign(&Mechanism::RsaPkcsPss(pss), private, &digest)?;
    judge::verify(&spki, SignatureAlgorithm::RsaPssSha256, MESSAGE, &signature)?;
    Ok(())
}

fn ml_dsa_65() -> Outcome {
    let session = log_in("kryoptic")?;
    let parameters = Attribute::ParameterSet(MlDsaParameterSetType::ML_DSA_65.into());
    let (public, private) = generate(&session, &Mechanism::MlDsaKeyPairGen, vec![parameters])?;
    let mechanism = Mechanism::MlDsa(SignAdditionalContext::new(HedgeType::Preferred, None));
    let signature = session.sign(&mechanism, private, MESSAGE)?;
    judge::verify(&spki(&session, public)?, SignatureAlgorithm::MlDsa65, MESSAGE, &signature)?;
    Ok(())
}

/// Signatures, and keys that come and go meanwhile.
fn on_eight_threads() -> Outcome {
    let session = log_in("kryoptic")?;
    let (public, _) = generate_ec(&session, &Mechanism::EccKeyPairGen, P256)?;
    let spki = spki(&session, public)?;
    let id = session.get_attributes(public, &[AttributeType::Id])?;
    let work = || -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let session = log_in("kryoptic")?;
        let wanted = [Attribute::Class(ObjectClass::PRIVATE_KEY), id[0].clone()];
        for _ in 0..10 {
            let (passing, passing_private) = generate_ec(&session, &Mechanism::EccKeyPairGen, P256)?;
            let key = session.find_objects(&wanted)?[0];
            for _ in 0..10 {
                let fixed = session.sign(&Mechanism::EcdsaSha256, key, MESSAGE)?;
                let der = p256::ecdsa::Signature::from_slice(&fixed)?.to_der();
                judge::verify(&spki, SignatureAlgorithm::EcdsaSha256, MESSAGE, der.as_bytes())?;
            }
            session.destroy_object(passing)?;
            session.destroy_object(passing_private)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().expect("no panic")?;
        }
        Ok(())
    })
    .map_err(|error: Box<dyn std::error::Error + Send + Sync>| error.to_string().into())
}

/// A second instance in the process, on the same databases.
fn behind_the_fault_module() -> Outcome {
    let module = FaultModule::wrap(&Kryoptic::module()?)?;
    let pkcs11 = Pkcs11::new(module.path())?;
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let session = pkcs11.open_rw_session(slot(&pkcs11, "kryoptic")?)?;
    session.login(UserType::User, Some(&AuthPin::new(PIN.into())))?;
    let (_, private) = generate_ec(&session, &Mechanism::EccKeyPairGen, P256)?;
    let sign = || session.sign(&Mechanism::EcdsaSha256, private, MESSAGE);
    sign()?;
    module.set("fault C_SignInit rv=CKR_DEVICE_ERROR")?;
    assert_eq!(rv(sign()), RvError::DeviceError);
    module.clear()?;
    sign()?;
    assert_eq!(module.misuse()?, []);
    drop(session);
    pkcs11.finalize()?;
    Ok(())
}

fn beside_softhsm() -> Outcome {
    let softhsm = Pkcs11::new(SoftHsm::module()?)?;
    softhsm.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let session = softhsm.open_rw_session(slot(&softhsm, "softhsm")?)?;
    session.login(UserType::User, Some(&AuthPin::new(PIN.into())))?;
    let (_, theirs) = generate_ec(&session, &Mechanism::EccKeyPairGen, P256)?;
    let other = log_in("kryoptic")?;
    let (_, ours) = generate_ec(&other, &Mechanism::EccKeyPairGen, P256)?;
    for _ in 0..10 {
        session.sign(&Mechanism::Ecdsa, theirs, &[1; 32])?;
        other.sign(&Mechanism::Ecdsa, ours, &[1; 32])?;
    }
    drop(session);
    softhsm.finalize()?;
    other.sign(&Mechanism::Ecdsa, ours, &[1; 32])?;
    Ok(())
}

/// What SoftHSM has not, and what neither has.
fn mechanisms() -> Outcome {
    let pkcs11 = library()?;
    let offered = pkcs11.get_mechanism_list(slot(pkcs11, "kryoptic")?)?;
    println!("{}", offered.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    for wanted in [
        MechanismType::ECDSA,
        MechanismType::ECDSA_SHA256,
        MechanismType::ECDSA_SHA384,
        MechanismType::ECDSA_SHA512,
        MechanismType::EDDSA,
        MechanismType::RSA_PKCS,
        MechanismType::RSA_PKCS_PSS,
        MechanismType::RSA_PKCS_OAEP,
        MechanismType::SHA256_RSA_PKCS,
        MechanismType::SHA256_RSA_PKCS_PSS,
        MechanismType::ML_DSA,
        MechanismType::ML_DSA_KEY_PAIR_GEN,
    ] {
        assert!(offered.contains(&wanted), "no {wanted}");
    }
    let session = log_in("kryoptic")?;
    let refused = generate_ec(&session, &Mechanism::EccKeyPairGen, SECP256K1);
    assert_eq!(rv(refused), RvError::GeneralError);
    Ok(())
}

/// `CKA_EC_POINT`: an OCTET STRING on P-256, the 32 octets alone on Ed25519.
fn points() -> Outcome {
    let session = log_in("kryoptic")?;
    let point = |mechanism, curve| -> Result<Vec<u8>, Error> {
        let (public, _) = generate_ec(&session, &mechanism, curve)?;
        match session.get_attributes(public, &[AttributeType::EcPoint])?.pop() {
            Some(Attribute::EcPoint(point)) => Ok(point),
            _ => Err(Error::InvalidValue),
        }
    };
    let weierstrass = point(Mechanism::EccKeyPairGen, P256)?;
    assert_eq!((weierstrass.len(), &weierstrass[..3]), (67, &[0x04, 65, 0x04][..]));
    assert_eq!(point(Mechanism::EccEdwardsKeyPairGen, ED25519)?.len(), 32);
    Ok(())
}

/// Who searches for everything finds objects that nobody stored.
fn everything_found() -> Outcome {
    let session = log_in("kryoptic")?;
    let count = |template: &[Attribute]| session.find_objects(template).map(|found| found.len());
    let built_in = count(&[Attribute::Class(ObjectClass::MECHANISM)])?;
    println!("{built_in} of CKO_MECHANISM");
    assert!(built_in > 100, "{built_in}");
    assert!(count(&[])? >= built_in);
    assert_eq!(count(&[Attribute::Token(true), Attribute::Id(b"absent".into())])?, 0);
    Ok(())
}

fn pin_locks() -> Outcome {
    let pkcs11 = library()?;
    let session = pkcs11.open_rw_session(slot(pkcs11, "locked")?)?;
    let try_with = |pin: &str| session.login(UserType::User, Some(&AuthPin::new(pin.into())));
    for _ in 0..9 {
        assert_eq!(rv(try_with("4321")), RvError::PinIncorrect);
    }
    assert_eq!(rv(try_with("4321")), RvError::PinLocked);
    assert_eq!(rv(try_with(PIN)), RvError::PinLocked);
    Ok(())
}

/// The library itself, initialised once for all tests.
fn library() -> Result<&'static Pkcs11, Error> {
    static LIBRARY: OnceLock<Pkcs11> = OnceLock::new();
    if let Some(library) = LIBRARY.get() {
        return Ok(library);
    }
    let library = Pkcs11::new(Kryoptic::module().map_err(|_| Error::InvalidValue)?)?;
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        other => other?,
    }
    Ok(LIBRARY.get_or_init(|| library))
}

/// The slot of the token of that label.
fn slot(pkcs11: &Pkcs11, label: &str) -> Result<Slot, Error> {
    for slot in pkcs11.get_slots_with_initialized_token()? {
        if pkcs11.get_token_info(slot)?.label() == label {
            return Ok(slot);
        }
    }
    Err(Error::InvalidValue)
}

/// A session of that token in which the user is logged in.
fn log_in(label: &str) -> Result<Session, Error> {
    let pkcs11 = library()?;
    let session = pkcs11.open_rw_session(slot(pkcs11, label)?)?;
    match session.login(UserType::User, Some(&AuthPin::new(PIN.into()))) {
        Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
        other => other.map(|()| session),
    }
}

fn generate_ec(
    session: &Session,
    mechanism: &Mechanism<'_>,
    curve: &[u8],
) -> Result<(ObjectHandle, ObjectHandle), Error> {
    generate(session, mechanism, vec![Attribute::EcParams(curve.to_vec())])
}

/// A key pair on the token, with an id of its own; what sort is in the public template.
fn generate(
    session: &Session,
    mechanism: &Mechanism<'_>,
    sort: Vec<Attribute>,
) -> Result<(ObjectHandle, ObjectHandle), Error> {
    let id = Attribute::Id(session.generate_random_vec(8)?);
    let public = [vec![Attribute::Token(true), id.clone(), Attribute::Verify(true)], sort].concat();
    let private = [Attribute::Token(true), id, Attribute::Sign(true), Attribute::Private(true)];
    session.generate_key_pair(mechanism, &public, &private)
}

/// The key as X.509 has it, from the token.
fn spki(session: &Session, public: ObjectHandle) -> Result<Vec<u8>, Error> {
    match session.get_attributes(public, &[AttributeType::PublicKeyInfo])?.pop() {
        Some(Attribute::PublicKeyInfo(der)) => Ok(der),
        _ => Err(Error::InvalidValue),
    }
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
