//! Names of keys in `ca.json`, as URIs.

use std::path::Path;

use kmskit::{Error, ErrorKind, KeyUri, Result, Secret};

use crate::config::Kms;
use crate::dialect::StepUri;
use crate::pkcs11::{self, Converted};
use crate::text_file;

/// The URI of a key that `ca.json` calls `name`.
pub(crate) fn uri(name: &str, kms: &Kms, password_file: Option<&Path>) -> Result<Converted> {
    let kms_uri = kms.uri.as_ref().map(Secret::expose_str).transpose()?;
    let uri = match &*kind(name, kms, kms_uri)? {
        "pkcs11" => return pkcs11::strict_from_step(kms_uri, kms.pin.as_ref(), name),
        "softkms" => soft(name, password_file)?,
        "awskms" => aws(name, kms, kms_uri)?,
        "cloudkms" => cloud(name, kms, kms_uri)?,
        "yubikey" => yubikey(name, kms, kms_uri)?,
        other => {
            return Err(Error::new(ErrorKind::Unsupported, format!("no backend for step's `{other}`"))
                .with_hint(format!("known here: {}", kmskit::registry().schemes().collect::<Vec<_>>().join(", "))));
        }
    };
    Ok(Converted { uri, changes: passed_over(name)? })
}

/// What a name states beside the key: step takes that from `kms` alone.
fn passed_over(name: &str) -> Result<Vec<String>> {
    if text_file::scheme(name).is_none_or(|scheme| scheme == "softkms") {
        return Ok(Vec::new());
    }
    let uri = StepUri::parse(name)?;
    for key in ["key-id", "resource", "slot-id"] {
        uri.has(key);
    }
    let left: Vec<_> = uri.left().into_iter().map(|name| format!("`{name}`")).collect();
    let change = format!("left out, as step passes over it (it goes into `kms.uri`): {}", left.join(", "));
    Ok(if left.is_empty() { left } else { vec![change] })
}

/// `kms.type`, or else the scheme of `kms.uri`, or of the name; softkms where there is none. They must not differ.
fn kind(name: &str, kms: &Kms, kms_uri: Option<&str>) -> Result<String> {
    let scheme =
        |uri: &str| text_file::scheme(uri).map(|scheme| if scheme == "aws" { "awskms".into() } else { scheme });
    let stated = [kms.kind.clone(), kms_uri.and_then(scheme), scheme(name)];
    let mut stated = stated.into_iter().flatten();
    let first = stated.next().unwrap_or_else(|| "softkms".to_owned());
    match stated.find(|other| *other != first) {
        None => Ok(first),
        Some(other) => Err(bad(format!("`kms` is of type `{first}`, the name of scheme `{other}`"))
            .with_hint("step has one KMS for all keys")),
    }
}

/// A file, with or without `softkms:`.
fn soft(name: &str, password_file: Option<&Path>) -> Result<KeyUri> {
    let uri = match text_file::scheme(name) {
        Some(_) => KeyUri::parse(name)?,
        None => KeyUri::builder("softkms").path("path", name).build()?,
    };
    Ok(match password_file {
        Some(file) => uri.with_query("password-source", [b"file:", file.as_os_str().as_encoded_bytes()].concat())?,
        None => uri,
    })
}

/// `awskms:key-id=…`, or the id, alias or ARN alone.
fn aws(name: &str, kms: &Kms, kms_uri: Option<&str>) -> Result<KeyUri> {
    let place = StepUri::parse(kms_uri.unwrap_or("awskms:")).map_err(|error| error.in_context("kms.uri"))?;
    let named = named(name, "key-id")?;
    let mut builder = KeyUri::builder("awskms").path("key-id", named);
    // The fields win over the URI, as in step.
    for (attribute, field) in [("region", &kms.region), ("profile", &kms.profile)] {
        if let Some(value) = field.as_deref().or(place.text(attribute)?) {
            builder = builder.path(attribute, value);
        }
    }
    if let Some(file) = kms.credentials_file.as_deref().or(place.text("credentials-file")?) {
        builder = builder.query("credentials-file", file);
    }
    Ok(builder.build()?)
}

/// `cloudkms:projects/…`, or `projects/…` alone.
fn cloud(name: &str, kms: &Kms, kms_uri: Option<&str>) -> Result<KeyUri> {
    let place = StepUri::parse(kms_uri.unwrap_or("cloudkms:")).map_err(|error| error.in_context("kms.uri"))?;
    let named = named(name, "resource")?;
    if !named.starts_with(b"projects/") {
        return Err(bad("not the name of a Google Cloud key".to_owned())
            .with_hint("expected projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/V"));
    }
    let mut builder = KeyUri::builder("cloudkms").positional(named);
    if let Some(file) = kms.credentials_file.as_deref().or(place.text("credentials-file")?) {
        builder = builder.query("credentials-file", file);
    }
    if let Some(endpoint) = place.text("endpoint-url")? {
        builder = builder.query("endpoint-url", endpoint);
    }
    Ok(builder.build()?)
}

