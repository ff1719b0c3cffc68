//! Certificate profiles by RFC 5280, and the issuing of a certificate by a key at a URI.

#![allow(dead_code, reason = "shared: each example uses its own part")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use der::asn1::{ObjectIdentifier, OctetString};
use der::flagset::FlagSet;
use kmskit::adapters::cause;
use kmskit::{Error, ErrorKind, PublicKey, Result, Signature, Signer, SyncSigner};
use x509_cert::Certificate;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, Extensions, ToExtension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfo, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A self-signed root.
    Root,
    /// A subordinate CA that may have as many CAs below it.
    SubordinateCa { path_len: u8 },
    /// A TLS server.
    TlsServer,
    /// A TLS client.
    TlsClient,
    /// A signer of code.
    CodeSigner,
}

const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");

impl Purpose {
    /// Whether certificates can be issued under it.
    pub(crate) fn is_ca(self) -> bool {
        matches!(self, Self::Root | Self::SubordinateCa { .. })
    }

    /// The extended key usages, none for a CA.
    pub(crate) fn extended_key_usage(self) -> &'static [ObjectIdentifier] {
        match self {
            Self::Root | Self::SubordinateCa { .. } => &[],
            Self::TlsServer => &[SERVER_AUTH],
            Self::TlsClient => &[CLIENT_AUTH],
            Self::CodeSigner => &[CODE_SIGNING],
        }
    }

    /// The key usages; RSA keys of TLS servers may also be encrypted to, as TLS 1.2 with RSA key exchange wants.
    pub(crate) fn key_usage(self, key: &PublicKey) -> KeyUsage {
        let bits = match self {
            Self::Root | Self::SubordinateCa { .. } => KeyUsages::KeyCertSign | KeyUsages::CRLSign,
            Self::TlsServer if matches!(key.key_type(), kmskit::KeyType::Rsa { .. }) => {
                KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment
            }
            _ => KeyUsages::DigitalSignature.into(),
        };
        KeyUsage(bits)
    }

    /// The key usages given to a request that asks for them: a CA may sign OCSP responses itself (RFC 5280 section
    /// 4.2.1.3), and certtool always asks for it.
    pub(crate) fn optional_key_usage(self) -> FlagSet<KeyUsages> {
        if self.is_ca() { KeyUsages::DigitalSignature.into() } else { FlagSet::default() }
    }
}

/// A certificate to be made.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) purpose: Purpose,
    pub(crate) subject: Name,
    pub(crate) alternative_names: Vec<GeneralName>,
    pub(crate) key_usage: KeyUsage,
    pub(crate) key: &'a PublicKey,
    pub(crate) lifetime: Duration,
}

/// The certificate and the key that issue; no certificate for a self-signed root.
#[derive(Debug)]
pub(crate) struct Issuer<'a> {
    pub(crate) certificate: Option<&'a Certificate>,
    pub(crate) signer: Arc<dyn Signer>,
}

/// Issues a certificate: one signature by the issuer's key. It never outlives its issuer.
pub(crate) fn issue(request: Request<'_>, issuer: &Issuer<'_>) -> Result<Certificate> {
    let key = SubjectPublicKeyInfo::from_key(request.key).map_err(|error| failed("public key", error))?;
    let validity = validity(request.lifetime, issuer.certificate)?;
    let profile = Profile {
        issuer: issuer.certificate.map(|certificate| certificate.tbs_certificate().subject().clone()),
        authority: match issuer.certificate {
            Some(certificate) => authority_key_identifier(certificate)?,
            None => request.key.key_identifier().to_vec(),
        },
        request,
    };
    let builder =
        CertificateBuilder::new(profile, serial_number()?, validity, key).map_err(|error| failed("profile", error))?;
    builder.build::<_, Signature>(&SyncSigner::new(Arc::clone(&issuer.signer))).map_err(|error| match cause(&error) {
        Some(beneath) => beneath.duplicate().in_context("signing the certificate"),
        None => failed("certificate", error),
    })
}

struct Profile<'a> {
    issuer: Option<Name>,
    authority: Vec<u8>,
    request: Request<'a>,
}

