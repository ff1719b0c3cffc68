//! How a key signs.

use std::fmt;
use std::str::FromStr;

use der::Any;
use der::asn1::{Null, ObjectIdentifier};
use spki::AlgorithmIdentifierOwned;

use super::oid;
use crate::digest::HashAlgorithm;
use crate::{Error, ErrorKind, KeyUri, Result};

/// How a key signs: scheme, padding and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// ECDSA with SHA-256, on P-256 or secp256k1.
    EcdsaSha256,
    /// ECDSA with SHA-384, on P-384.
    EcdsaSha384,
    /// ECDSA with SHA-512, on P-521.
    EcdsaSha512,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017).
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RsaPkcs1Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RsaPkcs1Sha512,
    /// RSASSA-PSS with SHA-256, MGF1 with the same hash, a salt of 32 octets (RFC 4055).
    RsaPssSha256,
    /// RSASSA-PSS with SHA-384, MGF1 with the same hash, a salt of 48 octets.
    RsaPssSha384,
    /// RSASSA-PSS with SHA-512, MGF1 with the same hash, a salt of 64 octets.
    RsaPssSha512,
    /// Ed25519 over the message itself, not a digest (RFC 8032).
    Ed25519,
    /// ML-DSA-44 over the message, with an empty context (FIPS 204).
    MlDsa44,
    /// ML-DSA-65 over the message, with an empty context.
    MlDsa65,
    /// ML-DSA-87 over the message, with an empty context.
    MlDsa87,
}

/// Canonical name, other spellings in use (JOSE, AWS, step), hash, object identifier.
type Row = (SignatureAlgorithm, &'static str, &'static [&'static str], Option<HashAlgorithm>, ObjectIdentifier);

const TABLE: [Row; 13] = {
    use HashAlgorithm::{Sha256, Sha384, Sha512};
    use SignatureAlgorithm as Alg;
    [
        (Alg::EcdsaSha256, "ecdsa-sha256", &["es256", "es256k", "ecdsa-sha-256"], Some(Sha256), oid::ECDSA_SHA256),
        (Alg::EcdsaSha384, "ecdsa-sha384", &["es384", "ecdsa-sha-384"], Some(Sha384), oid::ECDSA_SHA384),
        (Alg::EcdsaSha512, "ecdsa-sha512", &["es512", "ecdsa-sha-512"], Some(Sha512), oid::ECDSA_SHA512),
        (
            Alg::RsaPkcs1Sha256,
            "rsa-pkcs1-sha256",
            &["rs256", "rsassa-pkcs1-v1-5-sha-256", "sha256-rsa", "rsa-sha256"],
            Some(Sha256),
            oid::RSA_SHA256,
        ),
        (
            Alg::RsaPkcs1Sha384,
            "rsa-pkcs1-sha384",
            &["rs384", "rsassa-pkcs1-v1-5-sha-384", "sha384-rsa", "rsa-sha384"],
            Some(Sha384),
            oid::RSA_SHA384,
        ),
        (
            Alg::RsaPkcs1Sha512,
            "rsa-pkcs1-sha512",
            &["rs512", "rsassa-pkcs1-v1-5-sha-512", "sha512-rsa", "rsa-sha512"],
            Some(Sha512),
            oid::RSA_SHA512,
        ),
        (
            Alg::RsaPssSha256,
            "rsa-pss-sha256",
            &["ps256", "rsassa-pss-sha-256", "sha256-rsapss"],
            Some(Sha256),
            oid::RSA_PSS,
        ),
        (
            Alg::RsaPssSha384,
            "rsa-pss-sha384",
            &["ps384", "rsassa-pss-sha-384", "sha384-rsapss"],
            Some(Sha384),
            oid::RSA_PSS,
        ),
        (
            Alg::RsaPssSha512,
            "rsa-pss-sha512",
            &["ps512", "rsassa-pss-sha-512", "sha512-rsapss"],
            Some(Sha512),
            oid::RSA_PSS,
        ),
        (Alg::Ed25519, "ed25519", &["eddsa", "ed25519-sha-512", "pureed25519"], None, oid::ED25519),
        (Alg::MlDsa44, "ml-dsa-44", &["mldsa44", "mldsa-44"], None, oid::ML_DSA_44),
        (Alg::MlDsa65, "ml-dsa-65", &["mldsa65", "mldsa-65"], None, oid::ML_DSA_65),
        (Alg::MlDsa87, "ml-dsa-87", &["mldsa87", "mldsa-87"], None, oid::ML_DSA_87),
    ]
};

impl SignatureAlgorithm {
    /// Every algorithm.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// The canonical spelling, as in `;alg=`: `ecdsa-sha256`, `rsa-pss-sha256`, `ml-dsa-65`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The hash over the message, or `None` where the key signs the message itself.
    pub fn hash(self) -> Option<HashAlgorithm> {
        self.row().3
    }

    /// The algorithm stated for a key: by the caller, or by `;alg=` in the URI.
    ///
    /// # Errors
    /// [`InvalidUri`](ErrorKind::InvalidUri) for an unknown name in the URI, or when both state one and they differ.
    pub fn stated(uri: &KeyUri, caller: Option<Self>) -> Result<Option<Self>> {
        let Some(text) = uri.alg() else { return Ok(caller) };
        let named = text.parse::<Self>().map_err(|error| {
            Error::new(ErrorKind::InvalidUri, "unknown signature algorithm in `alg`")
                .with_hint(error.hint().unwrap_or_default().to_owned())
        })?;
        match caller {
            Some(other) if other != named => {
                Err(Error::new(ErrorKind::InvalidUri, format!("the URI says `alg={named}`, the caller {other}"))
                    .with_hint("state the algorithm once"))
            }
            _ => Ok(Some(named)),
        }
    }

    /// Whether this is RSASSA-PSS.
    pub fn is_pss(self) -> bool {
        matches!(self, Self::RsaPssSha256 | Self::RsaPssSha384 | Self::RsaPssSha512)
    }

    /// Whether this is ECDSA.
    pub fn is_ecdsa(self) -> bool {
        matches!(self, Self::EcdsaSha256 | Self::EcdsaSha384 | Self::EcdsaSha512)
    }

    /// `AlgorithmIdentifier` of the signature in certificates, CSRs and CRLs (RFC 5758, 4055, 8410, 9881).
    pub fn algorithm_identifier(self) -> AlgorithmIdentifierOwned {
        let parameters = match self {
            Self::RsaPkcs1Sha256 | Self::RsaPkcs1Sha384 | Self::RsaPkcs1Sha512 => Some(Any::from(Null)),
            Self::RsaPssSha256 | Self::RsaPssSha384 | Self::RsaPssSha512 => self.hash().map(pss_parameters),
            _ => None,
        };
        AlgorithmIdentifierOwned { oid: self.row().4, parameters }
    }

    fn row(self) -> &'static Row {
        // The table is in the order of the enum; a test holds it there.
        &TABLE[self as usize]
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads the canonical spelling and those of JOSE (`PS256`), AWS (`RSASSA_PSS_SHA_256`) and step (`SHA256-RSAPSS`);
/// case and `_` against `-` do not matter.
impl FromStr for SignatureAlgorithm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wanted = text.to_ascii_lowercase().replace('_', "-");
        TABLE.iter().find(|row| row.1 == wanted || row.2.contains(&wanted.as_str())).map(|row| row.0).ok_or_else(|| {
            let known: Vec<_> = TABLE.iter().map(|row| row.1).collect();
            Error::new(ErrorKind::InvalidArgument, "unknown signature algorithm")
                .with_hint(format!("known: {}", known.join(", ")))
        })
    }
}

/// `RSASSA-PSS-params` of RFC 4055 section 3.1 with one hash throughout and a salt of its length.
fn pss_parameters(hash: HashAlgorithm) -> Any {
    let arc = match hash {
        HashAlgorithm::Sha256 => 1,
        HashAlgorithm::Sha384 => 2,
        HashAlgorithm::Sha512 => 3,
    };
    // SEQUENCE content: [0] { hash } [1] { mgf1 { hash } } [2] INTEGER salt
    let identifier = [0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, arc, 0x05, 0x00];
    let mut content = vec![0xa0, 0x0f];
    content.extend_from_slice(&identifier);
    content.extend_from_slice(&[0xa1, 0x1c, 0x30, 0x1a]);
    content.extend_from_slice(&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08]);
    content.extend_from_slice(&identifier);
    content.extend_from_slice(&[0xa2, 0x03, 0x02, 0x01, salt(hash)]);
    Any::new(der::Tag::Sequence, content).unwrap_or_else(|_| Any::null())
}

