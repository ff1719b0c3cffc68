//! Creating keys and reading them back.

use std::collections::BTreeSet;
use std::sync::Arc;

use kms_core::{ErrorKind, Key, KeyManager, KeySpec, KeyType, KeyUsage, PublicKey, block_on};

use super::suite::{Cases, Outcome, Shared, Stop, Suite, ensure, judged, refused};

pub(crate) fn add(cases: &mut Cases) {
    cases.add("capabilities::as_promised", capabilities_are_as_promised);
    for key_type in KeyType::CREATABLE {
        cases.add(format!("keys::{key_type}::reads_back"), move |suite| reads_back(suite, key_type));
        cases.add(format!("keys::{key_type}::uri_is_complete"), move |suite| uri_is_complete(suite, key_type));
        if cases.harness().key_type_unsupported(key_type).is_some() {
            cases.add(format!("keys::{key_type}::refused"), move |suite| unsupported_is_refused(suite, key_type));
        }
    }
    cases.add("keys::never_the_same_twice", never_the_same_twice);
    cases.add("keys::made_twice", made_twice);
    cases.add("keys::made_twice_of_another_type", made_twice_of_another_type);
    cases.add("keys::made_by_many_at_once", made_by_many_at_once);
    cases.add("keys::decryption_is_for_rsa", decryption_is_for_rsa);
    cases.add("keys::type_that_nobody_makes", type_that_nobody_makes);
}

/// A capability that is lost by mistake would turn its cases into ignored ones; here it fails.
fn capabilities_are_as_promised(suite: &Suite) -> Outcome {
    let manager = suite.open()?;
    let computed = manager.capabilities();
    for (name, handle) in [
        ("delete", manager.as_key_deleter().is_some()),
        ("search", manager.as_key_searcher().is_some()),
        ("certificates", manager.as_certificate_manager().is_some()),
        ("attestation", manager.as_attester().is_some()),
        ("decryption", manager.as_decrypter().is_some()),
        ("import", manager.as_key_importer().is_some()),
    ] {
        ensure(computed.contains(&(name, handle)), format!("the table is not that of the accessors: {name}"))?;
    }
    let able: BTreeSet<_> = computed.into_iter().filter(|(_, able)| *able).map(|(name, _)| name).collect();
    let promised: BTreeSet<_> = suite.harness.capabilities().iter().copied().collect();
    ensure(able == promised, format!("the harness promises {promised:?}, the manager has {able:?}"))
}

fn reads_back(suite: &Suite, key_type: KeyType) -> Outcome {
    let shared = suite.shared(key_type)?;
    let created = &shared.key.public_key;
    ensure(created.key_type() == key_type, format!("asked for {key_type}, made {}", created.key_type()))?;
    same_key(created, &PublicKey::from_spki_der(created.spki_der())?, "its own SubjectPublicKeyInfo")?;
    same_key(created, &block_on(shared.manager.public_key(&shared.key.uri))?, "public_key")?;
    let signer = shared.signer(None)?;
    same_key(created, signer.public_key(), "the signer")?;
    ensure(signer.algorithm() == key_type.default_algorithm(), "the default algorithm is not that of the key type")
}

/// From anywhere: another registry, nothing but the URI, and that as text.
fn uri_is_complete(suite: &Suite, key_type: KeyType) -> Outcome {
    let Key { uri, public_key, .. } = suite.shared(key_type)?.key;
    ensure(!uri.has_secret(), "the URI of a new key holds a secret")?;
    let text = uri.to_string();
    ensure(*text == **uri.to_exposed_string(), "the URI of a new key is redacted when it is shown")?;
    let uri = text.parse().map_err(kms_core::Error::from)?;
    let registry = suite.harness.registry();
    let manager = block_on(registry.open(&uri))?;
    same_key(&public_key, &block_on(manager.public_key(&uri))?, "public_key after opening anew")?;
    let signer = block_on(registry.signer(&uri))?;
    same_key(&public_key, signer.public_key(), "the signer after opening anew")?;
    let signature = block_on(signer.sign(b"reopened"))?;
    judged(&public_key, signer.algorithm(), b"reopened", &signature)
}

fn unsupported_is_refused(suite: &Suite, key_type: KeyType) -> Outcome {
    let (manager, uri) = (suite.open()?, suite.fresh_key("refused"));
    refused(block_on(manager.create_key(&uri, &KeySpec::new(key_type))), ErrorKind::Unsupported, "create_key")?;
    refused(block_on(manager.public_key(&uri)), ErrorKind::NotFound, "public_key after a refused create_key")
}

