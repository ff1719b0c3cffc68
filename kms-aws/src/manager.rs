//! One account in one region, and its keys.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_kms::config::Region;
use kms_core::{
    Decrypter, Key, KeyDeleter, KeyImporter, KeyManager, KeySearcher, KeySpec, KeyUri, OperationPolicy, PublicKey,
    Result, SignatureAlgorithm, Signer,
};
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use crate::backend::Aws;
use crate::configuration;
use crate::connection::{Connection, Source, run};
use crate::error::bad_uri;
use crate::key_id::KeyId;
use crate::key_info::KeyInfo;
use crate::options::{Place, Stated};
use crate::recent::Recent;
use crate::signer::AwsSigner;

/// Manages the keys of one account in one region. Managers share connections, but nothing else.
pub struct AwsKeyManager {
    pub(crate) backend: Aws,
    pub(crate) place: Place,
    pub(crate) connection: Arc<Connection>,
    pub(crate) recent: Arc<Recent>,
}

impl AwsKeyManager {
    pub(crate) async fn open(backend: Aws, stated: Stated, policy: OperationPolicy) -> Result<Self> {
        let mut place = stated.place;
        let source = if let Some(config) = backend.ready() {
            ready(config, &mut place)?
        } else {
            place.check_file()?;
            if place.region.is_none() {
                place.region = Some(ambient_region(&place, &policy).await?);
            }
            Source::Place(place.clone())
        };
        let connection = Arc::new(Connection::new(source, policy));
        Ok(Self { backend, place, connection, recent: Arc::default() })
    }

    /// Reads a key's URI.
    ///
    /// # Errors
    /// `InvalidUri` when it is wrong, or of a key elsewhere. No call is made.
    pub(crate) fn stated(&self, uri: &KeyUri) -> Result<Stated> {
        let stated = Stated::read(uri, self.backend.allows_any_endpoint())?;
        self.place.check(&stated.place)?;
        Ok(stated)
    }

    /// Reads the URI of a key that exists.
    pub(crate) fn existing(&self, uri: &KeyUri) -> Result<KeyId> {
        let stated = self.stated(uri)?;
        stated.filter.check_none()?;
        stated.key.ok_or_else(|| {
            bad_uri("the URI names no key").with_hint("add `key-id=` with its identifier, ARN or `alias/NAME`")
        })
    }

    /// The complete URI of the key of that ARN, in which a stated algorithm stays.
    pub(crate) fn uri_of(&self, arn: &str, algorithm: Option<SignatureAlgorithm>) -> Result<KeyUri> {
        let mut builder = KeyUri::builder(crate::SCHEME).path("key-id", arn);
        if let Some(algorithm) = algorithm {
            builder = builder.path("alg", algorithm.name());
        }
        Ok(self.place.write(builder).build()?)
    }

    async fn fetch(&self, operation: &'static str, key: &KeyId) -> Result<KeyInfo> {
        let deadline = self.connection.policy().deadline();
        let (connection, recent, key) = (Arc::clone(&self.connection), Arc::clone(&self.recent), key.clone());
        run(operation, deadline, async move { KeyInfo::fetch(&connection, &key, &recent, deadline).await }).await
    }
}

#[async_trait]
impl KeyManager for AwsKeyManager {
    /// `CreateKey`, then `CreateAlias` when the URI has a name, then `GetPublicKey`; before that a `GetPublicKey` to see
    /// that the name is free. Needs `kms:CreateKey`, `kms:CreateAlias` (on the alias and on the key),
    /// `kms:GetPublicKey`, and `kms:TagResource` when new keys are given tags. Costs what a key costs from then on.
    ///
    /// When a later step fails, the error has the ARN of the key that was made: it exists, without a name.
    async fn create_key(&self, key: &KeyUri, spec: &KeySpec) -> Result<Key> {
        self.create(key, spec, self.backend.key_options()).await
    }

    /// One `GetPublicKey`, and the permission for it.
    async fn public_key(&self, key: &KeyUri) -> Result<PublicKey> {
        let key = self.existing(key)?;
        Ok(self.fetch("read public key", &key).await?.public_key)
    }

    /// One `GetPublicKey`, and the permission for it; no `DescribeKey`.
    async fn signer(&self, key: &KeyUri, algorithm: Option<SignatureAlgorithm>) -> Result<Arc<dyn Signer>> {
        let id = self.existing(key)?;
        let stated = SignatureAlgorithm::stated(key, algorithm)?;
        let info = self.fetch("open signer", &id).await?;
        let settled = info.settle(stated)?;
        let (connection, recent) = (Arc::clone(&self.connection), Arc::clone(&self.recent));
        Ok(Arc::new(AwsSigner::new(connection, recent, id, info, settled)?))
    }

    fn as_key_deleter(&self) -> Option<&dyn KeyDeleter> {
        Some(self)
    }

    fn as_key_searcher(&self) -> Option<&dyn KeySearcher> {
        Some(self)
    }

    fn as_decrypter(&self) -> Option<&dyn Decrypter> {
        Some(self)
    }

    fn as_key_importer(&self) -> Option<&dyn KeyImporter> {
        Some(self)
    }
}

impl fmt::Debug for AwsKeyManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKeyManager").field("place", &self.place).finish_non_exhaustive()
    }
}

/// The application's own configuration, in the region that the URI states if it states one.
fn ready(config: &aws_sdk_kms::Config, place: &mut Place) -> Result<Source> {
    let stated = Place { region: None, ..place.clone() };
    if stated != Place::default() {
        return Err(bad_uri("the URI says with whose rights, but the application gave a client that has its own")
            .with_hint("leave `profile`, `credentials-file`, `role-arn` and `endpoint-url` out"));
    }
    let mut config = config.clone();
    match (&place.region, config.region()) {
        (Some(region), _) => config = config.to_builder().region(Region::new(region.clone())).build(),
        (None, Some(region)) => place.region = Some(region.as_ref().to_owned()),
        (None, None) => return Err(no_region()),
    }
    Ok(Source::Ready(Box::new(config)))
}

async fn ambient_region(place: &Place, policy: &OperationPolicy) -> Result<String> {
    let place = place.clone();
    let look = async move { Ok(configuration::region(&place).with_subscriber(NoSubscriber::default()).await) };
    run("find region", policy.deadline(), look).await?.ok_or_else(no_region)
}

fn no_region() -> kms_core::Error {
    bad_uri("neither the URI nor the environment says in which region the key is")
        .with_hint("add `region=us-east-1`, name the key by its ARN, or set AWS_REGION")
}
