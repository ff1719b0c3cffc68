//! Private keys in their encodings: PKCS #8, SEC 1, PKCS #1; all DER.

use aws_lc_rs::encoding::{AsDer, AsRawBytes, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, PqdsaKeyPair};
use der::asn1::{ObjectIdentifier, OctetStringRef};
use der::referenced::OwnedToRef;
use der::{Decode, Encode};
use kms_core::{Error, KeyType, Result, Secret};
use pkcs8::PrivateKeyInfoRef;
use sec1::{EcParameters, EcPrivateKey};
use zeroize::Zeroizing;

use super::{KeyPair, Native};
use crate::{algorithm, error};

const PKCS8: &str = "a PKCS #8 private key";

impl KeyPair {
    /// Reads DER PKCS #8, version 1 (RFC 5208) or 2 (RFC 5958).
    ///
    /// # Errors
    /// `InvalidArgument` when it is none or the key is not valid, `Unsupported` for another algorithm, curve or size.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let info = PrivateKeyInfoRef::from_der(der).map_err(|fault| error::undecodable(PKCS8, fault))?;
        let Some(stated) = info.public_key else { return Self::from_version_1(&info, der) };
        // aws-lc reads version 2 for Ed25519 only.
        let plain = PrivateKeyInfoRef::new(info.algorithm, info.private_key);
        let der = plain.to_der().map(Zeroizing::new).map_err(|fault| error::undecodable(PKCS8, fault))?;
        let pair = Self::from_version_1(&plain, &der)?;
        if stated.as_bytes() == Some(pair.public_key.raw()) {
            return Ok(pair);
        }
        Err(error::invalid("the public key beside the private key is another one's"))
    }

    fn from_version_1(info: &PrivateKeyInfoRef<'_>, der: &[u8]) -> Result<Self> {
        let oid = info.algorithm.oid;
        let native = if oid == KeyType::EcP256.oid() {
            let curve = info.algorithm.parameters_oid().map_err(|_| explicit_curve())?;
            let key_type = key_type_of(curve)?;
            let curve = algorithm::ecdsa(key_type).ok_or_else(|| unknown(oid))?;
            EcdsaKeyPair::from_pkcs8(curve, der).map(Native::Ecdsa)
        } else if oid == (KeyType::Rsa { bits: 0 }).oid() {
            rsa::KeyPair::from_pkcs8(der).map(Native::Rsa)
        } else if oid == KeyType::Ed25519.oid() {
            Ed25519KeyPair::from_pkcs8(der).map(Native::Ed25519)
        } else {
            let key_type = KeyType::CREATABLE.into_iter().find(|key_type| key_type.oid() == oid);
            let parameters = key_type.and_then(algorithm::ml_dsa).ok_or_else(|| unknown(oid))?;
            PqdsaKeyPair::from_pkcs8(parameters, der).map(Native::MlDsa)
        };
        Self::new(native.map_err(|fault| error::rejected(family(oid), fault))?)
    }

    /// Reads a DER `ECPrivateKey` (SEC 1 section C.4, RFC 5915).
    ///
    /// # Errors
    /// As [`from_pkcs8`](Self::from_pkcs8).
    pub(crate) fn from_sec1(der: &[u8]) -> Result<Self> {
        let key = EcPrivateKey::from_der(der).map_err(|_| explicit_curve())?;
        let curve = key.parameters.and_then(EcParameters::named_curve).ok_or_else(explicit_curve)?;
        let curve = algorithm::ecdsa(key_type_of(curve)?).ok_or_else(|| unknown(curve))?;
        let native = EcdsaKeyPair::from_private_key_der(curve, der);
        Self::new(Native::Ecdsa(native.map_err(|fault| error::rejected("EC", fault))?))
    }

    /// Reads a DER `RSAPrivateKey` (PKCS #1, RFC 8017 section A.1.2).
    ///
    /// # Errors
    /// As [`from_pkcs8`](Self::from_pkcs8).
    pub(crate) fn from_pkcs1(der: &[u8]) -> Result<Self> {
        Self::new(Native::Rsa(rsa::KeyPair::from_der(der).map_err(|fault| error::rejected("RSA", fault))?))
    }

    /// DER PKCS #8, version 1: what OpenSSL 3.0 reads too. ML-DSA as its seed, or expanded if it came without one (RFC
    /// 9881 section 6).
    ///
    /// # Errors
    /// `Other` when aws-lc cannot.
    pub(crate) fn to_pkcs8(&self) -> Result<Secret> {
        let octets = match &self.native {
            Native::Ecdsa(key) => key.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
            Native::Rsa(key) => AsDer::<Pkcs8V1Der<'_>>::as_der(key).map(|der| der.as_ref().to_vec()),
            Native::Ed25519(key) => key.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
            Native::MlDsa(key) => match key.to_pkcs8v1() {
                Ok(document) => Ok(document.as_ref().to_vec()),
                Err(_) => return self.expanded(key),
            },
        };
        octets.map(Secret::new).map_err(encoding)
    }

    fn expanded(&self, key: &PqdsaKeyPair) -> Result<Secret> {
        let octets = key.private_key().as_raw_bytes().map_err(encoding)?;
        let encode = || -> der::Result<Vec<u8>> {
            let expanded = Zeroizing::new(OctetStringRef::new(octets.as_ref())?.to_der()?);
            let identifier = self.public_key.key_type().algorithm_identifier();
            PrivateKeyInfoRef::new(identifier.owned_to_ref(), OctetStringRef::new(&expanded)?).to_der()
        };
        encode().map(Secret::new).map_err(|fault| error::undecodable(PKCS8, fault))
    }
}

