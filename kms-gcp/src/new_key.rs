//! New keys: what they are given, and the steps in which they come to be.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use google_cloud_gax::error::rpc::Code;
use google_cloud_kms_v1::model::crypto_key::CryptoKeyPurpose;
use google_cloud_kms_v1::model::crypto_key_version::{
    CryptoKeyVersionAlgorithm as Native, CryptoKeyVersionState as State,
};
use google_cloud_kms_v1::model::{CryptoKey, CryptoKeyVersionTemplate, KeyRing, ProtectionLevel};
use kms_core::{
    Deadline, DecryptionAlgorithm, Error, ErrorKind, Key, KeySpec, KeyType, KeyUri, KeyUsage, Result,
    SignatureAlgorithm,
};

use crate::algorithm::{self, Choice};
use crate::connection::{Connection, Repeat, run_to_the_end};
use crate::error::{Fault, bad_uri, integrity};
use crate::import::Material;
use crate::key_info::{KeyInfo, Missing};
use crate::manager::GcpKeyManager;
use crate::operation::{CREATE_KEY, CREATE_KEY_RING, CREATE_VERSION, GET_VERSION};
use crate::resource_name::{KeyName, KeyRingName, ResourceName, VersionName};

/// The first pause before looking again whether a version is generated.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What new keys are given beside their type and name.
#[derive(Clone, Debug, Default)]
pub struct GcpKeyOptions {
    pub(crate) protection_level: Option<GcpProtectionLevel>,
    labels: BTreeMap<String, String>,
    destroy_scheduled_duration: Option<Duration>,
    import_only: bool,
    choice: Choice,
}

/// Where new keys live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GcpProtectionLevel {
    /// In software.
    Software,
    /// In a hardware security module.
    Hsm,
}

impl GcpKeyOptions {
    /// Sets where the key lives: in software unless set, and secp256k1 keys in an HSM, since there are no others.
    #[must_use]
    pub fn with_protection_level(mut self, level: GcpProtectionLevel) -> Self {
        self.protection_level = Some(level);
        self
    }

    /// Adds a label. Not secret: labels are in bills and logs.
    #[must_use]
    pub fn with_label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Sets how long a destroyed version can still be restored, in whole seconds; 30 days unless set. It cannot be
    /// changed later.
    #[must_use]
    pub fn with_destroy_scheduled_duration(mut self, duration: Duration) -> Self {
        self.destroy_scheduled_duration = Some(duration);
        self
    }

    /// Makes keys whose versions are all imported, so that nobody generates one by mistake.
    #[must_use]
    pub fn with_import_only(mut self) -> Self {
        self.import_only = true;
        self
    }

    /// Makes RSA keys that the service only pads for (`RSA_SIGN_RAW_PKCS1_…`): the hash is chosen when a signer is
    /// opened.
    #[must_use]
    pub fn with_raw_pkcs1(mut self) -> Self {
        self.choice.raw_pkcs1 = true;
        self
    }

    /// Makes ML-DSA keys that take the message representative (`PQ_SIGN_ML_DSA_…_EXTERNAL_MU`): messages may then be
    /// longer than 64 KiB.
    #[must_use]
    pub fn with_external_mu(mut self) -> Self {
        self.choice.external_mu = true;
        self
    }

    /// Sets how keys for decryption decrypt: with OAEP and SHA-256 unless set.
    #[must_use]
    pub fn with_decryption(mut self, algorithm: DecryptionAlgorithm) -> Self {
        self.choice.decryption = Some(algorithm);
        self
    }

    fn level(&self, key_type: KeyType) -> ProtectionLevel {
        match self.protection_level {
            Some(GcpProtectionLevel::Hsm) => ProtectionLevel::Hsm,
            None if key_type == KeyType::EcSecp256k1 => ProtectionLevel::Hsm,
            Some(GcpProtectionLevel::Software) | None => ProtectionLevel::Software,
        }
    }
}

