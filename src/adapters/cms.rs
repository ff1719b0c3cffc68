//! CMS `SignedData` (RFC 5652), the format of code signatures, S/MIME and time stamps.
//!
//! Signed by one key, over signed attributes: content type, message digest, signing time and, if asked for, the signer's
//! certificate. The algorithms are those of RFC 5754 (ECDSA, RSA PKCS #1), RFC 4056 (RSASSA-PSS), RFC 8419 (Ed25519) and
//! RFC 9882 (ML-DSA). What comes out is the [`cms`] crate's [`ContentInfo`]; `to_der` of it is the file.
//!
//! ```
//! # fn sign(certificate: &x509_cert::Certificate, uri: &str) -> Result<(), Box<dyn std::error::Error>> {
//! use kmskit::SyncSigner;
//! use kmskit::adapters::cms::SignedDataBuilder;
//! use x509_cert::der::Encode as _;
//!
//! let signer = SyncSigner::new(kmskit::block_on(kmskit::signer(uri))?);
//! let builder = SignedDataBuilder::new(certificate)?;
//! let signed = builder.detached(&signer, std::fs::File::open("firmware.bin")?)?;
//! std::fs::write("firmware.bin.p7s", signed.to_der()?)?;
//! # Ok(())
//! # }
//! ```

use std::io::Read;
use std::time::SystemTime;

use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedAttributes, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use der::asn1::{Any, ObjectIdentifier, OctetString, SetOfVec};
use der::{Encode, Tag};
use spki::AlgorithmIdentifierOwned;
use x509_cert::Certificate;

use crate::{
    AsyncSigner, Digest, Error, ErrorKind, HashAlgorithm, PublicKey, Result, SignatureAlgorithm, Signer, SyncSigner,
    block_on,
};

mod attributes;

/// `id-data`: content without structure, what is signed unless [another](SignedDataBuilder::with_content_type) is named.
pub const ID_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");

const ID_SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The hash of the content that goes with a signature algorithm: its own, or SHA-512 where it signs messages whole
/// (RFC 8419 section 3.1, RFC 9882 section 3.3).
pub fn content_hash(algorithm: SignatureAlgorithm) -> HashAlgorithm {
    algorithm.hash().unwrap_or(HashAlgorithm::Sha512)
}

/// Makes `SignedData` with one signer. Can be kept and used for any number of signatures.
#[derive(Clone, Debug)]
pub struct SignedDataBuilder {
    public_key: PublicKey,
    identifier: SignerIdentifier,
    /// The signer's own first.
    certificates: Vec<Certificate>,
    embed_certificates: bool,
    content_type: ObjectIdentifier,
    signing_time: Option<SystemTime>,
    /// The DER of `SigningCertificateV2`, where it is asked for.
    signing_certificate: Option<Vec<u8>>,
}