fn key_type_of(curve: ObjectIdentifier) -> Result<KeyType> {
    KeyType::CREATABLE
        .into_iter()
        .find(|key_type| key_type.curve_oid() == Some(curve))
        .ok_or_else(|| error::unsupported("a key on an unknown curve").with_hint(format!("the curve is {curve}")))
}

fn family(oid: ObjectIdentifier) -> &'static str {
    match oid {
        oid if oid == KeyType::EcP256.oid() => "EC",
        oid if oid == KeyType::Ed25519.oid() => "Ed25519",
        oid if oid == (KeyType::Rsa { bits: 0 }).oid() => "RSA",
        _ => "ML-DSA",
    }
}

fn unknown(oid: ObjectIdentifier) -> Error {
    error::unsupported("a private key of another algorithm").with_hint(format!("its algorithm is {oid}"))
}

fn explicit_curve() -> Error {
    error::invalid("not an EC private key on a named curve")
        .with_hint("a curve given by its parameters is not read; give the key a name for its curve")
}

fn encoding(fault: Unspecified) -> Error {
    error::failed("encoding the private key", fault)
}

#[cfg(test)]
mod tests {
    use der::Tag;
    use der::asn1::{Any, BitStringRef};
    use kms_core::{ErrorKind, PublicKey, SignInput};

    use super::*;

    #[test]
    fn ml_dsa_is_read_from_seed_expanded_key_or_both() {
        for key_type in [KeyType::MlDsa44, KeyType::MlDsa65, KeyType::MlDsa87] {
            let made = KeyPair::generate(key_type).unwrap();
            let Native::MlDsa(native) = &made.native else { panic!("not ML-DSA") };
            let expanded =
                OctetStringRef::new(native.private_key().as_raw_bytes().unwrap().as_ref()).unwrap().to_der().unwrap();
            let pkcs8 = |private: &[u8]| {
                let identifier = key_type.algorithm_identifier();
                let private = OctetStringRef::new(private).unwrap();
                PrivateKeyInfoRef::new(identifier.owned_to_ref(), private).to_der().unwrap()
            };
            let as_seed = made.to_pkcs8().unwrap();
            let info = PrivateKeyInfoRef::from_der(as_seed.expose()).unwrap();
            // [0] IMPLICIT OCTET STRING of 32 octets.
            assert_eq!(info.private_key.as_bytes()[..2], [0x80, 32]);
            let mut seed = info.private_key.as_bytes().to_vec();
            seed[0] = 0x04;
            let both = Any::new(Tag::Sequence, [&seed[..], &expanded].concat()).unwrap().to_der().unwrap();
            seed[9] ^= 1;
            let contradiction = Any::new(Tag::Sequence, [&seed[..], &expanded].concat()).unwrap().to_der().unwrap();

            for private in [&expanded, &both] {
                let key = KeyPair::from_pkcs8(&pkcs8(private)).unwrap();
                assert_eq!(key.public_key(), made.public_key());
                let again = KeyPair::from_pkcs8(key.to_pkcs8().unwrap().expose()).unwrap();
                let algorithm = key_type.default_algorithm();
                let signature = again.sign(algorithm, SignInput::Message(b"message")).unwrap();
                made.public_key().verify(algorithm, b"message", signature.as_bytes()).unwrap();
            }
            let error = KeyPair::from_pkcs8(&pkcs8(&contradiction)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        }
    }

    #[test]
    fn version_2_is_read_and_its_public_key_checked() {
        for key_type in [KeyType::Ed25519, KeyType::EcP256, KeyType::MlDsa44] {
            let made = KeyPair::generate(key_type).unwrap();
            let other = KeyPair::generate(key_type).unwrap();
            let version_1 = made.to_pkcs8().unwrap();
            let version_2 = |public: &PublicKey| {
                let mut info = PrivateKeyInfoRef::from_der(version_1.expose()).unwrap();
                info.public_key = Some(BitStringRef::from_bytes(public.raw()).unwrap());
                info.to_der().unwrap()
            };
            let key = KeyPair::from_pkcs8(&version_2(made.public_key())).unwrap();
            assert_eq!(key.public_key(), made.public_key());
            let error = KeyPair::from_pkcs8(&version_2(other.public_key())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{key_type}");
        }
    }

    #[test]
    fn damaged_keys_are_refused() {
        for key_type in KeyType::CREATABLE {
            let der = KeyPair::generate(key_type).unwrap().to_pkcs8().unwrap().expose().to_vec();
            let cut = der[..der.len() - 1].to_vec();
            let long = [&der[..], &[0]].concat();
            for damaged in [cut, long, Vec::new(), vec![0x30, 0]] {
                assert_eq!(KeyPair::from_pkcs8(&damaged).unwrap_err().kind(), ErrorKind::InvalidArgument, "{key_type}");
            }
        }
    }
}
