//! A key's record: what it is, what for, and its state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::answer::{Answer, refuse};
use crate::material::Material;

pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) arn: String,
    pub(crate) account: String,
    pub(crate) spec: &'static Spec,
    pub(crate) usage: String,
    pub(crate) description: String,
    pub(crate) policy: String,
    pub(crate) multi_region: bool,
    pub(crate) external: bool,
    pub(crate) state: State,
    pub(crate) created: SystemTime,
    /// For what is eventually consistent.
    pub(crate) since: Instant,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) material: Option<Arc<Material>>,
    pub(crate) import: Option<(Vec<u8>, Arc<Material>, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum State {
    Enabled,
    Disabled,
    PendingImport,
    /// Seconds since 1970 when it is to be gone.
    PendingDeletion(f64),
    /// Of a key in a store that is not connected; set by a test.
    Unavailable,
}

/// A key spec of the API reference, and what goes with it.
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) usages: &'static [&'static str],
    pub(crate) signing: &'static [&'static str],
}

const RSA: [&str; 6] = [
    "RSASSA_PKCS1_V1_5_SHA_256",
    "RSASSA_PKCS1_V1_5_SHA_384",
    "RSASSA_PKCS1_V1_5_SHA_512",
    "RSASSA_PSS_SHA_256",
    "RSASSA_PSS_SHA_384",
    "RSASSA_PSS_SHA_512",
];
const OAEP: [&str; 2] = ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"];
const SIGN: &str = "SIGN_VERIFY";
const DECRYPT: &str = "ENCRYPT_DECRYPT";
const AGREE: &str = "KEY_AGREEMENT";
const MAC: &str = "GENERATE_VERIFY_MAC";

pub(crate) const SPECS: [Spec; 16] = [
    Spec { name: "SYMMETRIC_DEFAULT", usages: &[DECRYPT], signing: &[] },
    Spec { name: "RSA_2048", usages: &[SIGN, DECRYPT], signing: &RSA },
    Spec { name: "RSA_3072", usages: &[SIGN, DECRYPT], signing: &RSA },
    Spec { name: "RSA_4096", usages: &[SIGN, DECRYPT], signing: &RSA },
    Spec { name: "ECC_NIST_P256", usages: &[SIGN, AGREE], signing: &["ECDSA_SHA_256"] },
    Spec { name: "ECC_NIST_P384", usages: &[SIGN, AGREE], signing: &["ECDSA_SHA_384"] },
    Spec { name: "ECC_NIST_P521", usages: &[SIGN, AGREE], signing: &["ECDSA_SHA_512"] },
    Spec { name: "ECC_SECG_P256K1", usages: &[SIGN], signing: &["ECDSA_SHA_256"] },
    Spec { name: "ECC_NIST_EDWARDS25519", usages: &[SIGN], signing: &["ED25519_SHA_512"] },
    Spec { name: "ML_DSA_44", usages: &[SIGN], signing: &["ML_DSA_SHAKE_256"] },
    Spec { name: "ML_DSA_65", usages: &[SIGN], signing: &["ML_DSA_SHAKE_256"] },
    Spec { name: "ML_DSA_87", usages: &[SIGN], signing: &["ML_DSA_SHAKE_256"] },
    Spec { name: "HMAC_224", usages: &[MAC], signing: &[] },
    Spec { name: "HMAC_256", usages: &[MAC], signing: &[] },
    Spec { name: "HMAC_384", usages: &[MAC], signing: &[] },
    Spec { name: "HMAC_512", usages: &[MAC], signing: &[] },
];

impl Key {
    /// Its private key, if the key may be used.
    pub(crate) fn usable(&self) -> Answer<Arc<Material>> {
        let arn = &self.arn;
        match self.state {
            State::Disabled => refuse("DisabledException", format!("{arn} is disabled.")),
            State::PendingDeletion(_) => refuse("KMSInvalidStateException", format!("{arn} is pending deletion.")),
            State::PendingImport => refuse("KMSInvalidStateException", format!("{arn} is pending import.")),
            State::Unavailable => refuse("KMSInvalidStateException", format!("{arn} is unavailable.")),
            State::Enabled => match &self.material {
                Some(material) => Ok(Arc::clone(material)),
                None => refuse("KMSInvalidStateException", format!("{arn} is pending import.")),
            },
        }
    }

    pub(crate) fn check_not_pending_deletion(&self) -> Answer<()> {
        match self.state {
            State::PendingDeletion(_) => {
                refuse("KMSInvalidStateException", format!("{} is pending deletion.", self.arn))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn signing_algorithms(&self) -> &'static [&'static str] {
        if self.usage == SIGN { self.spec.signing } else { &[] }
    }

    pub(crate) fn encryption_algorithms(&self) -> &'static [&'static str] {
        match self.spec.name {
            "SYMMETRIC_DEFAULT" => &["SYMMETRIC_DEFAULT"],
            _ if self.usage == DECRYPT => &OAEP,
            _ => &[],
        }
    }

    /// `KeyMetadata` of the API reference.
    pub(crate) fn metadata(&self) -> Value {
        let state = match self.state {
            State::Enabled => "Enabled",
            State::Disabled => "Disabled",
            State::PendingImport => "PendingImport",
            State::PendingDeletion(_) => "PendingDeletion",
            State::Unavailable => "Unavailable",
        };
        let mut metadata = json!({
            "AWSAccountId": self.account,
            "KeyId": self.id,
            "Arn": self.arn,
            "CreationDate": seconds(self.created),
            "Enabled": self.state == State::Enabled,
            "Description": self.description,
            "KeyUsage": self.usage,
            "KeyState": state,
            "Origin": if self.external { "EXTERNAL" } else { "AWS_KMS" },
            "KeyManager": "CUSTOMER",
            "CustomerMasterKeySpec": self.spec.name,
            "KeySpec": self.spec.name,
            "MultiRegion": self.multi_region,
        });
        if let State::PendingDeletion(date) = self.state {
            metadata["DeletionDate"] = date.into();
        }
        if self.external && self.material.is_some() {
            metadata["ExpirationModel"] = "KEY_MATERIAL_DOES_NOT_EXPIRE".into();
        }
        if self.multi_region {
            let region = self.arn.split(':').nth(3).unwrap_or_default();
            metadata["MultiRegionConfiguration"] = json!({
                "MultiRegionKeyType": "PRIMARY",
                "PrimaryKey": { "Arn": self.arn, "Region": region },
                "ReplicaKeys": [],
            });
        }
        self.algorithms(&mut metadata);
        metadata
    }

    /// The members that say what the key can do.
    pub(crate) fn algorithms(&self, answer: &mut Value) {
        if !self.signing_algorithms().is_empty() {
            answer["SigningAlgorithms"] = self.signing_algorithms().into();
        }
        if !self.encryption_algorithms().is_empty() {
            answer["EncryptionAlgorithms"] = self.encryption_algorithms().into();
        }
        if self.usage == AGREE {
            answer["KeyAgreementAlgorithms"] = json!(["ECDH"]);
        }
    }
}

pub(crate) fn seconds(time: SystemTime) -> f64 {
    (time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0).round() / 1000.0
}
