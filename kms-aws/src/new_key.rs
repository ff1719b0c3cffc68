//! New keys: what they are given, and the steps in which they come to be.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_kms::operation::create_key::CreateKeyOutput;
use aws_sdk_kms::types::{KeySpec as NativeSpec, KeyUsageType, OriginType, Tag};
use kms_core::{
    Deadline, Error, ErrorKind, Key, KeySpec, KeyType, KeyUri, KeyUsage, PublicKey, Result, SignatureAlgorithm,
};

use crate::algorithm;
use crate::connection::{Connection, Repeat, patient, run_to_the_end};
use crate::error::{Fault, bad_uri, integrity};
use crate::import::Material;
use crate::key_id::KeyId;
use crate::key_info::{KeyInfo, Missing};
use crate::manager::AwsKeyManager;
use crate::recent::Recent;

/// What new keys are given beside their type. A name is in the key's URI.
#[derive(Clone, Debug, Default)]
pub struct AwsKeyOptions {
    description: Option<String>,
    tags: Vec<(String, String)>,
    policy: Option<String>,
    multi_region: bool,
}

impl AwsKeyOptions {
    /// Sets the description: text for people, up to 8192 characters. Not secret: it is in the service's logs.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Adds a tag. Needs `kms:TagResource`.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((key.into(), value.into()));
        self
    }

    /// Sets the key policy, in JSON; without one, IAM policies of the account decide. The service refuses a policy
    /// by which the caller could not change it again.
    #[must_use]
    pub fn with_policy(mut self, policy: impl Into<String>) -> Self {
        self.policy = Some(policy.into());
        self
    }

    /// Makes primary keys that can be replicated to other regions.
    #[must_use]
    pub fn with_multi_region(mut self) -> Self {
        self.multi_region = true;
        self
    }
}

impl AwsKeyManager {
    /// As [`create_key`](kms_core::KeyManager::create_key), with options for this key alone.
    ///
    /// # Errors
    /// As there; `InvalidArgument` for a policy or tag that the service does not take.
    pub async fn create_key_with(&self, key: &KeyUri, spec: &KeySpec, options: &AwsKeyOptions) -> Result<Key> {
        self.create(key, spec, options).await
    }

    pub(crate) async fn create(&self, key: &KeyUri, spec: &KeySpec, options: &AwsKeyOptions) -> Result<Key> {
        self.make("create key", key, spec, options, None).await
    }

    /// Makes a key, with private key material from outside if there is any.
    pub(crate) async fn make(
        &self,
        operation: &'static str,
        key: &KeyUri,
        spec: &KeySpec,
        options: &AwsKeyOptions,
        material: Option<Material>,
    ) -> Result<Key> {
        let stated = self.stated(key)?;
        stated.filter.check_none()?;
        let algorithm = SignatureAlgorithm::stated(key, None)?;
        if algorithm.is_some() {
            spec.key_type.settle(algorithm)?;
        }
        let native = algorithm::key_spec(spec.key_type)?;
        let usage = usage(spec)?;
        if let Some(KeyId::Alias(alias)) = &stated.key
            && alias.starts_with("alias/aws/")
        {
            return Err(bad_uri("names that begin with `aws/` are for AWS's own keys").with_hint("choose another name"));
        }
        let progress: Arc<Mutex<Progress>> = Arc::default();
        let deadline = self.connection.policy().deadline();
        let new = NewKey {
            connection: Arc::clone(&self.connection),
            recent: Arc::clone(&self.recent),
            name: stated.key,
            native,
            usage,
            options: options.clone(),
            material,
            deadline,
            progress: Arc::clone(&progress),
        };
        let finished = run_to_the_end(operation, deadline, async move { new.make().await }).await;
        let (arn, public_key) = finished.map_err(|error| {
            let progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
            match &*progress {
                Progress::Made(arn) => {
                    error.in_context(format!("the key {arn} was made and exists, but is not complete"))
                }
                Progress::Asked if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) => {
                    error.with_hint("it is not known whether the key was made: search before trying again")
                }
                _ => error,
            }
        })?;
        if public_key.key_type() != spec.key_type {
            let found = public_key.key_type();
            return Err(integrity(format!("asked for a key of type {}, {arn} is of type {found}", spec.key_type)));
        }
        Ok(Key::new(self.uri_of(&arn, algorithm)?, public_key))
    }
}

/// A key in the making.
struct NewKey {
    connection: Arc<Connection>,
    recent: Arc<Recent>,
    name: Option<KeyId>,
    native: NativeSpec,
    usage: KeyUsageType,
    options: AwsKeyOptions,
    material: Option<Material>,
    deadline: Deadline,
    progress: Arc<Mutex<Progress>>,
}

/// How far it got, for the one who stops waiting.
#[derive(Debug, Default)]
enum Progress {
    #[default]
    Nothing,
    /// `CreateKey` was sent.
    Asked,
    /// There is a key, of this ARN.
    Made(String),
}

