//! The partition of an HSM, which signs what it says of its keys, and whose certificate is of a root of its own.
//!
//! As `CAVIUM_V2_COMPRESSED`: gzip of the statement and the signature, RSASSA-PKCS1-v1_5 with SHA-256 and 2048 bits. The
//! statement itself is in no format of a manufacturer's; the raw public key is somewhere in it.

use std::io::Write as _;

use aws_lc_rs::digest;
use flate2::Compression;
use flate2::write::GzEncoder;
use kms_core::{KeyType, PublicKey, SignatureAlgorithm};
use serde_json::{Value, json};
use x509_cert::der::pem::{LineEnding, encode_string};

use super::answer::{Answer, base64};
use crate::certificate::Root;
use crate::material::{Material, Message, Unfit};

pub(crate) struct Partition {
    /// The DER certificate of who vouches for it.
    pub(crate) root: Vec<u8>,
    /// Its own, PEM.
    certificate: String,
    key: Material,
}

impl Partition {
    pub(crate) fn new() -> Result<Self, String> {
        let broken = |_: Unfit| "cannot make the key of the HSM".to_owned();
        let key = Material::generate(KeyType::Rsa { bits: 2048 }).map_err(broken)?;
        let root = Root::new("CN=Root of the stand-in for Cloud HSM")?;
        let issued = root.issue(&key.spki().map_err(broken)?, "CN=Partition of the stand-in for Cloud HSM")?;
        let certificate = encode_string("CERTIFICATE", LineEnding::LF, &issued).map_err(|error| error.to_string())?;
        Ok(Self { root: root.certificate()?, certificate, key })
    }

    /// `KeyOperationAttestation` of the key with that public key.
    pub(crate) fn attest(&self, spki: &[u8]) -> Answer {
        let Ok(about) = PublicKey::from_spki_der(spki) else { return Ok(Value::Null) };
        let mut statement = [b"generated here: ", about.raw(), b" and kept"].concat();
        let digest = digest::digest(&digest::SHA256, &statement);
        let signed = self.key.sign(SignatureAlgorithm::RsaPkcs1Sha256, &Message::Digest(digest.as_ref()))?;
        statement.extend_from_slice(&signed);
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        let content = packed.write_all(&statement).and_then(|()| packed.finish());
        let content = content.map_err(|_| Unfit::Broken("cannot pack a statement"))?;
        Ok(json!({
            "format": "CAVIUM_V2_COMPRESSED",
            "content": base64(&content),
            "certChains": { "caviumCerts": [self.certificate], "googlePartitionCerts": [self.certificate] },
        }))
    }
}
