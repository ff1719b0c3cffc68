//! `sign` and `verify`, against OpenSSL.

use std::fs;

use crate::tool::{Place, kms, kms_with, openssl};

const MESSAGE: &[u8] = b"a message to be signed\n";

/// Key type, algorithm, and how OpenSSL verifies it.
const CASES: [(&str, &str, &[&str]); 12] = [
    ("ec-p256", "ecdsa-sha256", &["-sha256"]),
    ("ec-p384", "ecdsa-sha384", &["-sha384"]),
    ("ec-p521", "ecdsa-sha512", &["-sha512"]),
    ("ec-secp256k1", "ecdsa-sha256", &["-sha256"]),
    ("rsa-2048", "rsa-pkcs1-sha256", &["-sha256"]),
    ("rsa-2048", "rsa-pkcs1-sha384", &["-sha384"]),
    ("rsa-3072", "rsa-pkcs1-sha512", &["-sha512"]),
    ("rsa-2048", "rsa-pss-sha256", &["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]),
    ("rsa-2048", "rsa-pss-sha384", &["-sha384", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:48"]),
    ("rsa-2048", "rsa-pss-sha512", &["-sha512", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:64"]),
    ("rsa-4096", "rsa-pkcs1-sha256", &["-sha256"]),
    ("ed25519", "ed25519", &[]),
];

#[test]
fn openssl_accepts_every_signature_and_so_does_verify() {
    let place = Place::new();
    let message = place.write("message", MESSAGE);
    for (number, (key_type, algorithm, options)) in CASES.into_iter().enumerate() {
        let uri = place.key(&format!("key{number}"), key_type);
        let public = place.write("public.pem", kms(&["key", &uri]).succeeded().stdout());
        let der = kms(&["sign", &uri, "--alg", algorithm, "--in", &message, "--format", "der"]).succeeded();
        let signature = place.write("signature.der", der.octets());
        openssl_verify(&public, &signature, &message, options);

        for format in ["der", "raw", "base64", "hex"] {
            let signed = kms_with(&["sign", &uri, "--alg", algorithm, "--format", format], MESSAGE).succeeded();
            let signature = place.write("signature", signed.octets());
            let given = ["--signature", &signature, "--alg", algorithm, "--format", format];
            for key in [vec!["verify", &uri], vec!["verify", "--key", &public]] {
                let arguments = [&key[..], &given[..]].concat();
                assert_eq!(kms_with(&arguments, MESSAGE).succeeded().stdout(), "OK\n", "{algorithm} {format}");
                let wrong = kms_with(&arguments, b"another message").ended_with(1);
                assert!(wrong.stdout().is_empty(), "{algorithm} {format}: {}", wrong.stdout());
            }
        }
    }
}

fn openssl_verify(public: &str, signature: &str, message: &str, options: &[&str]) {
    if options.is_empty() {
        let key = ["pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin"];
        openssl(&[&key[..], &["-sigfile", signature, "-in", message]].concat(), b"").succeeded();
    } else {
        let key = ["dgst", "-verify", public, "-signature", signature];
        openssl(&[&key[..], options, &[message]].concat(), b"").succeeded();
    }
}

#[test]
fn ml_dsa_signs_and_verifies() {
    let place = Place::new();
    for (key_type, octets) in [("ml-dsa-44", 2420), ("ml-dsa-65", 3309), ("ml-dsa-87", 4627)] {
        let uri = place.key(key_type, key_type);
        let signed = kms_with(&["sign", &uri, "--format", "raw"], MESSAGE).succeeded();
        assert_eq!(signed.octets().len(), octets, "{key_type}");
        let signature = place.write("signature", signed.octets());
        let verify = ["verify", &uri, "--signature", &signature, "--format", "raw"];
        kms_with(&verify, MESSAGE).succeeded();
        kms_with(&verify, b"another").ended_with(1);
        // OpenSSL 3.0 does not know ML-DSA: a library that the backend does not use judges.
        let report = kms(&["doctor", &uri]).succeeded();
        assert!(report.stdout().contains("verify"), "{}", report.stdout());
    }
}

#[test]
fn a_digest_is_signed_as_its_message_is() {
    let place = Place::new();
    let uri = place.key("rsa", "rsa-2048");
    let digest = openssl(&["dgst", "-sha256", "-r"], MESSAGE).succeeded().stdout();
    let digest = digest.split_whitespace().next().unwrap();
    let of_digest = kms(&["sign", &uri, "--digest", digest]).succeeded().stdout();
    // PKCS #1 v1.5 is deterministic.
    assert_eq!(of_digest, kms_with(&["sign", &uri], MESSAGE).succeeded().stdout());
    let signature = place.write("signature", of_digest);
    kms(&["verify", &uri, "--signature", &signature, "--digest", digest]).succeeded();
    for wrong in ["00", &digest[1..], "zz", ""] {
        kms(&["sign", &uri, "--digest", wrong]).ended_with(2);
    }
    let ed25519 = place.key("ed", "ed25519");
    kms(&["sign", &ed25519, "--digest", digest]).ended_with(7);
}

#[test]
fn raw_is_r_and_s_and_der_is_not() {
    let place = Place::new();
    let uri = place.key("p521", "ec-p521");
    assert_eq!(kms_with(&["sign", &uri, "--format", "raw"], MESSAGE).succeeded().octets().len(), 132);
    let der = kms_with(&["sign", &uri, "--format", "der"], MESSAGE).succeeded();
    assert_eq!(der.octets()[0], 0x30);
    let json = kms_with(&["sign", &uri, "--json"], MESSAGE).succeeded().json();
    assert_eq!((&json["algorithm"], &json["format"]), (&"ecdsa-sha512".into(), &"base64".into()));
    let short = place.write("short", [1; 131]);
    kms_with(&["verify", &uri, "--signature", &short, "--format", "raw"], MESSAGE).ended_with(1);
}

#[test]
fn a_file_larger_than_any_buffer_is_signed() {
    let place = Place::new();
    let uri = place.key("root", "ec-p256");
    let message = place.write("large", vec![7; 5_000_000]);
    let public = place.write("public.pem", kms(&["key", &uri]).succeeded().stdout());
    let signature = place.path("signature").to_str().unwrap().to_owned();
    kms(&["sign", &uri, "--in", &message, "--format", "der", "--out", &signature]).succeeded();
    openssl_verify(&public, &signature, &message, &["-sha256"]);
}

#[test]
fn output_replaces_a_file_only_when_told() {
    let place = Place::new();
    let uri = place.key("root", "ec-p256");
    let out = place.write("out", "precious");
    kms(&["sign", &uri, "--out", &out]).ended_with(4);
    assert_eq!(fs::read(&out).unwrap(), b"precious");
    kms(&["sign", &uri, "--out", &out, "--force"]).succeeded();
    assert_ne!(fs::read(&out).unwrap(), b"precious");
    let left: Vec<_> = fs::read_dir(place.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}
