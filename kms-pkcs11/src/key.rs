//! Making and destroying keys on the token.

use aws_lc_rs::rand;
use cryptoki_sys as sys;
use kms_core::{Error, ErrorKind, KeySpec, KeyType, KeyUsage, PublicKey, Result};

use crate::algorithm;
use crate::attribute::Attribute;
use crate::connection::Trouble;
use crate::error::unsupported;
use crate::library::Fault;
use crate::mechanism::Mechanism;
use crate::object::{self, Object};
use crate::options::{KeyQuery, describe, percent};
use crate::public_key;
use crate::session::Session;

/// The attributes that new keys are given. `None` leaves one out, for tokens that do not take it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyAttributes {
    /// `CKA_PRIVATE` of the private key: whether it is seen after a login only. True.
    pub private: Option<bool>,
    /// `CKA_SENSITIVE`: whether its value can never be read in the clear. True.
    pub sensitive: Option<bool>,
    /// `CKA_EXTRACTABLE`, for keys whose URI does not say `extractable=true`: whether it can leave the token wrapped.
    /// False.
    pub extractable: Option<bool>,
    /// `CKA_PRIVATE` of the public key: whether a login is needed to read it. Left out; AWS `CloudHSM` wants true.
    pub public_key_private: Option<bool>,
    /// `CKA_VERIFY` or `CKA_ENCRYPT` of the public key. True.
    pub public_key_usable: Option<bool>,
    /// `CKA_DECRYPT`, `CKA_UNWRAP` and `CKA_SIGN` as false where they are not what the key is for: RSA keys only, and
    /// only if this is true. True.
    pub deny_other_uses: bool,
    /// More attributes of the private key: number and value, as `CKA_…` has them.
    pub more_private: Vec<(u32, Vec<u8>)>,
    /// More attributes of the public key.
    pub more_public: Vec<(u32, Vec<u8>)>,
}

impl Default for KeyAttributes {
    fn default() -> Self {
        Self {
            private: Some(true),
            sensitive: Some(true),
            extractable: Some(false),
            public_key_private: None,
            public_key_usable: Some(true),
            deny_other_uses: true,
            more_private: Vec::new(),
            more_public: Vec::new(),
        }
    }
}

/// A key to be made: what it is and what it is called.
#[derive(Clone, Debug)]
pub(crate) struct NewKey {
    pub(crate) spec: KeySpec,
    pub(crate) id: Vec<u8>,
    pub(crate) label: Option<String>,
    pub(crate) extractable: Option<bool>,
    pub(crate) attributes: KeyAttributes,
}

impl NewKey {
    /// Names it as the query does. Without an identifier it is given a random one of 16 octets.
    ///
    /// # Errors
    /// `Unsupported` for a type or usage that nobody makes.
    pub(crate) fn new(
        spec: &KeySpec,
        query: &KeyQuery,
        extractable: Option<bool>,
        attributes: &KeyAttributes,
    ) -> Result<Self> {
        check_spec(spec)?;
        let id = match &query.id {
            Some(id) if id.is_empty() => return Err(crate::error::bad_uri("`id` is empty")),
            Some(id) => id.clone(),
            None => {
                let mut id = vec![0; 16];
                rand::fill(&mut id)
                    .map_err(|fault| Error::new(ErrorKind::Other, "drawing random octets failed").with_source(fault))?;
                id
            }
        };
        Ok(Self { spec: *spec, id, label: query.label.clone(), extractable, attributes: attributes.clone() })
    }

