//! What a token tells of a key: its public half, and what the private half may be used for.

use cryptoki_sys as sys;
use der::asn1::{AnyRef, UintRef};
use der::{Decode, Encode, Sequence, Tag, Tagged};
use kms_core::{Error, ErrorKind, KeyType, PublicKey, Result};

use crate::attribute::{flag_from, number_from};
use crate::connection::Trouble;
use crate::error::unsupported;
use crate::library::ObjectHandle;
use crate::object::{self, Object};
use crate::options::{Class, KeyQuery};
use crate::session::Session;
use crate::{algorithm, certificate};

/// A private key on the token.
#[derive(Clone, Debug)]
pub(crate) struct PrivateKey {
    pub(crate) object: Object,
    pub(crate) public_key: PublicKey,
    /// `CKA_SIGN`, where the token tells.
    pub(crate) signs: Option<bool>,
    /// `CKA_DECRYPT`, where the token tells.
    pub(crate) decrypts: Option<bool>,
    /// `CKA_ALWAYS_AUTHENTICATE`: the PIN with every use.
    pub(crate) always_authenticate: bool,
}

/// Finds the one private key that matches and reads its public half: the objects of both, and if need be its
/// certificate.
pub(crate) fn private_key(session: &Session, query: &KeyQuery) -> Result<PrivateKey, Trouble> {
    let object = object::one(session, sys::CKO_PRIVATE_KEY, query)?;
    read_private(session, object)
}

/// Reads the public half of a private key.
pub(crate) fn read_private(session: &Session, object: Object) -> Result<PrivateKey, Trouble> {
    let facts = Facts::read(session, object.handle, sys::CKO_PRIVATE_KEY)?;
    let own = facts.public_key().transpose()?;
    let beside = public_beside(session, &object, facts.native_type)?;
    let public_key = match (own, beside) {
        (Some(own), Some(beside)) if own != beside => return Err(Trouble::Error(different_keys(&object))),
        (Some(key), _) | (None, Some(key)) => key,
        (None, None) => certificate::public_key(session, &object)?.ok_or_else(|| no_public_key(&object))?,
    };
    Ok(PrivateKey {
        object,
        public_key,
        signs: facts.signs,
        decrypts: facts.decrypts,
        always_authenticate: facts.always_authenticate,
    })
}

/// The public key of whatever the query names: of its private key, where those are seen, or else of its public object.
pub(crate) fn of_any_class(session: &Session, query: &KeyQuery, sees_private: bool) -> Result<PublicKey, Trouble> {
    if query.class == Some(Class::Certificate) {
        return certificate::key_of(session, query);
    }
    let public = || public_key(session, query).map(|(_, key)| key);
    if query.class == Some(Class::Public) || !sees_private {
        return public();
    }
    match private_key(session, query) {
        Ok(private) => Ok(private.public_key),
        Err(Trouble::Error(absent)) if absent.kind() == ErrorKind::NotFound => match public() {
            // What was said first also tells what is there.
            Err(Trouble::Error(error)) if error.kind() == ErrorKind::NotFound => Err(Trouble::Error(absent)),
            other => other,
        },
        Err(trouble) => Err(trouble),
    }
}

/// Finds the one public key object that matches and reads it.
pub(crate) fn public_key(session: &Session, query: &KeyQuery) -> Result<(Object, PublicKey), Trouble> {
    let object = object::one(session, sys::CKO_PUBLIC_KEY, query)?;
    let key = read_public(session, &object)?;
    Ok((object, key))
}

/// Reads a public key object.
pub(crate) fn read_public(session: &Session, object: &Object) -> Result<PublicKey, Trouble> {
    let key = Facts::read(session, object.handle, sys::CKO_PUBLIC_KEY)?.public_key();
    key.unwrap_or_else(|| Err(unsupported(format!("the public key {} is of an unknown type", object.describe()))))
        .map_err(Trouble::Error)
}

/// The key in the public key objects that go with a private one: of the same identifier, or else of the same label.
fn public_beside(
    session: &Session,
    private: &Object,
    native_type: Option<sys::CK_KEY_TYPE>,
) -> Result<Option<PublicKey>, Trouble> {
    let mut keys = Vec::new();
    for object in objects_beside(session, private)? {
        let facts = Facts::read(session, object.handle, sys::CKO_PUBLIC_KEY)?;
        if facts.native_type == native_type
            && let Some(key) = facts.public_key()
        {
            keys.push(key?);
        }
    }
    keys.dedup();
    match keys.len() {
        0 | 1 => Ok(keys.pop()),
        count => Err(Trouble::Error(several_public_keys(count, private))),
    }
}