impl SignedDataBuilder {
    /// For the key of `certificate`, which goes into the result. No call.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) or [`Unsupported`](ErrorKind::Unsupported) when its public key
    /// is not one that can be signed with here.
    pub fn new(certificate: &Certificate) -> Result<Self> {
        let tbs = certificate.tbs_certificate();
        let spki = tbs.subject_public_key_info().to_der().map_err(cannot_encode)?;
        Ok(Self {
            public_key: PublicKey::from_spki_der(&spki).map_err(|error| error.in_context("the certificate"))?,
            // The form that every verifier knows, Authenticode's and S/MIME's among them.
            identifier: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
                issuer: tbs.issuer().clone(),
                serial_number: tbs.serial_number().clone(),
            }),
            certificates: vec![certificate.clone()],
            embed_certificates: true,
            content_type: ID_DATA,
            signing_time: None,
            signing_certificate: None,
        })
    }

    /// Adds certificates between the signer's and the root, so that a verifier needs only the root. In any order; the
    /// signer's own and repeated ones are passed over.
    pub fn with_certificates<'a>(mut self, certificates: impl IntoIterator<Item = &'a Certificate>) -> Self {
        for certificate in certificates {
            if !self.certificates.contains(certificate) {
                self.certificates.push(certificate.clone());
            }
        }
        self
    }

    /// Leaves all certificates out: who verifies must have them.
    pub fn without_certificates(mut self) -> Self {
        self.embed_certificates = false;
        self
    }

    /// States what the content is; [`ID_DATA`] unless set.
    pub fn with_content_type(mut self, content_type: ObjectIdentifier) -> Self {
        self.content_type = content_type;
        self
    }

    /// States when it was signed, in whole seconds; the time of each signature unless set.
    pub fn with_signing_time(mut self, time: SystemTime) -> Self {
        self.signing_time = Some(time);
        self
    }

    /// Signs the SHA-256 of the signer's certificate as well: `signing-certificate-v2` (RFC 5035 section 3), which
    /// time stamps must have (RFC 5816) and CAdES-BES asks for.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when the certificate cannot be encoded.
    pub fn with_signing_certificate(mut self) -> Result<Self> {
        let certificate = self.certificates[0].to_der().map_err(cannot_encode)?;
        self.signing_certificate = Some(attributes::signing_certificate(&certificate).map_err(cannot_encode)?);
        Ok(self)
    }

    /// Signs content that stays outside, of any size: it is hashed as it is read, in pieces of 64 KiB. One signature;
    /// parks the calling thread.
    ///
    /// # Errors
    /// [`KeyMismatch`](ErrorKind::KeyMismatch) when the key is not the certificate's, before anything is read;
    /// [`Other`](ErrorKind::Other) when the content cannot be read; those of [`Signer::sign`].
    pub fn detached(&self, signer: &SyncSigner, content: impl Read) -> Result<ContentInfo> {
        self.check_key(&**signer.inner())?;
        let digest = content_hash(signer.inner().algorithm())
            .digest_reader(content)
            .map_err(|error| Error::new(ErrorKind::Other, "cannot read the content").with_source(error))?;
        block_on(self.sign(&**signer.inner(), &digest, None))
    }

    /// Signs content that stays outside, by its digest; [`content_hash`] says by which hash. One signature.
    ///
    /// # Errors
    /// [`KeyMismatch`](ErrorKind::KeyMismatch) when the key is not the certificate's,
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when the digest is of another hash; those of [`Signer::sign`].
    pub async fn detached_async(&self, signer: &AsyncSigner, digest: &Digest) -> Result<ContentInfo> {
        let expected = content_hash(signer.inner().algorithm());
        if digest.algorithm() != expected {
            let context = format!("a {} digest where {expected} goes with the key", digest.algorithm());
            return Err(Error::new(ErrorKind::InvalidArgument, context));
        }
        self.sign(&**signer.inner(), digest, None).await
    }

    /// Signs content and encloses it. One signature; parks the calling thread.
    ///
    /// # Errors
    /// [`KeyMismatch`](ErrorKind::KeyMismatch) when the key is not the certificate's; those of [`Signer::sign`].
    pub fn attached(&self, signer: &SyncSigner, content: &[u8]) -> Result<ContentInfo> {
        let digest = content_hash(signer.inner().algorithm()).digest(content);
        block_on(self.sign(&**signer.inner(), &digest, Some(content)))
    }

    /// As [`attached`](Self::attached), for asynchronous callers.
    ///
    /// # Errors
    /// As [`attached`](Self::attached).
    pub async fn attached_async(&self, signer: &AsyncSigner, content: &[u8]) -> Result<ContentInfo> {
        let digest = content_hash(signer.inner().algorithm()).digest(content);
        self.sign(&**signer.inner(), &digest, Some(content)).await
    }

    fn check_key(&self, signer: &dyn Signer) -> Result<()> {
        if self.public_key == *signer.public_key() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::KeyMismatch, "the signer's certificate is not that of the key")
            .with_hint("give the certificate that belongs to the key's URI"))
    }

    async fn sign(&self, signer: &dyn Signer, digest: &Digest, content: Option<&[u8]>) -> Result<ContentInfo> {
        self.check_key(signer)?;
        let attributes = self.signed_attributes(digest).map_err(cannot_encode)?;
        // Signed is their encoding as a SET, not the [0] under which they are sent (RFC 5652 section 5.4).
        let signature = signer.sign(&attributes.to_der().map_err(cannot_encode)?).await?;
        let signer_info = SignerInfo {
            version: CmsVersion::V1,
            sid: self.identifier.clone(),
            digest_alg: digest_algorithm(digest.algorithm()),
            signed_attrs: Some(attributes),
            signature_algorithm: signature_algorithm(signer.algorithm()),
            signature: OctetString::new(signature.into_bytes()).map_err(cannot_encode)?,
            unsigned_attrs: None,
        };
        self.assemble(signer_info, content).map_err(cannot_encode)
    }

    fn signed_attributes(&self, digest: &Digest) -> der::Result<SignedAttributes> {
        let time = self.signing_time.unwrap_or_else(SystemTime::now);
        let mut all = vec![
            attributes::content_type(self.content_type)?,
            attributes::message_digest(digest.as_bytes())?,
            attributes::signing_time(time)?,
        ];
        if let Some(der) = &self.signing_certificate {
            all.push(attributes::signing_certificate_v2(der)?);
        }
        SetOfVec::try_from(all)
    }

    fn assemble(&self, signer_info: SignerInfo, content: Option<&[u8]>) -> der::Result<ContentInfo> {
        let certificates = self.certificates.iter().cloned().map(CertificateChoices::Certificate).collect::<Vec<_>>();
        let content = content.map(|content| Any::new(Tag::OctetString, content)).transpose()?;
        let signed_data = SignedData {
            // RFC 5652 section 5.1: what is not plain data is version 3.
            version: if self.content_type == ID_DATA { CmsVersion::V1 } else { CmsVersion::V3 },
            digest_algorithms: SetOfVec::try_from([signer_info.digest_alg.clone()])?,
            encap_content_info: EncapsulatedContentInfo { econtent_type: self.content_type, econtent: content },
            certificates: self.embed_certificates.then(|| CertificateSet::try_from(certificates)).transpose()?,
            crls: None,
            signer_infos: SignerInfos(SetOfVec::try_from([signer_info])?),
        };
        Ok(ContentInfo { content_type: ID_SIGNED_DATA, content: Any::encode_from(&signed_data)? })
    }
}

