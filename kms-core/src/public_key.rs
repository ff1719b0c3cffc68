//! Public keys: `SubjectPublicKeyInfo` in and out, identifiers, and verification.

use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::signature::{self as lc, ParsedPublicKey, VerificationAlgorithm};
use der::asn1::{BitStringRef, UintRef};
use der::pem::LineEnding;
use der::{Decode, Encode, Sequence};
use spki::{Document, SubjectPublicKeyInfo, SubjectPublicKeyInfoRef};

use crate::{Digest, Error, ErrorKind, KeyType, Result, SignatureAlgorithm};

mod low_order;

/// A public key, checked when it was read: an ECDSA point is on its curve, an Ed25519 point is not of low order, a
/// modulus is long enough. An Ed25519 point off its curve shows only in that nothing verifies.
///
/// Cheap to clone. Two are equal when their `SubjectPublicKeyInfo` is, octet by octet; only the canonical encoding is
/// accepted, so equal keys are always equal.
#[derive(Clone)]
pub struct PublicKey(Arc<Inner>);

struct Inner {
    spki: Document,
    key_offset: usize,
    key_type: KeyType,
    /// Parsed once for each algorithm the key is used with, in the order of `KeyType::algorithms`.
    verifiers: [OnceLock<ParsedPublicKey>; 6],
}

impl PublicKey {
    /// Shortest RSA modulus accepted, in bits.
    pub const RSA_MIN_BITS: u32 = 2048;
    /// Longest RSA modulus accepted, in bits.
    pub const RSA_MAX_BITS: u32 = 8192;

    /// Reads a DER `SubjectPublicKeyInfo` (RFC 5280 section 4.1).
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when it is not one, not in canonical form, or the key is not a
    /// valid one; [`Unsupported`](ErrorKind::Unsupported) for a key type or size that no backend here signs with.
    pub fn from_spki_der(der: &[u8]) -> Result<Self> {
        let spki = SubjectPublicKeyInfoRef::from_der(der)
            .map_err(|error| invalid("not a DER SubjectPublicKeyInfo").with_source(error))?;
        let bits = spki.subject_public_key.as_bytes().ok_or_else(|| invalid("public key with unused bits"))?;
        let key = Self::from_raw(key_type_of(&spki, bits)?, bits)?;
        if key.spki_der() == der { Ok(key) } else { Err(invalid("SubjectPublicKeyInfo is not in canonical form")) }
    }

