//! A place that holds software keys: files, one directory, or memory.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use kms_core::worker::offload;
use kms_core::{
    CertificateManager, Deadline, Decrypter, Error, ErrorKind, Key, KeyDeleter, KeyImporter, KeyManager, KeySearcher,
    KeySpec, KeyType, KeyUri, KeyUsage, OperationPolicy, PublicKey, Result, SecretRequest, SecretSource,
    SignatureAlgorithm, Signer,
};

use crate::address::{Address, Place};
use crate::encryption::EncryptedKey;
use crate::key_file::{self, KeyFile};
use crate::key_pair::KeyPair;
use crate::memory::Memory;
use crate::options::{KeyStore, SoftOptions};
use crate::signer::SoftSigner;
use crate::{directory, error, file};

/// Manages the software keys of one store. Nothing is shared between two managers but the file system.
#[derive(Debug)]
pub struct SoftKeyManager {
    options: SoftOptions,
    policy: OperationPolicy,
    memory: Arc<Memory>,
    /// Keys in use whose password somebody typed: he is not asked again for the same octets, as for another algorithm.
    typed: Mutex<Vec<(Arc<EncryptedKey>, Weak<KeyPair>)>>,
}

impl SoftKeyManager {
    /// Opens a store. No I/O: a directory that is missing is made with the first key.
    pub fn new(options: SoftOptions, policy: OperationPolicy) -> Self {
        Self { options, policy, memory: Arc::default(), typed: Mutex::default() }
    }

    /// What it was opened with.
    pub fn options(&self) -> &SoftOptions {
        &self.options
    }

    pub(crate) fn policy(&self) -> &OperationPolicy {
        &self.policy
    }

    pub(crate) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Finds the key and parses it. An encrypted one takes its password; only then is a prompt asked.
    pub(crate) async fn load(&self, address: &Address, password: Option<SecretSource>) -> Result<Arc<KeyPair>> {
        let path = match address.place() {
            Place::Memory(name) => return self.memory.key(&name),
            Place::Files { key, .. } => key,
        };
        let request = request(&path);
        let content = offload("read key file", self.policy.deadline(), move || key_file::read(&path)).await?;
        let encrypted = match content {
            KeyFile::Plain(pair) => return Ok(Arc::new(pair)),
            KeyFile::Encrypted(encrypted) => Arc::new(encrypted),
        };
        let source = password.ok_or_else(|| no_password().in_context(address))?;
        let asked = match &source {
            SecretSource::Prompt(_) => {
                if let Some(pair) = self.already_typed(&encrypted) {
                    return Ok(pair);
                }
                // Here, as `SecretPrompt` promises, and with no deadline running: a person answers.
                Some(source.read(&request)?)
            }
            _ => None,
        };
        let (typed, shared) = (asked.is_some(), Arc::clone(&encrypted));
        let decrypt = move || {
            let password = asked.map_or_else(|| source.read(&request), Ok)?;
            KeyPair::from_pkcs8(shared.decrypt(&password)?.expose())
        };
        let pair = offload("decrypt key file", self.policy.deadline(), decrypt).await;
        let pair = pair.map(Arc::new).map_err(|error| error.in_context(address))?;
        if typed {
            self.typed().push((encrypted, Arc::downgrade(&pair)));
        }
        Ok(pair)
    }

    fn already_typed(&self, encrypted: &EncryptedKey) -> Option<Arc<KeyPair>> {
        let mut typed = self.typed();
        typed.retain(|(_, pair)| pair.strong_count() > 0);
        typed.iter().find(|(other, _)| **other == *encrypted).and_then(|(_, pair)| pair.upgrade())
    }

    fn typed(&self) -> MutexGuard<'_, Vec<(Arc<EncryptedKey>, Weak<KeyPair>)>> {
        // Nothing panics while it holds the lock, so a poisoned one is still consistent.
        self.typed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the key that `make` makes where there is none. Looks before it makes, since that may take long. An algorithm
    /// that the URI states must be one of the key's, and stays in its complete URI.
    pub(crate) async fn insert(
        &self,
        key: &KeyUri,
        spec: &KeySpec,
        make: impl FnOnce() -> Result<KeyPair> + Send + 'static,
    ) -> Result<Key> {
        check_usage(spec)?;
        let (address, password) = self.options.address(key)?;
        let stated = SignatureAlgorithm::stated(key, None)?;
        spec.key_type.settle(stated)?;
        let uri = match stated {
            Some(algorithm) => address.uri()?.with_path("alg", algorithm.name())?,
            None => address.uri()?,
        };
        let deadline = self.policy.deadline();
        let public_key = match address.place() {
            Place::Memory(name) => {
                let memory = Arc::clone(&self.memory);
                let insert = move || insert_in_memory(&memory, &name, make, deadline);
                offload("create key", deadline, insert).await?
            }
            Place::Files { key: path, .. } => {
                let store = self.options.store().clone();
                let insert = move || insert_in_files(&store, &path, password.as_ref(), make, deadline);
                offload("create key", deadline, insert).await?
            }
        };
        Ok(Key::new(uri, public_key))
    }
}