/// `yubikey:slot-id=9c`, or the slot alone.
fn yubikey(name: &str, kms: &Kms, kms_uri: Option<&str>) -> Result<KeyUri> {
    let place = StepUri::parse(kms_uri.unwrap_or("yubikey:")).map_err(|error| error.in_context("kms.uri"))?;
    let mut builder = KeyUri::builder("yubikey").path("slot-id", named(name, "slot-id")?.to_ascii_lowercase());
    if let Some(serial) = place.value("serial") {
        builder = builder.path("serial", serial);
    }
    for (stem, field, source) in
        [("pin-value", &kms.pin, "pin-source"), ("management-key", &kms.management_key, "management-key-source")]
    {
        // Here the URI wins over the fields, as in step.
        if let Some(value) = place.value(stem) {
            builder = builder.query(stem, value);
        } else if let Some(file) = place.text(source)? {
            builder = builder.query(source, pkcs11::source_from_step(file));
        } else if let Some(value) = field {
            builder = builder.query(stem, value.expose());
        }
    }
    Ok(builder.build()?)
}

/// The attribute of a URI, what stands in its place, or a name that is no URI.
fn named(name: &str, attribute: &str) -> Result<Vec<u8>> {
    if text_file::scheme(name).is_none() {
        return Ok(name.as_bytes().to_vec());
    }
    let uri = StepUri::parse(name)?;
    match (&uri.opaque, uri.value(attribute)) {
        (_, Some(value)) => Ok(value.to_vec()),
        (Some(opaque), None) => Ok(opaque.trim_start_matches('/').as_bytes().to_vec()),
        (None, None) => Err(bad(format!("a {} name without `{attribute}`", uri.scheme))),
    }
}

fn bad(context: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "be468355-ca7a-40d9-a28b-8ae1c4c7f936";

    fn exposed(name: &str, kms: &Kms) -> Result<String> {
        uri(name, kms, None).map(|converted| converted.uri.to_exposed_string().to_string())
    }

    fn kms(kind: &str) -> Kms {
        Kms { kind: Some(kind.to_owned()), ..Kms::default() }
    }

    #[test]
    fn names_become_uris() {
        let aws = Kms { region: Some("us-east-1".to_owned()), profile: Some("ca".to_owned()), ..kms("awskms") };
        let gcp = Kms { credentials_file: Some("/etc/gcp.json".to_owned()), ..kms("cloudkms") };
        let card = Kms {
            uri: Some(Secret::new("yubikey:serial=112233?pin-source=/run/pin")),
            management_key: Some(Secret::new("0102")),
            ..kms("yubikey")
        };
        let version = "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1";
        let arn = format!("arn:aws:kms:us-east-1:123456789012:key/{ID}");
        let none = Kms::default();
        for (kms, name, expected) in [
            (&none, "/etc/ca/intermediate_ca_key", "softkms:path=/etc/ca/intermediate_ca_key".to_owned()),
            (&none, "softkms:path=a.key", "softkms:path=a.key".to_owned()),
            (&none, "awskms:key-id=alias/Root;region=ignored", "awskms:key-id=alias/Root".to_owned()),
            (&aws, ID, format!("awskms:key-id={ID};region=us-east-1;profile=ca")),
            (&aws, &format!("awskms:key-id={ID}"), format!("awskms:key-id={ID};region=us-east-1;profile=ca")),
            (&aws, &arn, format!("awskms:key-id={arn};region=us-east-1;profile=ca")),
            (&gcp, version, format!("cloudkms:{version}?credentials-file=/etc/gcp.json")),
            (&gcp, &format!("cloudkms:{version}"), format!("cloudkms:{version}?credentials-file=/etc/gcp.json")),
            (
                &gcp,
                &format!("cloudkms:resource={version}"),
                format!("cloudkms:{version}?credentials-file=/etc/gcp.json"),
            ),
            (
                &card,
                "yubikey:slot-id=9C",
                "yubikey:slot-id=9c;serial=112233?pin-source=file:/run/pin&management-key=0102".to_owned(),
            ),
            (&card, "9a", "yubikey:slot-id=9a;serial=112233?pin-source=file:/run/pin&management-key=0102".to_owned()),
        ] {
            assert_eq!(exposed(name, kms).unwrap_or_else(|error| panic!("{name}: {error}")), expected);
        }
    }

    #[test]
    fn what_step_passes_over_is_said() {
        for (name, said) in [
            ("yubikey:slot-id=9c", None),
            ("softkms:path=a", None),
            ("9c", None),
            ("yubikey:slot-id=9c;serial=112233", Some("`serial`")),
            ("awskms:key-id=alias/Root;region=us-east-1", Some("`region`")),
        ] {
            let said_of = passed_over(name).unwrap();
            assert_eq!(
                said_of.first().map(|text| said.is_some_and(|said| text.ends_with(said))),
                said.map(|_| true),
                "{name}"
            );
        }
    }

    #[test]
    fn names_that_do_not_fit_are_refused() {
        for (kms, name, kind) in [
            (kms("awskms"), "yubikey:slot-id=9c", ErrorKind::InvalidArgument),
            (kms("tpmkms"), "tpmkms:name=root", ErrorKind::Unsupported),
            (kms("azurekms"), "azurekms:name=a;vault=b", ErrorKind::Unsupported),
            (kms("cloudkms"), "root.key", ErrorKind::InvalidArgument),
            (kms("awskms"), "awskms:region=a", ErrorKind::InvalidArgument),
        ] {
            assert_eq!(exposed(name, &kms).unwrap_err().kind(), kind, "{name}");
        }
    }
}
