//! Keys: made, found, used, listed, imported, deleted; and their certificates.

use kms_core::{
    DecryptionAlgorithm, Error, ErrorKind, Key, KeyManager, KeySpec, KeyType, KeyUri, KeyUsage, OperationPolicy,
    Secret, block_on,
};
use kms_testkit::judge;

use crate::Case;
use crate::place::{bare, manager, open, pkcs11_tool, registry, uri, with_policy};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        ("keys::every_type_signs_with_each_algorithm", every_type_signs_with_each_algorithm),
        ("keys::secp256k1_has_the_lower_s", secp256k1_has_the_lower_s),
        ("keys::complete_uri", complete_uri),
        ("keys::made_twice", made_twice),
        ("keys::public_key_without_pin", public_key_without_pin),
        ("keys::found_by_id_and_by_label", found_by_id_and_by_label),
        ("keys::extractable_only_if_asked", extractable_only_if_asked),
        ("keys::searched_and_deleted", searched_and_deleted),
        ("keys::decrypt", decrypt),
        ("keys::usage_is_kept", usage_is_kept),
        ("keys::ml_dsa_is_refused", ml_dsa_is_refused),
        ("keys::direct", direct),
    ]
}

pub(crate) fn create(manager: &dyn KeyManager, path: &str, key_type: KeyType) -> Key {
    block_on(manager.create_key(&uri("ca", path, ""), &KeySpec::new(key_type))).unwrap_or_else(fail)
}

#[allow(clippy::needless_pass_by_value, reason = "for `unwrap_or_else`")]
pub(crate) fn fail<T>(error: Error) -> T {
    panic!("{:?}: {}", error.kind(), error.chain())
}

/// Fed back from anywhere, with the PIN again.
pub(crate) fn with_pin(uri: &KeyUri) -> KeyUri {
    uri.with_query("pin-value", crate::place::PIN).expect("a good URI")
}

fn every_type_signs_with_each_algorithm() {
    let manager = manager();
    for key_type in [
        KeyType::EcP256,
        KeyType::EcP384,
        KeyType::EcP521,
        KeyType::EcSecp256k1,
        KeyType::Rsa { bits: 2048 },
        KeyType::Ed25519,
    ] {
        let key = create(&*manager, &format!(";object=type-{key_type}"), key_type);
        assert_eq!(key.public_key.key_type(), key_type);
        for &algorithm in key_type.algorithms() {
            let signer = block_on(manager.signer(&key.uri, Some(algorithm))).unwrap_or_else(fail);
            assert_eq!(*signer.public_key(), key.public_key);
            let long = vec![7; 100_000];
            for message in [&b""[..], b"message", &long] {
                let signature = block_on(signer.sign(message)).unwrap_or_else(fail);
                judge::verify(key.public_key.spki_der(), algorithm, message, signature.as_bytes()).unwrap();
            }
            if let Some(hash) = algorithm.hash() {
                let digest = hash.digest(b"digest");
                let signature = block_on(signer.sign_digest(digest.as_bytes())).unwrap_or_else(fail);
                judge::verify(key.public_key.spki_der(), algorithm, b"digest", signature.as_bytes()).unwrap();
            }
        }
    }
}

fn secp256k1_has_the_lower_s() {
    let manager = manager();
    let key = create(&*manager, ";object=lower-s", KeyType::EcSecp256k1);
    let signer = block_on(manager.signer(&key.uri, None)).unwrap_or_else(fail);
    for number in 0..64_u8 {
        let raw = block_on(signer.sign(&[number])).unwrap_or_else(fail).to_raw().unwrap();
        assert!(raw[32] < 0x80);
    }
}

fn complete_uri() {
    let key = create(&*manager(), ";object=complete", KeyType::EcP256);
    assert!(!key.uri.has_secret());
    let text = key.uri.to_string();
    assert!(text.contains("token=ca;") && text.contains("serial=") && text.contains("id=%"), "{text}");
    let again = with_pin(&text.parse().unwrap());
    let signer = block_on(registry().signer(&again)).unwrap_or_else(fail);
    assert_eq!(*signer.public_key(), key.public_key);
}

fn made_twice() {
    let manager = manager();
    let key = create(&*manager, ";object=twice;id=%AA%01", KeyType::EcP256);
    for path in [";object=twice", ";id=%AA%01", ";object=twice;id=%AA%02", ";object=other;id=%AA%01"] {
        let again = block_on(manager.create_key(&uri("ca", path, ""), &KeySpec::new(KeyType::EcP384))).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyExists, "{path}: {again}");
    }
    assert_eq!(block_on(manager.public_key(&key.uri)).unwrap_or_else(fail), key.public_key);
}

