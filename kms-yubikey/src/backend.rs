//! The value that a registry is given, and what it allows.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kms_core::{Backend, KeyManager, KeyUri, OpenOptions, Result};

use crate::attestation::Trust;
use crate::manager::YubiKeyManager;
use crate::options::Stated;
use crate::touch::{Touch, TouchPrompt};

/// Opens `yubikey:` URIs.
#[derive(Clone, Debug, Default)]
pub struct YubiKey {
    pub(crate) touch: Touch,
    pub(crate) last_try: bool,
    pub(crate) trust: Trust,
}

impl YubiKey {
    /// Sets who is told that a key waits to be touched.
    #[must_use]
    pub fn with_touch_prompt(mut self, prompt: impl TouchPrompt + 'static) -> Self {
        self.touch.prompt = Some(Arc::new(prompt));
        self
    }

    /// Sets how long to wait for a touch; 20 s unless set. It comes on top of the policy's time for the operation. The
    /// device itself gives up after some 15 s.
    #[must_use]
    pub fn with_touch_timeout(mut self, timeout: Duration) -> Self {
        self.touch.timeout = timeout;
        self
    }

    /// Sends a PIN also where a wrong one would lock the device.
    #[must_use]
    pub fn with_last_try(mut self) -> Self {
        self.last_try = true;
        self
    }

    /// Believes attestations below another root too, a DER certificate: for other vendors' cards, and for attestation
    /// keys of one's own.
    #[must_use]
    pub fn with_attestation_root(mut self, certificate: impl Into<Vec<u8>>) -> Self {
        self.trust.add_root(certificate.into());
        self
    }

    /// Opens a device as its own type, for what only a YubiKey can do with keys. Commands as with
    /// [`open`](Backend::open).
    ///
    /// # Errors
    /// `InvalidUri` for a wrong URI, or one of another scheme; `NotFound`, `Ambiguous`; those of PC/SC.
    pub async fn manager(&self, uri: &KeyUri, options: &OpenOptions) -> Result<YubiKeyManager> {
        let stated = Stated::read(uri, options.prompt.as_ref())?;
        YubiKeyManager::open(self.clone(), stated, options.policy.clone()).await
    }
}

#[async_trait]
impl Backend for YubiKey {
    fn schemes(&self) -> &'static [&'static str] {
        &[crate::SCHEME]
    }

    /// Two or three commands to each reader that is called YubiKey; the others are not opened.
    async fn open(&self, uri: &KeyUri, options: &OpenOptions) -> Result<Arc<dyn KeyManager>> {
        Ok(Arc::new(self.manager(uri, options).await?))
    }
}
