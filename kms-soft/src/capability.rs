//! What a software key store can do beside signing: deletion, search, decryption, import.

use async_trait::async_trait;
use kms_core::worker::offload;
use kms_core::{
    Deadline, Decrypter, DecryptionAlgorithm, Error, ErrorKind, Key, KeyDeleter, KeyImporter, KeySearcher, KeySpec,
    KeyUri, Result, Secret, SecretSource, SignatureAlgorithm,
};

use crate::address::{Address, Place};
use crate::key_file::{self, KeyFile};
use crate::key_pair::KeyPair;
use crate::manager::request;
use crate::options::KeyStore;
use crate::{SoftKeyManager, directory};

/// Removes exactly the key's file, at once and for ever; its password is not needed. The octets on the disk are not
/// overwritten: modern disks and file systems keep copies anyway.
#[async_trait]
impl KeyDeleter for SoftKeyManager {
    async fn delete_key(&self, key: &KeyUri) -> Result<()> {
        let (address, _) = self.options().address(key)?;
        match address.place() {
            Place::Memory(name) => self.memory().delete(&name),
            Place::Files { key, .. } => {
                offload("delete key file", self.policy().deadline(), move || key_file::delete(&key)).await
            }
        }
    }
}

/// Opens every `NAME.key` in the directory. What does not open, or is encrypted without a stated password, is left out
/// with a warning; a prompt is never asked. A query with `alg` lists the keys that can sign so.
#[async_trait]
impl KeySearcher for SoftKeyManager {
    async fn search_keys(&self, query: &KeyUri) -> Result<Vec<Key>> {
        let (name, password) = self.options().query(query)?;
        let algorithm = SignatureAlgorithm::stated(query, None)?;
        let found = match self.options().store().clone() {
            KeyStore::Files => {
                return Err(Error::new(ErrorKind::Unsupported, "single files cannot be searched")
                    .with_hint("open a directory: `softkms:dir=DIRECTORY`"));
            }
            KeyStore::Memory => {
                let named = |(name, pair): (String, std::sync::Arc<KeyPair>)| {
                    Ok(Key::new(Address::Memory(name).uri()?, pair.public_key().clone()))
                };
                let keys = self.memory().keys().into_iter();
                keys.filter(|(found, _)| name.as_ref().is_none_or(|name| name == found)).map(named).collect()
            }
            KeyStore::Directory(directory) => {
                let deadline = self.policy().deadline();
                let search = move || {
                    let names = directory::names(&directory)?.into_iter();
                    let wanted = names.filter(|found| name.as_ref().is_none_or(|name| name == found));
                    let addresses = wanted.map(|name| Address::Entry { directory: directory.clone(), name });
                    open_all(addresses, password.as_ref(), deadline)
                };
                offload("search keys", deadline, search).await
            }
        };
        let can_sign =
            |key: &Key| algorithm.is_none_or(|wanted| key.public_key.key_type().algorithms().contains(&wanted));
        Ok(found?.into_iter().filter(can_sign).collect())
    }
}

/// RSAES-OAEP on the caller's thread, once the key is read: about as long as a signature.
#[async_trait]
impl Decrypter for SoftKeyManager {
    async fn decrypt(&self, key: &KeyUri, algorithm: DecryptionAlgorithm, ciphertext: &[u8]) -> Result<Secret> {
        let (address, password) = self.options().address(key)?;
        let pair = self.load(&address, password).await?;
        pair.decrypt(algorithm, ciphertext).map_err(|error| error.in_context(&address))
    }
}

/// Writes the key as [`create_key`](kms_core::KeyManager::create_key) writes its own.
#[async_trait]
impl KeyImporter for SoftKeyManager {
    async fn import_key(&self, key: &KeyUri, pkcs8: &Secret, spec: &KeySpec) -> Result<Key> {
        let (wanted, pkcs8) = (spec.key_type, pkcs8.clone());
        let parse = move || {
            let pair = KeyPair::from_pkcs8(pkcs8.expose())?;
            let found = pair.public_key().key_type();
            if found == wanted {
                return Ok(pair);
            }
            Err(Error::new(ErrorKind::KeyMismatch, format!("the key to import is of type {found}, not {wanted}")))
        };
        self.insert(key, spec, parse).await
    }
}

fn open_all(
    addresses: impl Iterator<Item = Address>,
    password: Option<&SecretSource>,
    deadline: Deadline,
) -> Result<Vec<Key>> {
    let mut keys = Vec::new();
    for address in addresses {
        if deadline.has_passed() {
            return Err(Deadline::error("search keys"));
        }
        match open(&address, password) {
            Ok(pair) => keys.push(Key::new(address.uri()?, pair.public_key().clone())),
            Err(error) => {
                tracing::warn!(file = %address, kind = error.kind().name(), %error, "key left out of the search");
            }
        }
    }
    Ok(keys)
}

fn open(address: &Address, password: Option<&SecretSource>) -> Result<KeyPair> {
    let Place::Files { key: path, .. } = address.place() else {
        return Err(Error::new(ErrorKind::InvalidArgument, "not a file"));
    };
    let encrypted = match key_file::read(&path)? {
        KeyFile::Plain(pair) => return Ok(pair),
        KeyFile::Encrypted(encrypted) => encrypted,
    };
    match password {
        None | Some(SecretSource::Prompt(_)) => {
            Err(Error::new(ErrorKind::Unauthenticated, "the key file is encrypted"))
        }
        Some(source) => {
            let password = source.read(&request(&path))?;
            KeyPair::from_pkcs8(encrypted.decrypt(&password)?.expose())
        }
    }
}
