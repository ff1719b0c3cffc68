//! The suite on Cloud KMS.

use std::ops::RangeInclusive;
use std::process::ExitCode;

use kms_core::{DecryptionAlgorithm, ErrorKind, KeyType, KeyUri, Registry, SignatureAlgorithm};
use kms_gcp::{Gcp, GcpKeyOptions, GcpProtectionLevel};
use kms_testkit::conformance::{self, Harness};
use kms_testkit::gcp::GcpKms;

/// The endpoint of another implementation, to be tested beside the stand-in. What it says of its HSM, if it has one, is not
/// signed by anybody who is known here.
const OTHER: &str = "KMSKIT_TEST_GCP_ENDPOINT";

fn main() -> ExitCode {
    let server = GcpKms::start().expect("the stand-in");
    // So that every list has several pages.
    server.set_page_limit(3);
    let in_hsm = GcpKeyOptions::default().with_protection_level(GcpProtectionLevel::Hsm);
    // Only keys in an HSM have an attestation.
    let backend = Gcp::default().with_key_options(in_hsm).with_attestation_root(server.attestation_root());
    let mut key_rings =
        vec![KeyRing { name: "cloudkms", backend, endpoint: server.endpoint(), id: "suite".to_owned() }];
    if let Ok(endpoint) = std::env::var(OTHER) {
        let id = format!("suite-{}", std::process::id());
        key_rings.push(KeyRing { name: "other", backend: Gcp::default(), endpoint, id });
    }
    conformance::run(key_rings)
}

struct KeyRing {
    name: &'static str,
    backend: Gcp,
    endpoint: String,
    id: String,
}

impl KeyRing {
    fn uri(&self, within: &str) -> KeyUri {
        let key_ring = format!("cloudkms:projects/test/locations/global/keyRings/{}", self.id);
        format!("{key_ring}{within}?endpoint-url={}", self.endpoint).parse().expect("a good URI")
    }
}

impl Harness for KeyRing {
    fn name(&self) -> &'static str {
        self.name
    }

    fn registry(&self) -> Registry {
        Registry::new().with(self.backend.clone())
    }

    fn place(&self) -> KeyUri {
        self.uri("")
    }

    fn fresh_key(&self, hint: &str) -> KeyUri {
        self.uri(&format!("/cryptoKeys/{hint}/cryptoKeyVersions/1"))
    }

    fn capabilities(&self) -> &[&str] {
        &["delete", "search", "attestation", "decryption", "import"]
    }

    fn key_type_unsupported(&self, key_type: KeyType) -> Option<String> {
        (key_type == KeyType::EcP521).then(|| "Cloud KMS has no keys on P-521".into())
    }

    fn algorithm_unsupported(&self, key_type: KeyType, algorithm: SignatureAlgorithm) -> Option<String> {
        (algorithm != key_type.default_algorithm()).then(|| "a key of Cloud KMS has one algorithm".into())
    }

    fn decryption_unsupported(&self, algorithm: DecryptionAlgorithm) -> Option<String> {
        (algorithm != DecryptionAlgorithm::RsaOaepSha256).then(|| "a key of Cloud KMS has one algorithm".into())
    }

    fn import_unsupported(&self, key_type: KeyType) -> Option<String> {
        (key_type == KeyType::EcP521).then(|| "Cloud KMS has no keys on P-521".into())
    }

    fn message_lengths(&self, algorithm: SignatureAlgorithm) -> RangeInclusive<usize> {
        if algorithm.hash().is_none() { 0..=65_536 } else { 0..=usize::MAX }
    }

    fn known_fault(&self, case: &str) -> Option<String> {
        let elsewhere = self.name == "other" && case == "attestation::speaks_of_the_key";
        elsewhere.then(|| "its attestations have no root that is known".into())
    }

    fn deleted_is(&self) -> ErrorKind {
        ErrorKind::KeyUnusable
    }

    fn wrong_uris(&self) -> Vec<KeyUri> {
        let key = "projects/p/locations/l/keyRings/r/cryptoKeys/k";
        [
            "cloudkms:root".to_owned(),
            "cloudkms:projects/p".to_owned(),
            "cloudkms:projects/p/locations/l/keyRings/r/".to_owned(),
            format!("cloudkms:{key}/"),
            format!("cloudkms:{key}/versions/1"),
            format!("cloudkms:{key}/cryptoKeyVersions/latest"),
            format!("cloudkms:{key}/cryptoKeyVersions/0"),
            format!("cloudkms:{key}/cryptoKeyVersions/1;key-id=1"),
            format!("cloudkms:{key}/cryptoKeyVersions/1?endpoint-url=http://kms.example.com"),
            format!("cloudkms:{key}/cryptoKeyVersions/1?endpoint-url=https://user:secret@kms.example.com"),
            format!("cloudkms:{key}/cryptoKeyVersions/1?impersonate-service-account=ca"),
            format!("cloudkms:{key}/cryptoKeyVersions/1;label=x"),
            "cloudkms:projects/p/locations/l/cryptoKeys/k/keyRings/r".to_owned(),
            "gcpkms://locations/l/projects/p".to_owned(),
        ]
        .iter()
        .map(|text| text.parse().expect("well-formed"))
        .collect()
    }
}
