//! Signed attributes (RFC 5652 section 11, RFC 5035 section 3).

use std::time::SystemTime;

use der::asn1::{Any, ObjectIdentifier, OctetStringRef, SetOfVec};
use der::{Decode, Encode, EncodeValue, Sequence, Tagged};
use x509_cert::attr::Attribute;
use x509_cert::time::Time;

use crate::HashAlgorithm;

const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");

pub(super) fn content_type(oid: ObjectIdentifier) -> der::Result<Attribute> {
    attribute(CONTENT_TYPE, &oid)
}

pub(super) fn message_digest(digest: &[u8]) -> der::Result<Attribute> {
    attribute(MESSAGE_DIGEST, &OctetStringRef::new(digest)?)
}

/// `UTCTime` to the end of 2049, `GeneralizedTime` from then on.
pub(super) fn signing_time(time: SystemTime) -> der::Result<Attribute> {
    attribute(SIGNING_TIME, &Time::try_from(time)?)
}

pub(super) fn signing_certificate_v2(der: &[u8]) -> der::Result<Attribute> {
    attribute(SIGNING_CERTIFICATE_V2, &Any::from_der(der)?)
}

/// The DER of a `SigningCertificateV2` with the signer's certificate alone. Its hash is the default, SHA-256, and so not
/// named; issuer and serial number stand in the signer's identifier already.
pub(super) fn signing_certificate(certificate: &[u8]) -> der::Result<Vec<u8>> {
    let hash = HashAlgorithm::Sha256.digest(certificate);
    SigningCertificateV2 { certs: vec![EssCertIdV2 { cert_hash: OctetStringRef::new(hash.as_bytes())? }] }.to_der()
}

#[derive(Sequence)]
struct SigningCertificateV2<'a> {
    certs: Vec<EssCertIdV2<'a>>,
}

#[derive(Clone, Sequence)]
struct EssCertIdV2<'a> {
    cert_hash: &'a OctetStringRef,
}

fn attribute(oid: ObjectIdentifier, value: &(impl Tagged + EncodeValue)) -> der::Result<Attribute> {
    Ok(Attribute { oid, values: SetOfVec::try_from([Any::encode_from(value)?])? })
}
