//! Enumerations: read as names or numbers, kept as names, answered as the client asked.

use serde_json::Value;

use super::algorithm::ALGORITHMS;

/// Names and numbers.
pub(crate) type Table = &'static [(&'static str, i64)];

pub(crate) const PROTECTION_LEVEL: Table =
    &[("SOFTWARE", 1), ("HSM", 2), ("EXTERNAL", 3), ("EXTERNAL_VPC", 4), ("HSM_SINGLE_TENANT", 5)];
pub(crate) const PURPOSE: Table = &[
    ("ENCRYPT_DECRYPT", 1),
    ("ASYMMETRIC_SIGN", 5),
    ("ASYMMETRIC_DECRYPT", 6),
    ("RAW_ENCRYPT_DECRYPT", 7),
    ("MAC", 9),
    ("KEY_ENCAPSULATION", 10),
];
pub(crate) const STATE: Table = &[
    ("ENABLED", 1),
    ("DISABLED", 2),
    ("DESTROYED", 3),
    ("DESTROY_SCHEDULED", 4),
    ("PENDING_GENERATION", 5),
    ("PENDING_IMPORT", 6),
    ("IMPORT_FAILED", 7),
    ("GENERATION_FAILED", 8),
];
const JOB_STATE: Table = &[("PENDING_GENERATION", 1), ("ACTIVE", 2), ("EXPIRED", 3)];
pub(crate) const IMPORT_METHOD: Table = &[
    ("RSA_OAEP_3072_SHA1_AES_256", 1),
    ("RSA_OAEP_4096_SHA1_AES_256", 2),
    ("RSA_OAEP_3072_SHA256_AES_256", 3),
    ("RSA_OAEP_4096_SHA256_AES_256", 4),
    ("RSA_OAEP_3072_SHA256", 5),
    ("RSA_OAEP_4096_SHA256", 6),
];
pub(crate) const PUBLIC_KEY_FORMAT: Table = &[("PEM", 1), ("DER", 2), ("NIST_PQC", 3), ("XWING_RAW_BYTES", 4)];
pub(crate) const VIEW: Table = &[("CRYPTO_KEY_VERSION_VIEW_UNSPECIFIED", 0), ("FULL", 1)];
const ATTESTATION: Table = &[("CAVIUM_V1_COMPRESSED", 3), ("CAVIUM_V2_COMPRESSED", 4)];

/// The name of a value; `None` for one that is none of them.
pub(crate) fn name(table: Table, value: &Value) -> Option<&'static str> {
    let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let found = table.iter().find(|(name, its)| value.as_str() == Some(name) || number == Some(*its));
    found.map(|(name, _)| *name)
}

/// Turns all names in an answer into numbers.
pub(crate) fn to_numbers(answer: &mut Value) {
    match answer {
        Value::Object(members) => {
            let of_a_job = members.contains_key("importMethod");
            for (field, value) in members {
                if let Some(number) = value.as_str().and_then(|text| number(field, of_a_job, text)) {
                    *value = number.into();
                } else if field != "labels" {
                    to_numbers(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(to_numbers),
        _ => {}
    }
}

fn number(field: &str, of_a_job: bool, text: &str) -> Option<i64> {
    let table = match field {
        "algorithm" => return ALGORITHMS.iter().find(|row| row.name == text).map(|row| row.number),
        "protectionLevel" => PROTECTION_LEVEL,
        "purpose" => PURPOSE,
        "state" if of_a_job => JOB_STATE,
        "state" => STATE,
        "importMethod" => IMPORT_METHOD,
        "publicKeyFormat" => PUBLIC_KEY_FORMAT,
        "format" => ATTESTATION,
        _ => return None,
    };
    table.iter().find(|(name, _)| *name == text).map(|(_, number)| *number)
}