impl NewKey {
    async fn make(self) -> Result<(String, PublicKey)> {
        self.check_absent().await?;
        self.note(Progress::Asked);
        let arn = self.create().await?;
        self.note(Progress::Made(arn.clone()));
        self.recent.note(&arn);
        let id: KeyId =
            arn.parse().map_err(|_| integrity(format!("the new key has a name that is no ARN: `{arn}`")))?;
        if let Some(material) = &self.material {
            material.import(&self.connection, &self.recent, &id, self.deadline).await?;
        }
        if let Some(alias) = &self.name {
            self.name(&id, alias).await?;
        }
        let info = KeyInfo::fetch(&self.connection, &id, &self.recent, self.deadline).await?;
        if let Some(material) = &self.material
            && *material.public_key() != info.public_key
        {
            return Err(integrity("the imported key has another public key"));
        }
        Ok((arn, info.public_key))
    }

    fn note(&self, progress: Progress) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    /// Whether the name is free. What has a name and cannot be read is there all the same.
    async fn check_absent(&self) -> Result<()> {
        let Some(name) = &self.name else { return Ok(()) };
        let exists = || {
            Error::new(ErrorKind::AlreadyExists, format!("awskms: `{name}` exists and is left as it is"))
                .with_hint("choose another name; the name of a deleted key is free once its alias is deleted")
        };
        match KeyInfo::look(&self.connection, name, &Recent::default(), self.deadline).await {
            Ok(_) => Err(exists()),
            Err(Missing::Fault(fault)) if fault.is_not_found() => match name {
                KeyId::Alias(_) => Ok(()),
                KeyId::Key(_) | KeyId::Arn(_) => Err(bad_uri("the identifier of a new key is chosen by AWS KMS")
                    .with_hint("give `name=…`, which becomes its alias, or nothing")),
            },
            Err(Missing::Fault(fault)) if matches!(fault.kind(), ErrorKind::KeyUnusable | ErrorKind::Unsupported) => {
                Err(exists())
            }
            Err(missing) => Err(missing.into_error(name)),
        }
    }

    async fn create(&self) -> Result<String> {
        let tags = self.options.tags.iter().map(|(key, value)| Tag::builder().tag_key(key).tag_value(value).build());
        let tags = tags.collect::<Result<Vec<_>, _>>().map_err(|error| {
            Error::new(ErrorKind::InvalidArgument, "awskms: a tag without key or value").with_source(error)
        })?;
        let tags = if tags.is_empty() { None } else { Some(tags) };
        let origin = self.material.as_ref().map(|_| OriginType::External);
        let multi_region = self.options.multi_region.then_some(true);
        let answer = self.connection.send("create key", self.deadline, Repeat::IfRefused, |client| {
            let request = client
                .create_key()
                .key_spec(self.native.clone())
                .key_usage(self.usage.clone())
                .set_description(self.options.description.clone())
                .set_policy(self.options.policy.clone())
                .set_tags(tags.clone())
                .set_origin(origin.clone())
                .set_multi_region(multi_region);
            // Cut short, it would leave nobody knowing whether there is a key.
            let request = request.customize().config_override(patient(self.deadline));
            async move { Ok(request.send().await?) }
        });
        let answer: CreateKeyOutput = answer.await.map_err(|fault: Fault| fault.in_context("create key"))?;
        let arn = answer.key_metadata.and_then(|metadata| metadata.arn).unwrap_or_default();
        if arn.is_empty() { Err(integrity("the answer to CreateKey has no ARN")) } else { Ok(arn) }
    }

    /// The service may not know the key everywhere yet. An alias that is there after a request went unanswered, and
    /// means this key, is this request's.
    async fn name(&self, key: &KeyId, alias: &KeyId) -> Result<()> {
        let ask = || {
            self.connection.send("name key", self.deadline, Repeat::Yes, |client| async move {
                let request = client.create_alias().alias_name(alias.as_str()).target_key_id(key.as_str());
                Ok(request.send().await?)
            })
        };
        let named: Result<_, Fault> = self.recent.settled(key, self.deadline, ask).await;
        match named {
            Ok(_) => {}
            Err(fault) if fault.is("AlreadyExistsException") => {
                let there = KeyInfo::look(&self.connection, alias, &self.recent, self.deadline).await;
                if !there.is_ok_and(|there| there.arn == key.as_str()) {
                    return Err(fault.in_context(format!("name the key `{alias}`")));
                }
            }
            Err(fault) => return Err(fault.in_context(format!("name the key `{alias}`"))),
        }
        self.recent.note(alias.as_str());
        Ok(())
    }
}

fn usage(spec: &KeySpec) -> Result<KeyUsageType> {
    match (spec.usage, spec.key_type) {
        (KeyUsage::Sign, _) => Ok(KeyUsageType::SignVerify),
        (KeyUsage::Decrypt, KeyType::Rsa { .. }) => Ok(KeyUsageType::EncryptDecrypt),
        (KeyUsage::Decrypt, key_type) => {
            Err(Error::new(ErrorKind::Unsupported, format!("a key of type {key_type} does not decrypt"))
                .with_hint("use an RSA key"))
        }
        _ => Err(Error::new(ErrorKind::Unsupported, "AWS KMS keys here are for signing and decrypting only")),
    }
}