#[async_trait]
impl KeyManager for SoftKeyManager {
    /// Generates the key on a worker thread and writes its file with mode 0600, encrypted if the URI or the manager
    /// states a password. A directory that is missing is made with mode 0700, what it lies in is not.
    async fn create_key(&self, key: &KeyUri, spec: &KeySpec) -> Result<Key> {
        let key_type = spec.key_type;
        self.insert(key, spec, move || KeyPair::generate(key_type)).await
    }

    async fn public_key(&self, key: &KeyUri) -> Result<PublicKey> {
        let (address, password) = self.options.address(key)?;
        Ok(self.load(&address, password).await?.public_key().clone())
    }

    async fn signer(&self, key: &KeyUri, algorithm: Option<SignatureAlgorithm>) -> Result<Arc<dyn Signer>> {
        let (address, password) = self.options.address(key)?;
        let stated = SignatureAlgorithm::stated(key, algorithm)?;
        let pair = self.load(&address, password).await?;
        let settled = pair.public_key().key_type().settle(stated).map_err(|error| error.in_context(&address))?;
        Ok(Arc::new(SoftSigner::new(pair, settled, self.policy.clone())))
    }

    fn as_key_deleter(&self) -> Option<&dyn KeyDeleter> {
        Some(self)
    }

    /// `None` where each key is a file of its own: there is no place to look through.
    fn as_key_searcher(&self) -> Option<&dyn KeySearcher> {
        match self.options.store() {
            KeyStore::Files => None,
            KeyStore::Directory(_) | KeyStore::Memory => Some(self),
        }
    }

    fn as_certificate_manager(&self) -> Option<&dyn CertificateManager> {
        Some(self)
    }

    fn as_decrypter(&self) -> Option<&dyn Decrypter> {
        Some(self)
    }

    fn as_key_importer(&self) -> Option<&dyn KeyImporter> {
        Some(self)
    }
}

/// Whether a key of that type is of that use. A software key is not bound to it afterwards.
fn check_usage(spec: &KeySpec) -> Result<()> {
    match (spec.usage, spec.key_type) {
        (KeyUsage::Sign, _) | (KeyUsage::Decrypt, KeyType::Rsa { .. }) => Ok(()),
        (KeyUsage::Decrypt, key_type) => {
            Err(error::unsupported(format!("a key of type {key_type} does not decrypt")).with_hint("use an RSA key"))
        }
        _ => Err(error::unsupported("software keys are for signing and decrypting only")),
    }
}

fn insert_in_memory(
    memory: &Memory,
    name: &str,
    make: impl FnOnce() -> Result<KeyPair>,
    deadline: Deadline,
) -> Result<PublicKey> {
    memory.check_absent(name)?;
    let pair = make()?;
    if deadline.has_passed() {
        return Err(Deadline::error("create key"));
    }
    let public_key = pair.public_key().clone();
    memory.insert(name, pair).map(|()| public_key)
}

fn insert_in_files(
    store: &KeyStore,
    path: &Path,
    password: Option<&SecretSource>,
    make: impl FnOnce() -> Result<KeyPair>,
    deadline: Deadline,
) -> Result<PublicKey> {
    file::check_absent(path)?;
    let password = match password {
        // Nobody is asked for a new password here: a slip in typing it would lock the key for ever.
        None | Some(SecretSource::Prompt(_)) => None,
        Some(source) => Some(source.read(&request(path))?),
    };
    let pair = make()?;
    let pkcs8 = pair.to_pkcs8()?;
    let made = match store {
        KeyStore::Directory(directory) => directory::make(directory)?.then_some(directory),
        _ => None,
    };
    key_file::create(path, &pkcs8, password.as_ref(), deadline).inspect_err(|_| {
        // Only an empty one goes: another may have put a key there meanwhile.
        let removed = made.map(std::fs::remove_dir);
        tracing::debug!(?removed, "took back a directory in which no key could be made");
    })?;
    Ok(pair.public_key().clone())
}

/// What a password's source is asked for.
pub(crate) fn request(path: &Path) -> SecretRequest {
    SecretRequest::new("password", path.display().to_string())
}

fn no_password() -> Error {
    Error::new(ErrorKind::Unauthenticated, "the key file is encrypted and no password is given")
        .with_hint("add `?password-source=file:/path/to/password` or `?password-source=env:NAME`")
}
