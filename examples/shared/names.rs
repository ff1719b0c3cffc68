//! Names in certificates, checked as they are read.

#![allow(dead_code, reason = "shared: each example uses its own part")]

use std::net::IpAddr;

use der::asn1::{Ia5String, OctetString};
use kmskit::{Error, ErrorKind, Result};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

/// A name from its RFC 4514 text: `CN=example.com,O=Example`.
pub(crate) fn distinguished(text: &str) -> Result<Name> {
    text.parse().map_err(|error| {
        bad(format!("`{text}` is not a distinguished name"))
            .with_hint("write `CN=example.com,O=Example` (RFC 4514)")
            .with_source(error)
    })
}

/// Nothing but a common name, whatever characters it has.
pub(crate) fn common(text: &str) -> Result<Name> {
    let escape = |character: char| {
        let special = matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' | '#');
        special.then_some('\\').into_iter().chain([character])
    };
    let escaped: String = text.trim().chars().flat_map(escape).collect();
    if escaped.is_empty() {
        return Err(bad("an empty name".to_owned()));
    }
    if text.trim().chars().count() > 64 {
        return Err(bad(format!("`{text}` is longer than the 64 characters of a common name")));
    }
    distinguished(&format!("CN={escaped}"))
}

/// A DNS name in the preferred syntax (RFC 5280 section 4.2.1.6), a wildcard only as its first label.
pub(crate) fn dns(text: &str) -> Result<GeneralName> {
    if !is_dns(text) {
        return Err(bad(format!("`{text}` is not a DNS name")));
    }
    ia5(text).map(GeneralName::DnsName)
}

/// Whether [`dns`] takes it.
pub(crate) fn is_dns(text: &str) -> bool {
    let host = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

/// An IP address, in four or sixteen octets.
pub(crate) fn ip(address: IpAddr) -> Result<GeneralName> {
    let octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    OctetString::new(octets)
        .map(GeneralName::IpAddress)
        .map_err(|error| bad(format!("`{address}` cannot be encoded")).with_source(error))
}

/// A mail address: a local part and a DNS name (RFC 5280 section 4.2.1.6).
pub(crate) fn email(text: &str) -> Result<GeneralName> {
    match text.rsplit_once('@') {
        Some((local, host)) if !local.is_empty() && is_dns(host) => ia5(text).map(GeneralName::Rfc822Name),
        _ => Err(bad(format!("`{text}` is not a mail address"))),
    }
}

/// An absolute URI with a scheme and something after it.
pub(crate) fn uri(text: &str) -> Result<GeneralName> {
    match text.split_once(':') {
        Some((scheme, rest))
            if scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && !rest.is_empty()
                && text.bytes().all(|octet| octet.is_ascii_graphic()) =>
        {
            ia5(text).map(GeneralName::UniformResourceIdentifier)
        }
        _ => Err(bad(format!("`{text}` is not an absolute URI"))),
    }
}

fn ia5(text: &str) -> Result<Ia5String> {
    Ia5String::new(text).map_err(|error| bad(format!("`{text}` is not ASCII")).with_source(error))
}

fn bad(context: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}
