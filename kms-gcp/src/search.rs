//! Listing: key rings, keys, versions, page by page, and the public keys of what is found.

use std::collections::BTreeSet;
use std::sync::Arc;

use google_cloud_kms_v1::model::crypto_key::CryptoKeyPurpose;
use google_cloud_kms_v1::model::crypto_key_version::CryptoKeyVersionState as State;
use kms_core::{Deadline, Error, ErrorKind, Result, SignatureAlgorithm};
use tokio::task::JoinSet;

use crate::algorithm;
use crate::connection::{Connection, Repeat};
use crate::error::{Fault, bad_uri};
use crate::key_info::KeyInfo;
use crate::operation::{GET_KEY, LIST_KEY_RINGS, LIST_KEYS, LIST_VERSIONS};
use crate::options::Filter;
use crate::resource_name::{KeyName, ResourceName, VersionName};

/// Versions that are read at the same time.
const AT_ONCE: usize = 8;
/// Entries asked for in one page; the service may give fewer.
const PAGE: i32 = 1000;

/// One search.
pub(crate) struct Search {
    pub(crate) connection: Arc<Connection>,
    pub(crate) filter: Filter,
    pub(crate) algorithm: Option<SignatureAlgorithm>,
    pub(crate) deadline: Deadline,
}

impl Search {
    /// The versions that match. Nothing where there is nothing of that name.
    pub(crate) async fn run(self, name: Option<ResourceName>) -> Result<Vec<KeyInfo>> {
        let mut left = match name {
            None => {
                return Err(bad_uri("the URI does not say where to search")
                    .with_hint("write `cloudkms:projects/P/locations/L/keyRings/R`"));
            }
            Some(ResourceName::Version(version)) if self.filter.label.is_none() => vec![version],
            Some(name) => match self.versions(&name).await {
                Err(fault) if fault.is_not_found() => return Ok(Vec::new()),
                other => other.map_err(|fault| fault.in_context(format!("search {name}")))?,
            },
        };
        let (search, mut reading, mut found) = (Arc::new(self), JoinSet::new(), Vec::new());
        let (mut denied, mut readable) = (None, false);
        loop {
            while reading.len() < AT_ONCE
                && let Some(version) = left.pop()
            {
                let search = Arc::clone(&search);
                reading.spawn(
                    async move { (KeyInfo::fetch(&search.connection, &version, search.deadline).await, version) },
                );
            }
            let Some(read) = reading.join_next().await else {
                // Not one of all the versions may be read: that is not the same as none.
                return match denied {
                    Some(error) if !readable => Err(error),
                    _ => Ok(found),
                };
            };
            let (read, version) = read.map_err(|_| Error::new(ErrorKind::Other, "search keys: request panicked"))?;
            readable |= read.as_ref().err().is_none_or(|error| error.kind() != ErrorKind::PermissionDenied);
            match read {
                Ok(info) if search.algorithm.is_none_or(|wanted| signs(&info, wanted)) => found.push(info),
                Ok(_) => {}
                Err(error) if is_of_the_key(error.kind()) => {
                    tracing::debug!(%version, kind = error.kind().name(), %error, "version left out of the search");
                    if error.kind() == ErrorKind::PermissionDenied {
                        denied = Some(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn versions(&self, name: &ResourceName) -> Result<Vec<VersionName>, Fault> {
        let keys = match name {
            ResourceName::Location(location) => {
                let mut keys = Vec::new();
                for key_ring in key_rings(&self.connection, &location.to_string(), self.deadline).await? {
                    keys.extend(if_there(self.keys(&key_ring).await)?);
                }
                keys
            }
            ResourceName::KeyRing(key_ring) => self.keys(&key_ring.to_string()).await?,
            ResourceName::Key(key) => self.key(key).await?,
            ResourceName::Version(version) => {
                let key = self.key(&version.key).await?;
                return Ok(if key.is_empty() { Vec::new() } else { vec![version.clone()] });
            }
        };
        let mut versions = Vec::new();
        for key in keys {
            versions.extend(if_there(enabled_versions(&self.connection, &key, self.deadline).await)?);
        }
        Ok(versions)
    }

    /// The key itself, unless its label is not the one that is looked for.
    async fn key(&self, key: &KeyName) -> Result<Vec<KeyName>, Fault> {
        let Some((label, value)) = &self.filter.label else { return Ok(vec![key.clone()]) };
        let found = self.connection.send(GET_KEY, self.deadline, Repeat::Yes, |client| {
            let request = client.get_crypto_key().set_name(key.to_string());
            async move { request.send().await }
        });
        Ok(if found.await?.labels.get(label) == Some(value) { vec![key.clone()] } else { Vec::new() })
    }

    async fn keys(&self, key_ring: &str) -> Result<Vec<KeyName>, Fault> {
        let (mut keys, mut token, mut pages) = (Vec::new(), String::new(), Pages::of("keys"));
        loop {
            let page = self.connection.send(LIST_KEYS, self.deadline, Repeat::Yes, |client| {
                let request = client.list_crypto_keys().set_parent(key_ring).set_page_size(PAGE);
                let request = request.set_page_token(token.clone());
                async move { request.send().await }
            });
            let page = page.await?;
            for key in page.crypto_keys {
                let asymmetric =
                    matches!(key.purpose, CryptoKeyPurpose::AsymmetricSign | CryptoKeyPurpose::AsymmetricDecrypt);
                let labelled =
                    self.filter.label.as_ref().is_none_or(|(name, value)| key.labels.get(name) == Some(value));
                // What is not of this key ring is no answer to the question.
                if asymmetric
                    && labelled
                    && let Ok(ResourceName::Key(name)) = key.name.parse()
                    && name.key_ring.to_string() == key_ring
                {
                    keys.push(name);
                }
            }
            match pages.next(page.next_page_token)? {
                Some(next) => token = next,
                None => return Ok(keys),
            }
        }
    }
}

/// What is not there any more, or not everywhere yet, has nothing in it; the rest of the search goes on.
fn if_there<T>(listed: Result<Vec<T>, Fault>) -> Result<Vec<T>, Fault> {
    match listed {
        Err(fault) if fault.is_not_found() => Ok(Vec::new()),
        listed => listed,
    }
}

/// The enabled versions of a key. One request a page. Needs `cloudkms.cryptoKeyVersions.list`.
pub(crate) async fn enabled_versions(
    connection: &Connection,
    key: &KeyName,
    deadline: Deadline,
) -> Result<Vec<VersionName>, Fault> {
    let (mut versions, mut token, mut pages) = (Vec::new(), String::new(), Pages::of("versions"));
    loop {
        let page = connection.send(LIST_VERSIONS, deadline, Repeat::Yes, |client| {
            let request = client.list_crypto_key_versions().set_parent(key.to_string()).set_page_size(PAGE);
            let request = request.set_page_token(token.clone());
            async move { request.send().await }
        });
        let page = page.await?;
        let enabled = page.crypto_key_versions.into_iter().filter(|version| version.state == State::Enabled);
        // What is not of this key is no answer to the question.
        versions
            .extend(enabled.filter_map(|version| ResourceName::version(&version.name)).filter(|name| name.key == *key));
        match pages.next(page.next_page_token)? {
            Some(next) => token = next,
            None => return Ok(versions),
        }
    }
}

async fn key_rings(connection: &Connection, location: &str, deadline: Deadline) -> Result<Vec<String>, Fault> {
    let (mut names, mut token, mut pages) = (Vec::new(), String::new(), Pages::of("key rings"));
    loop {
        let page = connection.send(LIST_KEY_RINGS, deadline, Repeat::Yes, |client| {
            let request = client.list_key_rings().set_parent(location).set_page_size(PAGE);
            let request = request.set_page_token(token.clone());
            async move { request.send().await }
        });
        let page = page.await?;
        names.extend(page.key_rings.into_iter().map(|key_ring| key_ring.name));
        match pages.next(page.next_page_token)? {
            Some(next) => token = next,
            None => return Ok(names),
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
    fn next(&mut self, token: String) -> Result<Option<String>, Fault> {
        match token {
            token if token.is_empty() => Ok(None),
            token if self.seen.insert(token.clone()) => Ok(Some(token)),
            _ => Err(Fault::contradiction(format!("the list of {} goes on where it has been", self.what))),
        }
    }
}

fn signs(info: &KeyInfo, wanted: SignatureAlgorithm) -> bool {
    algorithm::signing(&info.native).is_some_and(|signing| signing.algorithms.contains(&wanted))
}

/// Whether the fault is one of this version and not of the search.
fn is_of_the_key(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::KeyUnusable | ErrorKind::Unsupported | ErrorKind::PermissionDenied)
}
