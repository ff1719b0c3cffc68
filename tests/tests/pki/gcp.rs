//! A CA in Google Cloud KMS, as step-cloudkms-init and Sigstore's Certificate Maker make one.

use kmskit_tests::programs::Place;

use crate::init::openssl_accepts;

const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/certificate_maker/templates");

#[test]
fn pki_init_prints_what_it_made() {
    let place = Place::on_gcp();
    let key_ring = place.key_ring();
    let said = place.ok(&format!("pki_init --kms cloudkms:{key_ring} --ssh"));
    let lines: Vec<_> = said.lines().collect();
    let key = |name: &str| format!("cloudkms:{key_ring}/cryptoKeys/{name}/cryptoKeyVersions/1");
    for (number, expected) in [
        "Creating PKI ...".to_owned(),
        format!("✔ Root Key: {}", key("root")),
        "✔ Root Certificate: ./pki/root_ca.crt".to_owned(),
        format!("✔ Intermediate Key: {}", key("intermediate")),
        "✔ Intermediate Certificate: ./pki/intermediate_ca.crt".to_owned(),
        format!("✔ Leaf Key: {}", key("leaf")),
        "✔ Leaf Certificate: ./pki/leaf.crt".to_owned(),
        "✔ Certificate Chain: ./pki/chain.pem".to_owned(),
        String::new(),
        "Creating SSH Keys ...".to_owned(),
        "✔ SSH User Public Key: ./pki/ssh_user_ca_key.pub".to_owned(),
        format!("✔ SSH User Private Key: {}", key("ssh-user")),
        "✔ SSH Host Public Key: ./pki/ssh_host_ca_key.pub".to_owned(),
        format!("✔ SSH Host Private Key: {}", key("ssh-host")),
    ]
    .iter()
    .enumerate()
    {
        assert!(lines[number].starts_with(expected), "{expected}\n{said}");
    }
    openssl_accepts(&place, "pki");
    for key in lines.iter().filter_map(|line| line.split_once("Key: cloudkms:")) {
        // Each URI as it was printed opens the key.
        place.ok(&format!("kms key cloudkms:{}", key.1));
    }
    // A second run makes no second key of a name.
    let said = place.fails(4, &format!("pki_init --kms cloudkms:{key_ring} --out other"));
    assert!(said.contains("cryptoKeys/root"), "{said}");
    // A key ring that is not there is made.
    place.ok(&format!("pki_init --kms cloudkms:{key_ring}-new --out new"));
    openssl_accepts(&place, "new");
}

/// With the names as they stand in Google Cloud, and the time-stamping server on what came of it, its key as sigstore
/// writes it.
#[test]
fn certificate_maker_with_its_own_key_ids() {
    let place = Place::on_gcp();
    let [root, intermediate, leaf] = ["root", "intermediate", "leaf"].map(|role| {
        let made = place.key(role, "rsa-4096");
        made.strip_prefix("cloudkms:").unwrap().to_owned()
    });
    let leaf = leaf.replace("cryptoKeyVersions", "versions");
    place.ok(&format!(
        "certificate_maker create tsa.example.com --kms-type=gcpkms --root-key-id={root} \
         --root-template={TEMPLATES}/timestamp-root-template.json --intermediate-key-id={intermediate} \
         --intermediate-template={TEMPLATES}/timestamp-intermediate-template.json --leaf-key-id=gcpkms://{leaf} \
         --leaf-template={TEMPLATES}/timestamp-leaf-template.json --chain-cert=tsa.pem"
    ));
    let verify = "openssl verify -x509_strict -check_ss_sig -CAfile root.pem -untrusted intermediate.pem";
    place.ok(&format!("{verify} -purpose timestampsign leaf.pem"));
    assert!(place.ok("openssl x509 -in root.pem -noout -text").contains("Public-Key: (4096 bit)"));
}

#[test]
fn a_file_of_ten_mebibytes_is_signed_by_its_digest() {
    let place = Place::on_gcp();
    let uri = place.key("release", "ec-p384");
    place.write("large", vec![7; 10 << 20]);
    place.ok(&format!("sign_file sign --key {uri} --out sig large"));
    place.write("key.pem", place.ok(&format!("kms key {uri}")));
    let verdict = place.ok("openssl dgst -sha384 -verify key.pem -signature sig large");
    assert!(verdict.contains("Verified OK"), "{verdict}");
}

/// Every spelling opens the key; what nearly is one is told what to write.
#[test]
fn near_misses_are_told_what_to_write() {
    let place = Place::on_gcp();
    place.key("root", "ec-p256");
    let key = format!("{}/cryptoKeys/root", place.key_ring());
    let public = place.ok(&format!("kms key cloudkms:{key}/cryptoKeyVersions/1"));
    for spelling in [
        format!("cloudkms:resource={key}/cryptoKeyVersions/1"),
        format!("gcpkms://{key}/versions/1"),
        format!("gcpkms://{key}/cryptoKeyVersions/1"),
    ] {
        assert_eq!(place.ok(&format!("kms key {spelling}")), public, "{spelling}");
    }
    for (wrong, says) in [
        (format!("cloudkms:{key}"), "cryptoKeyVersions/1"),
        (format!("cloudkms:{key}/versions/1"), "cryptoKeyVersions/1"),
        (format!("cloudkms:{key}/cryptoKeyVersions/1/"), "cryptoKeyVersions/1"),
        ("cloudkms:root".to_owned(), "projects/"),
    ] {
        let said = place.fails(2, &format!("kms key {wrong}"));
        assert!(said.contains(says), "{wrong}: {said}");
    }
    let said = place.fails(3, &format!("kms key cloudkms:{key}/cryptoKeyVersions/2"));
    assert!(said.contains("cryptoKeyVersions/2"), "{said}");
}