fn salt(hash: HashAlgorithm) -> u8 {
    match hash {
        HashAlgorithm::Sha256 => 32,
        HashAlgorithm::Sha384 => 48,
        HashAlgorithm::Sha512 => 64,
    }
}

#[cfg(test)]
mod tests {
    use der::Encode;

    use super::*;

    #[test]
    fn table_is_in_the_order_of_the_enum() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, index, "{}", row.1);
        }
    }

    #[test]
    fn names_of_other_systems_are_read() {
        for (text, algorithm) in [
            ("ecdsa-sha256", SignatureAlgorithm::EcdsaSha256),
            ("ES384", SignatureAlgorithm::EcdsaSha384),
            ("RSASSA_PSS_SHA_256", SignatureAlgorithm::RsaPssSha256),
            ("RSASSA_PKCS1_V1_5_SHA_512", SignatureAlgorithm::RsaPkcs1Sha512),
            ("SHA384-RSAPSS", SignatureAlgorithm::RsaPssSha384),
            ("EdDSA", SignatureAlgorithm::Ed25519),
            ("ML_DSA_65", SignatureAlgorithm::MlDsa65),
        ] {
            assert_eq!(text.parse::<SignatureAlgorithm>().unwrap(), algorithm, "{text}");
        }
        for text in ["", "sha256", "rsa", "ecdsa", "md5-rsa", "ecdsa-sha256 "] {
            assert_eq!(text.parse::<SignatureAlgorithm>().unwrap_err().kind(), ErrorKind::InvalidArgument, "{text}");
        }
    }

    #[test]
    fn every_name_reads_back() {
        for algorithm in SignatureAlgorithm::all() {
            assert_eq!(algorithm.name().parse::<SignatureAlgorithm>().unwrap(), algorithm);
        }
    }

    #[test]
    fn pss_parameters_are_those_of_rfc_4055() {
        let der = SignatureAlgorithm::RsaPssSha256.algorithm_identifier().to_der().unwrap();
        let expected = "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108\
                        300d06096086480165030402010500a203020120";
        let hex: String = der.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        assert_eq!(hex, expected);
    }
}
