//! One place in Cloud KMS, and its keys.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kms_core::{
    Attester, Decrypter, Error, ErrorKind, Key, KeyDeleter, KeyImporter, KeyManager, KeySearcher, KeySpec, KeyUri,
    OperationPolicy, PublicKey, Result, SignatureAlgorithm, Signer,
};

use crate::backend::Gcp;
use crate::connection::{Connection, Source, run};
use crate::error::bad_uri;
use crate::key_info::KeyInfo;
use crate::new_key::generated;
use crate::options::{ANOTHER, Place, Stated};
use crate::resource_name::{KeyName, ResourceName, VersionName};
use crate::search;
use crate::signer::GcpSigner;

/// Manages keys with one set of credentials; those of one key ring or location, where its URI names one.
pub struct GcpKeyManager {
    pub(crate) backend: Gcp,
    scheme: &'static str,
    place: Place,
    /// In which key ring or location.
    within: Option<ResourceName>,
    pub(crate) connection: Arc<Connection>,
    /// Keys that it made, or began to: for those it waits until they are generated.
    own: Mutex<BTreeSet<KeyName>>,
}

/// What a URI names to be used.
pub(crate) enum Named {
    Version(VersionName),
    /// Its newest enabled version.
    Newest(KeyName),
}

impl GcpKeyManager {
    pub(crate) fn open(backend: Gcp, stated: Stated, policy: OperationPolicy) -> Result<Self> {
        let place = stated.place;
        let others = || {
            bad_uri("the URI says with whose rights, but the application gave its own").with_hint(
                "leave `credentials-file`, `impersonate-service-account` and, with a client, `endpoint-url` out",
            )
        };
        // What the environment says is not written into URIs: it says so to whoever reads them there.
        let whole = || place.clone().with_ambient_endpoint(backend.allows_any_endpoint());
        let source = match (backend.client(), backend.credentials()) {
            (Some(_), _) if place != Place::default() => return Err(others()),
            (None, Some(_)) if place.credentials_file.is_some() || place.impersonate.is_some() => return Err(others()),
            (Some(client), _) => Source::Ready(client.clone()),
            (None, Some(credentials)) => Source::Credentials(credentials.clone(), whole()?),
            (None, None) => {
                place.check_file()?;
                Source::Place(whole()?)
            }
        };
        let connection = Arc::new(Connection::new(source, policy));
        Ok(Self { backend, scheme: stated.scheme, place, within: stated.name, connection, own: Mutex::default() })
    }

    /// The key ring or location that it is of.
    pub(crate) fn within(&self) -> Option<&ResourceName> {
        self.within.as_ref()
    }

    /// Reads a key's URI.
    ///
    /// # Errors
    /// `InvalidUri` when it is wrong, or of a key elsewhere. No call is made.
    pub(crate) fn stated(&self, uri: &KeyUri) -> Result<Stated> {
        let stated = Stated::read(uri, self.backend.allows_any_endpoint())?;
        self.place.check(&stated.place)?;
        if let (Some(within), Some(name)) = (&self.within, &stated.name)
            && !within.has_in_its_place(name)
        {
            let place = within.key_ring().map_or_else(|| within.location().to_string(), ToString::to_string);
            return Err(bad_uri(format!("{name} is not in {place}, of which the manager is")).with_hint(ANOTHER));
        }
        Ok(stated)
    }

    /// Reads the URI of one key or version, without more.
    pub(crate) fn name(&self, uri: &KeyUri) -> Result<ResourceName> {
        let stated = self.stated(uri)?;
        stated.filter.check_none()?;
        match stated.name {
            Some(name @ (ResourceName::Key(_) | ResourceName::Version(_))) => Ok(name),
            Some(name) => {
                Err(bad_uri(format!("{name} is no key")).with_hint(format!("write `{name}/…/cryptoKeys/KEY`")))
            }
            None => Err(bad_uri("the URI names no key")
                .with_hint("write `cloudkms:projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/1`")),
        }
    }

    /// Reads the URI of a version.
    pub(crate) fn version(&self, uri: &KeyUri) -> Result<VersionName> {
        match self.name(uri)? {
            ResourceName::Version(version) => Ok(version),
            name => Err(bad_uri("the URI names a key, but not which version of it").with_hint(format!(
                "write `{name}/cryptoKeyVersions/1`, or the number that `gcloud kms keys versions list` shows"
            ))),
        }
    }

