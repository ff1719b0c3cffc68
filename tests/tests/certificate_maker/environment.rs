//! Flags by their environment variables, as Certificate Maker reads them.

use kmskit_tests::programs::Place;

use crate::chains::{TEMPLATES, VERIFY};

#[test]
fn variables_stand_for_flags() {
    let place = Place::new();
    let uri = |name: &str| place.key(name, "ec-p256");
    for names in [
        ["ROOT_KEY_ID", "KMS_INTERMEDIATE_KEY_ID", "LEAF_KEY_ID"],
        ["KMS_ROOT_KEY_ID", "INTERMEDIATE_KEY_ID", "KMS_LEAF_KEY_ID"],
    ] {
        let mut command = place.command("certificate_maker");
        command.args(["create", "name"]);
        for name in names {
            command.env(name, uri(name));
        }
        command.env("LEAF_TEMPLATE", format!("{TEMPLATES}/fulcio-leaf-template.json")).env("LEAF_CERT", "mine.pem");
        // As if it were not there.
        command.env("KMS_TYPE", "awskms").env("AWS_REGION", "").env("EXISTING_ROOT_CERT", "");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        place.ok(&format!("{VERIFY} -CAfile root.pem -untrusted intermediate.pem mine.pem"));
        place.shell("rm *.pem");
    }
}

#[test]
fn key_ids_of_services_become_their_uris() {
    let place = Place::new();
    let version = "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1";
    for (arguments, code, says) in [
        // Whoever has the backend gets its answer; without, that there is none.
        ("--kms-type awskms --aws-region eu-west-1 --root-key-id alias/root".to_owned(), 7, "awskms"),
        ("--kms-type awskms --root-key-id arn:aws:kms:eu-west-1:1:alias/a".to_owned(), 7, "awskms"),
        (format!("--kms-type gcpkms --root-key-id {version}"), 7, "gcpkms"),
        ("--kms-type azurekms --root-key-id azurekms:name=k;vault=v".to_owned(), 7, "azurekms"),
        ("--kms-type hashivault --root-key-id k".to_owned(), 7, "hashivault"),
        ("--kms-type awskms --root-key-id alias/root".to_owned(), 2, "--aws-region"),
        ("--kms-type awskms --aws-region a --root-key-id arn:aws:kms:b:1:key/k".to_owned(), 2, "region b"),
        ("--kms-type gcpkms --root-key-id projects/p".to_owned(), 2, "cryptoKeyVersions"),
        ("--kms-type azurekms --root-key-id k".to_owned(), 2, "vault"),
        ("--kms-type hashivault --root-key-id transit/k".to_owned(), 2, "without a path"),
        ("--root-key-id alias/root".to_owned(), 2, "--kms-type"),
    ] {
        let said = place.fails(code, &format!("certificate_maker create a {arguments}"));
        assert!(said.contains(says), "{arguments}: {said}");
    }
    assert!(place.snapshot().is_empty());
}