    /// Reads the first `PUBLIC KEY` block of a PEM text (RFC 7468).
    ///
    /// # Errors
    /// As [`from_spki_der`](Self::from_spki_der), and `InvalidArgument` for other PEM blocks or none.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let (label, document) = Document::from_pem(block(pem).unwrap_or(pem))
            .map_err(|error| invalid("not a PEM text").with_source(error))?;
        if label != "PUBLIC KEY" {
            return Err(invalid("PEM block is not a PUBLIC KEY").with_hint(format!("found a {label}")));
        }
        Self::from_spki_der(document.as_bytes())
    }

    /// Takes the content of the `subjectPublicKey` BIT STRING: the uncompressed point, `RSAPublicKey`, or raw octets.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when it is not a valid key of that type,
    /// [`Unsupported`](ErrorKind::Unsupported) for a modulus outside 2048 to 8192 bits.
    pub fn from_raw(key_type: KeyType, bits: &[u8]) -> Result<Self> {
        if let KeyType::Rsa { bits } = key_type
            && !(Self::RSA_MIN_BITS..=Self::RSA_MAX_BITS).contains(&bits)
        {
            return Err(Error::new(ErrorKind::Unsupported, format!("RSA key of {bits} bits")).with_hint(format!(
                "use {} to {} bits",
                Self::RSA_MIN_BITS,
                Self::RSA_MAX_BITS
            )));
        }
        if let KeyType::Rsa { bits: stated } = key_type
            && modulus_bits(bits)? != stated
        {
            return Err(invalid("RSA modulus is of another length than stated"));
        }
        if key_type.is_ecdsa() && bits.first() != Some(&4) {
            return Err(invalid("elliptic-curve point is not in uncompressed form"));
        }
        if key_type == KeyType::Ed25519 && low_order::is_low_order(bits) {
            return Err(invalid("Ed25519 point of low order: anybody could sign for it"));
        }
        let encode = || -> der::Result<Document> {
            let subject_public_key = BitStringRef::from_bytes(bits)?;
            Document::encode_msg(&SubjectPublicKeyInfo {
                algorithm: key_type.algorithm_identifier(),
                subject_public_key,
            })
        };
        let spki = encode().map_err(|error| invalid("cannot encode public key").with_source(error))?;
        let key_offset = spki.as_bytes().len() - bits.len();
        let key = Self(Arc::new(Inner { spki, key_offset, key_type, verifiers: Default::default() }));
        // Parses, and so checks, the key now: a later verification cannot meet a bad key.
        key.verifier(key_type.default_algorithm())?;
        Ok(key)
    }

    /// What the key is.
    pub fn key_type(&self) -> KeyType {
        self.0.key_type
    }

    /// The DER `SubjectPublicKeyInfo`.
    pub fn spki_der(&self) -> &[u8] {
        self.0.spki.as_bytes()
    }

    /// The content of the `subjectPublicKey` BIT STRING: the uncompressed point, `RSAPublicKey`, or raw octets.
    pub fn raw(&self) -> &[u8] {
        &self.spki_der()[self.0.key_offset..]
    }

    /// A PEM `PUBLIC KEY` block with a line feed at each line's end.
    pub fn to_pem(&self) -> String {
        // Fails only for a label or size outside what PEM can carry, and both are ours.
        self.0.spki.to_pem("PUBLIC KEY", LineEnding::LF).unwrap_or_default()
    }

    /// Key identifier by RFC 7093 section 2 method 1: the first 20 octets of the SHA-256 of the key's bits.
    pub fn key_identifier(&self) -> [u8; 20] {
        first_20(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.raw()).as_ref())
    }

    /// Key identifier by RFC 5280 section 4.2.1.2 method 1: the SHA-1 of the key's bits.
    pub fn key_identifier_sha1(&self) -> [u8; 20] {
        first_20(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, self.raw()).as_ref())
    }

    /// Verifies a signature over a message. `signature` is as X.509 carries it: DER for ECDSA, plain octets otherwise.
    ///
    /// # Errors
    /// [`Integrity`](ErrorKind::Integrity) when it does not verify, [`Unsupported`](ErrorKind::Unsupported) when the
    /// key's type does not go with the algorithm.
    pub fn verify(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> Result<()> {
        self.verifier(algorithm)?.verify_sig(message, signature).map_err(|_| mismatch(algorithm))
    }

    /// Verifies a signature over the digest of a message; see [`verify`](Self::verify).
    ///
    /// # Errors
    /// Also [`InvalidArgument`](ErrorKind::InvalidArgument) when the digest is of another hash, or the algorithm signs
    /// messages only.
    pub fn verify_digest(&self, algorithm: SignatureAlgorithm, digest: &Digest, signature: &[u8]) -> Result<()> {
        algorithm.check_digest(digest)?;
        self.verifier(algorithm)?.verify_digest_sig(digest.native(), signature).map_err(|_| mismatch(algorithm))
    }

    fn verifier(&self, algorithm: SignatureAlgorithm) -> Result<&ParsedPublicKey> {
        let key_type = self.key_type();
        key_type.settle(Some(algorithm))?;
        let position = key_type.algorithms().iter().position(|other| *other == algorithm).unwrap_or_default();
        let slot = &self.0.verifiers[position];
        if let Some(parsed) = slot.get() {
            return Ok(parsed);
        }
        let parsed = ParsedPublicKey::new(native(key_type, algorithm), self.spki_der())
            .map_err(|error| invalid("not a valid public key of its type").with_source(error))?;
        Ok(slot.get_or_init(|| parsed))
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki_der() == other.spki_der()
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, ", self.key_type())?;
        for octet in self.key_identifier() {
            write!(f, "{octet:02x}")?;
        }
        f.write_str(")")
    }
}

impl spki::EncodePublicKey for PublicKey {
    fn to_public_key_der(&self) -> spki::Result<Document> {
        Ok(self.0.spki.clone())
    }
}

#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

fn key_type_of(spki: &SubjectPublicKeyInfoRef<'_>, bits: &[u8]) -> Result<KeyType> {
    if spki.algorithm.oid == (KeyType::Rsa { bits: 0 }).oid() {
        return Ok(KeyType::Rsa { bits: modulus_bits(bits)? });
    }
    let identifier = spki.algorithm.to_der().map_err(|error| invalid("bad algorithm identifier").with_source(error))?;
    KeyType::CREATABLE
        .into_iter()
        .find(|key_type| key_type.algorithm_identifier().to_der().is_ok_and(|der| der == identifier))
        .ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "public key of an unknown algorithm or curve")
                .with_hint(format!("its algorithm is {}", spki.algorithm.oid))
        })
}

fn modulus_bits(key: &[u8]) -> Result<u32> {
    let key = RsaPublicKey::from_der(key).map_err(|error| invalid("not an RSAPublicKey").with_source(error))?;
    let modulus = key.modulus.as_bytes();
    let leading = modulus.first().map_or(0, |octet| octet.leading_zeros());
    Ok(u32::try_from(modulus.len() * 8).unwrap_or(u32::MAX).saturating_sub(leading))
}

