//! A CA certificate, and whether it may issue what is asked.

#![allow(dead_code, reason = "shared: each example uses its own part")]

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use der::{Decode, Encode};
use kmskit::{Error, ErrorKind, PublicKey, Result, Signer};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

use crate::input;
use crate::profile::{Issuer, Purpose};

/// A CA certificate from a file.
#[derive(Debug)]
pub(crate) struct Authority(Certificate);

impl Authority {
    /// One that was made a moment ago.
    pub(crate) fn new(certificate: Certificate) -> Self {
        Self(certificate)
    }

    /// Reads the first certificate of a PEM or DER file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let der = input::read(path, &["CERTIFICATE"])?;
        Certificate::from_der(&der)
            .map(Self)
            .map_err(|error| refused(format!("{} holds no certificate", path.display())).with_source(error))
    }

    /// The certificate.
    pub(crate) fn certificate(&self) -> &Certificate {
        &self.0
    }

    /// Whether the certificate is one of a CA, in force, with room below it.
    pub(crate) fn may_issue(&self, purpose: Purpose) -> Result<()> {
        let certificate = self.0.tbs_certificate();
        let constraints = certificate.get_extension::<BasicConstraints>().map_err(unreadable)?.map(|(_, value)| value);
        let Some(BasicConstraints { ca: true, path_len_constraint }) = constraints else {
            return Err(refused("the certificate is not one of a CA").with_hint("basicConstraints must say CA:TRUE"));
        };
        let usage = certificate.get_extension::<KeyUsage>().map_err(unreadable)?;
        if usage.is_some_and(|(_, usage)| !usage.key_cert_sign()) {
            return Err(refused("the CA certificate's key usage does not allow signing certificates"));
        }
        if let (Purpose::SubordinateCa { path_len }, Some(room)) = (purpose, path_len_constraint)
            && path_len >= room
        {
            let context = format!("a CA with {path_len} CAs below it does not fit below one with pathlen {room}");
            return Err(refused(context).with_hint("lower --path-len, or issue from a CA higher up"));
        }
        let (validity, now) = (certificate.validity(), SystemTime::now());
        if now < validity.not_before.to_system_time() || now > validity.not_after.to_system_time() {
            return Err(refused("the CA certificate is not in force now")
                .with_hint(format!("it runs from {} to {}", validity.not_before, validity.not_after)));
        }
        Ok(())
    }

    /// Whether `below` was issued by this one: by name and by signature.
    pub(crate) fn check_issued(&self, below: &Self) -> Result<()> {
        let (issuer, subject) = (self.0.tbs_certificate(), below.0.tbs_certificate());
        let key = issuer.subject_public_key_info().to_der().map_err(unreadable)?;
        let signed = subject.to_der().map_err(unreadable)?;
        let signature = below.0.signature().as_bytes().unwrap_or_default();
        let verified = PublicKey::from_spki_der(&key)?.verify_x509(below.0.signature_algorithm(), &signed, signature);
        let mismatch = || Error::new(ErrorKind::KeyMismatch, "the certificate was not issued by the one above it");
        match verified {
            Ok(()) if subject.issuer() == issuer.subject() => Ok(()),
            Ok(()) => Err(mismatch().with_hint("it names another issuer")),
            Err(cause) => Err(mismatch().with_hint("its signature is by another key").with_source(cause)),
        }
    }

    /// The certificate with its key, if the key is the certificate's.
    pub(crate) fn issuer(&self, signer: Arc<dyn Signer>) -> Result<Issuer<'_>> {
        let certified = self.0.tbs_certificate().subject_public_key_info().to_der().map_err(unreadable)?;
        if PublicKey::from_spki_der(&certified)? != *signer.public_key() {
            return Err(Error::new(ErrorKind::KeyMismatch, "the CA certificate is not that of the key")
                .with_hint("give the certificate that belongs to the key's URI"));
        }
        Ok(Issuer { certificate: Some(&self.0), signer })
    }
}

fn refused(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}

fn unreadable(error: der::Error) -> Error {
    refused("the CA certificate cannot be read").with_source(error)
}
