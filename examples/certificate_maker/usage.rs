//! Key usages by the names that step has for them; case and `_` do not matter.

use der::asn1::ObjectIdentifier;
use der::flagset::FlagSet;
use kmskit::Result;
use serde_json::Value;
use x509_cert::ext::pkix::KeyUsages;

use crate::json::{bad, each, texts};

const KEY: [(&str, KeyUsages); 9] = [
    ("digitalSignature", KeyUsages::DigitalSignature),
    ("contentCommitment", KeyUsages::NonRepudiation),
    ("keyEncipherment", KeyUsages::KeyEncipherment),
    ("dataEncipherment", KeyUsages::DataEncipherment),
    ("keyAgreement", KeyUsages::KeyAgreement),
    ("certSign", KeyUsages::KeyCertSign),
    ("crlSign", KeyUsages::CRLSign),
    ("encipherOnly", KeyUsages::EncipherOnly),
    ("decipherOnly", KeyUsages::DecipherOnly),
];

const EXTENDED: [(&str, &str); 14] = [
    ("any", "2.5.29.37.0"),
    ("serverAuth", "1.3.6.1.5.5.7.3.1"),
    ("clientAuth", "1.3.6.1.5.5.7.3.2"),
    ("codeSigning", "1.3.6.1.5.5.7.3.3"),
    ("emailProtection", "1.3.6.1.5.5.7.3.4"),
    ("ipsecEndSystem", "1.3.6.1.5.5.7.3.5"),
    ("ipsecTunnel", "1.3.6.1.5.5.7.3.6"),
    ("ipsecUser", "1.3.6.1.5.5.7.3.7"),
    ("timeStamping", "1.3.6.1.5.5.7.3.8"),
    ("ocspSigning", "1.3.6.1.5.5.7.3.9"),
    ("microsoftServerGatedCrypto", "1.3.6.1.4.1.311.10.3.3"),
    ("netscapeServerGatedCrypto", "2.16.840.1.113730.4.1"),
    ("microsoftCommercialCodeSigning", "1.3.6.1.4.1.311.2.1.22"),
    ("microsoftKernelCodeSigning", "1.3.6.1.4.1.311.61.1.1"),
];

/// `keyUsage`.
pub(crate) fn key(path: &str, value: Value) -> Result<FlagSet<KeyUsages>> {
    let usages = each(path, texts(path, value)?, |text| find(&KEY, text))?;
    Ok(usages.into_iter().fold(FlagSet::default(), |all, usage| all | usage))
}

/// `extKeyUsage`.
pub(crate) fn extended(path: &str, value: Value) -> Result<Vec<ObjectIdentifier>> {
    each(path, texts(path, value)?, |text| {
        let oid = find(&EXTENDED, text)?;
        ObjectIdentifier::new(oid).map_err(|error| bad(format!("`{oid}`")).with_source(error))
    })
}

fn find<T: Copy>(table: &[(&str, T)], text: &str) -> Result<T> {
    let plain = |text: &str| text.replace('_', "").to_ascii_lowercase();
    table.iter().find(|(name, _)| plain(name) == plain(text)).map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<_> = table.iter().map(|(name, _)| *name).collect();
        bad(format!("`{text}` is not a usage")).with_hint(format!("known: {}", known.join(", ")))
    })
}
