//! What a token can do beside signing: deletion, search, decryption, import.

use async_trait::async_trait;
use cryptoki_sys as sys;
use kms_core::{
    Decrypter, DecryptionAlgorithm, Error, ErrorKind, Key, KeyDeleter, KeyImporter, KeySearcher, KeySpec, KeyType,
    KeyUri, Result, Secret, SignatureAlgorithm,
};

use crate::connection::{Access, Trouble};
use crate::error::{bad_uri, invalid, unsupported};
use crate::library::Fault;
use crate::manager::{Kind, Need, Pkcs11KeyManager, check_private};
use crate::object;
use crate::options::Class;
use crate::session::Session;
use crate::{algorithm, import, key, public_key};

/// Destroys the private and the public key object, at once and for ever. The URI must name the key; needs the PIN.
#[async_trait]
impl KeyDeleter for Pkcs11KeyManager {
    async fn delete_key(&self, key: &KeyUri) -> Result<()> {
        let wanted = self.existing(key)?;
        if !wanted.key.names_key() {
            return Err(bad_uri("the URI names no key to delete").with_hint("add `id=` or `object=`"));
        }
        check_private(&wanted.key)?;
        let access = self.access(&wanted, Need::Write)?;
        let query = wanted.key;
        self.run("delete key", &access, Kind::Write, move |session| key::destroy(session, &query)).await
    }
}

/// Lists private keys; where there is no PIN for those, or with `type=public`, public ones. With `alg` those that can
/// sign so.
#[async_trait]
impl KeySearcher for Pkcs11KeyManager {
    async fn search_keys(&self, query: &KeyUri) -> Result<Vec<Key>> {
        let wanted = self.existing(query)?;
        let algorithm = SignatureAlgorithm::stated(query, None)?;
        let access = self.access(&wanted, Need::Public)?;
        let sees_private = access.login || !self.connection.token().requires_login();
        let public = !sees_private || wanted.key.class == Some(Class::Public);
        if wanted.key.class == Some(Class::Certificate) {
            return Err(bad_uri("a search is for keys").with_hint("leave `type` out"));
        }
        let (query, connection) = (wanted.key, std::sync::Arc::clone(&self.connection));
        let search = move |session: &Session| {
            let class = if public { sys::CKO_PUBLIC_KEY } else { sys::CKO_PRIVATE_KEY };
            let mut keys = Vec::new();
            for found in object::find(session, class, &query)? {
                let read = if public {
                    public_key::read_public(session, &found)
                } else {
                    public_key::read_private(session, found.clone()).map(|private| private.public_key)
                };
                match read {
                    Ok(key) => keys.push((found, key)),
                    Err(Trouble::Error(error)) => {
                        tracing::warn!(token = %connection.token().name(), key = %found.describe(), %error, "key left out of the search");
                    }
                    Err(trouble) => return Err(trouble),
                }
            }
            Ok(keys)
        };
        let found = self.run("search keys", &access, Kind::Read, search).await?;
        let can_sign = |key_type: KeyType| algorithm.is_none_or(|wanted| key_type.algorithms().contains(&wanted));
        let found = found.into_iter().filter(|(_, key)| can_sign(key.key_type()));
        let keys: Result<Vec<_>> = found.map(|(object, key)| Ok(Key::new(self.uri_of(&object)?, key))).collect();
        let mut keys = keys?;
        keys.sort_by_key(|key| key.uri.to_string());
        Ok(keys)
    }
}