impl GcpKeyManager {
    /// As [`create_key`](kms_core::KeyManager::create_key), with options for this key alone.
    ///
    /// # Errors
    /// As there; `InvalidArgument` for a label or duration that the service does not take.
    pub async fn create_key_with(&self, key: &KeyUri, spec: &KeySpec, options: &GcpKeyOptions) -> Result<Key> {
        self.create(key, spec, options).await
    }

    /// Gives a key another version, of the algorithm that the key has for new ones; the older ones stay as they are.
    /// `CreateCryptoKeyVersion`, then `GetPublicKey` until it is generated. Needs `cloudkms.cryptoKeyVersions.create`
    /// and `cloudkms.cryptoKeyVersions.viewPublicKey`.
    ///
    /// # Errors
    /// `NotFound`; `KeyUnusable` for a key whose versions are all imported.
    pub async fn create_version(&self, key: &KeyUri) -> Result<Key> {
        let ResourceName::Key(name) = self.name(key)? else {
            return Err(bad_uri("the number of a new version is chosen by Cloud KMS")
                .with_hint("leave `/cryptoKeyVersions/…` out"));
        };
        let deadline = self.connection.policy().deadline();
        let connection = Arc::clone(&self.connection);
        let info = run_to_the_end(CREATE_VERSION.name, deadline, async move {
            let sent = connection.send(CREATE_VERSION, deadline, Repeat::IfRefused, |client| {
                let request = client.create_crypto_key_version().set_parent(name.to_string());
                let request = request.set_crypto_key_version(google_cloud_kms_v1::model::CryptoKeyVersion::new());
                async move { request.send().await }
            });
            let made = sent.await.map_err(|fault| unknown(fault, format!("create a version of {name}")))?;
            let version = version_of(&name, &made.name)?;
            generated(&connection, &version, deadline).await.map_err(|error| incomplete(error, &version))
        })
        .await?;
        Ok(Key::new(self.uri_of(&info.version, None)?, info.public_key))
    }

    pub(crate) async fn create(&self, key: &KeyUri, spec: &KeySpec, options: &GcpKeyOptions) -> Result<Key> {
        self.make(CREATE_KEY.name, key, spec, options, None).await
    }

    /// Makes a key, with private key material from outside if there is any.
    pub(crate) async fn make(
        &self,
        operation: &'static str,
        key: &KeyUri,
        spec: &KeySpec,
        options: &GcpKeyOptions,
        material: Option<Material>,
    ) -> Result<Key> {
        let name = self.name(key)?;
        let signature = SignatureAlgorithm::stated(key, None)?;
        if signature.is_some() && spec.usage == KeyUsage::Decrypt {
            return Err(bad_uri("`alg` is for signing, and the key is to decrypt").with_hint("leave `alg` out"));
        }
        let native = algorithm::of_new_key(spec, Choice { signature, ..options.choice })?;
        let new = NewKey {
            connection: Arc::clone(&self.connection),
            name,
            purpose: match spec.usage {
                KeyUsage::Decrypt => CryptoKeyPurpose::AsymmetricDecrypt,
                _ => CryptoKeyPurpose::AsymmetricSign,
            },
            level: options.level(spec.key_type),
            native,
            options: options.clone(),
            material,
            deadline: self.connection.policy().deadline(),
            made: Arc::default(),
        };
        let (deadline, made) = (new.deadline, Arc::clone(&new.made));
        let own = match &new.name {
            ResourceName::Key(key) => Some(key.clone()),
            ResourceName::Version(version) => Some(version.key.clone()),
            _ => None,
        };
        // Before it is known, since whoever asks may stop waiting, and ask again.
        let is_new = own.clone().is_some_and(|key| self.own().insert(key));
        let finished = run_to_the_end(operation, deadline, async move { new.make().await }).await;
        if let (Err(_), Some(key), true) = (&finished, &own, is_new) {
            self.own().remove(key);
        }
        let info = finished.map_err(|error| match made.lock().unwrap_or_else(PoisonError::into_inner).as_deref() {
            Some(name) => error.in_context(format!("the key {name} was made and exists, but is not complete")),
            None => error,
        })?;
        let algorithm = signature.filter(|_| options.choice.raw_pkcs1);
        Ok(Key::new(self.uri_of(&info.version, algorithm)?, info.public_key))
    }
}

