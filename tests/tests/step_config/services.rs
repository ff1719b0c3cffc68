//! Keys in services and cards: those whose backend is not in the build are said to be just that.

use kmskit_tests::programs::Place;
use serde_json::{Value, json};

const ID: &str = "be468355-ca7a-40d9-a28b-8ae1c4c7f936";
const VERSION: &str = "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1";

#[test]
fn aws() {
    let place = Place::on_aws();
    let made = place.ok(&format!("kms create {}", place.uri("Root")));
    place.ok("pki_init");
    place.ok(&format!("csr {} --subject CN=CA --out ca.csr", place.uri("Root")));
    place.ok(
        "sign_csr --key softkms:name=root;dir=pki/keys --ca pki/root_ca.crt --profile subordinate-ca --csr ca.csr --out ca.crt",
    );
    let arn = made.trim().strip_prefix("awskms:key-id=").unwrap();
    let id = arn.rsplit('/').next().unwrap();
    let opens = |kms: &Value, key: &str, uri: &str| {
        place.write(
            "ca.json",
            json!({ "root": "pki/root_ca.crt", "crt": "ca.crt", "key": key, "kms": kms }).to_string(),
        );
        let said = place.ok("step_config ca.json");
        assert!(said.contains("is the key of `crt`") && said.contains(&format!("    URI: {uri}\n")), "{said}");
    };
    let kms = json!({ "type": "awskms", "region": "us-east-1" });
    opens(&kms, id, &format!("awskms:key-id={id};region=us-east-1"));
    opens(&kms, arn, &format!("awskms:key-id={arn};region=us-east-1"));
    opens(&kms, &format!("awskms:key-id={id}"), &format!("awskms:key-id={id};region=us-east-1"));
    opens(&json!({ "uri": "awskms:region=us-east-1" }), "alias/Root", "awskms:key-id=alias/Root;region=us-east-1");
}

/// The profile and the file are looked for, with the URI that names them.
#[test]
fn aws_with_credentials_that_are_not_there() {
    let place = Place::on_aws();
    for (code, kms, key, says) in [
        (
            5,
            json!({ "type": "awskms", "region": "us-east-1", "profile": "absent" }),
            ID,
            [&*format!("URI: awskms:key-id={ID};region=us-east-1;profile=absent\n"), "Unauthenticated: "],
        ),
        (
            3,
            json!({ "uri": "awskms:region=eu-west-1;credentials-file=/absent/aws" }),
            "alias/Root",
            ["URI: awskms:key-id=alias/Root;region=eu-west-1?credentials-file=/absent/aws\n", "NotFound: "],
        ),
    ] {
        place.write("ca.json", json!({ "key": key, "kms": kms }).to_string());
        let said = place.run("step_config ca.json").ended_with(code).stdout();
        assert!(said.starts_with("✘ key\n") && says.iter().all(|words| said.contains(words)), "{said}");
    }
}

#[test]
fn google_cloud() {
    let place = Place::on_gcp();
    let key = place.key("Root", "ec-p256");
    place.ok("pki_init");
    place.ok(&format!("csr {key} --subject CN=CA --out ca.csr"));
    place.ok(
        "sign_csr --key softkms:name=root;dir=pki/keys --ca pki/root_ca.crt --profile subordinate-ca --csr ca.csr --out ca.crt",
    );
    let name = key.strip_prefix("cloudkms:").unwrap();
    for spelling in [name.to_owned(), key.clone(), format!("cloudkms:resource={name}")] {
        let kms = json!({ "type": "cloudkms" });
        place.write(
            "ca.json",
            json!({ "root": "pki/root_ca.crt", "crt": "ca.crt", "key": spelling, "kms": kms }).to_string(),
        );
        let said = place.ok("step_config ca.json");
        assert!(said.contains("is the key of `crt`") && said.contains(&format!("    URI: {key}\n")), "{said}");
    }
}

/// The file is looked for, with the URI that names it.
#[test]
fn google_cloud_with_credentials_that_are_not_there() {
    let place = Place::new();
    let kms = json!({ "type": "cloudkms", "credentialsFile": "/absent/gcp.json" });
    for name in [VERSION.to_owned(), format!("cloudkms:{VERSION}"), format!("cloudkms:resource={VERSION}")] {
        place.write("ca.json", json!({ "key": name, "kms": kms }).to_string());
        let said = place.run("step_config ca.json").ended_with(3).stdout();
        let uri = format!("URI: cloudkms:{VERSION}?credentials-file=/absent/gcp.json\n");
        assert!(said.starts_with("✘ key\n") && said.contains(&uri) && said.contains("NotFound: "), "{said}");
    }
}

#[test]
fn kinds_that_no_backend_is_planned_for() {
    let place = Place::new();
    for (kms, key) in [
        ("tpmkms", "tpmkms:name=root"),
        ("azurekms", "azurekms:name=a;vault=b"),
        ("sshagentkms", "sshagentkms:me@example"),
        ("mackms", "mackms:label=a"),
    ] {
        place.write("ca.json", json!({ "key": key, "kms": { "type": kms } }).to_string());
        let said = place.run("step_config ca.json").ended_with(7).stdout();
        assert!(said.contains(&format!("Unsupported: no backend for step's `{kms}`")), "{said}");
    }
}
