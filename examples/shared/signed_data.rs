//! Reads a CMS `SignedData` with one signer (RFC 5652) and checks what it says of its content; whose certificate it is, is
//! for the caller to judge.

use cms::cert::CertificateChoices;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{SignedAttributes, SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{ObjectIdentifier, OctetString};
use der::{Decode, Encode};
use kmskit::adapters::cms::ID_DATA;
use kmskit::{Error, ErrorKind, HashAlgorithm, Result, SignatureAlgorithm};
use spki::AlgorithmIdentifierOwned;
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectKeyIdentifier;

use crate::chain;

const ID_SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// A `SignedData` whose content has not been looked at yet.
#[derive(Debug)]
pub(crate) struct Signed {
    signer: SignerInfo,
    attributes: SignedAttributes,
    /// The hash by which the content is to be digested.
    pub(crate) hash: HashAlgorithm,
    /// The certificate the signer names; not to be trusted for being there.
    pub(crate) certificate: Certificate,
    /// All certificates, in any order.
    pub(crate) certificates: Vec<Certificate>,
    /// The content, where it is enclosed.
    pub(crate) content: Option<Vec<u8>>,
}

impl Signed {
    /// Reads plain data signed by exactly one signer over signed attributes.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self> {
        let outer = ContentInfo::from_der(der).map_err(unreadable)?;
        if outer.content_type != ID_SIGNED_DATA {
            return Err(refused("the CMS message is not a SignedData"));
        }
        let SignedData { version, digest_algorithms, encap_content_info: enclosed, certificates, signer_infos, .. } =
            outer.content.decode_as().map_err(unreadable)?;
        if enclosed.econtent_type != ID_DATA {
            return Err(refused("what was signed is not plain data"));
        }
        let mut signers = signer_infos.0.into_vec();
        let (Some(signer), true) = (signers.pop(), signers.is_empty()) else {
            return Err(refused("the SignedData has not exactly one signer"));
        };
        // RFC 5652 sections 5.1 and 5.3: what is not so was put together by nobody who knows it.
        let expected = match signer.sid {
            SignerIdentifier::IssuerAndSerialNumber(_) => CmsVersion::V1,
            SignerIdentifier::SubjectKeyIdentifier(_) => CmsVersion::V3,
        };
        if version != expected || signer.version != expected || !digest_algorithms.iter().eq([&signer.digest_alg]) {
            return Err(refused("the SignedData's versions and digest algorithms are not those of its signer"));
        }
        let attributes =
            signer.signed_attrs.clone().ok_or_else(|| refused("the SignedData has no signed attributes"))?;
        let certificates: Vec<_> = certificates
            .map(|set| set.0.into_vec())
            .unwrap_or_default()
            .into_iter()
            .filter_map(|choice| match choice {
                CertificateChoices::Certificate(certificate) => Some(certificate),
                CertificateChoices::Other(_) => None,
            })
            .collect();
        let certificate = certificates.iter().find(|certificate| names(&signer.sid, certificate)).cloned();
        let content = enclosed.econtent.map(|content| content.decode_as::<OctetString>()).transpose();
        Ok(Self {
            hash: hash(&signer.digest_alg)?,
            certificate: certificate.ok_or_else(|| refused("the SignedData lacks its signer's certificate"))?,
            certificates,
            content: content.map_err(unreadable)?.map(|octets| octets.as_bytes().to_vec()),
            attributes,
            signer,
        })
    }

    /// Whether the content with this digest, by [`hash`](Self::hash), is what the key of
    /// [`certificate`](Self::certificate) signed.
    pub(crate) fn check(&self, digest: &[u8]) -> Result<()> {
        if self.attribute::<ObjectIdentifier>(CONTENT_TYPE)? != ID_DATA {
            return Err(refused("the signed content type is another than the stated"));
        }
        if self.attribute::<OctetString>(MESSAGE_DIGEST)?.as_bytes() != digest {
            return Err(Error::new(ErrorKind::Integrity, "the content is not what was signed"));
        }
        let signed = self.attributes.to_der().map_err(unreadable)?;
        let key = chain::public_key(&self.certificate)?;
        key.verify_x509(&self.algorithm(), &signed, self.signer.signature.as_bytes())
    }

    /// The one value of an attribute that must be there once.
    fn attribute<T>(&self, oid: ObjectIdentifier) -> Result<T>
    where
        T: for<'a> der::Choice<'a> + for<'a> der::DecodeValue<'a, Error = der::Error>,
    {
        let mut found = self.attributes.iter().filter(|attribute| attribute.oid == oid);
        let (Some(attribute), None) = (found.next(), found.next()) else {
            return Err(refused(format!("the signed attributes hold {oid} not exactly once")));
        };
        match attribute.values.as_slice() {
            [value] => value.decode_as().map_err(unreadable),
            _ => Err(refused(format!("the signed attribute {oid} has not exactly one value"))),
        }
    }

    /// CMS may name only the key's family for RSA PKCS #1; the hash is then that of the digest (RFC 3370 section 3.2).
    fn algorithm(&self) -> AlgorithmIdentifierOwned {
        let stated = &self.signer.signature_algorithm;
        if stated.oid != RSA_ENCRYPTION {
            return stated.clone();
        }
        match self.hash {
            HashAlgorithm::Sha384 => SignatureAlgorithm::RsaPkcs1Sha384,
            HashAlgorithm::Sha512 => SignatureAlgorithm::RsaPkcs1Sha512,
            _ => SignatureAlgorithm::RsaPkcs1Sha256,
        }
        .algorithm_identifier()
    }
}

fn names(identifier: &SignerIdentifier, certificate: &Certificate) -> bool {
    let tbs = certificate.tbs_certificate();
    match identifier {
        SignerIdentifier::IssuerAndSerialNumber(named) => {
            named.issuer == *tbs.issuer() && named.serial_number == *tbs.serial_number()
        }
        SignerIdentifier::SubjectKeyIdentifier(named) => tbs
            .get_extension::<SubjectKeyIdentifier>()
            .is_ok_and(|stated| stated.is_some_and(|(_, stated)| stated == *named)),
    }
}

fn hash(algorithm: &AlgorithmIdentifierOwned) -> Result<HashAlgorithm> {
    match algorithm.oid.to_string().as_str() {
        "2.16.840.1.101.3.4.2.1" => Ok(HashAlgorithm::Sha256),
        "2.16.840.1.101.3.4.2.2" => Ok(HashAlgorithm::Sha384),
        "2.16.840.1.101.3.4.2.3" => Ok(HashAlgorithm::Sha512),
        other => Err(Error::new(ErrorKind::Unsupported, format!("the content's hash is {other}"))
            .with_hint("SHA-256, SHA-384 and SHA-512 are known")),
    }
}

fn refused(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Integrity, context)
}

fn unreadable(error: der::Error) -> Error {
    refused("the SignedData cannot be read").with_hint("expected CMS (RFC 5652) in DER, or in PEM").with_source(error)
}
