//! What an account can do beside signing: deletion, search, decryption, import.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_kms::primitives::Blob;
use kms_core::{
    Deadline, Decrypter, DecryptionAlgorithm, Error, ErrorKind, Key, KeyDeleter, KeyImporter, KeySearcher, KeySpec,
    KeyUri, Result, Secret, SignatureAlgorithm,
};
use tokio::task::JoinSet;

use crate::algorithm;
use crate::connection::{Connection, Repeat, run};
use crate::error::{Fault, integrity};
use crate::import::Material;
use crate::key_id::KeyId;
use crate::key_info::KeyInfo;
use crate::manager::AwsKeyManager;
use crate::options::Filter;
use crate::recent::Recent;

/// Keys that are read at the same time in a search.
const AT_ONCE: usize = 8;

/// Schedules the deletion, see [`schedule_key_deletion`](AwsKeyManager::schedule_key_deletion), with the backend's
/// window. Until then the key is there, but [`KeyUnusable`](ErrorKind::KeyUnusable).
#[async_trait]
impl KeyDeleter for AwsKeyManager {
    async fn delete_key(&self, key: &KeyUri) -> Result<()> {
        self.schedule_key_deletion(key, self.backend.deletion_window()).await
    }
}

/// A `GetPublicKey` for each key, and one `ListKeys` per 100, unless the query names the key; with `tag`, one
/// `ListResourceTags` for each key too. Needs the permissions of those names. Keys without a public key, those that are
/// disabled or on their way, and those that the caller may not read, are left out; when no key may be read at all, that is
/// the error.
#[async_trait]
impl KeySearcher for AwsKeyManager {
    async fn search_keys(&self, query: &KeyUri) -> Result<Vec<Key>> {
        let stated = self.stated(query)?;
        let algorithm = SignatureAlgorithm::stated(query, None)?;
        let deadline = self.connection.policy().deadline();
        let search = Search {
            connection: Arc::clone(&self.connection),
            recent: Arc::clone(&self.recent),
            filter: stated.filter,
            algorithm,
            deadline,
        };
        let found = run("search keys", deadline, async move { search.run(stated.key).await }).await?;
        let mut keys = found
            .into_iter()
            .map(|info| Ok(Key::new(self.uri_of(&info.arn, algorithm)?, info.public_key)))
            .collect::<Result<Vec<_>>>()?;
        keys.sort_by_cached_key(|key| key.uri.to_string());
        Ok(keys)
    }
}

/// One request. Needs `kms:Decrypt`.
#[async_trait]
impl Decrypter for AwsKeyManager {
    async fn decrypt(&self, key: &KeyUri, algorithm: DecryptionAlgorithm, ciphertext: &[u8]) -> Result<Secret> {
        let id = self.existing(key)?;
        let native = algorithm::encryption_algorithm(algorithm)?;
        let deadline = self.connection.policy().deadline();
        let (connection, recent) = (Arc::clone(&self.connection), Arc::clone(&self.recent));
        let ciphertext = Blob::new(ciphertext);
        run("decrypt", deadline, async move {
            if ciphertext.as_ref().is_empty() {
                // The service would only say that the request is malformed, of whatever key.
                KeyInfo::fetch(&connection, &id, &recent, deadline).await?;
                return Err(undecrypted(&id));
            }
            let (native, ciphertext) = (&native, &ciphertext);
            let ask = || {
                connection.send("decrypt", deadline, Repeat::Yes, |client| {
                    let request = client.decrypt().key_id(id.as_str()).ciphertext_blob(ciphertext.clone());
                    let request = request.encryption_algorithm(native.clone());
                    async move { Ok(request.send().await?) }
                })
            };
            let answer = recent.settled(&id, deadline, ask).await.map_err(|fault: Fault| match fault.kind() {
                ErrorKind::InvalidArgument => undecrypted(&id).with_source(fault),
                ErrorKind::KeyUnusable if fault.is("InvalidKeyUsageException") => {
                    let context = format!("awskms: `{id}` does not decrypt with {native}");
                    Error::new(ErrorKind::Unsupported, context)
                        .with_hint("use an RSA key whose usage is ENCRYPT_DECRYPT")
                        .with_source(fault)
                }
                _ => fault.in_context(format!("decrypt with `{id}`")),
            })?;
            let answered = answer.key_id.unwrap_or_default();
            if !id.may_be(&answered) || answer.encryption_algorithm.as_ref() != Some(native) {
                return Err(integrity(format!(
                    "asked `{id}` to decrypt with {native}, `{answered}` answered otherwise"
                )));
            }
            answer.plaintext.map(|plain| Secret::new(plain.into_inner())).ok_or_else(|| integrity("no plaintext"))
        })
        .await
    }
}

/// `CreateKey`, `GetParametersForImport`, `ImportKeyMaterial`, then as
/// [`create_key`](kms_core::KeyManager::create_key); needs the permissions of those names. The private key goes to the
/// service encrypted to a key of the service's. It does not expire.
#[async_trait]
impl KeyImporter for AwsKeyManager {
    async fn import_key(&self, key: &KeyUri, pkcs8: &Secret, spec: &KeySpec) -> Result<Key> {
        self.stated(key)?;
        let material = Material::from_pkcs8(pkcs8, spec.key_type)?;
        self.make("import key", key, spec, self.backend.key_options(), Some(material)).await
    }
}