    /// Makes the key pair: one call, after those that look whether there is one of its name. RSA takes seconds on some
    /// tokens.
    pub(crate) fn generate(
        &self,
        session: &Session,
        offered: &[sys::CK_MECHANISM_TYPE],
    ) -> Result<(Object, PublicKey), Trouble> {
        let key_type = self.spec.key_type;
        let kind = algorithm::generation(key_type)
            .iter()
            .find(|kind| offered.is_empty() || offered.contains(kind))
            .ok_or_else(|| unsupported(format!("the token has no mechanism to make a key of type {key_type}")))?;
        self.check_absent(session)?;
        let mut public = self.public_template();
        match key_type {
            KeyType::Rsa { bits } => {
                public.push(Attribute::number(sys::CKA_MODULUS_BITS, bits.into()));
                public.push(Attribute::octets(sys::CKA_PUBLIC_EXPONENT, &[1, 0, 1]));
            }
            _ => public.extend(type_attribute(key_type)),
        }
        let (library, handle) = (session.library(), session.handle());
        let made = library.generate_key_pair(handle, &Mechanism::plain(*kind), &public, &self.private_template());
        let (public_key, private_key) = made.map_err(|fault| cannot_make(key_type, fault))?;
        let object = Object { handle: public_key, id: self.id.clone(), label: Vec::new() };
        let checked = public_key::read_public(session, &object).and_then(|key| match key.key_type() {
            made if made == key_type => Ok(key),
            made => Err(Error::new(ErrorKind::Integrity, format!("the token made a key of type {made}")).into()),
        });
        let key = checked.map_err(|trouble| {
            // Nobody was told of it yet.
            let gone = [private_key, public_key].map(|key| library.destroy_object(handle, key).is_ok());
            match trouble {
                // To try again would be to find one's own key in the way.
                Trouble::Fault(fault) if gone != [true; 2] => fault
                    .in_context("the key pair was made, but cannot be read back")
                    .with_hint(format!(
                        "look for `{}`, and use or delete it",
                        describe(Some(&self.id), self.label.as_deref())
                    ))
                    .into(),
                other => other,
            }
        })?;
        Ok((self.object(private_key), key))
    }

    /// Makes sure that no key has the identifier, nor the label.
    pub(crate) fn check_absent(&self, session: &Session) -> Result<(), Trouble> {
        let by_id = KeyQuery { id: Some(self.id.clone()), ..KeyQuery::default() };
        let by_label = KeyQuery { label: self.label.clone(), ..KeyQuery::default() };
        for query in [by_id, by_label].iter().filter(|query| query.names_key()) {
            for class in [sys::CKO_PRIVATE_KEY, sys::CKO_PUBLIC_KEY] {
                if let Some(found) = object::find(session, class, query)?.first() {
                    let context = format!("there is a {} {}", object::noun(class), found.describe());
                    return Err(Trouble::Error(
                        Error::new(ErrorKind::AlreadyExists, context)
                            .with_hint("it is left as it is; choose another name, or delete it first"),
                    ));
                }
            }
        }
        Ok(())
    }

    /// What every public key has.
    pub(crate) fn public_template(&self) -> Vec<Attribute> {
        let mut template = vec![Attribute::flag(sys::CKA_TOKEN, true)];
        template.extend(self.names());
        let attributes = &self.attributes;
        template.extend(optional(sys::CKA_PRIVATE, attributes.public_key_private));
        let usable = if self.spec.usage == KeyUsage::Decrypt { sys::CKA_ENCRYPT } else { sys::CKA_VERIFY };
        template.extend(optional(usable, attributes.public_key_usable));
        template.extend(more(&attributes.more_public));
        template
    }

    /// What every private key has.
    pub(crate) fn private_template(&self) -> Vec<Attribute> {
        let mut template = vec![Attribute::flag(sys::CKA_TOKEN, true)];
        template.extend(self.names());
        let attributes = &self.attributes;
        template.extend(optional(sys::CKA_PRIVATE, attributes.private));
        template.extend(optional(sys::CKA_SENSITIVE, attributes.sensitive));
        template.extend(optional(sys::CKA_EXTRACTABLE, self.extractable.or(attributes.extractable)));
        let decrypts = self.spec.usage == KeyUsage::Decrypt;
        let (use_, other) =
            if decrypts { (sys::CKA_DECRYPT, sys::CKA_SIGN) } else { (sys::CKA_SIGN, sys::CKA_DECRYPT) };
        template.push(Attribute::flag(use_, true));
        if matches!(self.spec.key_type, KeyType::Rsa { .. }) && attributes.deny_other_uses {
            template.push(Attribute::flag(other, false));
            template.push(Attribute::flag(sys::CKA_UNWRAP, false));
        }
        template.extend(more(&attributes.more_private));
        template
    }

