//! Certificate chains: read from files, and checked up to a root by RFC 5280.

#![allow(dead_code, reason = "shared: each example uses its own part")]

use std::path::Path;
use std::time::{Duration, SystemTime};

use der::asn1::ObjectIdentifier;
use der::{Decode, DecodePem, Encode};
use kmskit::{Error, ErrorKind, PublicKey, Result};
use pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage as Purpose, anchor_from_trusted_cert};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage};

use crate::input;

/// `id-kp-codeSigning`.
pub(crate) static CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
/// `id-kp-timeStamping`.
pub(crate) static TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");

/// Reads every certificate of a PEM file, or the one of a DER file. One at least.
pub(crate) fn read(path: &Path) -> Result<Vec<Certificate>> {
    let octets = input::octets(path)?;
    let bad = |error: der::Error| {
        invalid(format!("{} holds a damaged certificate", path.display()))
            .with_hint("expected it in PEM, whole, or in DER")
            .with_source(error)
    };
    if octets.starts_with(b"0") {
        return Ok(vec![Certificate::from_der(&octets).map_err(bad)?]);
    }
    let text = String::from_utf8_lossy(&octets);
    let blocks = input::blocks(&text, "CERTIFICATE");
    if blocks.is_empty() {
        return Err(invalid(format!("{} holds no certificate", path.display())).with_hint("expected PEM or DER"));
    }
    if text.matches("-----BEGIN CERTIFICATE-----").count() != blocks.len() {
        return Err(invalid(format!("{} is cut off within a certificate", path.display())));
    }
    blocks.into_iter().map(|block| Certificate::from_pem(block).map_err(bad)).collect()
}

/// Whether `leaf` leads up to `root` by way of some of `others`, all in force now, for the extended key usage `usage`,
/// which the leaf must state. Signatures, names, basic and name constraints are checked by webpki.
pub(crate) fn check(
    leaf: &Certificate,
    others: &[Certificate],
    root: &Certificate,
    usage: &'static ObjectIdentifier,
) -> Result<()> {
    let stated = extended_key_usage(leaf)?;
    if !stated.is_some_and(|(_, usages)| usages.contains(usage)) {
        let context = format!("{} lacks the extended key usage {usage}", name(leaf));
        return Err(Error::new(ErrorKind::Integrity, context));
    }
    // A trust anchor is believed as it is; an expired one should not be.
    in_force(root)?;
    let [leaf_der, root_der] = [encode(leaf)?, encode(root)?];
    let others = others.iter().map(encode).collect::<Result<Vec<_>>>()?;
    let no_path = |error: webpki::Error| {
        let context = format!("{} does not lead up to the root {}", name(leaf), name(root));
        Error::new(ErrorKind::Integrity, context)
            .with_hint("every certificate between them must be given, in force, and fit the one above")
            .with_source(error)
    };
    let anchor = anchor_from_trusted_cert(&root_der).map_err(no_path)?;
    let end_entity = EndEntityCert::try_from(&leaf_der).map_err(no_path)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    end_entity
        .verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &[anchor],
            &others,
            UnixTime::since_unix_epoch(now),
            Purpose::required_if_present(usage.as_bytes()),
            None,
            None,
        )
        .map(drop)
        .map_err(no_path)
}

/// Whether the certificate is in force now.
pub(crate) fn in_force(certificate: &Certificate) -> Result<()> {
    let (validity, now) = (certificate.tbs_certificate().validity(), SystemTime::now());
    if (validity.not_before.to_system_time()..=validity.not_after.to_system_time()).contains(&now) {
        return Ok(());
    }
    Err(invalid(format!("{} is not in force now", name(certificate)))
        .with_hint(format!("it runs from {} to {}", validity.not_before, validity.not_after)))
}

/// The certificate's public key.
pub(crate) fn public_key(certificate: &Certificate) -> Result<PublicKey> {
    let spki = certificate.tbs_certificate().subject_public_key_info().to_der().map_err(unreadable)?;
    PublicKey::from_spki_der(&spki).map_err(|error| error.in_context(name(certificate)))
}

/// The extended key usages, and whether they are critical.
pub(crate) fn extended_key_usage(certificate: &Certificate) -> Result<Option<(bool, Vec<ObjectIdentifier>)>> {
    let stated = certificate.tbs_certificate().get_extension::<ExtendedKeyUsage>().map_err(unreadable)?;
    Ok(stated.map(|(critical, usages)| (critical, usages.0)))
}

/// The key usages, where the certificate limits them.
pub(crate) fn key_usage(certificate: &Certificate) -> Result<Option<KeyUsage>> {
    Ok(certificate.tbs_certificate().get_extension::<KeyUsage>().map_err(unreadable)?.map(|(_, usage)| usage))
}

/// Whether it is a root's: of its own name, and signed by its own key. By the name alone one would take a chain whose
/// certificates all have the same for roots, and Certificate Maker makes such.
pub(crate) fn is_self_signed(certificate: &Certificate) -> bool {
    let tbs = certificate.tbs_certificate();
    let (Ok(key), Ok(signed)) = (public_key(certificate), tbs.to_der()) else { return false };
    let signature = certificate.signature().as_bytes().unwrap_or_default();
    tbs.subject() == tbs.issuer() && key.verify_x509(certificate.signature_algorithm(), &signed, signature).is_ok()
}

/// What a certificate is called in messages.
pub(crate) fn name(certificate: &Certificate) -> String {
    format!("certificate `{}`", certificate.tbs_certificate().subject())
}

fn encode(certificate: &Certificate) -> Result<CertificateDer<'static>> {
    certificate.to_der().map(CertificateDer::from).map_err(unreadable)
}

fn invalid(context: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}

fn unreadable(error: der::Error) -> Error {
    invalid("a certificate cannot be read".to_owned()).with_source(error)
}