fn never_the_same_twice(suite: &Suite) -> Outcome {
    let key_type = suite.some_type()?;
    let (one, two) = (suite.create("one", key_type)?, suite.create("two", key_type)?);
    ensure(one.key.public_key != two.key.public_key, "two keys with one public key")?;
    ensure(one.key.uri != two.key.uri, "two keys with one URI")
}

fn made_twice(suite: &Suite) -> Outcome {
    made_again(suite, |key_type, _| Ok(key_type))
}

fn made_twice_of_another_type(suite: &Suite) -> Outcome {
    made_again(suite, |first, suite| {
        let other = KeyType::CREATABLE
            .into_iter()
            .find(|other| *other != first && suite.harness.key_type_unsupported(*other).is_none());
        other.ok_or_else(|| Stop::Ignored("the place can make keys of one type only".into()))
    })
}

/// The second is refused under the name as it was given and as it was returned, and the first still signs.
fn made_again(suite: &Suite, second: impl FnOnce(KeyType, &Suite) -> Outcome<KeyType>) -> Outcome {
    let key_type = suite.some_type()?;
    let spec = KeySpec::new(second(key_type, suite)?);
    let (manager, given) = (suite.open()?, suite.fresh_key("twice"));
    let key = block_on(manager.create_key(&given, &KeySpec::new(key_type)))?;
    for manager in [&manager, &suite.open()?] {
        refused(block_on(manager.create_key(&given, &spec)), ErrorKind::AlreadyExists, "the name as given")?;
        refused(block_on(manager.create_key(&key.uri, &spec)), ErrorKind::AlreadyExists, "the name as returned")?;
    }
    let manager = suite.open()?;
    same_key(&key.public_key, &block_on(manager.public_key(&key.uri))?, "public_key afterwards")?;
    Shared { manager, key }.still_signs()
}

/// One of them makes the key; the others are told so. None may take another's place.
fn made_by_many_at_once(suite: &Suite) -> Outcome {
    let (key_type, uri) = (suite.some_type()?, suite.fresh_key("many"));
    let managers = (0..8).map(|_| suite.open()).collect::<Outcome<Vec<Arc<dyn KeyManager>>>>()?;
    let results: Vec<_> = std::thread::scope(|scope| {
        let create = |manager: &Arc<dyn KeyManager>| block_on(manager.create_key(&uri, &KeySpec::new(key_type)));
        let threads: Vec<_> = managers.iter().map(|manager| scope.spawn(move || create(manager))).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())).collect()
    });
    let mut made = Vec::new();
    for result in results {
        match result? {
            Ok(key) => made.push(key),
            lost => refused(lost, ErrorKind::AlreadyExists, "create_key of the same name at the same time")?,
        }
    }
    ensure(made.len() == 1, format!("{} of 8 made the same key", made.len()))?;
    let manager = suite.open()?;
    same_key(&made[0].public_key, &block_on(manager.public_key(&made[0].uri))?, "public_key afterwards")
}

fn decryption_is_for_rsa(suite: &Suite) -> Outcome {
    let manager = suite.open()?;
    for key_type in [KeyType::EcP256, KeyType::Ed25519, KeyType::MlDsa44] {
        let spec = KeySpec::new(key_type).with_usage(KeyUsage::Decrypt);
        let uri = suite.fresh_key("decrypt");
        refused(
            block_on(manager.create_key(&uri, &spec)),
            ErrorKind::Unsupported,
            format!("{key_type} for decryption"),
        )?;
        refused(block_on(manager.public_key(&uri)), ErrorKind::NotFound, "public_key after a refused create_key")?;
    }
    Ok(())
}

fn type_that_nobody_makes(suite: &Suite) -> Outcome {
    let manager = suite.open()?;
    for bits in [0, 512, 1024, 2047, u32::MAX] {
        let uri = suite.fresh_key("odd");
        let spec = KeySpec::new(KeyType::Rsa { bits });
        refused(block_on(manager.create_key(&uri, &spec)), ErrorKind::Unsupported, format!("RSA of {bits} bits"))?;
        refused(block_on(manager.public_key(&uri)), ErrorKind::NotFound, "public_key after a refused create_key")?;
    }
    Ok(())
}

fn same_key(expected: &PublicKey, found: &PublicKey, whence: &str) -> Outcome {
    ensure(expected == found, format!("another public key from {whence}: {found:?}, not {expected:?}"))
}