/// A key in the making.
pub(crate) struct NewKey {
    pub(crate) connection: Arc<Connection>,
    name: ResourceName,
    purpose: CryptoKeyPurpose,
    pub(crate) level: ProtectionLevel,
    pub(crate) native: Native,
    options: GcpKeyOptions,
    material: Option<Material>,
    pub(crate) deadline: Deadline,
    /// The name, as soon as there is a key.
    made: Arc<Mutex<Option<String>>>,
}

impl NewKey {
    async fn make(self) -> Result<KeyInfo> {
        let name = self.check_name().await?;
        if self.create(&name).await? == Created::NoKeyRing {
            self.create_key_ring(&name.key_ring).await?;
            if self.create(&name).await? == Created::NoKeyRing {
                return Err(Error::new(ErrorKind::NotFound, format!("cloudkms: there is no {}", name.key_ring)));
            }
        }
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.to_string());
        let version = match &self.material {
            Some(material) => material.import(&self, &name).await?,
            None if self.options.import_only => {
                return Err(Error::new(ErrorKind::KeyUnusable, "cloudkms: its versions are all imported")
                    .with_hint("import one: this call cannot hand out a key without a version"));
            }
            None => name.version(1),
        };
        let info = generated(&self.connection, &version, self.deadline).await?;
        if info.native != self.native || info.protection_level != self.level {
            let (asked, found) = (&self.native, &info.native);
            let (level, other) = (&self.level, &info.protection_level);
            return Err(integrity(format!("asked for {asked:?} in {level:?}, {version} is {found:?} in {other:?}")));
        }
        if let Some(material) = &self.material
            && *material.public_key() != info.public_key
        {
            return Err(integrity("the imported key has another public key"));
        }
        Ok(info)
    }

    /// The name of the key to be made. A new key's first version is 1, so that may be named; another version can only be
    /// one that is there.
    async fn check_name(&self) -> Result<KeyName> {
        let version = match &self.name {
            ResourceName::Key(key) => return Ok(key.clone()),
            ResourceName::Version(version) if version.number == 1 => return Ok(version.key.clone()),
            ResourceName::Version(version) => version,
            other => return Err(bad_uri(format!("{other} is no key"))),
        };
        match KeyInfo::look(&self.connection, version, self.deadline).await {
            Err(Missing::Fault(fault)) if fault.is_not_found() => Err(bad_uri("the first version of a new key is 1")
                .with_hint(format!("write `{}` or `{}`", version.key, version.key.version(1)))),
            Err(Missing::Fault(fault)) if !fault.is_about_state() => {
                Err(fault.in_context(format!("look whether there is {version}")))
            }
            _ => Err(exists(&version.key)),
        }
    }

    async fn create(&self, name: &KeyName) -> Result<Created> {
        let template = CryptoKeyVersionTemplate::new().set_algorithm(self.native.clone());
        let mut key = CryptoKey::new()
            .set_purpose(self.purpose.clone())
            .set_version_template(template.set_protection_level(self.level.clone()))
            .set_labels(self.options.labels.clone())
            .set_import_only(self.options.import_only);
        if let Some(duration) = self.options.destroy_scheduled_duration {
            let duration = google_cloud_wkt::Duration::try_from(duration).map_err(|fault| {
                Error::new(ErrorKind::InvalidArgument, "cloudkms: the time until destruction is too long")
                    .with_source(fault)
            })?;
            key = key.set_destroy_scheduled_duration(duration);
        }
        // Otherwise there would be a generated version beside the imported one.
        let bare = self.material.is_some() || self.options.import_only;
        let key = &key;
        let sent = self.connection.send(CREATE_KEY, self.deadline, Repeat::IfRefused, |client| {
            let request = client.create_crypto_key().set_parent(name.key_ring.to_string());
            let request = request.set_crypto_key_id(&name.id).set_crypto_key(key.clone());
            async move { request.set_skip_initial_version_creation(bare).send().await }
        });
        match sent.await {
            Ok(answer) if answer.name == name.to_string() => Ok(Created::Yes),
            Ok(answer) => Err(integrity(format!("asked for the key {name}, made `{}`", answer.name))),
            Err(fault) if fault.is(Code::AlreadyExists) => Err(exists(name).with_source(fault)),
            Err(fault) if fault.is_not_found() => Ok(Created::NoKeyRing),
            Err(fault) => Err(unknown(fault, format!("create the key {name}"))),
        }
    }

    async fn create_key_ring(&self, name: &KeyRingName) -> Result<()> {
        let sent = self.connection.send(CREATE_KEY_RING, self.deadline, Repeat::Yes, |client| {
            let request = client.create_key_ring().set_parent(name.location.to_string());
            let request = request.set_key_ring_id(&name.id).set_key_ring(KeyRing::new());
            async move { request.send().await }
        });
        match sent.await {
            Ok(_) => Ok(()),
            // Somebody else made it meanwhile, or this request did before it was repeated.
            Err(fault) if fault.is(Code::AlreadyExists) => Ok(()),
            Err(fault) => Err(fault.in_context(format!("create the key ring {name}"))),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Created {
    Yes,
    NoKeyRing,
}

/// The version of that key that the service's answer names.
pub(crate) fn version_of(key: &KeyName, answered: &str) -> Result<VersionName> {
    ResourceName::version(answered)
        .filter(|version| version.key == *key)
        .ok_or_else(|| integrity(format!("asked for a version of {key}, made `{answered}`")))
}

/// Waits until a version of ours is there: generated, or imported.
pub(crate) async fn generated(connection: &Connection, version: &VersionName, deadline: Deadline) -> Result<KeyInfo> {
    let mut pause = FIRST_PAUSE;
    loop {
        let fault = match KeyInfo::look(connection, version, deadline).await {
            Ok(info) => return Ok(info),
            // What was made just now may not be known everywhere.
            Err(Missing::Fault(fault)) if fault.is_about_state() || fault.is_not_found() => fault,
            Err(missing) => return Err(missing.into_error(version)),
        };
        failed(connection, version, deadline).await?;
        if pause >= deadline.remaining() {
            return Err(fault.in_context(format!("wait for {version}")));
        }
        tracing::debug!(%version, ?pause, "not generated yet, will look again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether waiting is in vain. Who may not look, waits.
async fn failed(connection: &Connection, version: &VersionName, deadline: Deadline) -> Result<()> {
    let sent = connection.send(GET_VERSION, deadline, Repeat::Yes, |client| {
        let request = client.get_crypto_key_version().set_name(version.to_string());
        async move { request.send().await }
    });
    let Ok(found) = sent.await else { return Ok(()) };
    let reason = match found.state {
        State::GenerationFailed => found.generation_failure_reason,
        State::ImportFailed => found.import_failure_reason,
        State::Disabled | State::Destroyed | State::DestroyScheduled => "somebody switched it off meanwhile".to_owned(),
        _ => return Ok(()),
    };
    let state = found.state.name().unwrap_or_default().to_owned();
    let error = Error::new(ErrorKind::KeyUnusable, format!("cloudkms: the state of {version} is {state}"));
    Err(if reason.is_empty() { error } else { error.with_hint(reason) })
}

fn exists(name: &KeyName) -> Error {
    Error::new(ErrorKind::AlreadyExists, format!("cloudkms: {name} exists and is left as it is"))
        .with_hint("choose another name: names of keys are never free again; or ask for another version of it")
}

/// A request that creates and was not answered may have done so.
pub(crate) fn unknown(fault: Fault, context: String) -> Error {
    const UNKNOWN: &str = "it is not known whether it was made: search before trying again";
    let unknown = fault.kind() == ErrorKind::Unavailable;
    let error = fault.in_context(context);
    let hint = match error.hint() {
        _ if !unknown => return error,
        Some(hint) => format!("{hint}; {UNKNOWN}"),
        None => UNKNOWN.to_owned(),
    };
    error.with_hint(hint)
}

fn incomplete(error: Error, version: &VersionName) -> Error {
    error.in_context(format!("{version} was made and exists, but is not complete"))
}
