//! The value that a registry is given, and what it allows.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use google_cloud_auth::credentials::Credentials;
use google_cloud_kms_v1::client::KeyManagementService;
use kms_core::{Backend, KeyManager, KeyUri, OpenOptions, Result};

use crate::manager::GcpKeyManager;
use crate::new_key::GcpKeyOptions;
use crate::options::Stated;

/// Opens `cloudkms:` and `gcpkms:` URIs.
#[derive(Clone, Default)]
pub struct Gcp {
    client: Option<KeyManagementService>,
    credentials: Option<Credentials>,
    any_endpoint: bool,
    newest: bool,
    key_options: GcpKeyOptions,
    attestation_roots: Vec<Vec<u8>>,
}

impl Gcp {
    /// Sets what new keys are given beside their type: protection level, labels, time until destruction.
    #[must_use]
    pub fn with_key_options(mut self, options: GcpKeyOptions) -> Self {
        self.key_options = options;
        self
    }

    /// Lets URIs name a key without a version to sign, decrypt or read the public key: the enabled version with the
    /// highest number is chosen when the key is opened, written to the log, and kept for the life of the signer. Costs
    /// a `ListCryptoKeyVersions`, and needs `cloudkms.cryptoKeyVersions.list`.
    #[must_use]
    pub fn with_newest_enabled_version(mut self) -> Self {
        self.newest = true;
        self
    }

    /// Lets an `endpoint-url` be plain HTTP on another machine. Whoever is on the way can then read the access token
    /// and answer in the service's place; signatures are still verified, but not who made a new key.
    #[must_use]
    pub fn dangerous_with_any_endpoint(mut self) -> Self {
        self.any_endpoint = true;
        self
    }

    /// Uses credentials that the application has made; URIs may then state no others.
    #[cfg(feature = "google-cloud")]
    #[must_use]
    pub fn with_credentials(mut self, credentials: impl Into<Credentials>) -> Self {
        self.credentials = Some(credentials.into());
        self
    }

    /// Uses a client that the application has made, with its credentials and endpoint; URIs may then state the key only.
    ///
    /// It must be for this library alone: a connection that was opened on another runtime can hang a synchronous call.
    /// Its own retries come on top of those of the policy; build it with `NeverRetry`.
    #[cfg(feature = "google-cloud")]
    #[must_use]
    pub fn with_client(mut self, client: KeyManagementService) -> Self {
        self.client = Some(client);
        self
    }

    /// Trusts another root, a DER certificate, to vouch for HSMs, beside those of Cavium and Google.
    #[must_use]
    pub fn with_attestation_root(mut self, certificate: impl Into<Vec<u8>>) -> Self {
        self.attestation_roots.push(certificate.into());
        self
    }

    /// The manager that a registry gives, with what Cloud KMS does beyond what all places do: versions, switching off and
    /// on, restoring. No request.
    ///
    /// # Errors
    /// `InvalidUri`; `NotFound` and `PermissionDenied` for the credentials file.
    #[allow(clippy::unused_async, reason = "as with the other services, where opening a place waits")]
    pub async fn manager(&self, uri: &KeyUri, options: &OpenOptions) -> Result<GcpKeyManager> {
        GcpKeyManager::open(self.clone(), Stated::read(uri, self.any_endpoint)?, options.policy.clone())
    }

    pub(crate) fn client(&self) -> Option<&KeyManagementService> {
        self.client.as_ref()
    }

    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    pub(crate) fn allows_any_endpoint(&self) -> bool {
        self.any_endpoint
    }

    pub(crate) fn takes_newest(&self) -> bool {
        self.newest
    }

    pub(crate) fn attestation_roots(&self) -> &[Vec<u8>] {
        &self.attestation_roots
    }

    pub(crate) fn key_options(&self) -> &GcpKeyOptions {
        &self.key_options
    }
}

#[async_trait]
impl Backend for Gcp {
    fn schemes(&self) -> &'static [&'static str] {
        crate::SCHEMES
    }

    /// No request: looks whether the credentials file, if one is stated, can be read.
    async fn open(&self, uri: &KeyUri, options: &OpenOptions) -> Result<Arc<dyn KeyManager>> {
        Ok(Arc::new(self.manager(uri, options).await?))
    }
}

impl fmt::Debug for Gcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gcp")
            .field("client", &self.client.is_some())
            .field("credentials", &self.credentials.is_some())
            .field("any_endpoint", &self.any_endpoint)
            .field("newest", &self.newest)
            .field("key_options", &self.key_options)
            .field("attestation_roots", &self.attestation_roots.len())
            .finish()
    }
}
