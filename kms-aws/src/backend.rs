//! The value that a registry is given, and what it allows.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use kms_core::{Backend, KeyManager, KeyUri, OpenOptions, Result};

use crate::error::bad_uri;
use crate::manager::AwsKeyManager;
use crate::new_key::AwsKeyOptions;
use crate::options::Stated;

/// Days until a key that is deleted is gone, unless the application says otherwise: the longest there is.
const DELETION_WINDOW: u8 = 30;

/// Opens `awskms:` URIs.
#[derive(Clone)]
pub struct Aws {
    ready: Option<Box<aws_sdk_kms::Config>>,
    any_endpoint: bool,
    key_options: AwsKeyOptions,
    deletion_window: u8,
}

impl Aws {
    /// Sets what new keys are given beside their type: description, tags, policy.
    #[must_use]
    pub fn with_key_options(mut self, options: AwsKeyOptions) -> Self {
        self.key_options = options;
        self
    }

    /// Sets how many days a deleted key can still be got back: 7 to 30, and 30 unless set.
    #[must_use]
    pub fn with_deletion_window(mut self, days: u8) -> Self {
        self.deletion_window = days;
        self
    }

    /// Lets an `endpoint-url` be plain HTTP on another machine. Whoever is on the way can then answer in the service's
    /// place; signatures are still verified, but not who made a new key.
    #[must_use]
    pub fn dangerous_with_any_endpoint(mut self) -> Self {
        self.any_endpoint = true;
        self
    }

    /// Uses credentials, endpoint and HTTP client of a client that the application has made; URIs may then state the
    /// region and the key only. Its retries and timeouts are replaced by those of the policy.
    #[cfg(feature = "aws-sdk")]
    #[must_use]
    pub fn with_client(mut self, client: &aws_sdk_kms::Client) -> Self {
        self.ready = Some(Box::new(client.config().clone()));
        self
    }

    /// As [`with_client`](Self::with_client), from what all of an application's clients are made of.
    #[cfg(feature = "aws-sdk")]
    #[must_use]
    pub fn with_sdk_config(mut self, config: &aws_config::SdkConfig) -> Self {
        self.ready = Some(Box::new(aws_sdk_kms::Config::new(config)));
        self
    }

    /// Opens a place as its own type, for what only AWS KMS can do with keys. No request, as with
    /// [`open`](Backend::open).
    ///
    /// # Errors
    /// `InvalidUri` for a wrong URI, or one of another scheme.
    pub async fn manager(&self, uri: &KeyUri, options: &OpenOptions) -> Result<AwsKeyManager> {
        if uri.scheme() != crate::SCHEME {
            return Err(bad_uri(format!("a URI of scheme `{}`", uri.scheme())));
        }
        let stated = Stated::read(uri, self.any_endpoint)?;
        AwsKeyManager::open(self.clone(), stated, options.policy.clone()).await
    }

    pub(crate) fn ready(&self) -> Option<&aws_sdk_kms::Config> {
        self.ready.as_deref()
    }

    pub(crate) fn allows_any_endpoint(&self) -> bool {
        self.any_endpoint
    }

    pub(crate) fn key_options(&self) -> &AwsKeyOptions {
        &self.key_options
    }

    pub(crate) fn deletion_window(&self) -> u8 {
        self.deletion_window
    }
}

impl Default for Aws {
    fn default() -> Self {
        let key_options = AwsKeyOptions::default();
        Self { ready: None, any_endpoint: false, key_options, deletion_window: DELETION_WINDOW }
    }
}

#[async_trait]
impl Backend for Aws {
    fn schemes(&self) -> &'static [&'static str] {
        &[crate::SCHEME]
    }

    /// No request: settles the region, for which it may read the AWS configuration files.
    async fn open(&self, uri: &KeyUri, options: &OpenOptions) -> Result<Arc<dyn KeyManager>> {
        Ok(Arc::new(self.manager(uri, options).await?))
    }
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws")
            .field("ready", &self.ready.is_some())
            .field("any_endpoint", &self.any_endpoint)
            .field("key_options", &self.key_options)
            .field("deletion_window", &self.deletion_window)
            .finish()
    }
}
