//! Distinguished names as step's templates write them.

use der::asn1::{Any, ObjectIdentifier, PrintableStringRef, SetOfVec, Utf8StringRef};
use der::{Decode, Encode};
use kmskit::Result;
use serde_json::Value;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::Name;

use crate::json::{Fields, bad, text, texts};

/// The fields in the order of the name, their types, and the most characters of a value (RFC 5280 appendix A.1).
const ATTRIBUTES: [(&str, &str, usize); 9] = [
    ("country", "2.5.4.6", 2),
    ("organization", "2.5.4.10", 64),
    ("organizationalUnit", "2.5.4.11", 64),
    ("locality", "2.5.4.7", 128),
    ("province", "2.5.4.8", 128),
    ("streetAddress", "2.5.4.9", 128),
    ("postalCode", "2.5.4.17", 40),
    ("commonName", "2.5.4.3", 64),
    ("serialNumber", "2.5.4.5", 64),
];

/// A name: an object of its fields, or a text that is its common name. Empty texts are left out.
pub(crate) fn name(path: &str, value: Value) -> Result<Name> {
    let value = match value {
        Value::String(common) => serde_json::json!({ "commonName": common }),
        value => value,
    };
    let mut fields = Fields::of(path, value)?;
    let mut relative = Vec::new();
    for (field, oid, limit) in ATTRIBUTES {
        let single = matches!(field, "commonName" | "serialNumber");
        let read =
            |path: &str, value| if single { text(path, value).map(|text| vec![text]) } else { texts(path, value) };
        let values = fields.take(field, read)?.unwrap_or_default();
        let values: Vec<_> = values.iter().map(|value| value.trim()).filter(|value| !value.is_empty()).collect();
        for value in &values {
            let long = value.chars().count() > limit || field == "country" && value.chars().count() != limit;
            if long || value.contains(char::is_control) {
                return Err(bad(format!(
                    "`{path}.{field}`: `{value}` is not of a length or form that RFC 5280 allows"
                ))
                .with_hint(format!("at most {limit} characters; a country has two letters")));
            }
        }
        // Values of one type stand together, as Go puts them.
        if !values.is_empty() {
            relative.push(
                attributes(oid, &values)
                    .map_err(|error| bad(format!("`{path}.{field}` cannot be encoded")).with_source(error))?,
            );
        }
    }
    fields.finish()?;
    let name = relative.to_der().and_then(|der| Name::from_der(&der));
    name.map_err(|error| bad(format!("`{path}` cannot be encoded")).with_source(error))
}

fn attributes(oid: &str, values: &[&str]) -> der::Result<SetOfVec<AttributeTypeAndValue>> {
    let oid = ObjectIdentifier::new(oid).map_err(|_| der::ErrorKind::OidMalformed)?;
    let mut set = SetOfVec::new();
    for value in values {
        let value = match PrintableStringRef::new(*value) {
            Ok(printable) => Any::from(printable),
            Err(_) => Any::from(Utf8StringRef::new(*value)?),
        };
        set.insert(AttributeTypeAndValue { oid, value })?;
    }
    Ok(set)
}
