//! Keys in services and cards: those whose backend is not in the build are said to be just that.

use kmskit_tests::programs::Place;
use serde_json::{Value, json};

const ID: &str = "be468355-ca7a-40d9-a28b-8ae1c4c7f936";
const VERSION: &str = "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1";

/// Asks for one key; it must fail as `kind`, with the URI that it was understood as.
#[track_caller]
fn not_here(kms: &Value, key: &str, uri: &str) {
    let place = Place::new();
    place.write("ca.json", json!({ "key": key, "kms": kms }).to_string());
    let ended = place.run("step_config ca.json").ended_with(7);
    let said = ended.stdout();
    assert!(said.starts_with("✘ key\n") && said.contains("    Unsupported: "), "{said}");
    assert!(said.contains(&format!("    URI: {uri}\n")), "{said}");
    assert!(!said.contains("✔") && !said.contains("canary"), "{said}");
}

#[test]
fn aws() {
    let arn = format!("arn:aws:kms:us-east-1:123456789012:key/{ID}");
    let kms = json!({ "type": "awskms", "region": "us-east-1", "profile": "ca" });
    not_here(&kms, ID, &format!("awskms:key-id={ID};region=us-east-1;profile=ca"));
    not_here(&kms, &arn, &format!("awskms:key-id={arn};region=us-east-1;profile=ca"));
    not_here(&kms, &format!("awskms:key-id={ID}"), &format!("awskms:key-id={ID};region=us-east-1;profile=ca"));
    let kms = json!({ "uri": "awskms:region=eu-west-1;credentials-file=/etc/aws" });
    not_here(&kms, "alias/Root", "awskms:key-id=alias/Root;region=eu-west-1?credentials-file=/etc/aws");
}

#[test]
fn google_cloud() {
    let kms = json!({ "type": "cloudkms", "credentialsFile": "/etc/gcp.json" });
    for name in [VERSION.to_owned(), format!("cloudkms:{VERSION}"), format!("cloudkms:resource={VERSION}")] {
        not_here(&kms, &name, &format!("cloudkms:{VERSION}?credentials-file=/etc/gcp.json"));
    }
}

#[test]
fn yubikey() {
    let kms = json!({ "type": "yubikey", "pin": "canary", "managementKey": "canary" });
    not_here(&kms, "yubikey:slot-id=9c", "yubikey:slot-id=9c");
    let kms = json!({ "type": "yubikey", "uri": "yubikey:serial=112233?pin-source=/run/pin" });
    not_here(&kms, "9A", "yubikey:slot-id=9a;serial=112233?pin-source=file:/run/pin");
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
