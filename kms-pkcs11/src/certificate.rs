//! Certificates and chains on the token, or beside it as PEM files where a token holds none.
//!
//! A key's own certificate has the `CKA_ID` of the key, as everybody expects. What is stored of its chain has that
//! identifier with `/chain/1`, `/chain/2` after it, so that it is found in order and deleted without touching another
//! key's. A certificate that somebody else stored is chained by its issuers, whose signatures are checked.

use async_trait::async_trait;
use cryptoki_sys as sys;
use kms_core::certificate::{CertificateParts, check_chain};
use kms_core::{CertificateManager, Error, ErrorKind, KeyUri, PublicKey, Result};

use crate::attribute::Attribute;
use crate::connection::Trouble;
use crate::error::{bad_uri, invalid};
use crate::manager::{Kind, Need, Pkcs11KeyManager};
use crate::object::{self, Object};
use crate::options::{Class, KeyQuery};
use crate::session::Session;
use crate::{pem_file, public_key};

/// Longest chain, the key's own certificate included.
const MOST: usize = 16;

/// Storing takes the PIN, and the key, which the certificate is checked against; loading only what the token wants.
#[async_trait]
impl CertificateManager for Pkcs11KeyManager {
    async fn store_certificates(&self, key: &KeyUri, chain: &[Vec<u8>]) -> Result<()> {
        let wanted = self.existing(key)?;
        let (need, kind) = self.writes_certificates();
        let access = self.access(&wanted, need)?;
        check(chain)?;
        let (chain, query, directory) = (chain.to_vec(), wanted.key, self.stated.certificate_dir.clone());
        let store = move |session: &Session| {
            let (key, public_key) = find_key(session, &query)?;
            check_chain(&chain, &public_key)?;
            match &directory {
                Some(directory) => Ok(pem_file::create(directory, &key.id, &chain)?),
                None => store(session, &key, &chain),
            }
        };
        self.run("store certificates", &access, kind, store).await
    }

    async fn load_certificates(&self, key: &KeyUri) -> Result<Vec<Vec<u8>>> {
        let wanted = self.existing(key)?;
        let access = self.access(&wanted, Need::Public)?;
        let (query, directory) = (wanted.key, self.stated.certificate_dir.clone());
        let load = move |session: &Session| {
            let id = id_of(session, &query)?;
            match &directory {
                Some(directory) => Ok(pem_file::read(directory, &id)?),
                None => load(session, &id, &query),
            }
        };
        self.run("load certificates", &access, Kind::Read, load).await
    }

    async fn delete_certificates(&self, key: &KeyUri) -> Result<()> {
        let wanted = self.existing(key)?;
        if !wanted.key.names_key() {
            return Err(bad_uri("the URI names no key").with_hint("add `id=` or `object=`"));
        }
        let (need, kind) = self.writes_certificates();
        let access = self.access(&wanted, need)?;
        let (query, directory) = (wanted.key, self.stated.certificate_dir.clone());
        let delete = move |session: &Session| {
            let id = id_of(session, &query)?;
            match &directory {
                Some(directory) => Ok(pem_file::delete(directory, &id)?),
                None => delete(session, &id, &query),
            }
        };
        self.run("delete certificates", &access, kind, delete).await
    }
}

impl Pkcs11KeyManager {
    /// What storing certificates needs of the token: to be written, unless they are files.
    fn writes_certificates(&self) -> (Need, Kind) {
        match self.stated.certificate_dir {
            Some(_) => (Need::Private, Kind::ReadOnce),
            None => (Need::Write, Kind::Write),
        }
    }
}

/// The public key in the certificate of a private key.
pub(crate) fn public_key(session: &Session, key: &Object) -> Result<Option<PublicKey>, Trouble> {
    if key.id.is_empty() {
        return Ok(None);
    }
    let mut keys = Vec::new();
    for certificate in object::find(session, sys::CKO_CERTIFICATE, &by_id(&key.id))? {
        let value = value(session, &certificate)?;
        keys.extend(info(&value).and_then(|info| PublicKey::from_spki_der(info).ok()));
    }
    keys.dedup();
    Ok(if keys.len() == 1 { keys.pop() } else { None })
}