/// One search.
struct Search {
    connection: Arc<Connection>,
    recent: Arc<Recent>,
    filter: Filter,
    algorithm: Option<SignatureAlgorithm>,
    deadline: Deadline,
}

impl Search {
    async fn run(self, named: Option<KeyId>) -> Result<Vec<KeyInfo>> {
        let is_named = named.is_some();
        let mut left = match named {
            Some(key) => vec![key],
            None => self.list().await?,
        };
        let (search, mut reading, mut found) = (Arc::new(self), JoinSet::new(), Vec::new());
        let (mut denied, mut readable) = (None, is_named);
        loop {
            while reading.len() < AT_ONCE
                && let Some(key) = left.pop()
            {
                let search = Arc::clone(&search);
                reading.spawn(async move { (search.read(&key).await, key) });
            }
            let Some(read) = reading.join_next().await else {
                // Not one of all the keys may be read: that is not the same as none.
                return match denied {
                    Some(error) if !readable => Err(error),
                    _ => Ok(found),
                };
            };
            let (read, key) = read.map_err(|_| Error::new(ErrorKind::Other, "search keys: request panicked"))?;
            match read {
                Ok(info) => {
                    readable = true;
                    found.extend(info);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error)
                    if is_of_the_key(error.kind()) && !(is_named && error.kind() == ErrorKind::PermissionDenied) =>
                {
                    tracing::debug!(%key, kind = error.kind().name(), %error, "key left out of the search");
                    match error.kind() {
                        ErrorKind::PermissionDenied => denied = Some(error),
                        _ => readable = true,
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The key, if it is one that is looked for.
    async fn read(&self, key: &KeyId) -> Result<Option<KeyInfo>> {
        let info = KeyInfo::fetch(&self.connection, key, &self.recent, self.deadline).await?;
        let key_type = info.public_key.key_type();
        let spec = algorithm::key_spec(key_type).ok();
        let of_spec =
            self.filter.key_spec.as_ref().is_none_or(|wanted| spec.is_some_and(|spec| spec.as_str() == wanted));
        let signs = self.algorithm.is_none_or(|wanted| info.signs() && key_type.algorithms().contains(&wanted));
        Ok(if of_spec && signs && self.is_tagged(&info.arn).await? { Some(info) } else { None })
    }

    async fn list(&self) -> Result<Vec<KeyId>> {
        let (mut keys, mut marker, mut pages) = (Vec::new(), None, Pages::of("keys"));
        loop {
            let from = &marker;
            let page = self.connection.send("list keys", self.deadline, Repeat::Yes, |client| {
                let request = client.list_keys().set_marker(from.clone());
                async move { Ok(request.send().await?) }
            });
            let page = page.await.map_err(|fault: Fault| fault.in_context("list keys"))?;
            for entry in page.keys.unwrap_or_default() {
                let arn = entry.key_arn.or(entry.key_id).unwrap_or_default();
                keys.push(arn.parse().map_err(|_| integrity(format!("a key of the list has the name `{arn}`")))?);
            }
            marker = pages.next(page.next_marker, page.truncated)?;
            if marker.is_none() {
                return Ok(keys);
            }
        }
    }

    async fn is_tagged(&self, arn: &str) -> Result<bool> {
        let Some((name, value)) = &self.filter.tag else { return Ok(true) };
        let (mut marker, mut pages) = (None, Pages::of("tags"));
        loop {
            let from = &marker;
            let page = self.connection.send("list tags", self.deadline, Repeat::Yes, |client| {
                let request = client.list_resource_tags().key_id(arn).set_marker(from.clone());
                async move { Ok(request.send().await?) }
            });
            let page = page.await.map_err(|fault: Fault| fault.in_context(format!("list the tags of `{arn}`")))?;
            if page.tags.unwrap_or_default().iter().any(|tag| tag.tag_key == *name && tag.tag_value == *value) {
                return Ok(true);
            }
            marker = pages.next(page.next_marker, page.truncated)?;
            if marker.is_none() {
                return Ok(false);
            }
        }
    }
}

/// The pages of a list, which must go on to its end: of a part it could not be told what is missing.
struct Pages {
    what: &'static str,
    seen: BTreeSet<String>,
}

impl Pages {
    fn of(what: &'static str) -> Self {
        Self { what, seen: BTreeSet::new() }
    }

    /// Where the list goes on, if it does.
    fn next(&mut self, marker: Option<String>, truncated: bool) -> Result<Option<String>> {
        match marker.filter(|marker| !marker.is_empty()) {
            Some(marker) if self.seen.insert(marker.clone()) => Ok(Some(marker)),
            Some(_) => Err(integrity(format!("the list of {} goes on where it has been", self.what))),
            None if truncated => {
                Err(integrity(format!("the list of {} is cut off without saying where it goes on", self.what)))
            }
            None => Ok(None),
        }
    }
}

/// Whether the fault is one of this key and not of the search.
fn is_of_the_key(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::KeyUnusable | ErrorKind::Unsupported | ErrorKind::PermissionDenied)
}

fn undecrypted(id: &KeyId) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("awskms: the block does not decrypt with `{id}` and this algorithm"))
}
