//! What a certificate signing request asks for, once its signature has been checked.

#![allow(dead_code, reason = "shared: each example uses its own part")]

use std::path::Path;

use der::asn1::{AnyRef, ObjectIdentifier};
use der::oid::AssociatedOid;
use der::{Decode, Encode, Reader, SliceReader};
use kmskit::{Error, ErrorKind, PublicKey, Result};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName, SubjectKeyIdentifier};
use x509_cert::name::Name;
use x509_cert::request::{CertReq, ExtensionReq};

use crate::profile::Purpose;
use crate::{input, names};

/// The parts of a request that go into the certificate.
#[derive(Debug)]
pub(crate) struct Requested {
    pub(crate) subject: Name,
    pub(crate) alternative_names: Vec<GeneralName>,
    pub(crate) key_usage: KeyUsage,
    pub(crate) public_key: PublicKey,
}

impl Requested {
    /// Reads a request, PEM or DER, checks its signature, and refuses what `purpose` does not allow.
    pub(crate) fn read(path: &Path, purpose: Purpose) -> Result<Self> {
        // OpenSSL used to write NEW in the label, and certtool does still.
        let der = input::read(path, &["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"])?;
        Self::from_der(&der, purpose).map_err(|error| error.in_context(path.display()))
    }

    /// As [`read`](Self::read), of a request in memory.
    pub(crate) fn from_der(der: &[u8], purpose: Purpose) -> Result<Self> {
        let (request, signed) = parse(der)?;
        let info = &request.info;
        let spki = info.public_key.to_der().map_err(unreadable)?;
        let public_key = PublicKey::from_spki_der(&spki).map_err(|error| error.in_context("the request"))?;
        let signature =
            request.signature.as_bytes().ok_or_else(|| refused("the request's signature has unused bits"))?;
        public_key.verify_x509(&request.algorithm, &signed, signature).map_err(|error| {
            let hint = error.hint().unwrap_or("whoever made it does not hold the key, or it was altered").to_owned();
            Error::new(error.kind(), format!("the request's own signature: {}", error.context())).with_hint(hint)
        })?;
        let Asked { alternative_names, key_usage } = check_extensions(&extensions(&request)?, purpose, &public_key)?;
        if info.subject.is_empty() && (purpose.is_ca() || alternative_names.is_empty()) {
            return Err(refused("the request names no subject"));
        }
        if purpose == Purpose::TlsServer && !alternative_names.iter().any(is_host) {
            return Err(refused("a TLS server's request must hold a DNS name or IP address")
                .with_hint("put it in the subject alternative name; the common name no longer counts"));
        }
        Ok(Self { subject: info.subject.clone(), alternative_names, key_usage, public_key })
    }
}

/// The request, and the octets that its signature is over.
fn parse(der: &[u8]) -> Result<(CertReq, Vec<u8>)> {
    let not_one = |error: der::Error| {
        refused("holds no certificate signing request").with_hint("expected PKCS #10, PEM or DER").with_source(error)
    };
    let request = CertReq::from_der(der).map_err(not_one)?;
    // As they stand in the file: encoded anew, a request that is not quite DER would seem forged.
    let signed =
        AnyRef::from_der(der).and_then(|outer| SliceReader::new(outer.value())?.tlv_bytes().map(<[u8]>::to_vec));
    Ok((request, signed.map_err(not_one)?))
}

fn extensions(request: &CertReq) -> Result<Vec<Extension>> {
    const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
    let mut all = Vec::new();
    for attribute in request.info.attributes.iter().filter(|attribute| attribute.oid == EXTENSION_REQUEST) {
        for value in attribute.values.iter() {
            all.extend(value.decode_as::<ExtensionReq>().map_err(unreadable)?.0);
        }
    }
    Ok(all)
}

/// What the certificate takes over from the request's extensions.
struct Asked {
    alternative_names: Vec<GeneralName>,
    key_usage: KeyUsage,
}

/// Takes what the certificate shall have; every extension must ask for no more than the profile gives.
fn check_extensions(extensions: &[Extension], purpose: Purpose, key: &PublicKey) -> Result<Asked> {
    let mut asked = Asked { alternative_names: Vec::new(), key_usage: purpose.key_usage(key) };
    for (index, extension) in extensions.iter().enumerate() {
        if extensions[..index].iter().any(|before| before.extn_id == extension.extn_id) {
            return Err(refused(format!("the request holds extension {} twice", extension.extn_id)));
        }
        let value = extension.extn_value.as_bytes();
        match extension.extn_id {
            SubjectAltName::OID => {
                asked.alternative_names = SubjectAltName::from_der(value).map_err(unreadable)?.0;
                asked.alternative_names.iter().try_for_each(check_name)?;
            }
            BasicConstraints::OID => check_basic_constraints(&decode(value)?, purpose)?,
            KeyUsage::OID => {
                let usages = decode::<KeyUsage>(value)?.0;
                let given = asked.key_usage.0 | purpose.optional_key_usage();
                if !given.contains(usages) {
                    let context = format!("the request asks for key usage {:?}", usages - given);
                    return Err(refused(context).with_hint(format!("the profile gives {given:?} for this key")));
                }
                asked.key_usage = KeyUsage(asked.key_usage.0 | usages);
            }
            ExtendedKeyUsage::OID => {
                let usages = decode::<ExtendedKeyUsage>(value)?.0;
                if let Some(usage) = usages.iter().find(|usage| !purpose.extended_key_usage().contains(usage)) {
                    let context = format!("the request asks for extended key usage {usage}");
                    return Err(refused(context).with_hint("the profile does not give it"));
                }
            }
            // Computed afresh from the key.
            SubjectKeyIdentifier::OID => {}
            other => {
                return Err(refused(format!("the request asks for extension {other}"))
                    .with_hint("the profile does not give it; ask for no more than names and usages"));
            }
        }
    }
    Ok(asked)
}

fn check_basic_constraints(asked: &BasicConstraints, purpose: Purpose) -> Result<()> {
    match (asked, purpose) {
        (BasicConstraints { ca: true, .. }, _) if !purpose.is_ca() => {
            Err(refused("the request asks to be a CA").with_hint("use --profile subordinate-ca"))
        }
        (BasicConstraints { ca: false, .. }, _) if purpose.is_ca() => {
            Err(refused("the request asks not to be a CA").with_hint("use the profile of its purpose"))
        }
        (BasicConstraints { path_len_constraint: Some(asked), .. }, Purpose::SubordinateCa { path_len })
            if *asked > path_len =>
        {
            Err(refused(format!("the request asks for {asked} CAs below it, not {path_len}"))
                .with_hint("raise --path-len, if it shall have them"))
        }
        _ => Ok(()),
    }
}

fn decode<'a, T: Decode<'a, Error = der::Error>>(value: &'a [u8]) -> Result<T> {
    T::from_der(value).map_err(unreadable)
}

fn check_name(name: &GeneralName) -> Result<()> {
    match name {
        GeneralName::DnsName(host) => names::dns(host.as_str()).map(drop),
        GeneralName::Rfc822Name(address) => names::email(address.as_str()).map(drop),
        GeneralName::UniformResourceIdentifier(uri) => names::uri(uri.as_str()).map(drop),
        GeneralName::IpAddress(octets) if matches!(octets.as_bytes().len(), 4 | 16) => Ok(()),
        _ => Err(refused("the request holds a name that is no DNS name, IP address, mail address or URI")),
    }
}

fn is_host(name: &GeneralName) -> bool {
    matches!(name, GeneralName::DnsName(_) | GeneralName::IpAddress(_))
}

fn refused(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}

fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    refused("the request cannot be read").with_source(error)
}