/// Without parameters, as RFC 5754 section 2 asks.
fn digest_algorithm(hash: HashAlgorithm) -> AlgorithmIdentifierOwned {
    let oid = match hash {
        HashAlgorithm::Sha384 => "2.16.840.1.101.3.4.2.2",
        HashAlgorithm::Sha512 => "2.16.840.1.101.3.4.2.3",
        _ => "2.16.840.1.101.3.4.2.1",
    };
    AlgorithmIdentifierOwned { oid: ObjectIdentifier::new_unwrap(oid), parameters: None }
}

/// As X.509 has it, except for RSA PKCS #1: there CMS names the key, and the hash is that of the digest (RFC 3370 section
/// 3.2).
fn signature_algorithm(algorithm: SignatureAlgorithm) -> AlgorithmIdentifierOwned {
    match algorithm {
        SignatureAlgorithm::RsaPkcs1Sha256
        | SignatureAlgorithm::RsaPkcs1Sha384
        | SignatureAlgorithm::RsaPkcs1Sha512 => {
            AlgorithmIdentifierOwned { oid: RSA_ENCRYPTION, parameters: Some(Any::null()) }
        }
        _ => algorithm.algorithm_identifier(),
    }
}

fn cannot_encode(error: der::Error) -> Error {
    Error::new(ErrorKind::InvalidArgument, "cannot encode the SignedData").with_source(error)
}
