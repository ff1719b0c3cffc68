//! Verification of signatures made elsewhere, which name their algorithm themselves.

use aws_lc_rs::signature::{self as lc, ParsedPublicKey, VerificationAlgorithm};
use der::Encode;
use spki::{AlgorithmIdentifierOwned, ObjectIdentifier};

use crate::{Error, ErrorKind, KeyType, PublicKey, Result, SignatureAlgorithm};

impl PublicKey {
    /// Verifies the signature of a certificate, CSR or CRL by the `AlgorithmIdentifier` beside it.
    ///
    /// Wider than what keys here sign with: ECDSA on P-256, P-384 and P-521 with each of SHA-256, SHA-384 and SHA-512,
    /// since others do not bind curve and hash. RSASSA-PSS only with one hash throughout and a salt of its length.
    ///
    /// # Errors
    /// [`Integrity`](ErrorKind::Integrity) when it does not verify; [`Unsupported`](ErrorKind::Unsupported) for another
    /// algorithm, SHA-1 among them, or one that is not of this key's type.
    pub fn verify_x509(&self, algorithm: &AlgorithmIdentifierOwned, message: &[u8], signature: &[u8]) -> Result<()> {
        if let Some(known) = SignatureAlgorithm::from_identifier(algorithm)
            && self.key_type().algorithms().contains(&known)
        {
            return self.verify(known, message, signature);
        }
        let native = ecdsa(self.key_type(), algorithm).ok_or_else(|| {
            let context = format!("signature algorithm {} on a key of type {}", algorithm.oid, self.key_type());
            Error::new(ErrorKind::Unsupported, context).with_hint("use SHA-256, SHA-384 or SHA-512")
        })?;
        let verified =
            ParsedPublicKey::new(native, self.spki_der()).is_ok_and(|key| key.verify_sig(message, signature).is_ok());
        if verified { Ok(()) } else { Err(Error::new(ErrorKind::Integrity, "the signature does not verify")) }
    }
}

impl SignatureAlgorithm {
    /// The algorithm an `AlgorithmIdentifier` names. NULL parameters may be left out for RSA PKCS #1 v1.5, as RFC 4055
    /// section 5 asks verifiers to accept.
    pub fn from_identifier(identifier: &AlgorithmIdentifierOwned) -> Option<Self> {
        let wanted = identifier.to_der().ok()?;
        Self::all().find(|algorithm| {
            let mut own = algorithm.algorithm_identifier();
            if identifier.parameters.is_none() && !algorithm.is_pss() {
                own.parameters = None;
            }
            own.to_der().is_ok_and(|der| der == wanted)
        })
    }
}

fn ecdsa(key_type: KeyType, identifier: &AlgorithmIdentifierOwned) -> Option<&'static dyn VerificationAlgorithm> {
    const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
    const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
    const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
    if identifier.parameters.is_some() {
        return None; // RFC 5758 section 3.2: absent.
    }
    Some(match (key_type, identifier.oid) {
        (KeyType::EcP256, SHA384) => &lc::ECDSA_P256_SHA384_ASN1,
        (KeyType::EcP256, SHA512) => &lc::ECDSA_P256_SHA512_ASN1,
        (KeyType::EcP384, SHA256) => &lc::ECDSA_P384_SHA256_ASN1,
        (KeyType::EcP384, SHA512) => &lc::ECDSA_P384_SHA512_ASN1,
        (KeyType::EcP521, SHA256) => &lc::ECDSA_P521_SHA256_ASN1,
        (KeyType::EcP521, SHA384) => &lc::ECDSA_P521_SHA384_ASN1,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_identifier_reads_back() {
        for algorithm in SignatureAlgorithm::all() {
            let mut identifier = algorithm.algorithm_identifier();
            assert_eq!(SignatureAlgorithm::from_identifier(&identifier), Some(algorithm));
            identifier.parameters = Some(der::Any::new(der::Tag::OctetString, [0]).unwrap());
            assert_eq!(SignatureAlgorithm::from_identifier(&identifier), None, "{algorithm}");
        }
    }
}
