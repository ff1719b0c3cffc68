//! `kms uri`.

use serde_json::{Value, json};

use crate::tool::kms;

#[test]
fn every_vector_reads_as_it_says() {
    let vectors: Value = serde_json::from_str(include_str!("../../../kms-core/tests/uri_vectors.json")).unwrap();
    let vectors = vectors.as_array().unwrap();
    assert!(vectors.len() >= 188);
    let mut faults = Vec::new();
    for vector in vectors {
        let uri = vector["uri"].as_str().unwrap();
        let ended = kms(&["uri", uri, "--json", "--show-secrets"]);
        let read = ended.json();
        let as_said = if vector["rfc7512_abnf"] == true {
            ended.code() == 0
                && read["scheme"] == "pkcs11"
                && read["path"] == vector["attrs"]["path"]
                && read["query"] == vector["attrs"]["query"]
        } else {
            ended.code() == 2 && read["kind"] == "InvalidUri" && read["position"].is_u64() && !ended.stderr().is_empty()
        };
        if !as_said {
            faults.push(format!("{vector}\n  gives {} {read}", ended.code()));
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), vectors.len(), faults.join("\n"));
}

#[test]
fn values_are_text_hex_or_a_list() {
    let read = kms(&["uri", "pkcs11:id=%00%FF;object=a+b%20c?v=1&v=%FF&w=", "--json"]).succeeded().json();
    let expected = json!({
        "scheme": "pkcs11",
        "path": { "id": { "hex": "00ff" }, "object": "a+b c" },
        "query": { "v": ["1", { "hex": "ff" }], "w": "" },
    });
    assert_eq!(read, expected);
}

#[test]
fn a_spelling_without_name_appears_under_its_name() {
    for (uri, name, value) in [
        ("softkms:root.key", "path", "root.key"),
        ("awskms:///alias/Root", "key-id", "alias/Root"),
        (
            "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k",
            "resource",
            "projects/p/locations/l/keyRings/r/cryptoKeys/k",
        ),
    ] {
        let read = kms(&["uri", uri, "--json"]).succeeded().json();
        assert_eq!((&read["path"], &read["query"]), (&json!({ name: value }), &json!({})), "{uri}");
    }
}

#[test]
fn a_secret_is_shown_only_on_request() {
    let uri = "pkcs11:token=ca?pin-value=canary-1234";
    for arguments in [vec!["uri", uri], vec!["uri", uri, "--json"]] {
        let hidden = kms(&arguments).succeeded();
        assert!(!hidden.stdout().contains("canary") && hidden.stdout().contains("<redacted>"), "{}", hidden.stdout());
        let shown = kms(&[&arguments[..], &["--show-secrets"]].concat()).succeeded();
        assert!(shown.stdout().contains("canary-1234"), "{}", shown.stdout());
    }
}

#[test]
fn a_bad_uri_gives_the_position_of_the_fault() {
    let ended = kms(&["uri", "pkcs11:object=%zz", "--json"]).ended_with(2);
    assert_eq!(ended.json()["position"], 14, "{}", ended.stdout());
    assert!(ended.stderr().contains("at byte 14"), "{}", ended.stderr());
    let human = kms(&["uri", "pkcs11:object=%zz"]).ended_with(2);
    assert!(human.stdout().is_empty() && human.stderr().starts_with("error: "), "{}", human.stderr());
}
