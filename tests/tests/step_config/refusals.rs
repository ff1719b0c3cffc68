//! Configurations that are none.

use kmskit_tests::programs::Place;

use crate::files::{authority, edit};

#[test]
fn what_is_no_configuration() {
    let place = Place::new();
    for (json, says) in [
        ("", "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "names no key"),
        (r#"{"key": ""}"#, "names no key"),
        (r#"{"key": 1}"#, "`key` is not a text"),
        (r#"{"key": "a", "root": [1]}"#, "`root` is not a list of files"),
        (r#"{"key": "a", "ssh": []}"#, "`ssh` is not an object"),
        (r#"{"key": "a", "kms": {"typ": "canary"}}"#, "no field `kms.typ`"),
        (r#"{"key": "a", "kms": {"pin": 1234}}"#, "`kms.pin` is not a text"),
        (r#"{"key": "a", "kms": {"pin": "canary"}, x"#, "not JSON"),
    ] {
        place.write("ca.json", json);
        let said = place.fails(2, "step_config ca.json");
        assert!(said.starts_with("error: ca.json: ") && said.contains(says), "{json}: {said}");
        assert!(!said.contains("canary") && !said.contains("1234"), "{said}");
    }
    assert!(place.fails(3, "step_config absent.json").contains("cannot read absent.json"));
    let uri = "pkcs11:token=a?pin-value=canary";
    let said = place.fails(2, &format!("step_config {uri}"));
    assert!(
        said.contains("CA.JSON: a key URI, where the path of a file is meant") && !said.contains("canary"),
        "{said}"
    );
}

#[test]
fn keys_and_certificates_that_are_not_there() {
    for (from, to, code, mark, says) in [
        ("pki/keys/intermediate.key", "absent.key", 3, "✘ key", "NotFound"),
        ("pki/keys/intermediate.key", "pki/intermediate_ca.crt", 5, "✘ key", "chmod"),
        ("pki/root_ca.crt", "absent.crt", 3, "✘ root absent.crt", "cannot read absent.crt"),
        ("pki/intermediate_ca.crt", "pki/leaf.crt", 2, "✘ crt pki/leaf.crt", "KeyMismatch"),
        (
            "pki/intermediate_ca.crt",
            "pki/keys/intermediate.key",
            2,
            "✘ crt pki/keys/intermediate.key",
            "holds no CERTIFICATE",
        ),
        ("\"crt\": \"pki/intermediate_ca.crt\",", "", 3, "✘ key", "there is no `crt`"),
        ("pki/keys/intermediate.key", "tpmkms:name=ca", 7, "✘ key", "no backend"),
    ] {
        let place = authority();
        edit(&place, from, to);
        let ended = place.run("step_config ca.json").ended_with(code);
        let said = ended.stdout();
        assert!(said.contains(mark) && said.contains(says), "{to}: {said}");
        assert!(said.contains("✔ ssh.userKey"), "the rest is looked at too: {said}");
    }
}

#[test]
fn a_name_of_another_kms() {
    let place = authority();
    edit(
        &place,
        "\"address\"",
        "\"kms\": {\"type\": \"softkms\", \"uri\": \"pkcs11:token=a?pin-value=canary\"}, \"address\"",
    );
    let said = place.run("step_config ca.json").ended_with(2).stdout();
    assert!(
        said.contains("`kms` is of type `softkms`, the name of scheme `pkcs11`") && !said.contains("canary"),
        "{said}"
    );
}
