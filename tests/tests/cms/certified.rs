//! A key with a code-signing certificate.

use std::sync::Arc;

use der::DecodePem as _;
use kmskit::Signer;
use kmskit::adapters::cms::SignedDataBuilder;
use kmskit_tests::programs::Place;
use x509_cert::Certificate;

pub(crate) struct Certified {
    pub(crate) builder: SignedDataBuilder,
    pub(crate) signer: Arc<dyn Signer>,
}

/// Makes one below the PKI of the place, unless it is there already. `alg` is what follows in the URI.
pub(crate) fn make(place: &Place, key_type: &str, alg: &str) -> Certified {
    let file = format!("{key_type}.pem");
    if !place.path(&file).exists() {
        let uri = place.key(key_type, key_type);
        place.ok(&format!("code_sign certify --key {uri} --subject CN=Test --ca-key softkms:name=intermediate;dir=pki/keys --ca pki/intermediate_ca.crt --out {file}"));
    }
    let chain = chain(place, &file);
    assert_eq!(chain.len(), 2);
    let uri = format!("softkms:name={key_type};dir={}{alg}", place.path("keys").display());
    let signer = kmskit::block_on(kmskit::signer(&uri)).unwrap();
    Certified { builder: SignedDataBuilder::new(&chain[0]).unwrap().with_certificates(&chain[1..]), signer }
}

/// The certificates of a PEM file.
pub(crate) fn chain(place: &Place, file: &str) -> Vec<Certificate> {
    let text = place.text(file);
    text.split_inclusive("-----END CERTIFICATE-----\n").map(|pem| Certificate::from_pem(pem).unwrap()).collect()
}
