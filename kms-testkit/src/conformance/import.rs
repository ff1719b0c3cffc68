//! Import of keys made by a library other than the backend's.

use getrandom::SysRng;
use p256::elliptic_curve::Generate;
use rsa::pkcs8::EncodePrivateKey;
use rsa::rand_core::{TryRng, UnwrapErr};
use spki::EncodePublicKey;

use kms_core::{ErrorKind, KeyImporter, KeyManager, KeySpec, KeyType, PublicKey, Secret, block_on};

use super::suite::{Cases, Outcome, Shared, Stop, Suite, capability, ensure, refused};

pub(crate) fn add(cases: &mut Cases) {
    for key_type in [
        KeyType::EcP256,
        KeyType::EcP384,
        KeyType::EcP521,
        KeyType::EcSecp256k1,
        KeyType::Rsa { bits: 2048 },
        KeyType::Ed25519,
    ] {
        cases.add(format!("import::{key_type}"), move |suite| imported(suite, key_type));
    }
    cases.add("import::never_overwrites", never_overwrites);
    cases.add("import::of_another_type", of_another_type);
    cases.add("import::not_a_private_key", not_a_private_key);
}

fn imported(suite: &Suite, key_type: KeyType) -> Outcome {
    suite.supported(key_type)?;
    let manager = suite.open()?;
    let importer = importer(manager.as_ref())?;
    let made = Made::new(key_type)?;
    let (uri, spec) = (suite.fresh_key("imported"), KeySpec::new(key_type));
    if let Some(reason) = suite.harness.import_unsupported(key_type) {
        refused(block_on(importer.import_key(&uri, &made.pkcs8, &spec)), ErrorKind::Unsupported, "import_key")?;
        return Err(Stop::Ignored(reason));
    }
    let key = block_on(importer.import_key(&uri, &made.pkcs8, &spec))?;
    ensure(key.public_key == made.public_key, "the imported key has another public key")?;
    ensure(!key.uri.has_secret(), "the URI of an imported key holds a secret")?;
    let manager = suite.open()?;
    ensure(block_on(manager.public_key(&key.uri))? == made.public_key, "another public key after opening anew")?;
    Shared { manager, key }.still_signs()
}

fn never_overwrites(suite: &Suite) -> Outcome {
    let key_type = some_type(suite)?;
    let there = suite.create("there", key_type)?;
    let made = Made::new(key_type)?;
    let imported =
        block_on(importer(there.manager.as_ref())?.import_key(&there.key.uri, &made.pkcs8, &KeySpec::new(key_type)));
    refused(imported, ErrorKind::AlreadyExists, "import_key over a key")?;
    there.still_signs()
}

fn of_another_type(suite: &Suite) -> Outcome {
    let (key_type, manager, uri) = (some_type(suite)?, suite.open()?, suite.fresh_key("imported"));
    let made = Made::new(key_type)?;
    let other = KeyType::CREATABLE
        .into_iter()
        .find(|other| *other != key_type && suite.harness.key_type_unsupported(*other).is_none())
        .ok_or_else(|| Stop::Ignored("the place keeps keys of one type only".into()))?;
    let imported = block_on(importer(manager.as_ref())?.import_key(&uri, &made.pkcs8, &KeySpec::new(other)));
    refused(imported, ErrorKind::KeyMismatch, format!("a key of type {key_type} as {other}"))?;
    refused(block_on(manager.public_key(&uri)), ErrorKind::NotFound, "public_key after a refused import")
}

fn not_a_private_key(suite: &Suite) -> Outcome {
    let (key_type, manager, uri) = (some_type(suite)?, suite.open()?, suite.fresh_key("imported"));
    let importer = importer(manager.as_ref())?;
    let made = Made::new(key_type)?;
    let good = made.pkcs8.expose();
    for (what, octets) in [
        ("no octets", vec![]),
        ("garbage", vec![0x30, 3, 2, 1, 0]),
        ("a public key", made.public_key.spki_der().to_vec()),
        ("half a key", good[..good.len() / 2].to_vec()),
        ("a key and an octet", [good, &[0]].concat()),
    ] {
        let imported = block_on(importer.import_key(&uri, &Secret::new(octets), &KeySpec::new(key_type)));
        refused(imported, ErrorKind::InvalidArgument, what)?;
        refused(block_on(manager.public_key(&uri)), ErrorKind::NotFound, "public_key after a refused import")?;
    }
    Ok(())
}

fn importer(manager: &dyn KeyManager) -> Outcome<&dyn KeyImporter> {
    capability(manager.as_key_importer(), "import")
}

/// The first type the place can import, of those that are quickly made here.
fn some_type(suite: &Suite) -> Outcome<KeyType> {
    let able = |key_type: &KeyType| {
        suite.harness.key_type_unsupported(*key_type).is_none() && suite.harness.import_unsupported(*key_type).is_none()
    };
    let types = [KeyType::EcP256, KeyType::Ed25519, KeyType::Rsa { bits: 2048 }];
    types.into_iter().find(able).ok_or_else(|| Stop::Ignored("the place imports none of the types tried".into()))
}

/// A key made here.
struct Made {
    pkcs8: Secret,
    public_key: PublicKey,
}

impl Made {
    fn new(key_type: KeyType) -> Outcome<Self> {
        let random = &mut UnwrapErr(SysRng);
        match key_type {
            KeyType::EcP256 => {
                let key = p256::SecretKey::generate_from_rng(random);
                Self::from_parts(&key, &key.public_key())
            }
            KeyType::EcP384 => {
                let key = p384::SecretKey::generate_from_rng(random);
                Self::from_parts(&key, &key.public_key())
            }
            KeyType::EcP521 => {
                let key = p521::SecretKey::generate_from_rng(random);
                Self::from_parts(&key, &key.public_key())
            }
            KeyType::EcSecp256k1 => {
                let key = k256::SecretKey::generate_from_rng(random);
                Self::from_parts(&key, &key.public_key())
            }
            KeyType::Ed25519 => {
                let mut seed = [0; 32];
                SysRng.try_fill_bytes(&mut seed).map_err(|error| error.to_string())?;
                let key = ed25519_dalek::SigningKey::from_bytes(&seed);
                Self::from_parts(&key, &key.verifying_key())
            }
            KeyType::Rsa { bits } => {
                let key = rsa::RsaPrivateKey::new(random, bits as usize).map_err(|error| error.to_string())?;
                Self::from_parts(&key, &key.to_public_key())
            }
            other => Err(Stop::Failed(format!("the suite cannot make a key of type {other}"))),
        }
    }

    fn from_parts(private_key: &impl EncodePrivateKey, public_key: &impl EncodePublicKey) -> Outcome<Self> {
        let pkcs8 = private_key.to_pkcs8_der().map_err(|error| error.to_string())?;
        let spki = public_key.to_public_key_der().map_err(|error| error.to_string())?;
        Ok(Self { pkcs8: Secret::new(pkcs8.as_bytes()), public_key: PublicKey::from_spki_der(spki.as_bytes())? })
    }
}
