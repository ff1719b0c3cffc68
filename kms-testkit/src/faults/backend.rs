//! The same one level up: a whole backend whose signers are faulty.

use std::sync::Arc;

use async_trait::async_trait;

use kms_core::{
    Attester, Backend, CertificateManager, Decrypter, Key, KeyDeleter, KeyImporter, KeyManager, KeySearcher, KeySpec,
    KeyUri, OpenOptions, PublicKey, Result, SignatureAlgorithm, Signer,
};

use super::{Fault, FaultySigner};

/// A backend with another beneath it: everything is passed on, but each signer is a [`FaultySigner`].
///
/// Put over the real one in a [`Registry`](kms_core::Registry), it shows an application its own handling of faults.
#[derive(Clone, Debug)]
pub struct FaultyBackend {
    inner: Arc<dyn Backend>,
    fault: Fault,
}

impl FaultyBackend {
    /// Over `inner`.
    pub fn new(inner: impl Backend, fault: Fault) -> Self {
        Self { inner: Arc::new(inner), fault }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Backend for FaultyBackend {
    fn schemes(&self) -> &'static [&'static str] {
        self.inner.schemes()
    }

    async fn open(&self, uri: &KeyUri, options: &OpenOptions) -> Result<Arc<dyn KeyManager>> {
        let inner = self.inner.open(uri, options).await?;
        Ok(Arc::new(FaultyManager::new(inner, self.fault.clone())))
    }
}

/// A manager with another beneath it: everything is passed on, but each signer is a [`FaultySigner`].
#[derive(Clone, Debug)]
pub struct FaultyManager {
    inner: Arc<dyn KeyManager>,
    fault: Fault,
}

impl FaultyManager {
    /// Over `inner`.
    pub fn new(inner: Arc<dyn KeyManager>, fault: Fault) -> Self {
        Self { inner, fault }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl KeyManager for FaultyManager {
    async fn create_key(&self, key: &KeyUri, spec: &KeySpec) -> Result<Key> {
        self.inner.create_key(key, spec).await
    }

    async fn public_key(&self, key: &KeyUri) -> Result<PublicKey> {
        self.inner.public_key(key).await
    }

    async fn signer(&self, key: &KeyUri, algorithm: Option<SignatureAlgorithm>) -> Result<Arc<dyn Signer>> {
        let inner = self.inner.signer(key, algorithm).await?;
        Ok(Arc::new(FaultySigner::new(inner, self.fault.clone())))
    }

    fn as_key_deleter(&self) -> Option<&dyn KeyDeleter> {
        self.inner.as_key_deleter()
    }

    fn as_key_searcher(&self) -> Option<&dyn KeySearcher> {
        self.inner.as_key_searcher()
    }

    fn as_certificate_manager(&self) -> Option<&dyn CertificateManager> {
        self.inner.as_certificate_manager()
    }

    fn as_attester(&self) -> Option<&dyn Attester> {
        self.inner.as_attester()
    }

    fn as_decrypter(&self) -> Option<&dyn Decrypter> {
        self.inner.as_decrypter()
    }

    fn as_key_importer(&self) -> Option<&dyn KeyImporter> {
        self.inner.as_key_importer()
    }
}
