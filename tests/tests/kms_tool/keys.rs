//! Keys and certificates: `create`, `key`, `search`, `delete`, `cert`, `capabilities`, `doctor`, `decrypt`.

use serde_json::json;

use crate::tool::{Place, kms, kms_with, openssl};

#[test]
fn create_prints_a_uri_that_names_the_key_and_no_key_is_replaced() {
    let place = Place::new();
    let uri = place.key("root", "ec-p256");
    assert!(uri.starts_with("softkms:") && !uri.contains('\n'), "{uri}");
    let made = kms(&["create", &place.uri("other"), "--type", "ed25519", "--json"]).succeeded().json();
    assert_eq!(made["type"], "ed25519");
    assert_eq!(made["public_key"], kms(&["key", made["uri"].as_str().unwrap()]).succeeded().stdout());

    let before = kms(&["key", &uri]).succeeded().stdout();
    kms(&["create", &uri]).ended_with(4);
    assert_eq!(kms(&["key", &uri]).succeeded().stdout(), before);
}

#[test]
fn key_identifiers_are_those_of_the_key() {
    let place = Place::new();
    let uri = place.key("root", "ec-p256");
    let key = kms(&["key", &uri, "--json"]).succeeded().json();
    assert_eq!(key["type"], "ec-p256");
    let pem = place.write("root.pub", key["public_key"].as_str().unwrap());
    let der = openssl(&["pkey", "-pubin", "-in", &pem, "-outform", "DER"], b"").succeeded();
    // The uncompressed point ends the SubjectPublicKeyInfo: 65 octets of it.
    let point = &der.octets()[der.octets().len() - 65..];
    for (name, hash) in [("key_identifier", "-sha256"), ("key_identifier_sha1", "-sha1")] {
        let digest = openssl(&["dgst", hash, "-binary"], point).succeeded();
        let expected: Vec<_> = digest.octets()[..20].iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(key[name], expected.concat(), "{name}");
    }
}

#[test]
fn search_lists_what_is_there() {
    let place = Place::new();
    let directory = format!("softkms:dir={}", place.path("").display());
    assert_eq!(kms(&["search", &directory, "--json"]).succeeded().json(), json!([]));
    let (first, second) = (place.key("a", "ec-p256"), place.key("b", "ed25519"));
    let text = kms(&["search", &directory]).succeeded().stdout();
    assert_eq!(text, format!("{first}\tec-p256\n{second}\ted25519\n"));
    let found = kms(&["search", &directory, "--json"]).succeeded().json();
    assert_eq!((&found[0]["uri"], &found[1]["type"]), (&json!(first), &json!("ed25519")));
}

#[test]
fn delete_needs_yes() {
    let place = Place::new();
    let uri = place.key("root", "ec-p256");
    let refused = kms(&["delete", &uri]).ended_with(2);
    assert!(refused.stderr().contains("--yes"), "{}", refused.stderr());
    kms(&["key", &uri]).succeeded();
    kms(&["delete", &uri, "--yes"]).succeeded();
    kms(&["key", &uri]).ended_with(3);
    kms(&["delete", &uri, "--yes"]).ended_with(3);
}

#[test]
fn certificates_are_kept_with_their_key() {
    let place = Place::new();
    let (key, certificate) = (place.path("ca.key"), place.path("made.crt"));
    let (key, certificate) = (key.to_str().unwrap(), certificate.to_str().unwrap());
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key], b"").succeeded();
    openssl(&["req", "-x509", "-key", key, "-subj", "/CN=ca", "-out", certificate], b"").succeeded();
    let uri = format!("softkms:path={key}");

    kms(&["cert", "get", &uri]).ended_with(3);
    let other = place.key("other", "ec-p256");
    assert_ne!(kms(&["cert", "put", &other, "--in", certificate]).code(), 0, "another key's certificate");
    kms(&["cert", "put", &uri, "--in", key]).ended_with(2);
    let stored = kms(&["cert", "put", &uri, "--in", certificate, "--json"]).succeeded().json();
    assert_eq!(stored["stored"], 1);
    kms(&["cert", "put", &uri, "--in", certificate]).ended_with(4);

    let expected = std::fs::read_to_string(certificate).unwrap();
    assert_eq!(kms(&["cert", "get", &uri]).succeeded().stdout(), expected);
    assert_eq!(kms(&["cert", "get", &uri, "--json"]).succeeded().json(), json!({ "certificates": [expected] }));

    kms(&["cert", "delete", &uri]).ended_with(2);
    kms(&["cert", "get", &uri]).succeeded();
    kms(&["cert", "delete", &uri, "--yes"]).succeeded();
    kms(&["cert", "get", &uri]).ended_with(3);
    kms(&["key", &uri]).succeeded();
}

#[test]
fn what_openssl_encrypts_is_decrypted() {
    let place = Place::new();
    let uri = kms(&["create", &place.uri("box"), "--type", "rsa-2048", "--usage", "decrypt"]).succeeded().stdout();
    let uri = uri.trim_end();
    let public = place.write("box.pub", kms(&["key", uri]).succeeded().stdout());
    for (algorithm, hash) in [("rsa-oaep-sha256", "sha256"), ("rsa-oaep-sha1", "sha1")] {
        let (oaep, mgf) = (format!("rsa_oaep_md:{hash}"), format!("rsa_mgf1_md:{hash}"));
        let options = ["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", &oaep, "-pkeyopt", &mgf];
        let encrypt = [&["pkeyutl", "-encrypt", "-pubin", "-inkey", &public][..], &options].concat();
        let block = openssl(&encrypt, b"plain text").succeeded().octets().to_vec();
        let plain = kms_with(&["decrypt", uri, "--alg", algorithm], &block).succeeded();
        assert_eq!(plain.octets(), b"plain text", "{algorithm}");

        let mut broken = block;
        broken[100] ^= 1;
        assert_ne!(kms_with(&["decrypt", uri, "--alg", algorithm], &broken).code(), 0, "{algorithm}");
    }
}

#[test]
fn capabilities_are_an_object_of_flags() {
    let place = Place::new();
    let table = kms(&["capabilities", &place.uri("root"), "--json"]).succeeded().json();
    let table = table.as_object().unwrap();
    assert_eq!(table["delete"], true, "{table:?}");
    assert!(table.len() == 6 && table.values().all(serde_json::Value::is_boolean), "{table:?}");
}

#[test]
fn doctor_tells_each_step_and_the_one_that_failed() {
    let place = Place::new();
    let uri = place.key("root", "ec-p384");
    let names = ["parse", "open", "find", "signer", "sign", "verify"];
    let report = kms(&["doctor", &uri, "--json"]).succeeded().json();
    assert_eq!(report["ok"], true, "{report}");
    let steps = report["steps"].as_array().unwrap();
    assert!(steps.iter().map(|step| step["step"].as_str().unwrap()).eq(names), "{report}");
    assert!(steps.iter().all(|step| step["ok"] == true && step["us"].as_f64().unwrap() > 0.0), "{report}");

    let ended = kms(&["doctor", &place.uri("absent"), "--json"]).ended_with(3);
    let report = ended.json();
    assert_eq!(
        (&report["ok"], &report["not_tried"]),
        (&json!(false), &json!(["signer", "sign", "verify"])),
        "{report}"
    );
    assert_eq!((&report["steps"][2]["step"], &report["steps"][2]["kind"]), (&json!("find"), &json!("NotFound")));
    assert!(kms(&["doctor", &place.uri("absent")]).ended_with(3).stdout().contains("FAILED"));
}
