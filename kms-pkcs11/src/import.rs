//! Software keys from outside: PKCS #8 taken apart, and put on the token as objects.

use aws_lc_rs::encoding::AsRawBytes as _;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    self as lc, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, PqdsaKeyPair, PqdsaSigningAlgorithm,
};
use cryptoki_sys as sys;
use der::asn1::OctetStringRef;
use der::{Decode, Encode};
use kms_core::{Error, ErrorKind, KeyType, PublicKey, Result, Secret, SignatureAlgorithm};
use pkcs8::PrivateKeyInfoRef;
use zeroize::Zeroizing;

use crate::algorithm;
use crate::attribute::Attribute;
use crate::connection::Trouble;
use crate::error::{invalid, unsupported};
use crate::key::{NewKey, type_attribute};
use crate::object::Object;
use crate::public_key;
use crate::session::Session;

/// Octets of the seed of an ML-DSA key (FIPS 204 section 6.1).
const SEED: usize = 32;

/// A key pair as attributes.
pub(crate) struct Parts {
    public_key: PublicKey,
    public: Vec<Attribute>,
    private: Vec<Attribute>,
}

impl Parts {
    /// Takes DER PKCS #8 apart (RFC 5208, RFC 5958) and checks the key.
    ///
    /// # Errors
    /// `InvalidArgument` when it is none, `KeyMismatch` when it is not of the type wanted, `Unsupported` for types that
    /// are not imported.
    pub(crate) fn from_pkcs8(pkcs8: &Secret, wanted: KeyType) -> Result<Self> {
        let der = pkcs8.expose();
        let info = PrivateKeyInfoRef::from_der(der)
            .map_err(|fault| invalid("not a DER PKCS #8 private key").with_source(fault))?;
        let oid = info.algorithm.oid;
        // aws-lc reads version 2, which has the public key beside it, for Ed25519 only.
        let plain = PrivateKeyInfoRef::new(info.algorithm, info.private_key).to_der().map(Zeroizing::new);
        let plain = plain.map_err(|fault| invalid("not a DER PKCS #8 private key").with_source(fault))?;
        let secret = info.private_key.as_bytes();
        let parts = if oid == (KeyType::Rsa { bits: 0 }).oid() {
            Self::rsa(secret, &plain)
        } else if oid == KeyType::EcP256.oid() {
            let curve = info.algorithm.parameters_oid().ok();
            let curves = [KeyType::EcP256, KeyType::EcP384, KeyType::EcP521, KeyType::EcSecp256k1];
            let found = curves.into_iter().find(|found| curve.is_some() && found.curve_oid() == curve);
            Self::ec(found.ok_or_else(|| unsupported("a key on an unknown curve"))?, secret, &plain)
        } else if oid == KeyType::Ed25519.oid() {
            Self::ed25519(secret)
        } else {
            let types = [KeyType::MlDsa44, KeyType::MlDsa65, KeyType::MlDsa87];
            let found = types.into_iter().find(|found| found.oid() == oid).ok_or_else(|| {
                unsupported("a private key of a type that is not imported")
                    .with_hint("EC, RSA, Ed25519 and ML-DSA keys are")
            });
            Self::ml_dsa(found?, secret, &plain)
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

    /// Puts both objects on the token: two calls, after those that look whether there is a key of that name.
    ///
    /// # Errors
    /// `Unsupported` when the token does not know the type of key, since some keep whatever they are given.
    pub(crate) fn create(
        &self,
        new: &NewKey,
        session: &Session,
        offered: &[sys::CK_MECHANISM_TYPE],
    ) -> Result<(Object, PublicKey), Trouble> {
        let key_type = self.public_key.key_type();
        let signs = |algorithm: &SignatureAlgorithm| algorithm::signing_plans(*algorithm, offered).is_ok();
        if !key_type.algorithms().iter().any(signs) {
            return Err(unsupported(format!("the token has no mechanism for keys of type {key_type}")).into());
        }
        new.check_absent(session)?;
        let (library, handle) = (session.library(), session.handle());
        let native = Attribute::number(sys::CKA_KEY_TYPE, algorithm::native_key_type(key_type));
        let template = |class, names: Vec<Attribute>, parts: &[Attribute]| {
            let mut template = vec![Attribute::class(class), native.clone()];
            template.extend(names);
            template.extend_from_slice(parts);
            template
        };
        let private = template(sys::CKO_PRIVATE_KEY, new.private_template(), &self.private);
        let public = template(sys::CKO_PUBLIC_KEY, new.public_template(), &self.public);
        let private = library.create_object(handle, &private)?;
        let object = new.object(private);
        let finished = library.create_object(handle, &public).map_err(Trouble::Fault).and_then(|made| {
            let found = public_key::read_public(session, &Object { handle: made, ..object.clone() });
            match found {
                Ok(found) if found == self.public_key => Ok(()),
                other => {
                    let _ = library.destroy_object(handle, made);
                    Err(other.err().unwrap_or_else(|| {
                        Error::new(ErrorKind::Integrity, "the token shows another key than was imported").into()
                    }))
                }
            }
        });
        match finished {
            Ok(()) => Ok((object, self.public_key.clone())),
            Err(trouble) => {
                // Half a key is none.
                let _ = library.destroy_object(handle, private);
                Err(trouble)
            }
        }
    }

    fn rsa(secret: &[u8], pkcs8: &[u8]) -> Result<Self> {
        let pair = rsa::KeyPair::from_pkcs8(pkcs8).map_err(|fault| match fault.description_() {
            "TooSmall" | "TooLarge" => unsupported("an RSA key of this size is not imported"),
            _ => invalid("not a valid RSA private key").with_source(fault),
        })?;
        let key = pkcs1::RsaPrivateKeyRef::from_der(secret)
            .map_err(|fault| invalid("not a valid RSA private key").with_source(fault))?;
        let public = [
            Attribute::octets(sys::CKA_MODULUS, key.modulus.as_bytes()),
            Attribute::octets(sys::CKA_PUBLIC_EXPONENT, key.public_exponent.as_bytes()),
        ];
        let mut private = public.to_vec();
        private.extend([
            Attribute::octets(sys::CKA_PRIVATE_EXPONENT, key.private_exponent.as_bytes()),
            Attribute::octets(sys::CKA_PRIME_1, key.prime1.as_bytes()),
            Attribute::octets(sys::CKA_PRIME_2, key.prime2.as_bytes()),
            Attribute::octets(sys::CKA_EXPONENT_1, key.exponent1.as_bytes()),
            Attribute::octets(sys::CKA_EXPONENT_2, key.exponent2.as_bytes()),
            Attribute::octets(sys::CKA_COEFFICIENT, key.coefficient.as_bytes()),
        ]);
        let bits = u32::try_from(pair.public_modulus_len() * 8).unwrap_or(u32::MAX);
        let leading = key.modulus.as_bytes().first().map_or(0, |octet| octet.leading_zeros());
        let key_type = KeyType::Rsa { bits: bits.saturating_sub(leading) };
        let public_key = PublicKey::from_raw(key_type, pair.public_key().as_ref())?;
        Ok(Self { public_key, public: public.into(), private })
    }

    fn ec(key_type: KeyType, secret: &[u8], pkcs8: &[u8]) -> Result<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(native_curve(key_type), pkcs8)
            .map_err(|fault| invalid("not a valid EC private key").with_source(fault))?;
        let key = sec1::EcPrivateKey::from_der(secret)
            .map_err(|fault| invalid("not a valid EC private key").with_source(fault))?;
        Self::on_curve(key_type, pair.public_key().as_ref(), key.private_key)
    }

    fn ed25519(secret: &[u8]) -> Result<Self> {
        let seed = <&OctetStringRef>::from_der(secret)
            .map_err(|fault| invalid("not a valid Ed25519 private key").with_source(fault))?;
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_bytes())
            .map_err(|fault| invalid("not a valid Ed25519 private key").with_source(fault))?;
        Self::on_curve(KeyType::Ed25519, pair.public_key().as_ref(), seed.as_bytes())
    }