impl BuilderProfile for Profile<'_> {
    fn get_issuer(&self, subject: &Name) -> Name {
        self.issuer.clone().unwrap_or_else(|| subject.clone())
    }

    fn get_subject(&self) -> Name {
        self.request.subject.clone()
    }

    fn build_extensions(
        &self,
        _: SubjectPublicKeyInfoRef<'_>,
        _: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        let Request { purpose, ref alternative_names, ref key_usage, key, .. } = self.request;
        let mut extensions = Extensions::new();
        let mut add = |extension: &dyn Fn(&Extensions) -> Result<Extension, der::Error>| {
            let extension = extension(&extensions)?;
            extensions.push(extension);
            Ok::<_, der::Error>(())
        };
        let subject = tbs.subject();
        let subject_key = OctetString::new(key.key_identifier())?;
        let authority = OctetString::new(self.authority.clone())?;
        add(&|before| key_usage.to_extension(subject, before))?;
        if purpose.is_ca() {
            let path_len_constraint = match purpose {
                Purpose::SubordinateCa { path_len } => Some(path_len),
                _ => None,
            };
            add(&|before| BasicConstraints { ca: true, path_len_constraint }.to_extension(subject, before))?;
        } else {
            let usages = purpose.extended_key_usage().to_vec();
            add(&|before| ExtendedKeyUsage(usages.clone()).to_extension(subject, before))?;
        }
        add(&|before| SubjectKeyIdentifier(subject_key.clone()).to_extension(subject, before))?;
        add(&|before| {
            AuthorityKeyIdentifier { key_identifier: Some(authority.clone()), ..Default::default() }
                .to_extension(subject, before)
        })?;
        if !alternative_names.is_empty() {
            // Critical when the subject is empty; the crate sees to that.
            add(&|before| SubjectAltName(alternative_names.clone()).to_extension(subject, before))?;
        }
        Ok(extensions)
    }
}

/// The issuer's subject key identifier as its certificate states it, however it was made.
pub(crate) fn authority_key_identifier(issuer: &Certificate) -> Result<Vec<u8>> {
    let stated = issuer
        .tbs_certificate()
        .get_extension::<SubjectKeyIdentifier>()
        .map_err(|error| failed("the issuer's subject key identifier", error))?;
    stated.map(|(_, identifier)| identifier.0.as_bytes().to_vec()).ok_or_else(|| {
        Error::new(ErrorKind::InvalidArgument, "the CA certificate has no subject key identifier")
            .with_hint("RFC 5280 section 4.2.1.2 demands it of every CA")
    })
}

/// From a minute ago, for clocks that run behind, to the end of the lifetime or of the issuer.
fn validity(lifetime: Duration, issuer: Option<&Certificate>) -> Result<Validity> {
    let start = SystemTime::now().checked_sub(Duration::from_mins(1)).unwrap_or_else(SystemTime::now);
    let end = start.checked_add(lifetime).ok_or_else(|| failed("lifetime", "too long"))?;
    let time = |time: SystemTime| Time::try_from(time).map_err(|error| failed("validity", error));
    let (mut not_before, mut not_after) = (start, end);
    if let Some(issuer) = issuer {
        let limits = issuer.tbs_certificate().validity();
        not_before = not_before.max(limits.not_before.to_system_time());
        not_after = not_after.min(limits.not_after.to_system_time());
    }
    if not_after <= SystemTime::now() {
        return Err(Error::new(ErrorKind::InvalidArgument, "the certificate would be expired from the start")
            .with_hint("the issuer has expired, or the lifetime is too short"));
    }
    Ok(Validity::new(time(not_before)?, time(not_after)?))
}

/// 20 random octets, positive and without leading zeros (RFC 5280 section 4.1.2.2).
pub(crate) fn serial_number() -> Result<SerialNumber> {
    let mut octets = [0; 20];
    getrandom::fill(&mut octets).map_err(|error| failed("random octets", error))?;
    octets[0] = octets[0] & 0x7f | 0x40;
    SerialNumber::new(&octets).map_err(|error| failed("serial number", error))
}

fn failed(what: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("cannot encode {what}")).with_source(error)
}
