//! The few parts of a certificate that concern those who keep it beside a key (RFC 5280 section 4.1).

use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use spki::AlgorithmIdentifierOwned;

use crate::{Error, ErrorKind, PublicKey, Result};

/// Parts of a certificate, as they stand in it. Read, not judged: neither validity nor signature is looked at.
#[derive(Clone, Debug)]
pub struct CertificateParts<'a> {
    signed: &'a [u8],
    /// `Name`, DER.
    pub issuer: &'a [u8],
    /// `Name`, DER.
    pub subject: &'a [u8],
    /// INTEGER, DER.
    pub serial: &'a [u8],
    /// `SubjectPublicKeyInfo`, DER.
    pub public_key_info: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> CertificateParts<'a> {
    /// Reads a DER certificate.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when it is none.
    pub fn from_der(certificate: &'a [u8]) -> Result<Self> {
        Self::read(certificate)
            .map_err(|fault| Error::new(ErrorKind::InvalidArgument, "not a DER certificate").with_source(fault))
    }

    fn read(certificate: &'a [u8]) -> der::Result<Self> {
        const VERSION: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };

        let mut outer = sequence(certificate)?;
        let signed = outer.tlv_bytes()?;
        let algorithm = outer.tlv_bytes()?;
        let signature: AnyRef<'_> = outer.decode()?;
        outer.finish()?;
        sequence(algorithm)?;

        let mut inner = sequence(signed)?;
        let version_or_serial = inner.tlv_bytes()?;
        let versioned = AnyRef::from_der(version_or_serial)?.tag() == VERSION;
        let serial = if versioned { inner.tlv_bytes()? } else { version_or_serial };
        AnyRef::from_der(serial)?.tag().assert_eq(Tag::Integer)?;
        let _signature_algorithm = inner.tlv_bytes()?;
        let issuer = inner.tlv_bytes()?;
        let validity = inner.tlv_bytes()?;
        let subject = inner.tlv_bytes()?;
        let public_key_info = inner.tlv_bytes()?;
        for part in [issuer, validity, subject, public_key_info] {
            sequence(part)?;
        }
        signature.tag().assert_eq(Tag::BitString)?;
        let signature = signature.value().get(1..).unwrap_or_default();
        Ok(Self { signed, issuer, subject, serial, public_key_info, algorithm, signature })
    }

    /// Whether `other` issued it: by name, and by its signature.
    pub fn is_issued_by(&self, other: &CertificateParts<'_>) -> bool {
        let verifies = || {
            let algorithm = AlgorithmIdentifierOwned::from_der(self.algorithm).ok()?;
            let key = PublicKey::from_spki_der(other.public_key_info).ok()?;
            key.verify_x509(&algorithm, self.signed, self.signature).ok()
        };
        self.issuer == other.subject && verifies().is_some()
    }

    /// Whether its issuer is itself, by name.
    pub fn is_root(&self) -> bool {
        self.issuer == self.subject
    }
}

/// Checks a chain that is to be stored with a key: DER certificates, the first of them for that key.
///
/// # Errors
/// [`InvalidArgument`](ErrorKind::InvalidArgument) when there is none, or one cannot be read;
/// [`KeyMismatch`](ErrorKind::KeyMismatch) when the first is for another key.
pub fn check_chain(chain: &[Vec<u8>], key: &PublicKey) -> Result<()> {
    let parts: Vec<_> =
        chain.iter().map(|certificate| CertificateParts::from_der(certificate)).collect::<Result<_>>()?;
    match parts.first() {
        None => Err(Error::new(ErrorKind::InvalidArgument, "no certificate to store")),
        Some(leaf) if leaf.public_key_info == key.spki_der() => Ok(()),
        Some(_) => Err(Error::new(ErrorKind::KeyMismatch, "the first certificate is for another key")
            .with_hint("the key's own certificate comes first, its issuers after it")),
    }
}

fn sequence(octets: &[u8]) -> der::Result<SliceReader<'_>> {
    let value = AnyRef::from_der(octets)?;
    value.tag().assert_eq(Tag::Sequence)?;
    SliceReader::new(value.value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused() {
        // Sequences of the right shape, but for one thing each.
        let inner = [&[0x02, 1, 1][..], &[0x30, 0].repeat(4), &[0x30, 2, 5, 0]].concat();
        let outer = |inner: &[u8]| {
            let length = u8::try_from(inner.len()).unwrap();
            [&[0x30, length + 7, 0x30, length], inner, &[0x30, 0, 0x03, 1, 0]].concat()
        };
        assert_eq!(CertificateParts::from_der(&outer(&inner)).unwrap().public_key_info, [0x30, 2, 5, 0]);
        let versioned = [&[0xa0, 3, 2, 1, 2], &inner[..]].concat();
        assert_eq!(CertificateParts::from_der(&outer(&versioned)).unwrap().serial, [2, 1, 1]);

        let whole = outer(&inner);
        for bad in [
            &[][..],
            &[0x30, 0],
            &whole[..whole.len() - 1],
            &[&whole[..], &[0]].concat(),
            &outer(&inner[3..]),
            &outer(&inner[..inner.len() - 4]),
        ] {
            assert!(CertificateParts::from_der(bad).is_err(), "{bad:02x?}");
        }
    }
}
