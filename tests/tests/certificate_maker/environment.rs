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
    let version = "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1";
    let (aws, nowhere) = (Place::on_aws(), Place::new());
    for (place, arguments, code, says) in [
        // Whoever has the backend gets its answer; without, that there is none.
        (&aws, "--kms-type awskms --aws-region eu-west-1 --root-key-id alias/root".to_owned(), 3, "alias/root"),
        (&aws, "--kms-type awskms --root-key-id arn:aws:kms:us-east-1:210987654321:alias/a".to_owned(), 5, "arn:aws"),
        (
            &nowhere,
            format!("--kms-type gcpkms --gcp-credentials-file /absent/gcp.json --root-key-id {version}"),
            3,
            "/absent/gcp.json",
        ),
        (&nowhere, "--kms-type azurekms --root-key-id azurekms:name=k;vault=v".to_owned(), 7, "azurekms"),
        (&nowhere, "--kms-type hashivault --root-key-id k".to_owned(), 7, "hashivault"),
        (&nowhere, "--kms-type awskms --root-key-id alias/root".to_owned(), 2, "--aws-region"),
        (&nowhere, "--kms-type awskms --aws-region a --root-key-id arn:aws:kms:b:1:key/k".to_owned(), 2, "region b"),
        (&nowhere, "--kms-type gcpkms --root-key-id projects/p".to_owned(), 2, "cryptoKeyVersions"),
        (&nowhere, "--kms-type azurekms --root-key-id k".to_owned(), 2, "vault"),
        (&nowhere, "--kms-type hashivault --root-key-id transit/k".to_owned(), 2, "without a path"),
        (&nowhere, "--root-key-id alias/root".to_owned(), 2, "--kms-type"),
    ] {
        let said = place.fails(code, &format!("certificate_maker create a {arguments}"));
        assert!(said.contains(says), "{arguments}: {said}");
    }
    assert!(aws.snapshot().is_empty() && nowhere.snapshot().is_empty());
}
