//! The few parts of a certificate that concern a token (RFC 5280 section 4.1).

use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use kms_core::PublicKey;
use spki::AlgorithmIdentifierOwned;

/// Parts of a certificate, as they stand in it.
#[derive(Clone, Debug)]
pub(crate) struct Parsed<'a> {
    signed: &'a [u8],
    /// `Name`, DER.
    pub(crate) issuer: &'a [u8],
    /// `Name`, DER.
    pub(crate) subject: &'a [u8],
    /// INTEGER, DER.
    pub(crate) serial: &'a [u8],
    /// `SubjectPublicKeyInfo`, DER.
    pub(crate) public_key_info: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Parsed<'a> {
    /// Reads a DER certificate.
    pub(crate) fn from_der(certificate: &'a [u8]) -> der::Result<Self> {
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
    pub(crate) fn is_issued_by(&self, other: &Parsed<'_>) -> bool {
        let verifies = || {
            let algorithm = AlgorithmIdentifierOwned::from_der(self.algorithm).ok()?;
            let key = PublicKey::from_spki_der(other.public_key_info).ok()?;
            key.verify_x509(&algorithm, self.signed, self.signature).ok()
        };
        self.issuer == other.subject && verifies().is_some()
    }

    /// Whether its issuer is itself, by name.
    pub(crate) fn is_root(&self) -> bool {
        self.issuer == self.subject
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
        assert_eq!(Parsed::from_der(&outer(&inner)).unwrap().public_key_info, [0x30, 2, 5, 0]);
        let versioned = [&[0xa0, 3, 2, 1, 2], &inner[..]].concat();
        assert_eq!(Parsed::from_der(&outer(&versioned)).unwrap().serial, [2, 1, 1]);

        let whole = outer(&inner);
        for bad in [
            &[][..],
            &[0x30, 0],
            &whole[..whole.len() - 1],
            &[&whole[..], &[0]].concat(),
            &outer(&inner[3..]),
            &outer(&inner[..inner.len() - 4]),
        ] {
            assert!(Parsed::from_der(bad).is_err(), "{bad:02x?}");
        }
    }
}
