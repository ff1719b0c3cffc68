//! Keys and versions: made, waited for, never made twice, chosen, switched, destroyed and restored.

use std::time::Duration;

use kms_core::{ErrorKind, KeyManager as _, KeySpec, KeyType, OpenOptions, SignatureAlgorithm, block_on};
use kms_gcp::{Gcp, GcpKeyManager, GcpKeyOptions};
use serde_json::json;

use crate::stand_in::Twist;
use crate::{Scene, manager_of, uri};

const LATER: Duration = Duration::from_secs(30);

fn own(scene: &Scene) -> GcpKeyManager {
    block_on(Gcp::default().manager(&uri(&scene.server.uri("")), &OpenOptions::default())).unwrap()
}

#[test]
fn a_version_is_waited_for() {
    let scene = Scene::new();
    scene.server.set_pending(6);
    let name = uri(&scene.server.uri("/cryptoKeys/slow"));
    let key = block_on(scene.manager.create_key(&name, &KeySpec::new(KeyType::EcP256))).unwrap();
    block_on(block_on(scene.manager.signer(&key.uri, None)).unwrap().sign(b"message")).unwrap();

    scene.server.set_pending(usize::MAX);
    let hasty = manager_of(Gcp::default(), &scene.server.uri(""), Duration::from_secs(2));
    let name = uri(&scene.server.uri("/cryptoKeys/never"));
    let error = block_on(hasty.create_key(&name, &KeySpec::new(KeyType::EcP256))).unwrap_err();
    assert!(error.to_string().contains("cryptoKeys/never was made and exists"), "{}", error.chain());

    scene.server.twist(
        "Get cryptoKeyVersions",
        Twist::Answer(|answer| {
            answer["state"] = json!("GENERATION_FAILED");
            answer["generationFailureReason"] = json!("out of entropy");
        }),
    );
    let name = uri(&scene.server.uri("/cryptoKeys/failed"));
    let error = block_on(scene.manager.create_key(&name, &KeySpec::new(KeyType::EcP256))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnusable);
    assert!(error.to_string().contains("out of entropy"), "{}", error.chain());
}

