//! What a rendered template says of a certificate.

use std::time::SystemTime;

use base64ct::{Base64, Encoding};
use der::asn1::ObjectIdentifier;
use der::flagset::FlagSet;
use kmskit::{Error, ErrorKind, Result, SignatureAlgorithm};
use serde_json::Value;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsages};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;

use crate::json::{Fields, bad, each, flag, list, number, text, texts};
use crate::{asn1, general, subject, usage, when};

/// The fields of a template, each of its type.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) subject: Name,
    pub(crate) issuer: Option<Name>,
    pub(crate) serial_number: Option<SerialNumber>,
    pub(crate) not_before: Option<SystemTime>,
    pub(crate) not_after: Option<SystemTime>,
    pub(crate) alternative_names: Vec<GeneralName>,
    pub(crate) key_usage: FlagSet<KeyUsages>,
    pub(crate) extended_key_usage: Vec<ObjectIdentifier>,
    pub(crate) basic_constraints: Option<BasicConstraints>,
    pub(crate) name_constraints: Option<general::NameConstraints>,
    pub(crate) policies: Vec<ObjectIdentifier>,
    pub(crate) crl_distribution_points: Vec<GeneralName>,
    pub(crate) ocsp_servers: Vec<GeneralName>,
    pub(crate) issuing_certificates: Vec<GeneralName>,
    pub(crate) subject_key_id: Option<Vec<u8>>,
    pub(crate) signature_algorithm: Option<SignatureAlgorithm>,
    pub(crate) extensions: Vec<Extension>,
}

impl Template {
    /// Reads the JSON of a rendered template. Every field must be known, and be of its type.
    pub(crate) fn read(json: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(json).map_err(|error| {
            Error::new(ErrorKind::InvalidArgument, "not JSON once its expressions are evaluated").with_source(error)
        })?;
        let mut fields = Fields::of("", value)?;
        // X.509 has had no other for decades, and step does not look.
        fields.take("version", number)?;
        let mut alternative_names = general::alternative_names(&mut fields)?;
        alternative_names.extend(fields.take("sans", general::sans)?.unwrap_or_default());
        let mut extended_key_usage = fields.take("extKeyUsage", usage::extended)?.unwrap_or_default();
        extended_key_usage.extend(fields.take("unknownExtKeyUsage", oids)?.unwrap_or_default());
        let template = Self {
            subject: fields.take("subject", subject::name)?.unwrap_or_default(),
            issuer: fields.take("issuer", subject::name)?,
            serial_number: fields.take("serialNumber", serial_number)?,
            not_before: fields.take("notBefore", instant)?,
            not_after: fields.take("notAfter", instant)?,
            alternative_names,
            key_usage: fields.take("keyUsage", usage::key)?.unwrap_or_default(),
            extended_key_usage,
            basic_constraints: fields.take("basicConstraints", basic_constraints)?,
            name_constraints: fields.take("nameConstraints", general::name_constraints)?,
            policies: fields.take("policyIdentifiers", oids)?.unwrap_or_default(),
            crl_distribution_points: fields.take("crlDistributionPoints", general::uris)?.unwrap_or_default(),
            ocsp_servers: fields.take("ocspServer", general::uris)?.unwrap_or_default(),
            issuing_certificates: fields.take("issuingCertificateURL", general::uris)?.unwrap_or_default(),
            subject_key_id: fields.take("subjectKeyId", base64)?,
            signature_algorithm: fields.take("signatureAlgorithm", algorithm)?,
            extensions: fields.take("extensions", extensions)?.unwrap_or_default(),
        };
        fields.finish()?;
        Ok(template)
    }
}

/// At most as many CAs below; none stated, or a negative number, is no limit. Without CA it says nothing, as in step.
fn basic_constraints(path: &str, value: Value) -> Result<BasicConstraints> {
    let mut fields = Fields::of(path, value)?;
    let ca = fields.take("isCA", flag)?.unwrap_or_default();
    let length = fields.take("maxPathLen", number)?.unwrap_or_default();
    fields.finish()?;
    let path_len_constraint = match u8::try_from(length) {
        Ok(length) => Some(length),
        Err(_) if length < 0 => None,
        Err(error) => return Err(bad(format!("`{path}.maxPathLen` is beyond 255")).with_source(error)),
    };
    Ok(BasicConstraints { ca, path_len_constraint: path_len_constraint.filter(|_| ca) })
}

fn extensions(path: &str, value: Value) -> Result<Vec<Extension>> {
    let read = |(index, value)| {
        let path = format!("{path}[{index}]");
        let mut fields = Fields::of(&path, value)?;
        let id = fields.take("id", |path, value| oid(path, &text(path, value)?))?;
        let critical = fields.take("critical", flag)?.unwrap_or_default();
        let value = fields.take("value", |path, value| {
            asn1::decode(&text(path, value)?).map_err(|error| error.in_context(format!("`{path}`")))
        })?;
        fields.finish()?;
        let (Some(extn_id), Some(octets)) = (id, value) else {
            return Err(bad(format!("`{path}` lacks `id` or `value`")));
        };
        let extn_value = der::asn1::OctetString::new(octets)
            .map_err(|error| bad(format!("`{path}` is too long")).with_source(error))?;
        Ok(Extension { extn_id, critical, extn_value })
    };
    list(path, value)?.into_iter().enumerate().map(read).collect()
}

/// Decimal, or hex after `0x`; a number, or a text for more than a number holds.
fn serial_number(path: &str, value: Value) -> Result<SerialNumber> {
    let wrong = || bad(format!("`{path}` is not a positive number of at most 20 octets"));
    let octets = match value {
        Value::Number(number) => number.as_u64().ok_or_else(wrong)?.to_be_bytes().to_vec(),
        value => {
            let text = text(path, value)?;
            match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
                Some(digits) => hex::decode(format!("{}{digits}", if digits.len() % 2 == 1 { "0" } else { "" }))
                    .map_err(|error| wrong().with_source(error))?,
                // In Go, octal.
                None if text.len() > 1 && text.starts_with('0') => return Err(wrong()),
                None => text.parse::<u128>().map_err(|error| wrong().with_source(error))?.to_be_bytes().to_vec(),
            }
        }
    };
    let significant: Vec<u8> = octets.into_iter().skip_while(|octet| *octet == 0).collect();
    // The highest bit would make it negative, or a 21st octet.
    if significant.is_empty() || significant.len() > 20 || significant.len() == 20 && significant[0] >= 0x80 {
        return Err(wrong());
    }
    SerialNumber::new(&significant).map_err(|error| wrong().with_source(error))
}

fn instant(path: &str, value: Value) -> Result<SystemTime> {
    when::instant(&text(path, value)?).map_err(|error| error.in_context(format!("`{path}`")))
}

fn base64(path: &str, value: Value) -> Result<Vec<u8>> {
    Base64::decode_vec(&text(path, value)?).map_err(|error| bad(format!("`{path}` is not base64")).with_source(error))
}

fn algorithm(path: &str, value: Value) -> Result<SignatureAlgorithm> {
    text(path, value)?.parse().map_err(|error: Error| error.in_context(format!("`{path}`")))
}

fn oids(path: &str, value: Value) -> Result<Vec<ObjectIdentifier>> {
    each(path, texts(path, value)?, |text| oid(path, text))
}

fn oid(path: &str, text: &str) -> Result<ObjectIdentifier> {
    ObjectIdentifier::new(text)
        .map_err(|error| bad(format!("`{path}`: `{text}` is not an object identifier")).with_source(error))
}
