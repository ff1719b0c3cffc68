//! URIs by step's own rules, which are not RFC 7512's: before the `?`, attributes are parted by `;` or `&`; a `+` is a
//! space; `/` stands raw; the first of two attributes of one name counts, and one before the `?` before one after it.
//!
//! What step would drop without a word is an error here.

use kmskit::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

/// A URI of step's, decoded.
#[derive(Debug)]
pub(crate) struct StepUri {
    pub(crate) scheme: String,
    /// What is between the scheme and the `?`, as it stands, where it is no list of attributes.
    pub(crate) opaque: Option<String>,
    attributes: Vec<Attribute>,
}

struct Attribute {
    name: String,
    value: Zeroizing<Vec<u8>>,
    /// It was taken, or said to be passed over.
    seen: std::cell::Cell<bool>,
}

/// Names and no values: there may be a PIN among them.
impl std::fmt::Debug for Attribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl StepUri {
    /// Reads a URI by step's rules.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let scheme = text.split(':').next().unwrap_or_default();
        let is_scheme = scheme.len() < text.len()
            && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet));
        if !is_scheme {
            return Err(bad("no scheme"));
        }
        let rest = &text[scheme.len() + 1..];
        if rest.contains('#') {
            return Err(bad("a `#`, from which on step reads nothing").with_hint("write `%23`"));
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self { scheme: scheme.to_ascii_lowercase(), opaque: None, attributes: Vec::new() };
        if path.starts_with('/') || !path.is_empty() && !path.contains('=') {
            uri.opaque = Some(path.to_owned());
        } else {
            path.split(['&', ';']).try_for_each(|part| uri.add(part))?;
        }
        if query.contains(';') {
            return Err(bad("a `;` after the `?`, for which step drops the attribute").with_hint("write `&`, or `%3B`"));
        }
        query.split('&').try_for_each(|part| uri.add(part))?;
        Ok(uri)
    }

    fn add(&mut self, part: &str) -> Result<()> {
        if part.is_empty() {
            return Ok(());
        }
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = String::from_utf8(decode(name)?.to_vec()).map_err(|_| bad("an attribute name that is not text"))?;
        self.attributes.push(Attribute { name, value: decode(value)?, seen: false.into() });
        Ok(())
    }

    /// The value of an attribute as step reads it: the first that is there, if it is not empty.
    pub(crate) fn value(&self, name: &str) -> Option<&[u8]> {
        let mut named = self.attributes.iter().filter(|attribute| attribute.name == name);
        let mut found = None;
        for attribute in &mut named {
            attribute.seen.set(true);
            found = found.or(Some(attribute.value.as_slice()).filter(|value| !value.is_empty()));
        }
        found
    }

    /// The value as text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>> {
        self.value(name)
            .map(|value| std::str::from_utf8(value).map_err(|_| bad(format!("`{name}` is not text"))))
            .transpose()
    }

    /// The value as octets: written in hex (`0x` and `:` do not matter, nor does a missing first zero) if it can be
    /// read so, else as they are.
    pub(crate) fn octets(&self, name: &str) -> Option<Vec<u8>> {
        let value = self.value(name)?;
        let plain = std::str::from_utf8(value).ok().map(|text| text.replace(':', ""));
        let plain = plain.as_deref().map(|text| text.strip_prefix("0x").or(text.strip_prefix("0X")).unwrap_or(text));
        let padded = plain.map(|text| if text.len() % 2 == 1 { format!("0{text}") } else { text.to_owned() });
        Some(padded.filter(|text| !text.is_empty()).and_then(|text| hex::decode(text).ok()).unwrap_or(value.to_vec()))
    }

    /// Whether the attribute is there, with a value or without.
    pub(crate) fn has(&self, name: &str) -> bool {
        let mut named = self.attributes.iter().filter(|attribute| attribute.name == name);
        named.by_ref().map(|attribute| attribute.seen.set(true)).count() > 0
    }

    /// The attributes that nobody asked for; step passes over them without a word.
    pub(crate) fn left(&self) -> Vec<&str> {
        self.attributes.iter().filter(|attribute| !attribute.seen.get()).map(|attribute| &*attribute.name).collect()
    }
}

/// `%` and two hex digits are an octet, `+` is a space.
fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>> {
    let mut octets = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        octets.push(match first {
            b'+' => b' ',
            b'%' => {
                let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
                let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
                rest = after.get(2..).unwrap_or_default();
                digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or_else(|| {
                    bad("a `%` without two hex digits, for which step drops the attribute").with_hint("write `%25`")
                })?
            }
            other => *other,
        });
    }
    Ok(octets)
}

fn bad(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidUri, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What step's own tests and a look at its parser say.
    #[test]
    fn ids_are_hex_where_they_can_be() {
        for (uri, octets) in [
            ("pkcs11:id=7371", &b"sq"[..]),
            ("pkcs11:id=%73%71", b"sq"),
            ("pkcs11:id=%30%31", b"\x01"),
            ("pkcs11:id=%61%62", b"\xab"),
            ("pkcs11:id=%0a%10", b"\x0a\x10"),
            ("pkcs11:id=0A10", b"\x0a\x10"),
            ("pkcs11:id=0x0a10", b"\x0a\x10"),
            ("pkcs11:id=0a:1b", b"\x0a\x1b"),
            ("pkcs11:id=1", b"\x01"),
            ("pkcs11:id=123", b"\x01\x23"),
            ("pkcs11:id=%2B1", b"+1"),
            ("pkcs11:id=%9a%9b%9c", b"\x9a\x9b\x9c"),
            ("pkcs11:id=09z", b"09z"),
            ("pkcs11:object=a?id=9a", b"\x9a"),
        ] {
            assert_eq!(StepUri::parse(uri).unwrap().octets("id").unwrap(), octets, "{uri}");
        }
    }

    #[test]
    fn values_are_those_that_step_reads() {
        for (uri, name, value) in [
            ("pkcs11:token=My+Token", "token", Some("My Token")),
            ("pkcs11:token=My%20Token", "token", Some("My Token")),
            ("pkcs11:module-path=/usr/lib/x.so;token=a", "module-path", Some("/usr/lib/x.so")),
            ("pkcs11:object=a&b=c", "b", Some("c")),
            ("pkcs11:token=x;;id=01", "id", Some("01")),
            ("pkcs11:token=a;token=b", "token", Some("a")),
            ("yubikey:pin-value=1;serial=2?pin-value=3", "pin-value", Some("1")),
            ("pkcs11:pin-value=?pin-value=3", "pin-value", Some("3")),
            ("pkcs11:?pin-value=a+b", "pin-value", Some("a b")),
            ("PKCS11:token", "token", None),
            ("pkcs11:", "token", None),
        ] {
            assert_eq!(StepUri::parse(uri).unwrap().text(name).unwrap(), value, "{uri}");
        }
        assert_eq!(StepUri::parse("cloudkms:projects/p").unwrap().opaque.as_deref(), Some("projects/p"));
    }

    #[test]
    fn what_step_would_drop_is_an_error() {
        for uri in ["token=a", "pkcs11:token=a#b", "pkcs11:?pin-value=a;b", "pkcs11:?pin-value=%ZZ", "pkcs11:id=%1", ""]
        {
            let error = StepUri::parse(uri).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidUri, "{uri}");
        }
    }
}