/// Two calls on the token, after it has found the key; four for a block that does not decrypt, where the token says no
/// more than that something failed. Many tokens do OAEP with SHA-1 only.
#[async_trait]
impl Decrypter for Pkcs11KeyManager {
    async fn decrypt(&self, key: &KeyUri, algorithm: DecryptionAlgorithm, ciphertext: &[u8]) -> Result<Secret> {
        let wanted = self.existing(key)?;
        check_private(&wanted.key)?;
        let access = self.access(&wanted, Need::Private)?;
        let mechanism = algorithm::decryption(algorithm)?;
        let (query, block, connection) = (wanted.key, ciphertext.to_vec(), std::sync::Arc::clone(&self.connection));
        let rights: Access = access.clone();
        let decrypt = move |session: &Session| {
            let private = public_key::private_key(session, &query)?;
            let KeyType::Rsa { bits } = private.public_key.key_type() else {
                let context = format!("a key of type {} does not decrypt", private.public_key.key_type());
                return Err(unsupported(context).with_hint("use an RSA key").into());
            };
            if private.decrypts == Some(false) {
                let context = format!("the key {} is not for decryption", private.object.describe());
                return Err(Error::new(ErrorKind::KeyUnusable, context)
                    .with_hint("its attribute CKA_DECRYPT is false")
                    .into());
            }
            let length = bits.div_ceil(8) as usize;
            let (library, handle) = (session.library(), session.handle());
            let once = || {
                library.decrypt_init(handle, &mechanism, private.object.handle).map_err(refused)?;
                if block.len() != length {
                    let context = format!("a block of {} octets, the key decrypts blocks of {length}", block.len());
                    return Err(Trouble::Spoilt(invalid(context)));
                }
                if private.always_authenticate {
                    connection.authenticate(session, &rights)?;
                }
                library.decrypt(handle, &block, length).map_err(Trouble::Fault)
            };
            let plain = match once() {
                // Some tokens say so of a block that does not decrypt, too. It is the block if all else is answered.
                Err(Trouble::Fault(fault)) if is_doubtful(fault) && session.state().is_ok() => match once() {
                    Err(Trouble::Fault(again)) if again == fault => return Err(undecryptable()),
                    other => other,
                },
                other => other,
            };
            let plain = plain.map_err(|trouble| match trouble {
                Trouble::Fault(fault) if fault.call == "C_Decrypt" => undecrypted(fault),
                other => other,
            })?;
            Ok(Secret::new(plain.to_vec()))
        };
        self.run("decrypt", &access, Kind::Read, decrypt).await
    }
}

/// Makes the key's objects from its parts, with the attributes of new keys; needs the PIN and a token that can be
/// written. Many HSMs take no keys from outside.
#[async_trait]
impl KeyImporter for Pkcs11KeyManager {
    async fn import_key(&self, key: &KeyUri, pkcs8: &Secret, spec: &KeySpec) -> Result<Key> {
        self.wanted(key)?;
        let parts = import::Parts::from_pkcs8(pkcs8, spec.key_type)?;
        self.make("import key", key, spec, move |new, session, offered| parts.create(new, session, offered)).await
    }
}

fn refused(fault: Fault) -> Trouble {
    match fault.code {
        sys::CKR_MECHANISM_INVALID
        | sys::CKR_MECHANISM_PARAM_INVALID
        | sys::CKR_ARGUMENTS_BAD
        | sys::CKR_FUNCTION_NOT_SUPPORTED => {
            Trouble::Error(unsupported("the token does not decrypt with this algorithm").with_source(fault))
        }
        _ => fault.into(),
    }
}

/// Whatever was wrong with the block: to tell more would help an attacker more than anybody else.
fn undecrypted(fault: Fault) -> Trouble {
    match fault.code {
        sys::CKR_DATA_INVALID
        | sys::CKR_DATA_LEN_RANGE
        | sys::CKR_ENCRYPTED_DATA_INVALID
        | sys::CKR_ENCRYPTED_DATA_LEN_RANGE
        | sys::CKR_ARGUMENTS_BAD
        | sys::CKR_BUFFER_TOO_SMALL => undecryptable(),
        _ => fault.into(),
    }
}

fn undecryptable() -> Trouble {
    Trouble::Spoilt(invalid("the block does not decrypt with this key and algorithm"))
}

/// What may be said of a block, or of the token.
fn is_doubtful(fault: Fault) -> bool {
    fault.call == "C_Decrypt"
        && matches!(fault.code, sys::CKR_FUNCTION_FAILED | sys::CKR_GENERAL_ERROR | sys::CKR_DEVICE_ERROR)
}
