//! Answers that are not to what was asked: nothing of them reaches the caller.

use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use kms_core::{DecryptionAlgorithm, ErrorKind, KeySpec, KeyType, KeyUsage, block_on};
use serde_json::{Value, json};

use crate::{Scene, manager, uri};
use kms_testkit::gcp::Fault;

/// Flips one bit of a field in Base64, or one letter of one that is not.
fn damage(answer: &mut Value, field: &str) {
    let text = answer[field].as_str().unwrap().to_owned();
    answer[field] = if let Ok(mut octets) = Base64::decode_vec(&text) {
        let middle = octets.len() / 2;
        octets[middle] ^= 1;
        json!(Base64::encode_string(&octets))
    } else {
        let at = text.len() / 2;
        json!(format!("{}{}{}", &text[..at], if &text[at..=at] == "A" { "B" } else { "A" }, &text[at + 1..]))
    };
}

fn checksum_of(octets: &[u8]) -> Value {
    json!(crc32c::crc32c(octets).to_string())
}

/// What is changed, and how.
type Change = (&'static str, fn(&mut Value));

const SIGNATURES: [Change; 13] = [
    ("a flipped bit", |answer| damage(answer, "signature")),
    ("a flipped bit with its checksum", |answer| {
        damage(answer, "signature");
        answer["signatureCrc32c"] = checksum_of(&Base64::decode_vec(answer["signature"].as_str().unwrap()).unwrap());
    }),
    ("another checksum", |answer| answer["signatureCrc32c"] = json!("1")),
    ("a negative checksum", |answer| answer["signatureCrc32c"] = json!("-1")),
    ("no checksum", |answer| {
        answer.as_object_mut().unwrap().remove("signatureCrc32c");
    }),
    ("no acknowledgement of the digest", |answer| answer["verifiedDigestCrc32c"] = json!(false)),
    ("the acknowledgement of other data", |answer| {
        answer["verifiedDigestCrc32c"] = json!(false);
        answer["verifiedDataCrc32c"] = json!(true);
    }),
    ("another version", |answer| {
        answer["name"] = json!(answer["name"].as_str().unwrap().replace("Versions/1", "Versions/2"));
    }),
    ("another key", |answer| answer["name"] = json!(answer["name"].as_str().unwrap().replace("/ca/c", "/cb/c"))),
    ("no name", |answer| {
        answer.as_object_mut().unwrap().remove("name");
    }),
    ("another protection level", |answer| answer["protectionLevel"] = json!("EXTERNAL")),
    ("no signature", |answer| {
        answer["signature"] = json!("");
        answer["signatureCrc32c"] = json!("0");
    }),
    ("a short signature with its checksum", |answer| {
        answer["signature"] = json!(Base64::encode_string(&[0x30, 0]));
        answer["signatureCrc32c"] = checksum_of(&[0x30, 0]);
    }),
];

#[test]
fn a_signature_that_is_not_right_is_withheld() {
    for key_type in [KeyType::EcP256, KeyType::Rsa { bits: 2048 }] {
        let scene = Scene::with(key_type, Duration::from_secs(30));
        let signer = scene.signer();
        for (what, change) in SIGNATURES {
            scene.server.set("AsymmetricSign", Fault::Answer(change));
            for _ in 0..10 {
                let before = scene.server.requests("AsymmetricSign");
                let error = block_on(signer.sign(b"message")).expect_err(what);
                assert_eq!(error.kind(), ErrorKind::Integrity, "{key_type} {what}: {}", error.chain());
                assert!(!error.is_transient(), "{error}");
                assert!(scene.server.requests("AsymmetricSign") - before <= 3, "{what}: asked again and again");
            }
        }
        scene.server.clear();
        block_on(signer.sign(b"message")).unwrap();
    }
}

/// Name, checksum and acknowledgement are right; only the signature is not one by the key.
#[test]
fn a_signature_that_does_not_verify_is_withheld() {
    for key_type in ["ec-p256", "ec-secp256k1", "rsa-2048", "ed25519", "ml-dsa-65"] {
        let scene = Scene::with(key_type.parse().unwrap(), Duration::from_secs(30));
        let signer = scene.signer();
        for fault in [Fault::CorruptSignature, Fault::OtherKey] {
            scene.server.set("AsymmetricSign", fault.clone());
            for _ in 0..5 {
                let error = block_on(signer.sign(b"message")).expect_err(key_type);
                assert_eq!(error.kind(), ErrorKind::Integrity, "{key_type} {fault:?}: {}", error.chain());
            }
        }
        scene.server.clear();
        block_on(signer.sign(b"message")).unwrap();
        // Another key's public key, well-formed and with its checksum: the first signature shows it.
        scene.server.set("GetPublicKey", Fault::OtherKey);
        let misled = scene.signer();
        assert_eq!(block_on(misled.sign(b"message")).unwrap_err().kind(), ErrorKind::Integrity, "{key_type}");
    }
}

/// Damaged on the way once, it is right the next time.
#[test]
fn what_was_damaged_once_is_asked_again() {
    let scene = Scene::new();
    let signer = scene.signer();
    for (what, change) in SIGNATURES.into_iter().filter(|(what, _)| !what.contains("with its checksum")) {
        let before = scene.server.requests("AsymmetricSign");
        scene.server.set_times("AsymmetricSign", Fault::Answer(change), 1);
        block_on(signer.sign(b"message")).unwrap_or_else(|error| panic!("{what}: {}", error.chain()));
        assert_eq!(scene.server.requests("AsymmetricSign") - before, 2, "{what}");
    }
}

/// The service says that the checksum is another one, and signs nothing.
#[test]
fn what_is_damaged_on_the_way_there_is_not_signed() {
    let requests: [Change; 3] = [
        ("ec-p256", |request| {
            let digest = request["digest"].as_object_mut().unwrap();
            let digest = digest.get_mut("sha256").unwrap();
            let mut octets = Base64::decode_vec(digest.as_str().unwrap()).unwrap();
            octets[3] ^= 8;
            *digest = json!(Base64::encode_string(&octets));
        }),
        ("ec-p256", |request| request["digestCrc32c"] = json!("7")),
        ("ed25519", |request| damage(request, "data")),
    ];
    for (key_type, change) in requests {
        let scene = Scene::with(key_type.parse().unwrap(), Duration::from_secs(30));
        let signer = scene.signer();
        scene.server.set("AsymmetricSign", Fault::Request(change));
        let error = block_on(signer.sign(b"message")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity, "{key_type}: {}", error.chain());
        scene.server.set_times("AsymmetricSign", Fault::Request(change), 1);
        block_on(signer.sign(b"message")).unwrap();
    }
}

#[test]
fn a_public_key_that_is_not_right_is_withheld() {
    let changes: [Change; 7] = [
        ("a damaged PEM", |answer| damage(answer, "pem")),
        ("a damaged PEM with its checksum", |answer| {
            damage(answer, "pem");
            answer["pemCrc32c"] = checksum_of(answer["pem"].as_str().unwrap().as_bytes());
        }),
        ("another checksum", |answer| answer["pemCrc32c"] = json!("1")),
        ("no checksum", |answer| {
            answer.as_object_mut().unwrap().remove("pemCrc32c");
        }),
        ("another name", |answer| {
            answer["name"] = json!(answer["name"].as_str().unwrap().replace("Versions/1", "Versions/2"));
        }),
        ("another algorithm", |answer| answer["algorithm"] = json!("EC_SIGN_P384_SHA384")),
        ("nothing", |answer| {
            answer["pem"] = json!("");
        }),
    ];
    let scene = Scene::new();
    for (what, change) in changes {
        scene.server.set("GetPublicKey", Fault::Answer(change));
        for _ in 0..10 {
            let error = block_on(scene.manager.signer(&scene.key.uri, None)).expect_err(what);
            assert_eq!(error.kind(), ErrorKind::Integrity, "{what}: {}", error.chain());
            assert_eq!(block_on(scene.manager.public_key(&scene.key.uri)).unwrap_err().kind(), ErrorKind::Integrity);
        }
        scene.server.clear();
        if !what.contains("with its checksum") {
            scene.server.set_times("GetPublicKey", Fault::Answer(change), 1);
            scene.signer();
        }
    }
    scene.server.set("GetPublicKey", Fault::Answer(|answer| answer["algorithm"] = json!(4711)));
    let error = block_on(scene.manager.signer(&scene.key.uri, None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{}", error.chain());
    assert!(error.to_string().contains("4711"), "{error}");
}

/// The version came to be another key under the signer.
#[test]
fn a_swapped_key_is_noticed() {
    let scene = Scene::new();
    // Checksums and names are right, the key is another one.
    scene.server.set(
        "GetPublicKey",
        Fault::Answer(|answer| {
            let pem = "-----BEGIN PUBLIC KEY-----\n\
            MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n\
            6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n\
            -----END PUBLIC KEY-----\n";
            answer["pem"] = json!(pem);
            answer["pemCrc32c"] = checksum_of(pem.as_bytes());
        }),
    );
    let signer = scene.signer();
    for _ in 0..10 {
        assert_eq!(block_on(signer.sign(b"message")).unwrap_err().kind(), ErrorKind::Integrity);
    }
}

#[test]
fn a_plaintext_that_is_not_right_is_withheld() {
    let scene = Scene::new();
    let name = uri(&scene.server.uri("/cryptoKeys/decrypts"));
    let spec = KeySpec::new(KeyType::Rsa { bits: 2048 }).with_usage(KeyUsage::Decrypt);
    let key = block_on(scene.manager.create_key(&name, &spec)).unwrap();
    let ciphertext = encrypt(key.public_key.spki_der());
    let decrypter = scene.manager.as_decrypter().unwrap();
    let decrypt = || block_on(decrypter.decrypt(&key.uri, DecryptionAlgorithm::RsaOaepSha256, &ciphertext));
    assert_eq!(decrypt().unwrap().expose(), b"secret");
    let changes: [Change; 4] = [
        ("a flipped bit", |answer| damage(answer, "plaintext")),
        ("another checksum", |answer| answer["plaintextCrc32c"] = json!("1")),
        ("no acknowledgement", |answer| answer["verifiedCiphertextCrc32c"] = json!(false)),
        ("another protection level", |answer| answer["protectionLevel"] = json!("HSM")),
    ];
    for (what, change) in changes {
        scene.server.set("AsymmetricDecrypt", Fault::Answer(change));
        let error = decrypt().expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Integrity, "{what}: {}", error.chain());
        scene.server.set_times("AsymmetricDecrypt", Fault::Answer(change), 1);
        assert_eq!(decrypt().unwrap().expose(), b"secret", "{what}");
    }
}

#[test]
fn a_page_of_html_is_not_an_answer() {
    for status in [200, 400, 404] {
        let scene = Scene::with(KeyType::EcP256, Duration::from_secs(20));
        let signer = scene.signer();
        scene.server.set("AsymmetricSign", Fault::Html(status));
        let error = block_on(signer.sign(b"message")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{status}: {}", error.chain());
        assert!(error.to_string().contains("not Cloud KMS") && !error.chain().contains("canary"), "{}", error.chain());
        assert_eq!(scene.server.requests("AsymmetricSign"), 1, "{status}: a page stays a page");
    }
}

/// Answers of another implementation: optional fields absent, unknown ones present, numbers for names.
#[test]
fn what_does_not_matter_does_not_matter() {
    let scene = Scene::new();
    scene.server.set(
        "GetPublicKey",
        Fault::Answer(|answer| {
            answer["algorithm"] = json!(12);
            answer["protectionLevel"] = json!(1);
            answer["futureField"] = json!({ "a": [1] });
            answer["pemCrc32c"] = json!(answer["pemCrc32c"].as_str().unwrap().parse::<i64>().unwrap());
        }),
    );
    scene.server.set(
        "AsymmetricSign",
        Fault::Answer(|answer| {
            answer["protectionLevel"] = json!(1);
            answer.as_object_mut().unwrap().remove("verifiedDataCrc32c");
            answer["futureField"] = json!(true);
        }),
    );
    block_on(scene.signer().sign(b"message")).unwrap();
    let elsewhere = manager("cloudkms:", Duration::from_secs(5));
    assert_eq!(block_on(elsewhere.signer(&scene.key.uri, None)).unwrap_err().kind(), ErrorKind::InvalidUri);
}

/// A list of which a part is missing is no list; and what may not be read is not the same as nothing.
#[test]
fn a_search_that_cannot_be_whole_is_an_error() {
    let scene = Scene::new();
    scene.server.set_page_limit(1);
    for number in 0..3 {
        let name = uri(&scene.server.uri(&format!("/cryptoKeys/another-{number}")));
        block_on(scene.manager.create_key(&name, &KeySpec::new(KeyType::EcP256))).unwrap();
    }
    let searcher = scene.manager.as_key_searcher().unwrap();
    let search = || block_on(searcher.search_keys(&uri(&scene.server.uri(""))));
    assert_eq!(search().unwrap().len(), 4);
    // What has gone since it was listed takes nothing else with it.
    scene.server.set_times("ListCryptoKeyVersions", Fault::refuse(404, "NOT_FOUND", "gone"), 1);
    assert_eq!(search().unwrap().len(), 3);
    scene.server.set("ListCryptoKeys", Fault::Answer(|answer| answer["nextPageToken"] = json!("Y2E=")));
    let error = search().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{}", error.chain());
    // A key of another key ring is no answer to the question.
    scene.server.set(
        "ListCryptoKeys",
        Fault::Answer(|answer| {
            let name =
                answer["cryptoKeys"][0]["name"].as_str().unwrap().replace("another-1", "x").replace("/ca/", "/cb/");
            answer["cryptoKeys"][0]["name"] = json!(name);
        }),
    );
    assert!(search().unwrap().is_empty());
    scene.server.clear();
    scene.server.set("GetPublicKey", Fault::permission_denied("cloudkms.cryptoKeyVersions.viewPublicKey"));
    let error = search().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{}", error.chain());
    scene.server.set_times("GetPublicKey", Fault::permission_denied("cloudkms.cryptoKeyVersions.viewPublicKey"), 1);
    assert_eq!(search().unwrap().len(), 3);
}

fn encrypt(spki: &[u8]) -> Vec<u8> {
    use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
    let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(spki).unwrap()).unwrap();
    let mut block = vec![0; key.ciphertext_size()];
    let length = key.encrypt(&OAEP_SHA256_MGF1SHA256, b"secret", &mut block, None).unwrap().len();
    block.truncate(length);
    block
}