/// The one public key object that goes with a private one, if there is any.
///
/// # Errors
/// `Ambiguous` when there are several; `KeyMismatch` when both tell what key they are of, and it is not the same.
pub(crate) fn object_beside(session: &Session, private: &Object) -> Result<Option<Object>, Trouble> {
    let mut public = objects_beside(session, private)?;
    if public.len() > 1 {
        // Of one identifier, it is that of the same name.
        public.retain(|object| object.label == private.label);
        if public.len() != 1 {
            return Err(Trouble::Error(several_public_keys(public.len(), private)));
        }
    }
    let Some(object) = public.pop() else { return Ok(None) };
    let own = Facts::read(session, private.handle, sys::CKO_PRIVATE_KEY)?.public_key();
    let beside = Facts::read(session, object.handle, sys::CKO_PUBLIC_KEY)?.public_key();
    match (own, beside) {
        (Some(Ok(own)), Some(Ok(beside))) if own != beside => Err(Trouble::Error(different_keys(private))),
        _ => Ok(Some(object)),
    }
}

/// Public key objects of the same identifier; without any, those of the same label, unless they have the identifier of
/// another key.
fn objects_beside(session: &Session, private: &Object) -> Result<Vec<Object>, Trouble> {
    let query = private.query();
    let by_id = KeyQuery { id: query.id, ..KeyQuery::default() };
    let by_label = KeyQuery { label: query.label, ..KeyQuery::default() };
    for query in [by_id, by_label].into_iter().filter(KeyQuery::names_key) {
        let mut found = object::find(session, sys::CKO_PUBLIC_KEY, &query)?;
        found.retain(|object| object.id == private.id || object.id.is_empty() || private.id.is_empty());
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

fn several_public_keys(count: usize, private: &Object) -> Error {
    Error::new(ErrorKind::Ambiguous, format!("{count} public keys could go with {}", private.describe()))
        .with_hint("give each key pair an `id` of its own")
}

fn different_keys(private: &Object) -> Error {
    let context = format!("the private and the public object {} are of different keys", private.describe());
    Error::new(ErrorKind::KeyMismatch, context).with_hint("give each key pair an `id` of its own")
}

/// Attributes of a key object, of which each kind of key has some.
struct Facts {
    native_type: Option<sys::CK_KEY_TYPE>,
    signs: Option<bool>,
    decrypts: Option<bool>,
    always_authenticate: bool,
    info: Option<Vec<u8>>,
    modulus: Option<Vec<u8>>,
    public_exponent: Option<Vec<u8>>,
    ec_parameters: Option<Vec<u8>>,
    ec_point: Option<Vec<u8>>,
    parameter_set: Option<Vec<u8>>,
    /// Of public keys only: of a private key it is the secret.
    value: Option<Vec<u8>>,
}

impl Facts {
    fn read(session: &Session, object: ObjectHandle, class: sys::CK_OBJECT_CLASS) -> Result<Self, Trouble> {
        let (library, handle) = (session.library(), session.handle());
        let [native_type] = library.attributes(handle, object, [sys::CKA_KEY_TYPE])?;
        let native_type = native_type.as_deref().and_then(number_from);
        let mut facts = Self {
            native_type,
            signs: None,
            decrypts: None,
            always_authenticate: false,
            info: None,
            modulus: None,
            public_exponent: None,
            ec_parameters: None,
            ec_point: None,
            parameter_set: None,
            value: None,
        };
        if class == sys::CKO_PRIVATE_KEY {
            let kinds = [sys::CKA_SIGN, sys::CKA_DECRYPT, sys::CKA_ALWAYS_AUTHENTICATE];
            let [signs, decrypts, always] = library.attributes(handle, object, kinds)?;
            facts.signs = signs.map(|value| flag_from(Some(&value)));
            facts.decrypts = decrypts.map(|value| flag_from(Some(&value)));
            facts.always_authenticate = flag_from(always.as_ref());
        }
        // Attributes that a key cannot have are not asked for: some libraries fail the whole call over one.
        match native_type {
            Some(sys::CKK_RSA) => {
                let kinds = [sys::CKA_MODULUS, sys::CKA_PUBLIC_EXPONENT];
                [facts.modulus, facts.public_exponent] = library.attributes(handle, object, kinds)?;
            }
            Some(sys::CKK_EC | sys::CKK_EC_EDWARDS) => {
                [facts.ec_parameters] = library.attributes(handle, object, [sys::CKA_EC_PARAMS])?;
                if class == sys::CKO_PUBLIC_KEY {
                    [facts.ec_point] = library.attributes(handle, object, [sys::CKA_EC_POINT])?;
                }
            }
            Some(sys::CKK_ML_DSA) => {
                [facts.parameter_set] = library.attributes(handle, object, [sys::CKA_PARAMETER_SET])?;
                if class == sys::CKO_PUBLIC_KEY {
                    [facts.value] = library.attributes(handle, object, [sys::CKA_VALUE])?;
                }
            }
            _ => {}
        }
        if !facts.is_enough() {
            // PKCS #11 3.0; some tokens have it, for private keys too.
            let info = library.attributes(handle, object, [sys::CKA_PUBLIC_KEY_INFO]);
            facts.info = info.ok().and_then(|[info]| info).filter(|info| !info.is_empty());
        }
        Ok(facts)
    }

    fn is_enough(&self) -> bool {
        let full = |value: &Option<Vec<u8>>| value.as_ref().is_some_and(|value| !value.is_empty());
        full(&self.modulus) && full(&self.public_exponent) || full(&self.ec_point) || full(&self.value)
    }

    /// The public key, if enough is known of it.
    fn public_key(&self) -> Option<Result<PublicKey>> {
        if let Some(info) = &self.info {
            return Some(PublicKey::from_spki_der(info));
        }
        if !self.is_enough() {
            return None;
        }
        match self.native_type? {
            sys::CKK_RSA => Some(rsa(self.modulus.as_ref()?, self.public_exponent.as_ref()?)),
            sys::CKK_EC | sys::CKK_EC_EDWARDS => Some(ec(self.ec_parameters.as_ref()?, self.ec_point.as_ref()?)),
            sys::CKK_ML_DSA => {
                let key_type = algorithm::ml_dsa(self.parameter_set.as_deref().and_then(number_from)?)?;
                Some(PublicKey::from_raw(key_type, self.value.as_ref()?))
            }
            _ => None,
        }
    }
}

#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

fn rsa(modulus: &[u8], public_exponent: &[u8]) -> Result<PublicKey> {
    let start = modulus.iter().position(|octet| *octet != 0).unwrap_or(modulus.len());
    let modulus = &modulus[start..];
    let leading = modulus.first().map_or(0, |octet| octet.leading_zeros());
    let bits = u32::try_from(modulus.len() * 8).unwrap_or(u32::MAX).saturating_sub(leading);
    let encode =
        || RsaPublicKey { modulus: UintRef::new(modulus)?, public_exponent: UintRef::new(public_exponent)? }.to_der();
    let der = encode().map_err(|error| unsupported("the token's RSA public key is damaged").with_source(error))?;
    PublicKey::from_raw(KeyType::Rsa { bits }, &der)
}

/// Tokens write the point as it is, in an OCTET STRING (as the standard wants for EC), in a BIT STRING, or as X‖Y.
fn ec(parameters: &[u8], point: &[u8]) -> Result<PublicKey> {
    let key_type = algorithm::curve(parameters).ok_or_else(|| {
        unsupported("the key is on a curve that is not supported")
            .with_hint("P-256, P-384, P-521, secp256k1 and Ed25519 are")
    })?;
    let bare = AnyRef::from_der(point).ok().and_then(|value| match (value.tag(), value.value()) {
        (Tag::OctetString, octets) | (Tag::BitString, [0, octets @ ..]) => Some(octets),
        _ => None,
    });
    let prefixed = [&[4], point].concat();
    let candidates = [bare, Some(point), key_type.is_ecdsa().then_some(&prefixed[..])];
    let mut fault = None;
    for candidate in candidates.into_iter().flatten() {
        match PublicKey::from_raw(key_type, candidate) {
            Ok(key) => return Ok(key),
            Err(error) => fault = fault.or(Some(error)),
        }
    }
    Err(fault.unwrap_or_else(|| unsupported("the token's public key is damaged")))
}

fn no_public_key(object: &Object) -> Trouble {
    let context = format!("the private key {} is there, but nothing says what its public key is", object.describe());
    Trouble::Error(
        Error::new(ErrorKind::KeyUnusable, context)
            .with_hint("put its public key or its certificate on the token, with the same `id`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 6979 appendix A.2.5.
    const POINT: [u8; 65] = [
        4, 0x60, 0xFE, 0xD4, 0xBA, 0x25, 0x5A, 0x9D, 0x31, 0xC9, 0x61, 0xEB, 0x74, 0xC6, 0x35, 0x6D, 0x68, 0xC0, 0x49,
        0xB8, 0x92, 0x3B, 0x61, 0xFA, 0x6C, 0xE6, 0x69, 0x62, 0x2E, 0x60, 0xF2, 0x9F, 0xB6, 0x79, 0x03, 0xFE, 0x10,
        0x08, 0xB8, 0xBC, 0x99, 0xA4, 0x1A, 0xE9, 0xE9, 0x56, 0x28, 0xBC, 0x64, 0xF2, 0xF1, 0xB2, 0x0C, 0x2D, 0x7E,
        0x9F, 0x51, 0x77, 0xA3, 0xC2, 0x94, 0xD4, 0x46, 0x22, 0x99,
    ];

    #[test]
    fn a_point_is_read_however_it_is_wrapped() {
        let parameters = algorithm::ec_parameters(KeyType::EcP256).unwrap();
        let octet_string = [&[0x04, 65][..], &POINT].concat();
        let bit_string = [&[0x03, 66, 0][..], &POINT].concat();
        for point in [&POINT[..], &POINT[1..], &octet_string, &bit_string] {
            assert_eq!(ec(&parameters, point).unwrap().raw(), POINT);
        }
        let mut off_curve = POINT;
        off_curve[64] ^= 1;
        for point in [&off_curve[..], &POINT[..64], &[]] {
            assert_eq!(ec(&parameters, point).unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
        let parameters = algorithm::ec_parameters(KeyType::Ed25519).unwrap();
        let raw = [7; 32];
        for point in [&raw[..], &[&[0x04, 32][..], &raw].concat(), &[&[0x03, 33, 0][..], &raw].concat()] {
            assert_eq!(ec(&parameters, point).unwrap().raw(), raw);
        }
    }
}