/// The public key in the one certificate that matches.
pub(crate) fn key_of(session: &Session, query: &KeyQuery) -> Result<PublicKey, Trouble> {
    let value = value(session, &object::one(session, sys::CKO_CERTIFICATE, query)?)?;
    let info = info(&value).ok_or_else(|| invalid("what the token holds is not an X.509 certificate"))?;
    Ok(PublicKey::from_spki_der(info)?)
}

fn check(chain: &[Vec<u8>]) -> Result<()> {
    if chain.is_empty() || chain.len() > MOST {
        return Err(invalid(format!("a chain is of 1 to {MOST} certificates, not {}", chain.len())));
    }
    for certificate in chain {
        CertificateParts::from_der(certificate)?;
    }
    Ok(())
}

fn store(session: &Session, key: &Object, chain: &[Vec<u8>]) -> Result<(), Trouble> {
    if key.id.is_empty() && chain.len() > 1 {
        let error =
            Error::new(ErrorKind::Unsupported, "a key without `id` has no place for the chain of its certificate");
        return Err(error.with_hint("store the certificate alone, or give the key an `id`").into());
    }
    if let Some(found) = object::find(session, sys::CKO_CERTIFICATE, &leaf_query(&key.id, &key.query()))?.first() {
        let context = format!("there is a certificate {}", found.describe());
        return Err(Error::new(ErrorKind::AlreadyExists, context).with_hint("delete it first").into());
    }
    let mut made = Vec::new();
    // The key's own comes last: with it, the chain is there.
    for (number, certificate) in chain.iter().enumerate().rev() {
        match create(session, key, number, certificate) {
            Ok(object) => made.push(object),
            Err(trouble) => {
                for object in made {
                    let _ = session.library().destroy_object(session.handle(), object);
                }
                return Err(trouble);
            }
        }
    }
    Ok(())
}

fn create(
    session: &Session,
    key: &Object,
    number: usize,
    certificate: &[u8],
) -> Result<crate::library::ObjectHandle, Trouble> {
    let parsed = CertificateParts::from_der(certificate)?;
    let label =
        [&key.label[..], &if number == 0 { Vec::new() } else { format!(" chain {number}").into_bytes() }].concat();
    let template = [
        Attribute::class(sys::CKO_CERTIFICATE),
        Attribute::number(sys::CKA_CERTIFICATE_TYPE, sys::CKC_X_509),
        Attribute::flag(sys::CKA_TOKEN, true),
        Attribute::flag(sys::CKA_PRIVATE, false),
        Attribute::octets(sys::CKA_ID, &chain_id(&key.id, number)),
        Attribute::octets(sys::CKA_LABEL, &label),
        Attribute::octets(sys::CKA_SUBJECT, parsed.subject),
        Attribute::octets(sys::CKA_ISSUER, parsed.issuer),
        Attribute::octets(sys::CKA_SERIAL_NUMBER, parsed.serial),
        Attribute::octets(sys::CKA_VALUE, certificate),
    ];
    session.library().create_object(session.handle(), &template).map_err(|fault| {
        if fault.remedy() != crate::error::Remedy::None {
            return fault.into();
        }
        fault
            .in_context("store certificate")
            .with_hint("some tokens hold no certificates: open with `certificate-dir=/path` to keep them in files")
            .into()
    })
}

fn load(session: &Session, id: &[u8], query: &KeyQuery) -> Result<Vec<Vec<u8>>, Trouble> {
    let mut chain = vec![value(session, &object::one(session, sys::CKO_CERTIFICATE, &leaf_query(id, query))?)?];
    for number in 1..MOST {
        let stored = object::find(session, sys::CKO_CERTIFICATE, &by_id(&chain_id(id, number)))?;
        let Some(object) = stored.first().filter(|_| !id.is_empty()) else { break };
        chain.push(value(session, object)?);
    }
    if chain.len() == 1 {
        add_issuers(session, &mut chain)?;
    }
    Ok(chain)
}

/// Continues the chain with what else is on the token.
fn add_issuers(session: &Session, chain: &mut Vec<Vec<u8>>) -> Result<(), Trouble> {
    let is_root =
        |certificate: &Vec<u8>| CertificateParts::from_der(certificate).map_or(true, |parsed| parsed.is_root());
    if chain.last().is_none_or(is_root) {
        return Ok(());
    }
    let mut others = Vec::new();
    for object in object::all(session, sys::CKO_CERTIFICATE)? {
        others.push(value(session, &object)?);
    }
    while chain.len() < MOST {
        let Some(last) = chain.last().filter(|last| !is_root(last)) else { break };
        let Ok(parsed) = CertificateParts::from_der(last) else { break };
        let issued =
            |other: &&Vec<u8>| CertificateParts::from_der(other).is_ok_and(|other| parsed.is_issued_by(&other));
        let Some(issuer) = others.iter().find(issued).filter(|issuer| !chain.contains(issuer)).cloned() else { break };
        chain.push(issuer);
    }
    Ok(())
}