/// From BEGIN to END of the first block that is a public key; other blocks and text are passed over.
fn block(pem: &str) -> Option<&str> {
    const END: &str = "-----END PUBLIC KEY-----";
    let from_begin = &pem[pem.find("-----BEGIN PUBLIC KEY-----")?..];
    Some(&from_begin[..from_begin.find(END)? + END.len()])
}

fn native(key_type: KeyType, algorithm: SignatureAlgorithm) -> &'static dyn VerificationAlgorithm {
    use SignatureAlgorithm as Alg;
    match algorithm {
        Alg::EcdsaSha256 if key_type == KeyType::EcSecp256k1 => &lc::ECDSA_P256K1_SHA256_ASN1,
        Alg::EcdsaSha256 => &lc::ECDSA_P256_SHA256_ASN1,
        Alg::EcdsaSha384 => &lc::ECDSA_P384_SHA384_ASN1,
        Alg::EcdsaSha512 => &lc::ECDSA_P521_SHA512_ASN1,
        Alg::RsaPkcs1Sha256 => &lc::RSA_PKCS1_2048_8192_SHA256,
        Alg::RsaPkcs1Sha384 => &lc::RSA_PKCS1_2048_8192_SHA384,
        Alg::RsaPkcs1Sha512 => &lc::RSA_PKCS1_2048_8192_SHA512,
        Alg::RsaPssSha256 => &lc::RSA_PSS_2048_8192_SHA256,
        Alg::RsaPssSha384 => &lc::RSA_PSS_2048_8192_SHA384,
        Alg::RsaPssSha512 => &lc::RSA_PSS_2048_8192_SHA512,
        Alg::Ed25519 => &lc::ED25519,
        Alg::MlDsa44 => &lc::ML_DSA_44,
        Alg::MlDsa65 => &lc::ML_DSA_65,
        Alg::MlDsa87 => &lc::ML_DSA_87,
    }
}

fn first_20(octets: &[u8]) -> [u8; 20] {
    let mut identifier = [0; 20];
    identifier.copy_from_slice(&octets[..20]);
    identifier
}

fn invalid(context: &'static str) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}

fn mismatch(algorithm: SignatureAlgorithm) -> Error {
    Error::new(ErrorKind::Integrity, format!("{algorithm} signature does not verify against the public key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8410 section 10.1.
    const ED25519: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

    #[test]
    fn pem_and_der_read_back_what_they_wrote() {
        let key = PublicKey::from_pem(ED25519).unwrap();
        assert_eq!(key.key_type(), KeyType::Ed25519);
        assert_eq!(key.to_pem(), ED25519);
        assert_eq!(PublicKey::from_spki_der(key.spki_der()).unwrap(), key);
        assert_eq!(PublicKey::from_raw(KeyType::Ed25519, key.raw()).unwrap(), key);
    }

    #[test]
    fn the_first_public_key_of_a_pem_text_is_read() {
        const PARAMETERS: &str = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        let key = PublicKey::from_pem(ED25519).unwrap();
        for text in [format!("{PARAMETERS}{ED25519}"), format!("{ED25519}{PARAMETERS}"), format!("a\n{ED25519}b")] {
            assert_eq!(PublicKey::from_pem(&text).unwrap(), key, "{text}");
        }
    }

    #[test]
    fn a_modulus_is_of_the_length_stated() {
        let modulus = [&[0x02, 0x82, 1, 1, 0, 0xc1][..], &[0x5b; 255]].concat();
        let key = [&[0x30, 0x82, 1, 0x0a][..], &modulus, &[2, 3, 1, 0, 1]].concat();
        PublicKey::from_raw(KeyType::Rsa { bits: 2048 }, &key).unwrap();
        let error = PublicKey::from_raw(KeyType::Rsa { bits: 4096 }, &key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }

    #[test]
    fn bad_keys_are_refused() {
        let good = PublicKey::from_pem(ED25519).unwrap();
        let mut trailing = good.spki_der().to_vec();
        trailing.push(0);
        let off_curve = [&[4][..], &[1; 64][..]].concat();
        for (what, result) in [
            ("empty", PublicKey::from_spki_der(&[])),
            ("trailing octet", PublicKey::from_spki_der(&trailing)),
            ("short Ed25519", PublicKey::from_raw(KeyType::Ed25519, &[0; 31])),
            ("point off the curve", PublicKey::from_raw(KeyType::EcP256, &off_curve)),
            ("compressed point", PublicKey::from_raw(KeyType::EcP256, &[2; 33])),
            ("not PEM", PublicKey::from_pem("no key here")),
            ("another block", PublicKey::from_pem("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")),
        ] {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidArgument, "{what}");
        }
    }

    #[test]
    fn a_key_verifies_with_its_own_algorithm_only() {
        let key = PublicKey::from_pem(ED25519).unwrap();
        let error = key.verify(SignatureAlgorithm::EcdsaSha256, b"", b"").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let error = key.verify(SignatureAlgorithm::Ed25519, b"", &[0; 64]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity);
    }
}
