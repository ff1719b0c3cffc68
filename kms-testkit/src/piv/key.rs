//! Key pairs: made, imported, used.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::elliptic_curve::Generate as _;
use p256::elliptic_curve::point::AffineCoordinates as _;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use rsa::rand_core::UnwrapErr;
use rsa::traits::PublicKeyParts as _;
use rsa::{BoxedUint, RsaPrivateKey};

use super::apdu::status;
use super::policy::{PinPolicy, TouchPolicy};
use super::tlv;

/// A key in a slot.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) pair: Pair,
    pub(super) pin: PinPolicy,
    pub(super) touch: TouchPolicy,
    pub(super) imported: bool,
}

/// A private key.
#[derive(Clone)]
pub(super) enum Pair {
    P256(p256::SecretKey),
    P384(p384::SecretKey),
    Rsa(Box<RsaPrivateKey>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

impl Pair {
    /// Makes one for an algorithm by its octet.
    pub(super) fn generate(algorithm: u8) -> Result<Self, u16> {
        let random = &mut UnwrapErr(getrandom::SysRng);
        let rsa = |size| {
            let made = KeyPair::generate(size).map_err(|_| status::CONDITIONS)?;
            let document = made.as_der().map_err(|_| status::CONDITIONS)?;
            let key = RsaPrivateKey::from_pkcs8_der(document.as_ref()).map_err(|_| status::CONDITIONS)?;
            Ok(Self::Rsa(Box::new(key)))
        };
        match algorithm {
            0x11 => Ok(Self::P256(p256::SecretKey::generate_from_rng(random))),
            0x14 => Ok(Self::P384(p384::SecretKey::generate_from_rng(random))),
            0x07 => rsa(KeySize::Rsa2048),
            0x05 => rsa(KeySize::Rsa3072),
            0x16 => rsa(KeySize::Rsa4096),
            0xe0 => {
                let mut seed = [0; 32];
                getrandom::fill(&mut seed).map_err(|_| status::CONDITIONS)?;
                Ok(Self::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&seed))))
            }
            _ => Err(status::WRONG_DATA),
        }
    }

    /// Reads the data of an import: 01 and 02 the primes of RSA, 06 the scalar of a curve, 07 the seed of Ed25519.
    pub(super) fn import(algorithm: u8, parts: &[(u32, &[u8])]) -> Result<Self, u16> {
        let part = |tag| tlv::find(parts, tag).ok_or(status::WRONG_DATA);
        let wrong = |_| status::WRONG_DATA;
        match algorithm {
            0x11 => Ok(Self::P256(p256::SecretKey::from_slice(part(6)?).map_err(|_| status::WRONG_DATA)?)),
            0x14 => Ok(Self::P384(p384::SecretKey::from_slice(part(6)?).map_err(|_| status::WRONG_DATA)?)),
            0xe0 => {
                let seed: [u8; 32] = part(7)?.try_into().map_err(wrong)?;
                Ok(Self::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&seed))))
            }
            0x05 | 0x07 | 0x16 => {
                let [p, q] = [part(1)?, part(2)?].map(BoxedUint::from_be_slice_vartime);
                let key = RsaPrivateKey::from_p_q(p, q, BoxedUint::from(65_537_u64)).map_err(|_| status::WRONG_DATA)?;
                let pair = Self::Rsa(Box::new(key));
                if pair.algorithm() == algorithm { Ok(pair) } else { Err(status::WRONG_DATA) }
            }
            _ => Err(status::WRONG_DATA),
        }
    }

    /// Its algorithm's octet.
    pub(super) fn algorithm(&self) -> u8 {
        match self {
            Self::P256(_) => 0x11,
            Self::P384(_) => 0x14,
            Self::Ed25519(_) => 0xe0,
            Self::Rsa(key) => match key.size() {
                256 => 0x07,
                384 => 0x05,
                _ => 0x16,
            },
        }
    }

    /// The public key as the application answers with it: 86 a point, 81 and 82 modulus and exponent.
    pub(super) fn public(&self) -> Vec<u8> {
        match self {
            Self::P256(key) => tlv::object(0x86, key.public_key().to_sec1_point(false).as_bytes()),
            Self::P384(key) => tlv::object(0x86, key.public_key().to_sec1_point(false).as_bytes()),
            Self::Ed25519(key) => tlv::object(0x86, key.verifying_key().as_bytes()),
            Self::Rsa(key) => {
                let modulus = key.n().to_be_bytes_trimmed_vartime();
                [tlv::object(0x81, &modulus), tlv::object(0x82, &[1, 0, 1])].concat()
            }
        }
    }

    /// `SubjectPublicKeyInfo`, DER.
    pub(super) fn spki(&self) -> Option<Vec<u8>> {
        let document = match self {
            Self::P256(key) => key.public_key().to_public_key_der(),
            Self::P384(key) => key.public_key().to_public_key_der(),
            Self::Ed25519(key) => key.verifying_key().to_public_key_der(),
            Self::Rsa(key) => key.to_public_key().to_public_key_der(),
        };
        Some(document.ok()?.into_vec())
    }

    /// What GENERAL AUTHENTICATE does with a challenge: signs a digest (ECDSA) or a message (Ed25519), or raises to the
    /// private exponent (RSA, also to decrypt).
    pub(super) fn respond(&self, challenge: &[u8]) -> Result<Vec<u8>, u16> {
        match self {
            Self::P256(key) => {
                let digest = padded(challenge, 32)?;
                let signature: p256::ecdsa::Signature =
                    p256::ecdsa::SigningKey::from(key).sign_prehash(&digest).map_err(|_| status::CONDITIONS)?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Self::P384(key) => {
                let digest = padded(challenge, 48)?;
                let signature: p384::ecdsa::Signature =
                    p384::ecdsa::SigningKey::from(key).sign_prehash(&digest).map_err(|_| status::CONDITIONS)?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Self::Ed25519(key) => Ok(key.sign(challenge).to_bytes().to_vec()),
            Self::Rsa(key) => {
                if challenge.len() != key.size() {
                    return Err(status::WRONG_DATA);
                }
                let block =
                    BoxedUint::from_be_slice(challenge, key.n_bits_precision()).map_err(|_| status::WRONG_DATA)?;
                let random = &mut UnwrapErr(getrandom::SysRng);
                let answer = rsa::hazmat::rsa_decrypt(Some(random), key.as_ref(), &block);
                let answer = answer.map_err(|_| status::WRONG_DATA)?.to_be_bytes_trimmed_vartime();
                Ok([vec![0; key.size().saturating_sub(answer.len())], answer.to_vec()].concat())
            }
        }
    }

    /// The shared secret with another's point.
    pub(super) fn agree(&self, point: &[u8]) -> Result<Vec<u8>, u16> {
        match self {
            Self::P256(key) => {
                let other = p256::PublicKey::from_sec1_bytes(point).map_err(|_| status::WRONG_DATA)?;
                let shared = p256::ProjectivePoint::from(*other.as_affine()) * *key.to_nonzero_scalar();
                Ok(shared.to_affine().x().to_vec())
            }
            Self::P384(key) => {
                let other = p384::PublicKey::from_sec1_bytes(point).map_err(|_| status::WRONG_DATA)?;
                let shared = p384::ProjectivePoint::from(*other.as_affine()) * *key.to_nonzero_scalar();
                Ok(shared.to_affine().x().to_vec())
            }
            _ => Err(status::WRONG_PARAMETERS),
        }
    }

    /// PKCS #8, for the file.
    pub(super) fn to_pkcs8(&self) -> Option<Vec<u8>> {
        let document = match self {
            Self::P256(key) => key.to_pkcs8_der().ok()?,
            Self::P384(key) => key.to_pkcs8_der().ok()?,
            Self::Ed25519(key) => key.to_pkcs8_der().ok()?,
            Self::Rsa(key) => key.to_pkcs8_der().ok()?,
        };
        Some(document.as_bytes().to_vec())
    }

    /// From the file.
    pub(super) fn from_pkcs8(algorithm: u8, octets: &[u8]) -> Option<Self> {
        match algorithm {
            0x11 => Some(Self::P256(p256::SecretKey::from_pkcs8_der(octets).ok()?)),
            0x14 => Some(Self::P384(p384::SecretKey::from_pkcs8_der(octets).ok()?)),
            0xe0 => Some(Self::Ed25519(Box::new(ed25519_dalek::SigningKey::from_pkcs8_der(octets).ok()?))),
            _ => Some(Self::Rsa(Box::new(RsaPrivateKey::from_pkcs8_der(octets).ok()?))),
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.pair.algorithm()).finish_non_exhaustive()
    }
}

/// A digest as long as the curve's order, zeros first.
fn padded(digest: &[u8], length: usize) -> Result<Vec<u8>, u16> {
    let zeros = length.checked_sub(digest.len()).ok_or(status::WRONG_DATA)?;
    Ok([vec![0; zeros], digest.to_vec()].concat())
}