#[test]
fn a_creation_that_was_not_answered_is_not_repeated() {
    let scene = Scene::new();
    let before = scene.server.requests("Create cryptoKeys");
    scene.server.twist("Create cryptoKeys", Twist::Cut);
    let name = uri(&scene.server.uri("/cryptoKeys/lost"));
    let error = block_on(scene.manager.create_key(&name, &KeySpec::new(KeyType::EcP256))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
    assert!(error.to_string().contains("not known whether"), "{error}");
    assert_eq!(scene.server.requests("Create cryptoKeys") - before, 1);
    // One that was refused is.
    scene.server.twist_times("Create cryptoKeys", Twist::Refuse(429, "RESOURCE_EXHAUSTED", "", json!([])), 2);
    block_on(scene.manager.create_key(&name, &KeySpec::new(KeyType::EcP256))).unwrap();
}

#[test]
fn a_version_is_demanded_or_the_newest_is_chosen_and_kept() {
    let scene = Scene::new();
    let name = uri(&scene.server.uri("/cryptoKeys/ca"));
    let requests = scene.server.requests("*");
    let error = block_on(scene.manager.signer(&name, None)).unwrap_err();
    assert_eq!((error.kind(), scene.server.requests("*")), (ErrorKind::InvalidUri, requests));
    assert!(error.to_string().contains("cryptoKeys/ca/cryptoKeyVersions/1"), "{error}");

    let manager = own(&scene);
    let versions: Vec<_> = (0..10).map(|_| block_on(manager.create_version(&name)).unwrap()).collect();
    assert!(versions[9].uri.to_string().contains("cryptoKeyVersions/11"), "{}", versions[9].uri);
    let newest = manager_of(Gcp::default().with_newest_enabled_version(), &scene.server.uri(""), LATER);
    let signer = block_on(newest.signer(&name, None)).unwrap();
    assert_eq!(*signer.public_key(), versions[9].public_key, "the eleventh comes after the ninth");
    block_on(manager.disable_version(&versions[9].uri)).unwrap();
    assert_eq!(block_on(signer.sign(b"message")).unwrap_err().kind(), ErrorKind::KeyUnusable, "it is kept");
    let signer = block_on(newest.signer(&name, None)).unwrap();
    assert_eq!(*signer.public_key(), versions[8].public_key);
    let found = block_on(manager.as_key_searcher().unwrap().search_keys(&name)).unwrap();
    assert_eq!(found.len(), 10, "all but the disabled one, from several pages");
}

#[test]
fn a_version_is_switched_destroyed_and_restored() {
    let scene = Scene::new();
    let (manager, signer, key) = (own(&scene), scene.signer(), &scene.key.uri);
    let signs = || block_on(signer.sign(b"message")).map(drop).map_err(|error| error.kind());
    block_on(manager.disable_version(key)).unwrap();
    assert_eq!(signs(), Err(ErrorKind::KeyUnusable));
    block_on(manager.enable_version(key)).unwrap();
    assert_eq!(signs(), Ok(()));
    assert_eq!(block_on(manager.restore_version(key)).unwrap_err().kind(), ErrorKind::KeyUnusable);
    block_on(manager.destroy_version(key)).unwrap();
    assert_eq!(signs(), Err(ErrorKind::KeyUnusable));
    assert_eq!(block_on(manager.enable_version(key)).unwrap_err().kind(), ErrorKind::KeyUnusable);
    block_on(manager.restore_version(key)).unwrap();
    block_on(manager.enable_version(key)).unwrap();
    assert_eq!(signs(), Ok(()));
    // A key alone says not which of its versions.
    let name = uri(&scene.server.uri("/cryptoKeys/ca"));
    assert_eq!(block_on(manager.destroy_version(&name)).unwrap_err().kind(), ErrorKind::InvalidUri);
}

#[test]
fn rsa_keys_sign_as_they_were_made() {
    let scene = Scene::new();
    let manager = own(&scene);
    let spec = KeySpec::new(KeyType::Rsa { bits: 2048 });
    let pss = uri(&scene.server.uri("/cryptoKeys/pss;alg=rsa-pss-sha256"));
    let key = block_on(manager.create_key(&pss, &spec)).unwrap();
    let signer = block_on(manager.signer(&key.uri, None)).unwrap();
    assert_eq!(signer.algorithm(), SignatureAlgorithm::RsaPssSha256);
    block_on(signer.sign(b"message")).unwrap();
    let error = block_on(manager.signer(&key.uri, Some(SignatureAlgorithm::RsaPkcs1Sha256))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);

    let raw = uri(&scene.server.uri("/cryptoKeys/raw"));
    let key = block_on(manager.create_key_with(&raw, &spec, &GcpKeyOptions::default().with_raw_pkcs1())).unwrap();
    for algorithm in
        [SignatureAlgorithm::RsaPkcs1Sha256, SignatureAlgorithm::RsaPkcs1Sha384, SignatureAlgorithm::RsaPkcs1Sha512]
    {
        let signer = block_on(manager.signer(&key.uri, Some(algorithm))).unwrap();
        let signature = block_on(signer.sign(b"message")).unwrap();
        let judged = kms_testkit::judge::verify(key.public_key.spki_der(), algorithm, b"message", signature.as_bytes());
        assert_eq!(judged, Ok(()), "{algorithm}");
    }
}

/// A key outside Google is sent the message: the small server signs what `data` holds for such a key only of Ed25519, so
/// this looks at what is refused before a request.
#[test]
fn an_external_key_takes_no_digest() {
    let scene = Scene::new();
    scene.server.twist("GetPublicKey", Twist::Answer(|answer| answer["protectionLevel"] = json!("EXTERNAL")));
    let signer = scene.signer();
    let requests = scene.server.requests("AsymmetricSign");
    let error = block_on(signer.sign_digest(&[7; 32])).unwrap_err();
    assert_eq!((error.kind(), scene.server.requests("AsymmetricSign")), (ErrorKind::Unsupported, requests));
    let error = block_on(signer.sign(&vec![0; 65_537])).unwrap_err();
    assert_eq!((error.kind(), scene.server.requests("AsymmetricSign")), (ErrorKind::InvalidArgument, requests));
}

#[test]
fn an_attestation_is_of_its_key_and_its_root() {
    let scene = Scene::new();
    let spec = KeySpec::new(KeyType::EcP256);
    let in_hsm = GcpKeyOptions::default().with_protection_level(kms_gcp::GcpProtectionLevel::Hsm);
    let key = uri(&scene.server.uri("/cryptoKeys/hsm"));
    let key = block_on(own(&scene).create_key_with(&key, &spec, &in_hsm)).unwrap();
    let trusting = Gcp::default().with_attestation_root(scene.server.attestation_root());
    let trusting = manager_of(trusting, &scene.server.uri(""), LATER);
    let attest = |manager: &dyn kms_core::KeyManager| block_on(manager.as_attester().unwrap().attest(&key.uri));
    assert_eq!(attest(&*trusting).unwrap().public_key, key.public_key);
    assert_eq!(attest(&*scene.manager).unwrap_err().kind(), ErrorKind::Integrity, "another root");
    let software = block_on(trusting.as_attester().unwrap().attest(&scene.key.uri)).unwrap_err();
    assert_eq!(software.kind(), ErrorKind::Unsupported);
    let twists: [fn(&mut serde_json::Value); 3] = [
        |answer| answer["attestation"]["content"] = json!("AAAA"),
        |answer| answer["attestation"]["certChains"] = json!({}),
        |answer| answer["name"] = json!("projects/other"),
    ];
    for twist in twists {
        scene.server.twist("Get cryptoKeyVersions", Twist::Answer(twist));
        assert_eq!(attest(&*trusting).unwrap_err().kind(), ErrorKind::Integrity);
    }
}
