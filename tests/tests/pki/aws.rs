//! A CA in AWS KMS, as step-awskms-init and Sigstore's Certificate Maker make one.

use kmskit_tests::programs::Place;

use crate::init::openssl_accepts;

const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/certificate_maker/templates");

#[test]
fn pki_init_prints_what_it_made() {
    let place = Place::on_aws();
    let said = place.ok("pki_init --kms awskms:region=us-east-1 --ssh");
    let lines: Vec<_> = said.lines().collect();
    let arn = "awskms:key-id=arn:aws:kms:us-east-1:";
    for (number, begins) in [
        "Creating PKI ...".to_owned(),
        format!("✔ Root Key: {arn}"),
        "✔ Root Certificate: ./pki/root_ca.crt".to_owned(),
        format!("✔ Intermediate Key: {arn}"),
        "✔ Intermediate Certificate: ./pki/intermediate_ca.crt".to_owned(),
        format!("✔ Leaf Key: {arn}"),
        "✔ Leaf Certificate: ./pki/leaf.crt".to_owned(),
        "✔ Certificate Chain: ./pki/chain.pem".to_owned(),
        String::new(),
        "Creating SSH Keys ...".to_owned(),
        "✔ SSH User Public Key: ./pki/ssh_user_ca_key.pub".to_owned(),
        format!("✔ SSH User Private Key: {arn}"),
        "✔ SSH Host Public Key: ./pki/ssh_host_ca_key.pub".to_owned(),
        format!("✔ SSH Host Private Key: {arn}"),
    ]
    .iter()
    .enumerate()
    {
        assert!(lines[number].starts_with(begins), "{begins}\n{said}");
    }
    openssl_accepts(&place, "pki");
    for key in lines.iter().filter_map(|line| line.split_once("Key: awskms:")) {
        // Each URI as it was printed opens the key.
        place.ok(&format!("kms key awskms:{}", key.1));
    }
    // A second run makes no second key of a name.
    let said = place.fails(4, "pki_init --kms awskms:region=us-east-1 --out other");
    assert!(said.contains(";name=root"), "{said}");
}

/// With key ids as they stand in AWS, and the time-stamping server on what came of it, its key by `awskms:///ARN`.
#[test]
fn certificate_maker_with_its_own_key_ids() {
    let place = Place::on_aws();
    let [root, intermediate, leaf] = ["root", "intermediate", "leaf"].map(|role| {
        let made = place.ok(&format!("kms create {} --type rsa-4096", place.uri(role)));
        made.trim().strip_prefix("awskms:key-id=").and_then(|uri| uri.split(';').next()).unwrap().to_owned()
    });
    let id = intermediate.rsplit('/').next().unwrap();
    place.ok(&format!(
        "certificate_maker create tsa.example.com --kms-type=awskms --aws-region=us-east-1 --root-key-id={root} \
         --root-template={TEMPLATES}/timestamp-root-template.json --intermediate-key-id={id} \
         --intermediate-template={TEMPLATES}/timestamp-intermediate-template.json --leaf-key-id=awskms:///{leaf} \
         --leaf-template={TEMPLATES}/timestamp-leaf-template.json --chain-cert=tsa.pem"
    ));
    let verify = "openssl verify -x509_strict -check_ss_sig -CAfile root.pem -untrusted intermediate.pem";
    place.ok(&format!("{verify} -purpose timestampsign leaf.pem"));
    assert!(place.ok("openssl x509 -in root.pem -noout -text").contains("Public-Key: (4096 bit)"));
}

#[test]
fn a_file_of_ten_mebibytes_is_signed_by_its_digest() {
    let place = Place::on_aws();
    let uri = place.key("release", "ec-p384");
    place.write("large", vec![7; 10 << 20]);
    place.ok(&format!("sign_file sign --key {uri} --out sig large"));
    place.write("key.pem", place.ok(&format!("kms key {uri}")));
    let verdict = place.ok("openssl dgst -sha384 -verify key.pem -signature sig large");
    assert!(verdict.contains("Verified OK"), "{verdict}");
}