    /// Reads the URI of what is to be used: a version, or, if the application allows it, a key.
    pub(crate) fn named(&self, uri: &KeyUri) -> Result<Named> {
        match self.name(uri)? {
            ResourceName::Key(key) if self.backend.takes_newest() => Ok(Named::Newest(key)),
            _ => self.version(uri).map(Named::Version),
        }
    }

    /// The complete URI of a version, in which a stated algorithm stays.
    pub(crate) fn uri_of(&self, version: &VersionName, algorithm: Option<SignatureAlgorithm>) -> Result<KeyUri> {
        let mut builder = KeyUri::builder(self.scheme).positional(version.to_string());
        if let Some(algorithm) = algorithm {
            builder = builder.path("alg", algorithm.name());
        }
        Ok(self.place.write(builder).build()?)
    }

    async fn fetch(&self, operation: &'static str, named: Named) -> Result<KeyInfo> {
        let deadline = self.connection.policy().deadline();
        let connection = Arc::clone(&self.connection);
        let is_own = match &named {
            Named::Version(version) => self.own().contains(&version.key),
            Named::Newest(_) => false,
        };
        run(operation, deadline, async move {
            let version = named.settle(&connection, deadline).await?;
            if is_own {
                return generated(&connection, &version, deadline).await;
            }
            KeyInfo::fetch(&connection, &version, deadline).await
        })
        .await
    }

    pub(crate) fn own(&self) -> MutexGuard<'_, BTreeSet<KeyName>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Named {
    /// The version, chosen now where none is stated.
    ///
    /// # Errors
    /// `NotFound` when there is no such key, `KeyUnusable` when no version of it is enabled.
    pub(crate) async fn settle(self, connection: &Connection, deadline: kms_core::Deadline) -> Result<VersionName> {
        let key = match self {
            Self::Version(version) => return Ok(version),
            Self::Newest(key) => key,
        };
        let enabled = search::enabled_versions(connection, &key, deadline).await;
        let enabled = enabled.map_err(|fault| fault.in_context(format!("list the versions of {key}")))?;
        let Some(newest) = enabled.into_iter().max_by_key(|version| version.number) else {
            return Err(Error::new(ErrorKind::KeyUnusable, format!("cloudkms: {key} has no enabled version"))
                .with_hint("create one, or enable one"));
        };
        tracing::info!(version = %newest, "the newest enabled version was chosen, and is kept");
        Ok(newest)
    }
}

#[async_trait]
impl KeyManager for GcpKeyManager {
    /// `CreateCryptoKey`, before it `CreateKeyRing` if there is none, then `GetPublicKey` until the version is generated.
    /// Needs `cloudkms.cryptoKeys.create`, `cloudkms.keyRings.create` for a key ring,
    /// `cloudkms.cryptoKeyVersions.viewPublicKey`. Costs what an active version costs from then on; key rings and names
    /// of keys stay for ever.
    ///
    /// An existing key is never given another version: see [`create_version`](GcpKeyManager::create_version).
    async fn create_key(&self, key: &KeyUri, spec: &KeySpec) -> Result<Key> {
        self.create(key, spec, self.backend.key_options()).await
    }

    /// One `GetPublicKey`, two for ML-DSA, and the permission `cloudkms.cryptoKeyVersions.viewPublicKey`.
    async fn public_key(&self, key: &KeyUri) -> Result<PublicKey> {
        let named = self.named(key)?;
        Ok(self.fetch("read public key", named).await?.public_key)
    }

    /// As [`public_key`](Self::public_key).
    async fn signer(&self, key: &KeyUri, algorithm: Option<SignatureAlgorithm>) -> Result<Arc<dyn Signer>> {
        let named = self.named(key)?;
        let stated = SignatureAlgorithm::stated(key, algorithm)?;
        let info = self.fetch("open signer", named).await?;
        Ok(Arc::new(GcpSigner::new(Arc::clone(&self.connection), info, stated)?))
    }

    fn as_key_deleter(&self) -> Option<&dyn KeyDeleter> {
        Some(self)
    }

    fn as_key_searcher(&self) -> Option<&dyn KeySearcher> {
        Some(self)
    }

    fn as_attester(&self) -> Option<&dyn Attester> {
        Some(self)
    }

    fn as_decrypter(&self) -> Option<&dyn Decrypter> {
        Some(self)
    }

    fn as_key_importer(&self) -> Option<&dyn KeyImporter> {
        Some(self)
    }
}

impl fmt::Debug for GcpKeyManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcpKeyManager")
            .field("place", &self.place)
            .field("within", &self.within.as_ref().map(ToString::to_string))
            .finish_non_exhaustive()
    }
}
