//! Templates, names and files that are refused: each with its message, its exit code, and nothing written.

use kmskit_tests::programs::Place;

use crate::chains::keys;

const LEAF: &str = r#"{"subject": "a", "keyUsage": "digitalSignature"}"#;

#[test]
fn templates() {
    let place = Place::new();
    let [root, _, leaf] = keys(&place, "ec-p256");
    let line = format!("certificate_maker create a{root}{leaf} --leaf-template t.json --chain-cert c.pem");
    for (template, says) in [
        (r#"{"subject": "a", "keyUsages": []}"#, "leaf template t.json: there is no field `keyUsages`"),
        (r#"{"subject": {"comonName": "a"}}"#, "there is no field `subject.comonName`"),
        (r#"{"subject": "a", "basicConstraints": {"ca": false}}"#, "no field `basicConstraints.ca`"),
        (r#"{"subject": "a", "extensions": [{"id": "1.2.3", "val": ""}]}"#, "no field `extensions[0].val`"),
        (r#"{"subject": "a", "extensions": [{"id": "1.2.3"}]}"#, "`extensions[0]` lacks"),
        (r#"{"subject": "a", "extensions": [{"id": "1.2.3", "value": "!"}]}"#, "not base64"),
        (r#"{"subject": "a", "extensions": [{"id": "1.2.3", "value": "AAEC"}]}"#, "not one value in DER"),
        (r#"{"subject": "a", "extensions": [{"id": "1.2.x", "value": "BQA="}]}"#, "not an object identifier"),
        (
            r#"{"subject": "a", "keyUsage": "digitalSignature", "extensions": [{"id": "2.5.29.15", "value": "AwIHgA=="}]}"#,
            "extension 2.5.29.15 is stated twice",
        ),
        (r#"{"subject": "a", "keyUsage": ["digitalSignatur"]}"#, "`digitalSignatur` is not a usage"),
        (r#"{"subject": "a", "extKeyUsage": "webAuth"}"#, "`webAuth` is not a usage"),
        (
            r#"{"subject": "a", "basicConstraints": {"isCA": true}, "keyUsage": "certSign"}"#,
            "a CA, which a leaf must not be",
        ),
        (
            r#"{"subject": "a", "extensions": [{"id": "2.5.29.19", "value": "MAMBAf8="}]}"#,
            "a CA, which a leaf must not be",
        ),
        (r#"{"subject": "a", "keyUsage": "certSign"}"#, "a CA, which a leaf must not be"),
        (r#"{"subject": "a", "notAfter": "2030-02-30T00:00:00Z"}"#, "`notAfter`: `2030-02-30T00:00:00Z` is not a date"),
        (r#"{"subject": "a", "notAfter": "tomorrow"}"#, "is not a date"),
        (r#"{"subject": "a", "notAfter": "2020-01-01T00:00:00Z"}"#, "end before it begins"),
        (
            r#"{"subject": "a", "notBefore": "2019-01-01T00:00:00Z", "notAfter": "2020-01-01T00:00:00Z"}"#,
            "outside the issuer's",
        ),
        (r#"{"subject": "a", "notAfter": "2090-01-01T00:00:00Z"}"#, "outside the issuer's"),
        (r#"{"subject": "a", "serialNumber": -1}"#, "`serialNumber`"),
        (r#"{"subject": "a", "serialNumber": "010"}"#, "`serialNumber`"),
        (r#"{"subject": "a", "serialNumber": "0xffffffffffffffffffffffffffffffffffffffff"}"#, "`serialNumber`"),
        (r#"{"subject": "a", "issuer": "somebody"}"#, "the template's `issuer` is not"),
        (r#"{"subject": "a", "signatureAlgorithm": "SHA256-RSA"}"#, "`signatureAlgorithm` is not"),
        (r#"{"subject": "a", "dnsNames": ["a..b"]}"#, "`a..b` is not a DNS name"),
        (r#"{"subject": "a", "ipAddresses": "1.2.3"}"#, "`1.2.3` is not an IP address"),
        (r#"{"subject": {"country": "CHE"}}"#, "`subject.country`"),
        (r#"{"subject": {"country": [""], "commonName": ""}}"#, "its subject is empty"),
        (r#"{"subject": {"commonName": "{{ .Subject.Name }}"}}"#, "there is no `.Subject.Name`"),
        (r#"{"subject": {{ if .SANs }}"a"{{ end }}}"#, "there is no function `if` here"),
        (r#"{"subject": {{ .Subject }}}"#, "use `… | toJson`"),
        (r#"{"subject": "a""#, "not JSON once its expressions are evaluated"),
        ("[]", "is not an object"),
        ("", "not JSON"),
    ] {
        place.write("t.json", template);
        refused(&place, 2, &line, says);
    }
    place.write("t.json", LEAF);
    refused(&place, 2, &format!("{line} --root-template t.json"), "root template t.json: not a CA");
    place.write("ca.json", r#"{"subject": "a", "basicConstraints": {"isCA": true}, "keyUsage": "crlSign"}"#);
    refused(&place, 2, &format!("{line} --root-template ca.json"), "not meant to sign certificates");
    place.ok(&line);
}

#[test]
fn common_names() {
    let place = Place::new();
    let [root, _, leaf] = keys(&place, "ec-p256");
    for (name, says) in [
        (r#"a","keyUsage":"certSign"#, "toJson"),
        ("a\\", "toJson"),
        (&"x".repeat(65), "`subject.commonName`"),
        ("", "its subject is empty"),
    ] {
        let line = format!("create {} {}", "NAME", format!("{root}{leaf}").trim_start());
        let before = place.snapshot();
        let arguments = line.split(' ').map(|word| if word == "NAME" { name } else { word });
        let output = place.command("certificate_maker").args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(says), "{name}: {said}");
        assert!(place.snapshot() == before);
    }
}

#[test]
fn files_and_keys() {
    let place = Place::new();
    let [root, intermediate, leaf] = keys(&place, "ec-p256");
    place.write("there.pem", "mine");
    place.write(
        "long.json",
        r#"{"subject": "a", "basicConstraints": {"isCA": true, "maxPathLen": 1}, "keyUsage": "certSign"}"#,
    );
    let line = format!("certificate_maker create a{root}{intermediate}{leaf}");
    for (code, arguments, says) in [
        (4, "--leaf-cert there.pem", "cannot write there.pem"),
        (4, "--chain-cert there.pem", "cannot write there.pem"),
        (2, "--leaf-cert root.pem", "the same"),
        (2, "--chain-cert ./leaf.pem", "the same"),
        (3, "--leaf-cert absent/leaf.pem", "make its directory first"),
        (2, "--root-cert pkcs11:id=%01?pin-value=canary", "--root-cert: a key URI, where the path of a file is meant"),
        (2, "--leaf-template softkms:a?password-value=canary", "--leaf-template: a key URI, where"),
        (3, "--leaf-template absent.json", "cannot read absent.json"),
        (2, "--leaf-template keys/leaf-ec-p256.key", "not JSON"),
        (2, "--intermediate-template long.json", "does not fit below one with pathlen 1"),
        (2, "--leaf-lifetime 1y", "--leaf-lifetime: `1y` is not a length of time"),
        (2, "--root-lifetime 90000000h", "the root: "),
    ] {
        refused(&place, code, &format!("{line} {arguments}"), says);
    }
    for (code, key, says) in [
        (2, "keys/leaf-ec-p256.key", "--leaf-key-id: key URI: no scheme"),
        (2, "softkms:a?password-value=canary&", "--leaf-key-id: key URI"),
        (3, "softkms:name=absent;dir=keys", "the leaf's key"),
        (7, "nosuch:key", "no backend"),
    ] {
        refused(&place, code, &format!("certificate_maker create a{root} --leaf-key-id {key}"), says);
    }
}

#[track_caller]
fn refused(place: &Place, code: i32, line: &str, says: &str) {
    let before = place.snapshot();
    let ended = place.run(line).ended_with(code);
    assert!(ended.stderr().starts_with("error: ") && ended.stderr().contains(says), "{line}: {}", ended.stderr());
    assert!(!ended.stderr().contains("canary"), "{line}: {}", ended.stderr());
    assert_eq!(ended.stdout(), "", "{line}");
    assert!(place.snapshot() == before, "{line}: files changed");
}