    /// Expanded, and its seed beside it if it came with one (RFC 9881 section 6).
    fn ml_dsa(key_type: KeyType, secret: &[u8], pkcs8: &[u8]) -> Result<Self> {
        let pair = PqdsaKeyPair::from_pkcs8(native_parameters(key_type), pkcs8)
            .map_err(|fault| invalid("not a valid ML-DSA private key").with_source(fault))?;
        let expanded = pair.private_key().as_raw_bytes();
        let expanded = expanded.map_err(|fault| invalid("not a valid ML-DSA private key").with_source(fault))?;
        let public_key = PublicKey::from_raw(key_type, pair.public_key().as_ref())?;
        let set: Vec<_> = type_attribute(key_type).into_iter().collect();
        let public = [&set[..], &[Attribute::octets(sys::CKA_VALUE, public_key.raw())]].concat();
        let mut private = [&set[..], &[Attribute::octets(sys::CKA_VALUE, expanded.as_ref())]].concat();
        // Of the three forms, the seed alone and both begin with it.
        if let [0x80, 32, seed @ ..] | [0x30, 0x82, _, _, 0x04, 32, seed @ ..] = secret
            && let Some(seed) = seed.first_chunk::<SEED>()
        {
            private.push(Attribute::octets(sys::CKA_SEED, seed));
        }
        Ok(Self { public_key, public, private })
    }

    fn on_curve(key_type: KeyType, point: &[u8], secret: &[u8]) -> Result<Self> {
        let public_key = PublicKey::from_raw(key_type, point)?;
        let wrapped = OctetStringRef::new(point).and_then(|octets| octets.to_der());
        let wrapped = wrapped.map_err(|fault| invalid("cannot encode the public key").with_source(fault))?;
        let curve: Vec<_> = type_attribute(key_type).into_iter().collect();
        let public = [&curve[..], &[Attribute::octets(sys::CKA_EC_POINT, &wrapped)]].concat();
        let private = [&curve[..], &[Attribute::octets(sys::CKA_VALUE, secret)]].concat();
        Ok(Self { public_key, public, private })
    }
}

fn native_curve(key_type: KeyType) -> &'static EcdsaSigningAlgorithm {
    match key_type {
        KeyType::EcP384 => &lc::ECDSA_P384_SHA384_ASN1_SIGNING,
        KeyType::EcP521 => &lc::ECDSA_P521_SHA512_ASN1_SIGNING,
        KeyType::EcSecp256k1 => &lc::ECDSA_P256K1_SHA256_ASN1_SIGNING,
        _ => &lc::ECDSA_P256_SHA256_ASN1_SIGNING,
    }
}

fn native_parameters(key_type: KeyType) -> &'static PqdsaSigningAlgorithm {
    match key_type {
        KeyType::MlDsa44 => &lc::ML_DSA_44_SIGNING,
        KeyType::MlDsa87 => &lc::ML_DSA_87_SIGNING,
        _ => &lc::ML_DSA_65_SIGNING,
    }
}
