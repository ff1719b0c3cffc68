//! The partition of an HSM, with a certificate of its own root's.

use std::io::Write as _;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64ct::{Base64, Encoding as _};
use flate2::Compression;
use flate2::write::GzEncoder;
use kms_core::PublicKey;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer};
use serde_json::{Value, json};

pub(crate) struct Partition {
    pub(crate) root: Vec<u8>,
    certificate: String,
    key: KeyPair,
}

impl Partition {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let root_key = rcgen::KeyPair::generate().unwrap();
        let mut root = CertificateParams::default();
        root.distinguished_name.push(DnType::CommonName, "Root of the stand-in");
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = root.self_signed(&root_key).unwrap();
        let mut partition = CertificateParams::default();
        partition.distinguished_name.push(DnType::CommonName, "Partition of the stand-in");
        let pkcs8: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let own = rcgen::KeyPair::try_from(pkcs8.as_ref()).unwrap();
        let issued = partition.signed_by(&own, &Issuer::new(root, root_key)).unwrap();
        Self { root: certificate.der().to_vec(), certificate: issued.pem(), key }
    }

    pub(crate) fn attest(&self, about: &PublicKey) -> Value {
        let mut statement = [b"generated here: ", about.raw(), b" and kept"].concat();
        let mut signature = vec![0; 256];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &statement, &mut signature).unwrap();
        statement.extend_from_slice(&signature);
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(&statement).unwrap();
        json!({
            "format": "CAVIUM_V2_COMPRESSED",
            "content": Base64::encode_string(&packed.finish().unwrap()),
            "certChains": { "caviumCerts": [self.certificate], "googlePartitionCerts": [self.certificate] },
        })
    }
}