fn public_key_without_pin() {
    let key = create(&*manager(), ";object=no-pin", KeyType::EcP256);
    let manager = open(&bare("token=ca")).unwrap_or_else(fail);
    assert_eq!(block_on(manager.public_key(&key.uri)).unwrap_or_else(fail), key.public_key);
    let error = block_on(manager.signer(&key.uri, None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
    assert!(error.hint().unwrap().contains("pin-source"), "{error}");
    let error = block_on(manager.create_key(&bare("token=ca;object=x"), &KeySpec::new(KeyType::EcP256))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
}

fn found_by_id_and_by_label() {
    let manager = manager();
    let key = create(&*manager, ";object=named;id=%BB%01", KeyType::EcP256);
    for path in
        [";object=named", ";id=%BB%01", ";id-hex=bb01", ";object=named;id=%BB%01;type=private", ";object=named%20%20"]
    {
        let found = block_on(manager.public_key(&uri("ca", path, ""))).unwrap_or_else(fail);
        assert_eq!(found, key.public_key, "{path}");
        let signer = block_on(manager.signer(&uri("ca", path, ""), None)).unwrap_or_else(fail);
        assert_eq!(*signer.public_key(), key.public_key, "{path}");
    }
    assert_eq!(block_on(manager.public_key(&uri("ca", ";object=named;type=public", ""))).unwrap(), key.public_key);
    for path in [";object=named;id=%BB%02", ";object=Named", ";id=%BB"] {
        let error = block_on(manager.public_key(&uri("ca", path, ""))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{path}: {error}");
    }
}

fn extractable_only_if_asked() {
    let manager = manager();
    for (path, answer) in [(";object=stays", "never extractable"), (";object=leaves;extractable=true", "extractable")] {
        let key = create(&*manager, path, KeyType::EcP256);
        let label = key.uri.path().find(|attribute| attribute.name() == "object").unwrap().text().unwrap().to_owned();
        let text = pkcs11_tool("ca", &["--list-objects", "--type", "privkey"]);
        let mut lines = text.lines().skip_while(|line| !line.ends_with(&format!(" {label}")));
        let access = lines.find(|line| line.contains("Access:")).unwrap_or_else(|| panic!("{text}"));
        assert!(access.contains("sensitive") && access.contains(answer), "{path}: {access}");
        assert_eq!(access.contains("never extractable"), answer == "never extractable", "{path}: {access}");
        let error = block_on(manager.signer(&key.uri.with_path("extractable", "true").unwrap(), None)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidUri);
    }
}

fn searched_and_deleted() {
    let manager = open(&uri("second", "", "")).unwrap_or_else(fail);
    let make = |path: &str, key_type| {
        let uri = uri("second", path, "");
        block_on(manager.create_key(&uri, &KeySpec::new(key_type))).unwrap_or_else(fail)
    };
    let (one, two) = (make(";object=one", KeyType::EcP256), make(";object=two", KeyType::Ed25519));
    let (search, delete) = (manager.as_key_searcher().unwrap(), manager.as_key_deleter().unwrap());
    let found = |path: &str| -> Vec<KeyUri> {
        let keys = block_on(search.search_keys(&uri("second", path, ""))).unwrap_or_else(fail);
        keys.into_iter().map(|key| key.uri).collect()
    };
    let all = found("");
    assert_eq!(all.len(), 2);
    assert!(all.contains(&one.uri) && all.contains(&two.uri));
    assert_eq!(found(";object=one"), std::slice::from_ref(&one.uri));
    assert_eq!(found(";alg=ed25519"), std::slice::from_ref(&two.uri));
    assert!(found(";object=none").is_empty());
    assert_eq!(found(";type=public").len(), 2);

    let error = block_on(delete.delete_key(&uri("second", "", ""))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidUri, "{error}");
    block_on(delete.delete_key(&one.uri)).unwrap_or_else(fail);
    assert_eq!(block_on(delete.delete_key(&one.uri)).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(found(""), std::slice::from_ref(&two.uri));
    assert_eq!(found(";type=public"), std::slice::from_ref(&two.uri));
    assert_eq!(block_on(manager.public_key(&two.uri)).unwrap_or_else(fail), two.public_key);
}

fn decrypt() {
    let manager = manager();
    let spec = KeySpec::new(KeyType::Rsa { bits: 2048 }).with_usage(KeyUsage::Decrypt);
    let key = block_on(manager.create_key(&uri("ca", ";object=decrypter", ""), &spec)).unwrap_or_else(fail);
    let decrypter = manager.as_decrypter().unwrap();
    for _ in 0..2 {
        let error = block_on(decrypter.decrypt(&key.uri, DecryptionAlgorithm::RsaOaepSha1, &[1; 256])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
    let error = block_on(decrypter.decrypt(&key.uri, DecryptionAlgorithm::RsaOaepSha256, &[1; 256])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "SoftHSM does OAEP with SHA-1 only: {error}");
}

fn usage_is_kept() {
    let manager = manager();
    let spec = KeySpec::new(KeyType::Rsa { bits: 2048 }).with_usage(KeyUsage::Decrypt);
    let key = block_on(manager.create_key(&uri("ca", ";object=not-for-signing", ""), &spec)).unwrap_or_else(fail);
    let error = block_on(manager.signer(&key.uri, None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnusable, "{error}");
    let key = create(&*manager, ";object=not-for-decryption", KeyType::Rsa { bits: 2048 });
    let decrypter = manager.as_decrypter().unwrap();
    let error = block_on(decrypter.decrypt(&key.uri, DecryptionAlgorithm::RsaPkcs1, &[1; 256])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnusable, "{error}");
    let importer = manager.as_key_importer().unwrap();
    let error = block_on(importer.import_key(
        &uri("ca", ";object=garbage", ""),
        &Secret::new([0x30, 0]),
        &KeySpec::new(KeyType::EcP256),
    ));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

fn ml_dsa_is_refused() {
    let created = block_on(manager().create_key(&uri("ca", ";object=ml", ""), &KeySpec::new(KeyType::MlDsa65)));
    assert_eq!(created.unwrap_err().kind(), ErrorKind::Unsupported);
}

fn direct() {
    let key = create(&*manager(), ";object=direct", KeyType::EcP256);
    let registry = with_policy(OperationPolicy::default().with_execution(kms_core::Execution::Direct));
    let signer = block_on(registry.signer(&with_pin(&key.uri))).unwrap_or_else(fail);
    for number in 0..100_u8 {
        let signature = block_on(signer.sign(&[number])).unwrap_or_else(fail);
        judge::verify(key.public_key.spki_der(), signer.algorithm(), &[number], signature.as_bytes()).unwrap();
    }
}
