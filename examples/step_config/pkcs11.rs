//! The conversion of step's `pkcs11:` into RFC 7512's: two URIs of step's, of the token and of the key, become one.

use kmskit::{Error, ErrorKind, KeyUri, Result, Secret};

use crate::dialect::StepUri;

/// A URI by RFC 7512, and what had to be changed for it.
#[derive(Debug)]
pub(crate) struct Converted {
    pub(crate) uri: KeyUri,
    pub(crate) changes: Vec<String>,
}

/// The one strict URI for the token that `kms` names, `pin`, and the key that `key` names, all as step reads them.
pub(crate) fn strict_from_step(kms: Option<&str>, pin: Option<&Secret>, key: &str) -> Result<Converted> {
    let place = StepUri::parse(kms.unwrap_or("pkcs11:")).map_err(|error| error.in_context("kms.uri"))?;
    let key_uri = StepUri::parse(key)?;
    let mut changes = spellings(kms.unwrap_or_default(), key, &key_uri);
    let mut builder = KeyUri::builder("pkcs11");

    for name in ["token", "serial", "slot-id"] {
        if let Some(value) = place.value(name) {
            builder = builder.path(name, value);
        }
    }
    let (id, object) = (key_uri.octets("id"), key_uri.value("object"));
    if id.is_none() && object.is_none() {
        return Err(bad("the key's URI has neither `id` nor `object`"));
    }
    builder = id.into_iter().fold(builder, |builder, id| builder.path("id", id));
    builder = object.into_iter().fold(builder, |builder, object| builder.path("object", object));
    if let Some(path) = place.value("module-path") {
        builder = builder.query("module-path", path);
    }
    if let Some(sessions) = place.value("max-sessions") {
        builder = builder.query("max-sessions", sessions);
    }
    match (place.value("pin-value"), place.text("pin-source")?, pin) {
        (Some(value), source, _) => {
            builder = builder.query("pin-value", value);
            changes.extend(source.map(|_| "`pin-source` left out: step takes `pin-value`".to_owned()));
        }
        (None, Some(source), _) => builder = builder.query("pin-source", source_from_step(source)),
        (None, None, Some(pin)) => {
            builder = builder.query("pin-value", pin.expose());
            changes.push("the PIN is that of `kms.pin`".to_owned());
        }
        (None, None, None) => {}
    }
    if place.has("pin-prompt") {
        changes.push("`pin-prompt` left out: who sits at a terminal is asked anyway".to_owned());
    }
    // The place of a key is what `kms.uri` says, and step looks for nothing else in a key's name.
    let passed_over: Vec<_> = place.left().into_iter().chain(key_uri.left()).map(|name| format!("`{name}`")).collect();
    if !passed_over.is_empty() {
        changes.push(format!("left out, as step passes over it: {}", passed_over.join(", ")));
    }
    Ok(Converted { uri: builder.build()?, changes })
}

/// step takes a plain path, and `file:` before it.
pub(crate) fn source_from_step(source: &str) -> String {
    if source.starts_with("file:") { source.to_owned() } else { format!("file:{source}") }
}

/// What of the spelling RFC 7512 does not have, or reads in another way.
fn spellings(kms: &str, key: &str, key_uri: &StepUri) -> Vec<String> {
    let path = |uri: &str| uri.split('?').next().unwrap_or_default().to_owned();
    let paths = [path(kms), path(key)];
    let any = |what: &str| paths.iter().any(|path| path.contains(what));
    let mut changes = Vec::new();
    if any("/") {
        changes.push("`/` before the `?`: `module-path` goes after it".to_owned());
    }
    if any("+") {
        changes.push("`+` is a plus in RFC 7512: a space is `%20`".to_owned());
    }
    if any("&") {
        changes.push("`&` is part of a value in RFC 7512: attributes before the `?` are parted by `;`".to_owned());
    }
    if any("pin-") {
        changes.push("a PIN before the `?`: it goes after it".to_owned());
    }
    if key_uri.octets("id").as_deref() != key_uri.value("id") {
        changes.push("an `id` in hex: in RFC 7512 it would be those digits themselves".to_owned());
    }
    changes
}

fn bad(context: &'static str) -> Error {
    Error::new(ErrorKind::InvalidUri, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_uris_of_step_become_a_strict_one() {
        for (kms, pin, key, expected) in [
            (
                "pkcs11:module-path=/usr/lib/softhsm/libsofthsm2.so;token=step+ca?pin-value=pass+word",
                None,
                "pkcs11:id=7371;object=root",
                "pkcs11:token=step%20ca;id=%73%71;object=root?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-value=pass%20word",
            ),
            (
                "pkcs11:slot-id=0;max-sessions=4;pin-source=/run/pin",
                None,
                "pkcs11:object=R&id=%73%72",
                "pkcs11:slot-id=0;id=%73%72;object=R?max-sessions=4&pin-source=file:/run/pin",
            ),
            ("pkcs11:serial=01", Some("1;2"), "pkcs11:id=1000", "pkcs11:serial=01;id=%10%00?pin-value=1%3B2"),
            (
                "pkcs11:token=a?pin-value=x&pin-source=y",
                Some("z"),
                "pkcs11:token=b;object=k",
                "pkcs11:token=a;object=k?pin-value=x",
            ),
        ] {
            let converted = strict_from_step(Some(kms), pin.map(Secret::new).as_ref(), key).unwrap();
            assert_eq!(*converted.uri.to_exposed_string(), expected);
            assert_eq!(KeyUri::parse(expected).unwrap(), converted.uri);
            assert!(!converted.changes.is_empty());
            assert!(!format!("{converted:?}").contains("pass word"));
        }
    }

    #[test]
    fn what_is_strict_already_stays_as_it_is() {
        let key = "pkcs11:id=%73%71;object=root";
        // In hex as well, by chance of its digits; step and RFC 7512 differ, and step wins.
        let converted = strict_from_step(Some("pkcs11:token=a?pin-source=file:/run/pin"), None, key).unwrap();
        assert_eq!(*converted.uri.to_exposed_string(), "pkcs11:token=a;id=%73%71;object=root?pin-source=file:/run/pin");
        assert_eq!(converted.changes, Vec::<String>::new());
    }

    #[test]
    fn a_name_without_a_key_is_refused() {
        for key in ["pkcs11:token=a", "pkcs11:", "pkcs11:id=;object="] {
            assert_eq!(strict_from_step(None, None, key).unwrap_err().kind(), ErrorKind::InvalidUri, "{key}");
        }
    }
}
