//! What a key is, and what it can sign with.

use std::fmt;
use std::str::FromStr;

use der::Any;
use der::asn1::ObjectIdentifier;
use spki::AlgorithmIdentifierOwned;

use super::{SignatureAlgorithm, oid};
use crate::{Error, ErrorKind, Result};

/// What a key is: its family and its size or parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum KeyType {
    /// NIST P-256, secp256r1.
    EcP256,
    /// NIST P-384, secp384r1.
    EcP384,
    /// NIST P-521, secp521r1.
    EcP521,
    /// secp256k1, of SEC 2.
    EcSecp256k1,
    /// RSA.
    Rsa {
        /// Length of the modulus in bits.
        bits: u32,
    },
    /// Ed25519, RFC 8032.
    Ed25519,
    /// ML-DSA-44, FIPS 204.
    MlDsa44,
    /// ML-DSA-65, FIPS 204.
    MlDsa65,
    /// ML-DSA-87, FIPS 204.
    MlDsa87,
}

impl KeyType {
    /// The key types that can be created, in the order in which tools list them.
    pub const CREATABLE: [Self; 11] = [
        Self::EcP256,
        Self::EcP384,
        Self::EcP521,
        Self::EcSecp256k1,
        Self::Rsa { bits: 2048 },
        Self::Rsa { bits: 3072 },
        Self::Rsa { bits: 4096 },
        Self::Ed25519,
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
    ];

    /// The algorithms a key of this type may sign with, the default first.
    ///
    /// An elliptic curve is bound to the hash of its own strength, as the cloud services and RFC 7518 bind it.
    pub fn algorithms(self) -> &'static [SignatureAlgorithm] {
        use SignatureAlgorithm as Alg;
        match self {
            Self::EcP256 | Self::EcSecp256k1 => &[Alg::EcdsaSha256],
            Self::EcP384 => &[Alg::EcdsaSha384],
            Self::EcP521 => &[Alg::EcdsaSha512],
            Self::Rsa { .. } => &[
                Alg::RsaPkcs1Sha256,
                Alg::RsaPkcs1Sha384,
                Alg::RsaPkcs1Sha512,
                Alg::RsaPssSha256,
                Alg::RsaPssSha384,
                Alg::RsaPssSha512,
            ],
            Self::Ed25519 => &[Alg::Ed25519],
            Self::MlDsa44 => &[Alg::MlDsa44],
            Self::MlDsa65 => &[Alg::MlDsa65],
            Self::MlDsa87 => &[Alg::MlDsa87],
        }
    }

    /// The algorithm used when none is stated; for RSA, PKCS #1 v1.5 with SHA-256.
    pub fn default_algorithm(self) -> SignatureAlgorithm {
        self.algorithms()[0]
    }

    /// Settles the algorithm of a signer: `stated` if the key can do it, else the default.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported), naming what the key can do.
    pub fn settle(self, stated: Option<SignatureAlgorithm>) -> Result<SignatureAlgorithm> {
        let Some(stated) = stated else { return Ok(self.default_algorithm()) };
        if self.algorithms().contains(&stated) {
            return Ok(stated);
        }
        let able: Vec<_> = self.algorithms().iter().map(|algorithm| algorithm.name()).collect();
        Err(Error::new(ErrorKind::Unsupported, format!("a key of type {self} cannot sign with {stated}"))
            .with_hint(format!("it can sign with {}", able.join(", "))))
    }

    /// Whether this is a key on an elliptic curve that signs with ECDSA.
    pub fn is_ecdsa(self) -> bool {
        self.ecdsa_width().is_some()
    }

    /// Octets of r, and of s, in a raw ECDSA signature: the length of the curve's order.
    pub fn ecdsa_width(self) -> Option<usize> {
        match self {
            Self::EcP256 | Self::EcSecp256k1 => Some(32),
            Self::EcP384 => Some(48),
            Self::EcP521 => Some(66),
            _ => None,
        }
    }

    /// `AlgorithmIdentifier` of the key in a `SubjectPublicKeyInfo` (RFC 5480, 3279, 8410, 9881).
    pub fn algorithm_identifier(self) -> AlgorithmIdentifierOwned {
        let parameters = match self {
            Self::Rsa { .. } => Some(Any::null()),
            _ => self.curve_oid().map(|oid| Any::from(&oid)),
        };
        AlgorithmIdentifierOwned { oid: self.oid(), parameters }
    }

    /// The object identifier of the key's family; a curve is named by the parameters.
    pub fn oid(self) -> ObjectIdentifier {
        match self {
            Self::EcP256 | Self::EcP384 | Self::EcP521 | Self::EcSecp256k1 => oid::EC_PUBLIC_KEY,
            Self::Rsa { .. } => oid::RSA_ENCRYPTION,
            Self::Ed25519 => oid::ED25519,
            Self::MlDsa44 => oid::ML_DSA_44,
            Self::MlDsa65 => oid::ML_DSA_65,
            Self::MlDsa87 => oid::ML_DSA_87,
        }
    }

    /// The object identifier of the named curve (RFC 5480 section 2.1.1.1, SEC 2).
    pub fn curve_oid(self) -> Option<ObjectIdentifier> {
        match self {
            Self::EcP256 => Some(oid::P256),
            Self::EcP384 => Some(oid::P384),
            Self::EcP521 => Some(oid::P521),
            Self::EcSecp256k1 => Some(oid::SECP256K1),
            _ => None,
        }
    }
}

/// The spelling of the tools: `ec-p256`, `rsa-3072`, `ml-dsa-65`.
impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EcP256 => "ec-p256",
            Self::EcP384 => "ec-p384",
            Self::EcP521 => "ec-p521",
            Self::EcSecp256k1 => "ec-secp256k1",
            Self::Rsa { bits } => return write!(f, "rsa-{bits}"),
            Self::Ed25519 => "ed25519",
            Self::MlDsa44 => "ml-dsa-44",
            Self::MlDsa65 => "ml-dsa-65",
            Self::MlDsa87 => "ml-dsa-87",
        })
    }
}

impl FromStr for KeyType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::CREATABLE.into_iter().find(|key_type| key_type.to_string() == text).ok_or_else(|| {
            let known: Vec<_> = Self::CREATABLE.iter().map(ToString::to_string).collect();
            Error::new(ErrorKind::InvalidArgument, "unknown key type").with_hint(format!("known: {}", known.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for key_type in KeyType::CREATABLE {
            assert_eq!(key_type.to_string().parse::<KeyType>().unwrap(), key_type);
        }
        assert!("rsa-1024".parse::<KeyType>().is_err());
    }

    #[test]
    fn only_the_bound_algorithm_is_settled() {
        for key_type in KeyType::CREATABLE {
            for algorithm in SignatureAlgorithm::all() {
                let settled = key_type.settle(Some(algorithm));
                if key_type.algorithms().contains(&algorithm) {
                    assert_eq!(settled.unwrap(), algorithm);
                } else {
                    assert_eq!(settled.unwrap_err().kind(), ErrorKind::Unsupported, "{key_type} {algorithm}");
                }
            }
            assert_eq!(key_type.settle(None).unwrap(), key_type.default_algorithm());
        }
    }
}
