//! Software keys from outside: PKCS #8 taken apart, and sent to the card.

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use der::asn1::OctetStringRef;
use der::{Decode, Encode};
use kms_core::{Error, ErrorKind, KeyType, PublicKey, Result, Secret};
use pkcs8::PrivateKeyInfoRef;
use zeroize::Zeroizing;

use crate::card::status;
use crate::error::{self, Trouble, invalid, unsupported};
use crate::key::NewKey;
use crate::management::Manager;
use crate::session::Session;
use crate::tlv;

/// A key pair as a card takes it: 01 to 05 the parts of RSA, 06 a scalar, 07 a seed.
pub(crate) struct Parts {
    pub(crate) public_key: PublicKey,
    private: Zeroizing<Vec<u8>>,
}

impl Parts {
    /// Takes DER PKCS #8 apart (RFC 5208, RFC 5958) and checks the key.
    ///
    /// # Errors
    /// `InvalidArgument` when it is none, `KeyMismatch` when it is not of the type wanted, `Unsupported` for types that
    /// no card takes.
    pub(crate) fn from_pkcs8(pkcs8: &Secret, wanted: KeyType) -> Result<Self> {
        let info = PrivateKeyInfoRef::from_der(pkcs8.expose())
            .map_err(|fault| invalid("not a DER PKCS #8 private key").with_source(fault))?;
        // aws-lc reads version 2, which has the public key beside it, for Ed25519 only.
        let plain = PrivateKeyInfoRef::new(info.algorithm, info.private_key).to_der().map(Zeroizing::new);
        let plain = plain.map_err(|fault| invalid("not a DER PKCS #8 private key").with_source(fault))?;
        let (oid, secret) = (info.algorithm.oid, info.private_key.as_bytes());
        let parts = if oid == (KeyType::Rsa { bits: 0 }).oid() {
            Self::rsa(secret, &plain)
        } else if oid == KeyType::EcP256.oid() {
            let curve = info.algorithm.parameters_oid().ok();
            let found = [KeyType::EcP256, KeyType::EcP384].into_iter().find(|found| found.curve_oid() == curve);
            Self::ec(found.ok_or_else(|| unsupported("a key on a curve that no YubiKey has"))?, secret, &plain)
        } else if oid == KeyType::Ed25519.oid() {
            Self::ed25519(secret)
        } else {
            Err(unsupported("a private key of a type that no YubiKey has")
                .with_hint("EC, RSA and Ed25519 keys are taken"))
        }?;
        if let Some(stated) = info.public_key
            && stated.as_bytes() != Some(parts.public_key.raw())
        {
            return Err(invalid("the public key beside the private key is another one's"));
        }
        let found = parts.public_key.key_type();
        if found == wanted {
            return Ok(parts);
        }
        Err(Error::new(ErrorKind::KeyMismatch, format!("the key to import is of type {found}, not {wanted}")))
    }

    fn rsa(secret: &[u8], pkcs8: &[u8]) -> Result<Self> {
        let wrong = || invalid("not a valid RSA private key");
        let pair = rsa::KeyPair::from_pkcs8(pkcs8).map_err(|fault| match fault.description_() {
            "TooSmall" | "TooLarge" => unsupported("an RSA key of this size is not imported"),
            _ => wrong().with_source(fault),
        })?;
        let key = pkcs1::RsaPrivateKeyRef::from_der(secret).map_err(|fault| wrong().with_source(fault))?;
        if key.public_exponent.as_bytes() != [1, 0, 1] {
            return Err(unsupported("an RSA key whose public exponent is not 65537"));
        }
        let public_key = PublicKey::from_raw(rsa_type(&key), pair.public_key().as_ref())?;
        let half = pair.public_modulus_len() / 2;
        let parts = [key.prime1, key.prime2, key.exponent1, key.exponent2, key.coefficient];
        let mut private = Zeroizing::new(Vec::with_capacity(5 * (half + 4)));
        for (tag, part) in (1..).zip(parts) {
            private.extend_from_slice(&tlv::object(tag, &padded(part.as_bytes(), half).ok_or_else(wrong)?));
        }
        Ok(Self { public_key, private })
    }

    fn ec(key_type: KeyType, secret: &[u8], pkcs8: &[u8]) -> Result<Self> {
        let wrong = || invalid("not a valid EC private key");
        let (curve, width) = match key_type {
            KeyType::EcP384 => (&ECDSA_P384_SHA384_ASN1_SIGNING, 48),
            _ => (&ECDSA_P256_SHA256_ASN1_SIGNING, 32),
        };
        let pair = EcdsaKeyPair::from_pkcs8(curve, pkcs8).map_err(|fault| wrong().with_source(fault))?;
        let key = sec1::EcPrivateKey::from_der(secret).map_err(|fault| wrong().with_source(fault))?;
        let public_key = PublicKey::from_raw(key_type, pair.public_key().as_ref())?;
        Ok(Self { public_key, private: tlv::object(6, &padded(key.private_key, width).ok_or_else(wrong)?) })
    }

    fn ed25519(secret: &[u8]) -> Result<Self> {
        let wrong = || invalid("not a valid Ed25519 private key");
        let seed = <&OctetStringRef>::from_der(secret).map_err(|fault| wrong().with_source(fault))?;
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_bytes()).map_err(|fault| wrong().with_source(fault))?;
        let public_key = PublicKey::from_raw(KeyType::Ed25519, pair.public_key().as_ref())?;
        Ok(Self { public_key, private: tlv::object(7, seed.as_bytes()) })
    }
}

impl Session<'_> {
    /// Sends a key to the card.
    pub(crate) fn import(&mut self, new: &NewKey, parts: &Parts, manager: &Manager) -> Result<(), Trouble> {
        let octet = self.check_new(new)?;
        self.manage(manager)?;
        let mut data = Zeroizing::new(Vec::with_capacity(parts.private.len() + 6));
        data.extend_from_slice(&parts.private);
        data.extend_from_slice(&new.policies());
        let reply = self.send_once(0xfe, octet, new.slot.octet(), &data)?;
        if reply.status != status::OK {
            return Err(error::status("import a key", reply.status).into());
        }
        self.device.made().insert(new.slot, parts.public_key.clone());
        Ok(())
    }
}

fn rsa_type(key: &pkcs1::RsaPrivateKeyRef<'_>) -> KeyType {
    let modulus = key.modulus.as_bytes();
    let leading = modulus.first().map_or(0, |octet| octet.leading_zeros());
    let bits = u32::try_from(modulus.len() * 8).unwrap_or(u32::MAX);
    KeyType::Rsa { bits: bits.saturating_sub(leading) }
}

/// As long as the card wants it, zeros first.
fn padded(octets: &[u8], length: usize) -> Option<Zeroizing<Vec<u8>>> {
    let zeros = length.checked_sub(octets.len())?;
    let mut padded = Zeroizing::new(vec![0; length]);
    padded.get_mut(zeros..)?.copy_from_slice(octets);
    Some(padded)
}
