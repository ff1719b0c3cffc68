//! Names of hosts, addresses and people, and constraints on them.

use std::net::IpAddr;

use der::asn1::{Ia5String, OctetString};
use kmskit::Result;
use serde_json::Value;
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::GeneralName;

use crate::json::{Fields, bad, each, flag, list, text, texts};
use crate::names;

/// `nameConstraints`, and whether they are critical.
#[derive(Debug)]
pub(crate) struct NameConstraints {
    pub(crate) critical: bool,
    pub(crate) permitted: Vec<GeneralSubtree>,
    pub(crate) excluded: Vec<GeneralSubtree>,
}

/// `dnsNames`, `emailAddresses`, `ipAddresses`, `uris`.
pub(crate) fn alternative_names(fields: &mut Fields) -> Result<Vec<GeneralName>> {
    let mut all = Vec::new();
    for (field, read) in [
        ("dnsNames", names::dns as fn(&str) -> Result<GeneralName>),
        ("emailAddresses", names::email),
        ("ipAddresses", ip),
        ("uris", names::uri),
    ] {
        all.extend(fields.take(field, |path, value| each(path, texts(path, value)?, read))?.unwrap_or_default());
    }
    Ok(all)
}

/// `sans`: each with its type, or of the type that it looks like.
pub(crate) fn sans(path: &str, value: Value) -> Result<Vec<GeneralName>> {
    let read = |(index, value)| {
        let path = format!("{path}[{index}]");
        let mut fields = Fields::of(&path, value)?;
        let kind = fields.take("type", text)?.unwrap_or_default();
        let value = fields.take("value", text)?.unwrap_or_default();
        fields.finish()?;
        let read = match kind.as_str() {
            "email" => names::email,
            "ip" => ip,
            "uri" => names::uri,
            "" | "auto" if value.parse::<IpAddr>().is_ok() => ip,
            "" | "auto" if value.contains("://") || value.starts_with("urn:") => names::uri,
            "" | "auto" if value.contains('@') => names::email,
            "" | "auto" | "dns" => names::dns,
            _ => {
                return Err(bad(format!("`{path}.type`: names of type `{kind}` are not made here"))
                    .with_hint("known: dns, email, ip, uri, auto"));
            }
        };
        read(&value).map_err(|error| error.in_context(format!("`{path}`")))
    };
    list(path, value)?.into_iter().enumerate().map(read).collect()
}

/// Absolute URIs, one or several.
pub(crate) fn uris(path: &str, value: Value) -> Result<Vec<GeneralName>> {
    each(path, texts(path, value)?, names::uri)
}

/// `nameConstraints` (RFC 5280 section 4.2.1.10).
pub(crate) fn name_constraints(path: &str, value: Value) -> Result<NameConstraints> {
    let mut fields = Fields::of(path, value)?;
    let critical = fields.take("critical", flag)?.unwrap_or_default();
    let mut subtrees = |dns, ip, email, uri| -> Result<Vec<GeneralSubtree>> {
        let mut all = Vec::new();
        for (field, read) in [
            (dns, domain as fn(&str) -> Result<GeneralName>),
            (ip, network),
            (email, mail),
            (uri, |text| ia5(text).map(GeneralName::UniformResourceIdentifier)),
        ] {
            let names = fields.take(field, |path, value| each(path, texts(path, value)?, read))?.unwrap_or_default();
            all.extend(names.into_iter().map(|base| GeneralSubtree { base, minimum: 0, maximum: None }));
        }
        Ok(all)
    };
    let permitted =
        subtrees("permittedDNSDomains", "permittedIPRanges", "permittedEmailAddresses", "permittedURIDomains")?;
    let excluded = subtrees("excludedDNSDomains", "excludedIPRanges", "excludedEmailAddresses", "excludedURIDomains")?;
    fields.finish()?;
    if permitted.is_empty() && excluded.is_empty() {
        return Err(bad(format!("`{path}` constrains nothing")));
    }
    Ok(NameConstraints { critical, permitted, excluded })
}

fn ip(text: &str) -> Result<GeneralName> {
    let address = text.parse().map_err(|error| bad(format!("`{text}` is not an IP address")).with_source(error))?;
    names::ip(address)
}

/// A domain and what is below it; with a dot before it, only that.
fn domain(text: &str) -> Result<GeneralName> {
    if !names::is_dns(text.strip_prefix('.').unwrap_or(text)) {
        return Err(bad(format!("`{text}` is not a domain")));
    }
    ia5(text).map(GeneralName::DnsName)
}

/// A mail address, a host, or, with a dot before it, a domain.
fn mail(text: &str) -> Result<GeneralName> {
    if text.contains('@') {
        names::email(text)
    } else {
        domain(text).and_then(|_| ia5(text)).map(GeneralName::Rfc822Name)
    }
}

/// `192.0.2.0/24`: address and mask, in eight or thirty-two octets.
fn network(text: &str) -> Result<GeneralName> {
    let wrong = || bad(format!("`{text}` is not a network")).with_hint("write `192.0.2.0/24` or `2001:db8::/32`");
    let (address, length) = text.split_once('/').ok_or_else(wrong)?;
    let (address, length): (IpAddr, u32) =
        (address.parse().map_err(|_| wrong())?, length.parse().map_err(|_| wrong())?);
    let octets = match address {
        IpAddr::V4(address) if length <= 32 => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            [(u32::from(address) & mask).to_be_bytes(), mask.to_be_bytes()].concat()
        }
        IpAddr::V6(address) if length <= 128 => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            [(u128::from(address) & mask).to_be_bytes(), mask.to_be_bytes()].concat()
        }
        _ => return Err(wrong()),
    };
    OctetString::new(octets).map(GeneralName::IpAddress).map_err(|error| wrong().with_source(error))
}

fn ia5(text: &str) -> Result<Ia5String> {
    Ia5String::new(text).map_err(|error| bad(format!("`{text}` is not ASCII")).with_source(error))
}
