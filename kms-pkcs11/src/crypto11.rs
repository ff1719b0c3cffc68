//! `crypto11.conf`, the JSON that programs on Go's `crypto11` are configured with, as a URI.

use std::fmt;

use kms_core::{KeyUri, Result};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::error::bad_uri;

const KNOWN: &str =
    "known: `Path`, one of `TokenLabel`, `TokenSerial` and `SlotNumber`, `Pin`, `MaxSessions`, `LoginNotSupported`";

const TEXTS: [&str; 4] = ["Path", "TokenLabel", "TokenSerial", "Pin"];

/// Turns the content of a `crypto11.conf` into the URI of its token, with the PIN as a secret `pin-value`:
///
/// ```
/// let uri = kms_pkcs11::uri_from_crypto11(r#"{"Path": "/opt/cloudhsm/lib/libcloudhsm_pkcs11.so",
///     "TokenLabel": "hsm1", "Pin": "user:password"}"#)?;
/// assert_eq!(uri.path().next().unwrap().text(), Some("hsm1"));
/// # Ok::<(), kms_core::Error>(())
/// ```
///
/// The PIN is taken as it stands: that of AWS `CloudHSM` is `user:password`.
///
/// # Errors
/// [`InvalidUri`](kms_core::ErrorKind::InvalidUri) for what is not such JSON, a field that is unknown, repeated or has no
/// counterpart, a missing `Path` or `Pin`, and more or less than one way to name the token. A field that is `null` or an
/// empty text is missing, as it is for Go.
pub fn uri_from_crypto11(json: &str) -> Result<KeyUri> {
    // Its error quotes nothing of the text.
    let Fields(fields) = serde_json::from_str(json).map_err(|error| {
        bad_uri(format!("crypto11.conf is not a JSON object, line {}", error.line())).with_hint(KNOWN)
    })?;
    let mut builder = KeyUri::builder(crate::SCHEME);
    let (mut tokens, mut path, mut pin, mut without_login) = (0, None, None, false);
    let mut seen = Vec::new();
    for (name, value) in fields {
        if seen.contains(&name) {
            return Err(bad_uri("crypto11.conf states a field twice").with_hint(KNOWN));
        }
        seen.push(name.clone());
        match (name.as_str(), value) {
            (name, Value::String(text)) if text.is_empty() && TEXTS.contains(&name) => {}
            ("Path", Value::String(text)) => path = Some(text),
            ("TokenLabel", Value::String(text)) => {
                tokens += 1;
                builder = builder.path("token", text);
            }
            ("TokenSerial", Value::String(text)) => {
                tokens += 1;
                builder = builder.path("serial", text);
            }
            ("SlotNumber", Value::Number(number)) if number.is_u64() => {
                tokens += 1;
                builder = builder.path("slot-id", number.to_string());
            }
            ("Pin", Value::String(text)) => pin = Some(Zeroizing::new(text)),
            ("MaxSessions", Value::Number(number)) if number.is_u64() => {
                if number.as_u64() != Some(0) {
                    builder = builder.query("max-sessions", number.to_string());
                }
            }
            ("LoginNotSupported", Value::Bool(flag)) => without_login = flag,
            // As absent, by Go's rules.
            (_, Value::Null) => {}
            _ => return Err(bad_uri("crypto11.conf has a field that is not understood").with_hint(KNOWN)),
        }
    }
    if tokens != 1 {
        return Err(bad_uri(format!("crypto11.conf names the token in {tokens} ways")).with_hint(KNOWN));
    }
    let path = path.ok_or_else(|| bad_uri("crypto11.conf has no `Path`").with_hint(KNOWN))?;
    builder = builder.query("module-path", path);
    match pin {
        Some(_) if without_login => {
            return Err(bad_uri("crypto11.conf has `Pin` and `LoginNotSupported`").with_hint(KNOWN));
        }
        Some(pin) => builder = builder.query("pin-value", pin.as_bytes()),
        None if without_login => {}
        None => return Err(bad_uri("crypto11.conf has no `Pin`").with_hint(KNOWN)),
    }
    Ok(builder.build()?)
}

/// The fields of an object as they stand, repeated ones too: a map would keep the last.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Pairs)
    }
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use kms_core::ErrorKind;

    use super::*;

    #[test]
    fn a_configuration_becomes_a_uri() {
        for (json, text) in [
            (
                r#"{"Path":"/x.so","TokenLabel":"a b","Pin":"1;2&3"}"#,
                "pkcs11:token=a%20b?module-path=/x.so&pin-value=1%3B2%263",
            ),
            (
                r#"{"Pin":"u:p","Path":"/x.so","TokenSerial":"01","MaxSessions":4}"#,
                "pkcs11:serial=01?max-sessions=4&module-path=/x.so&pin-value=u:p",
            ),
            (
                r#"{"Path":"/x.so","SlotNumber":7,"LoginNotSupported":true,"MaxSessions":0}"#,
                "pkcs11:slot-id=7?module-path=/x.so",
            ),
            (
                r#"{"Path":"/x.so","TokenLabel":"a","TokenSerial":"","SlotNumber":null,"Pin":"1"}"#,
                "pkcs11:token=a?module-path=/x.so&pin-value=1",
            ),
        ] {
            let uri = uri_from_crypto11(json).unwrap();
            assert_eq!(uri, KeyUri::parse(text).unwrap(), "{json}");
            crate::options::Stated::read(&uri, None).unwrap();
            assert!(!uri.to_string().contains("1;2"));
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_without_the_pin() {
        for json in [
            "",
            "[]",
            r#"{"Path":"/x.so","TokenLabel":"a","Pin":"canary","#,
            r#"{"Path":"/x.so","TokenLabel":"a"}"#,
            r#"{"Path":"/x.so","TokenLabel":"a","Pin":""}"#,
            r#"{"Path":"/x.so","TokenLabel":"a","Pin":"canary","Pin":"1"}"#,
            r#"{"Path":"/x.so","TokenLabel":"a","Pin":"canary","Path":"/y.so"}"#,
            r#"{"Path":"/x.so","TokenLabel":"","Pin":"canary"}"#,
            r#"{"TokenLabel":"a","Pin":"canary"}"#,
            r#"{"Path":"/x.so","Pin":"canary"}"#,
            r#"{"Path":"/x.so","TokenLabel":"a","TokenSerial":"1","Pin":"canary"}"#,
            r#"{"Path":"/x.so","TokenLabel":"a","Pin":"canary","Pni":"x"}"#,
            r#"{"Path":"/x.so","TokenLabel":"a","Pin":"canary","PoolWaitTimeout":1}"#,
            r#"{"Path":"/x.so","SlotNumber":"7","Pin":"canary"}"#,
            r#"{"Path":"/x.so","SlotNumber":-7,"Pin":"canary"}"#,
        ] {
            let error = uri_from_crypto11(json).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidUri, "{json}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{json}");
        }
    }
}
