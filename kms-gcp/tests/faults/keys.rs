//! Keys and versions: made, waited for, never made twice, chosen, switched, destroyed and restored.

use std::process::Command;
use std::time::Duration;

use kms_core::{ErrorKind, KeyManager as _, KeySpec, KeyType, OpenOptions, Secret, SignatureAlgorithm, block_on};
use kms_gcp::{Gcp, GcpKeyManager, GcpKeyOptions, GcpProtectionLevel};
use kms_testkit::judge;
use serde_json::json;

use crate::{LATER, Scene, manager_of, uri};
use kms_testkit::gcp::Fault;

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

    scene.server.set(
        "GetCryptoKeyVersion",
        Fault::Answer(|answer| {
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
    let before = scene.server.requests("CreateCryptoKey");
    scene.server.set_times("CreateCryptoKey", Fault::Cut, 1);
    let name = uri(&scene.server.uri("/cryptoKeys/lost"));
    let error = block_on(scene.manager.create_key(&name, &KeySpec::new(KeyType::EcP256))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
    assert!(error.to_string().contains("not known whether"), "{error}");
    assert_eq!(scene.server.requests("CreateCryptoKey") - before, 1);
    // It was made, as the second one is told.
    let error = block_on(scene.manager.create_key(&name, &KeySpec::new(KeyType::EcP256))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{}", error.chain());
    // One that was refused is.
    let name = uri(&scene.server.uri("/cryptoKeys/later"));
    scene.server.set_times("CreateCryptoKey", Fault::refuse(429, "RESOURCE_EXHAUSTED", ""), 2);
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
        let judged = judge::verify(key.public_key.spki_der(), algorithm, b"message", signature.as_bytes());
        assert_eq!(judged, Ok(()), "{algorithm}");
    }
}

/// A key outside Google is sent the message, and its manager hashes it.
#[test]
fn an_external_key_takes_the_message() {
    let scene = Scene::new();
    let key = scene.server.uri("/cryptoKeys/outside");
    external_key(&scene, "outside");
    let key = uri(&key.replace("outside", "outside/cryptoKeyVersions/1"));
    let signer = block_on(scene.manager.signer(&key, None)).unwrap();
    let signature = block_on(signer.sign(b"message")).unwrap();
    let public_key = signer.public_key().spki_der();
    let judged = judge::verify(public_key, SignatureAlgorithm::EcdsaSha256, b"message", signature.as_bytes());
    assert_eq!(judged, Ok(()));
    let requests = scene.server.requests("AsymmetricSign");
    let error = block_on(signer.sign_digest(&[7; 32])).unwrap_err();
    assert_eq!((error.kind(), scene.server.requests("AsymmetricSign")), (ErrorKind::Unsupported, requests));
    let error = block_on(signer.sign(&vec![0; 65_537])).unwrap_err();
    assert_eq!((error.kind(), scene.server.requests("AsymmetricSign")), (ErrorKind::InvalidArgument, requests));
}

/// Such a key is made by its manager's operator, not by us: here by `curl`.
fn external_key(scene: &Scene, id: &str) {
    let key_ring = format!("{}/v1/projects/test/locations/global/keyRings/ca/cryptoKeys", scene.server.endpoint());
    let template = r#"{"algorithm":"EC_SIGN_P256_SHA256","protectionLevel":"EXTERNAL"}"#;
    let key = format!(r#"{{"purpose":"ASYMMETRIC_SIGN","versionTemplate":{template}}}"#);
    let version = r#"{"externalProtectionLevelOptions":{"externalKeyUri":"https://ekm.example/v0/ca"}}"#;
    for (url, body) in [
        (format!("{key_ring}?cryptoKeyId={id}&skipInitialVersionCreation=true"), &*key),
        (format!("{key_ring}/{id}/cryptoKeyVersions"), version),
        (format!("{key_ring}/{id}/cryptoKeyVersions/1"), ""),
    ] {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail-with-body", &url]);
        if !body.is_empty() {
            curl.args(["--json", body]);
        }
        let output = curl.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// The representative is computed here, so that messages may be of any length; the judge knows nothing of it.
#[test]
fn an_external_mu_key_signs_messages_of_any_length() {
    let scene = Scene::new();
    let manager = own(&scene);
    let with_mu = GcpKeyOptions::default().with_external_mu();
    for key_type in [KeyType::MlDsa44, KeyType::MlDsa65, KeyType::MlDsa87] {
        let name = uri(&scene.server.uri(&format!("/cryptoKeys/mu-{key_type}")));
        let key = block_on(manager.create_key_with(&name, &KeySpec::new(key_type), &with_mu)).unwrap();
        let signer = block_on(manager.signer(&key.uri, None)).unwrap();
        for length in [0, 1, 65_537, 1 << 20] {
            let message = vec![b'm'; length];
            let signature = block_on(signer.sign(&message)).unwrap();
            let (spki, algorithm) = (key.public_key.spki_der(), key_type.default_algorithm());
            assert_eq!(judge::verify(spki, algorithm, &message, signature.as_bytes()), Ok(()), "{key_type} {length}");
        }
    }
}

/// What a key is given when it is made is what the service says it has.
#[test]
fn new_keys_get_their_options() {
    let scene = Scene::new();
    let manager = own(&scene);
    let spec = KeySpec::new(KeyType::EcP256);
    let options = GcpKeyOptions::default()
        .with_label("team", "pki")
        .with_label("stage", "test")
        .with_destroy_scheduled_duration(Duration::from_hours(48))
        .with_protection_level(GcpProtectionLevel::Hsm);
    let key = uri(&scene.server.uri("/cryptoKeys/optioned"));
    block_on(manager.create_key_with(&key, &spec, &options)).unwrap();
    let told = described(&scene, "optioned");
    assert_eq!(told["labels"], json!({ "team": "pki", "stage": "test" }));
    assert_eq!(told["destroyScheduledDuration"], "172800s");
    assert_eq!(told["versionTemplate"]["protectionLevel"], "HSM");
    for (wrong, id) in [
        (GcpKeyOptions::default().with_label("Team", "pki"), "labelled"),
        (GcpKeyOptions::default().with_destroy_scheduled_duration(Duration::from_hours(1)), "hasty"),
    ] {
        let key = uri(&scene.server.uri(&format!("/cryptoKeys/{id}")));
        let error = block_on(manager.create_key_with(&key, &spec, &wrong)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{}", error.chain());
    }
    // Found by its label, and no other.
    let query = uri(&scene.server.uri(";label=team%3Dpki"));
    let found = block_on(manager.as_key_searcher().unwrap().search_keys(&query)).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].uri.to_string().contains("/cryptoKeys/optioned/"), "{}", found[0].uri);
}

fn described(scene: &Scene, id: &str) -> serde_json::Value {
    let url = format!("{}/v1/projects/test/locations/global/keyRings/ca/cryptoKeys/{id}", scene.server.endpoint());
    let output = Command::new("curl").args(["--silent", "--show-error", "--fail", &url]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A key whose versions are all imported: none is generated, not by mistake either.
#[test]
fn an_import_only_key_takes_imports_alone() {
    let scene = Scene::new();
    let only = GcpKeyOptions::default().with_import_only();
    let manager =
        block_on(Gcp::default().with_key_options(only).manager(&uri(&scene.server.uri("")), &OpenOptions::default()))
            .unwrap();
    let pair = rcgen::KeyPair::generate().unwrap();
    let name = uri(&scene.server.uri("/cryptoKeys/imported"));
    let spec = KeySpec::new(KeyType::EcP256);
    let importer = manager.as_key_importer().unwrap();
    let key = block_on(importer.import_key(&name, &Secret::new(pair.serialize_der()), &spec)).unwrap();
    assert_eq!(key.public_key.spki_der(), rcgen::PublicKeyData::subject_public_key_info(&pair));
    block_on(block_on(manager.signer(&key.uri, None)).unwrap().sign(b"message")).unwrap();
    assert_eq!(described(&scene, "imported")["importOnly"], true);
    let error = block_on(manager.create_version(&name)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnusable, "{}", error.chain());
}

#[test]
fn an_attestation_is_of_its_key_and_its_root() {
    let scene = Scene::new();
    let spec = KeySpec::new(KeyType::EcP256);
    let in_hsm = GcpKeyOptions::default().with_protection_level(GcpProtectionLevel::Hsm);
    let key = uri(&scene.server.uri("/cryptoKeys/hsm"));
    let key = block_on(own(&scene).create_key_with(&key, &spec, &in_hsm)).unwrap();
    let trusting = Gcp::default().with_attestation_root(scene.server.attestation_root());
    let trusting = manager_of(trusting, &scene.server.uri(""), LATER);
    let attest = |manager: &dyn kms_core::KeyManager| block_on(manager.as_attester().unwrap().attest(&key.uri));
    assert_eq!(attest(&*trusting).unwrap().public_key, key.public_key);
    assert_eq!(attest(&*scene.manager).unwrap_err().kind(), ErrorKind::Integrity, "another root");
    let software = block_on(trusting.as_attester().unwrap().attest(&scene.key.uri)).unwrap_err();
    assert_eq!(software.kind(), ErrorKind::Unsupported);
    let changes: [fn(&mut serde_json::Value); 3] = [
        |answer| answer["attestation"]["content"] = json!("AAAA"),
        |answer| answer["attestation"]["certChains"] = json!({}),
        |answer| answer["name"] = json!("projects/other"),
    ];
    for change in changes {
        scene.server.set("GetCryptoKeyVersion", Fault::Answer(change));
        assert_eq!(attest(&*trusting).unwrap_err().kind(), ErrorKind::Integrity);
    }
}