fn delete(session: &Session, id: &[u8], query: &KeyQuery) -> Result<(), Trouble> {
    let leaf = object::one(session, sys::CKO_CERTIFICATE, &leaf_query(id, query))?;
    let mut objects = Vec::new();
    for number in 1..MOST {
        if !id.is_empty() {
            objects.extend(object::find(session, sys::CKO_CERTIFICATE, &by_id(&chain_id(id, number)))?);
        }
    }
    // The key's own goes first: without it, the chain is gone.
    session.library().destroy_object(session.handle(), leaf.handle)?;
    for object in objects {
        session.library().destroy_object(session.handle(), object.handle)?;
    }
    Ok(())
}

/// The key a certificate is to go with: private where that can be seen.
fn find_key(session: &Session, query: &KeyQuery) -> Result<(Object, PublicKey), Trouble> {
    let query = KeyQuery { class: None, ..query.clone() };
    match public_key::private_key(session, &query) {
        Ok(private) => Ok((private.object, private.public_key)),
        Err(Trouble::Error(absent)) if absent.kind() == ErrorKind::NotFound => public_key::public_key(session, &query)
            .map_err(|trouble| match trouble {
                Trouble::Error(error) if error.kind() == ErrorKind::NotFound => Trouble::Error(absent),
                other => other,
            }),
        Err(trouble) => Err(trouble),
    }
}

/// The identifier that is meant: stated, or that of the key, or certificate, of the label. Stated both, they must be
/// together in some object, as far as any of the identifier can be seen.
fn id_of(session: &Session, query: &KeyQuery) -> Result<Vec<u8>, Trouble> {
    if let (Some(id), None) = (&query.id, &query.label) {
        return Ok(id.clone());
    }
    let named = KeyQuery { class: None, ..query.clone() };
    let classes: &[_] = match query.class {
        Some(Class::Certificate) => &[sys::CKO_CERTIFICATE],
        _ => &[sys::CKO_PRIVATE_KEY, sys::CKO_PUBLIC_KEY, sys::CKO_CERTIFICATE],
    };
    for &class in classes {
        if !object::find(session, class, &named)?.is_empty() {
            return Ok(object::one(session, class, &named)?.id);
        }
    }
    if let Some(id) = &query.id {
        let mut seen = false;
        for &class in classes {
            seen |= !object::find(session, class, &by_id(id))?.is_empty();
        }
        if !seen {
            return Ok(id.clone());
        }
    }
    Err(Trouble::Error(object::absent(session, sys::CKO_CERTIFICATE, &named)?))
}

/// Which certificate is the key's own: that of its identifier, or else of its label; or just what is stated, where that is
/// a certificate.
fn leaf_query(id: &[u8], query: &KeyQuery) -> KeyQuery {
    match query.class {
        Some(Class::Certificate) => KeyQuery { class: None, ..query.clone() },
        _ if id.is_empty() => KeyQuery { id: None, label: query.label.clone(), class: None },
        _ => by_id(id),
    }
}

fn by_id(id: &[u8]) -> KeyQuery {
    KeyQuery { id: Some(id.to_vec()), ..KeyQuery::default() }
}

fn chain_id(id: &[u8], number: usize) -> Vec<u8> {
    if number == 0 { id.to_vec() } else { [id, format!("/chain/{number}").as_bytes()].concat() }
}

fn value(session: &Session, certificate: &Object) -> Result<Vec<u8>, Trouble> {
    let [value] = session.library().attributes(session.handle(), certificate.handle, [sys::CKA_VALUE])?;
    let value = value.filter(|value| !value.is_empty());
    value.ok_or_else(|| invalid(format!("the certificate {} has no value", certificate.describe())).into())
}

fn info(certificate: &[u8]) -> Option<&[u8]> {
    CertificateParts::from_der(certificate).ok().map(|parsed| parsed.public_key_info)
}