    /// The object that was made.
    pub(crate) fn object(&self, handle: crate::library::ObjectHandle) -> Object {
        Object { handle, id: self.id.clone(), label: self.label.clone().unwrap_or_default().into() }
    }

    fn names(&self) -> impl Iterator<Item = Attribute> {
        let label = self.label.clone().unwrap_or_else(|| percent(&self.id).replace('%', "").to_lowercase());
        [Attribute::octets(sys::CKA_ID, &self.id), Attribute::octets(sys::CKA_LABEL, label.as_bytes())].into_iter()
    }
}

/// Destroys the key pair that matches: its private key and the public key that goes with it.
///
/// # Errors
/// Before anything is destroyed: `NotFound`; `Ambiguous` when several match, or several public keys could be meant;
/// `KeyMismatch` when the public key of that name is another one's.
pub(crate) fn destroy(session: &Session, query: &KeyQuery) -> Result<(), Trouble> {
    let (library, handle) = (session.library(), session.handle());
    if object::find(session, sys::CKO_PRIVATE_KEY, query)?.is_empty() {
        if object::find(session, sys::CKO_PUBLIC_KEY, query)?.is_empty() {
            return Err(Trouble::Error(object::absent(session, sys::CKO_PRIVATE_KEY, query)?));
        }
        let public = object::one(session, sys::CKO_PUBLIC_KEY, query)?;
        return Ok(library.destroy_object(handle, public.handle)?);
    }
    let private = object::one(session, sys::CKO_PRIVATE_KEY, query)?;
    let public = public_key::object_beside(session, &private)?;
    library.destroy_object(handle, private.handle)?;
    if let Some(public) = public {
        library.destroy_object(handle, public.handle)?;
    }
    Ok(())
}

/// Parameters that name the type: the curve, or the parameter set.
pub(crate) fn type_attribute(key_type: KeyType) -> Option<Attribute> {
    let curve = || Some(Attribute::octets(sys::CKA_EC_PARAMS, &algorithm::ec_parameters(key_type)?));
    algorithm::parameter_set(key_type).map(|set| Attribute::number(sys::CKA_PARAMETER_SET, set)).or_else(curve)
}

/// Whether a key of that type can be of that use, and is of a size in use.
fn check_spec(spec: &KeySpec) -> Result<()> {
    match (spec.usage, spec.key_type) {
        (_, KeyType::Rsa { bits })
            if !(PublicKey::RSA_MIN_BITS..=PublicKey::RSA_MAX_BITS).contains(&bits) || bits % 256 != 0 =>
        {
            Err(unsupported(format!("an RSA key of {bits} bits is not made")).with_hint("use 2048, 3072 or 4096 bits"))
        }
        (KeyUsage::Sign, _) | (KeyUsage::Decrypt, KeyType::Rsa { .. }) => Ok(()),
        (KeyUsage::Decrypt, key_type) => {
            Err(unsupported(format!("a key of type {key_type} does not decrypt")).with_hint("use an RSA key"))
        }
        _ => Err(unsupported("keys are for signing and decrypting only")),
    }
}

/// Tokens that list the mechanism but not the curve say so in several ways, one of them `CKR_GENERAL_ERROR`.
fn cannot_make(key_type: KeyType, fault: Fault) -> Trouble {
    if key_type == KeyType::EcSecp256k1 && matches!(fault.code, sys::CKR_GENERAL_ERROR | sys::CKR_FUNCTION_FAILED) {
        return unsupported("the token does not make keys on secp256k1").with_source(fault).into();
    }
    fault.into()
}

fn optional(kind: sys::CK_ATTRIBUTE_TYPE, value: Option<bool>) -> Option<Attribute> {
    value.map(|value| Attribute::flag(kind, value))
}

fn more(attributes: &[(u32, Vec<u8>)]) -> impl Iterator<Item = Attribute> {
    attributes.iter().map(|(kind, value)| Attribute::octets((*kind).into(), value))
}
