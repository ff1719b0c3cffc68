//! Answers that are not to what was asked: nothing of them reaches the caller.

use kms_core::{ErrorKind, KeyManager, KeyType, block_on};
use kms_testkit::aws::Fault;

use crate::Scene;

#[test]
fn a_signature_that_is_not_right_is_withheld() {
    for key_type in [KeyType::EcP256, KeyType::Rsa { bits: 2048 }, KeyType::Ed25519, KeyType::MlDsa44] {
        let scene = Scene::with(key_type, std::time::Duration::from_secs(30));
        let signer = scene.signer();
        for fault in [Fault::CorruptSignature, Fault::OtherKey, Fault::OtherKeyId, Fault::OtherAlgorithm] {
            scene.server.set("Sign", fault.clone());
            for _ in 0..20 {
                let error = block_on(signer.sign(b"message")).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Integrity, "{key_type} {fault:?}: {}", error.chain());
                assert!(!error.is_transient(), "{error}");
            }
        }
        scene.server.clear();
        block_on(signer.sign(b"message")).unwrap();
    }
}

#[test]
fn a_public_key_of_another_name_is_withheld() {
    let scene = Scene::new();
    scene.server.set("GetPublicKey", Fault::OtherKeyId);
    let error = block_on(scene.manager.signer(&scene.key.uri, None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{}", error.chain());
}

/// The public key cannot be told from the right one, but what is signed by the right one can.
#[test]
fn a_public_key_of_another_key_does_not_verify_anything() {
    let scene = Scene::new();
    scene.server.set("GetPublicKey", Fault::OtherKey);
    let signer = scene.signer();
    assert_eq!(block_on(signer.sign(b"message")).unwrap_err().kind(), ErrorKind::Integrity);
}

/// An alias that means another key from now on does not change the key under a signer.
#[test]
fn an_alias_that_moved_is_noticed() {
    let scene = Scene::new();
    let alias = scene.server.uri() + ";name=ca";
    let signer = block_on(scene.manager.signer(&crate::manager_uri(&alias), None)).unwrap();
    scene.server.set("Sign", Fault::OtherKeyId);
    assert_eq!(block_on(signer.sign(b"message")).unwrap_err().kind(), ErrorKind::Integrity);
}

#[test]
fn a_page_of_html_is_not_an_answer() {
    let scene = Scene::with(KeyType::EcP256, std::time::Duration::from_secs(2));
    let signer = scene.signer();
    scene.server.set("Sign", Fault::Html);
    let error = block_on(signer.sign(b"message")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
    assert!(error.to_string().contains("not AWS KMS") && !error.chain().contains("<html>"), "{}", error.chain());
}
