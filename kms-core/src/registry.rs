//! From a URI to the backend that understands it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Error, ErrorKind, KeyManager, KeyUri, OperationPolicy, Result, SecretPrompt, Signer};

/// Opens key managers for its schemes. A plain value: an application builds it as it likes and hands it to a
/// [`Registry`]; a test builds it on a fake.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// The schemes it understands, in lower case.
    fn schemes(&self) -> &'static [&'static str];

    /// Opens the place a URI names. The URI may name a key in it; the rest of the URI then counts.
    ///
    /// # Errors
    /// [`InvalidUri`](ErrorKind::InvalidUri) for an attribute that is unknown, missing or wrong, before any call.
    async fn open(&self, uri: &KeyUri, options: &OpenOptions) -> Result<Arc<dyn KeyManager>>;
}

/// What every backend is told when it opens something.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Deadlines, retries, checks.
    pub policy: OperationPolicy,
    /// Asked for a PIN or password that the URI does not give.
    pub prompt: Option<Arc<dyn SecretPrompt>>,
}

impl OpenOptions {
    /// Sets deadlines, retries, checks.
    pub fn with_policy(mut self, policy: OperationPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets who is asked for a PIN or password that the URI does not give.
    pub fn with_prompt(mut self, prompt: impl SecretPrompt + 'static) -> Self {
        self.prompt = Some(Arc::new(prompt));
        self
    }
}

/// The backends an application uses, by scheme, and the options it opens with.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    backends: BTreeMap<&'static str, Arc<dyn Backend>>,
    options: OpenOptions,
}

impl Registry {
    /// One without backends.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a backend. The later of two with one scheme wins, so a test can put a fake over a real one.
    pub fn with(mut self, backend: impl Backend) -> Self {
        let backend: Arc<dyn Backend> = Arc::new(backend);
        self.backends.extend(backend.schemes().iter().map(|&scheme| (scheme, Arc::clone(&backend))));
        self
    }

    /// Sets what everything is opened with.
    pub fn with_options(mut self, options: OpenOptions) -> Self {
        self.options = options;
        self
    }

    /// The schemes it can open, sorted.
    pub fn schemes(&self) -> impl Iterator<Item = &'static str> {
        self.backends.keys().copied()
    }

    /// Opens the place a URI names.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) for a scheme without backend, listing those there are; those of the
    /// backend.
    pub async fn open(&self, uri: &KeyUri) -> Result<Arc<dyn KeyManager>> {
        let backend = self.backends.get(uri.scheme()).ok_or_else(|| self.unknown(uri.scheme()))?;
        backend.open(uri, &self.options).await
    }

    /// Opens the place a URI names and the one key in it.
    ///
    /// # Errors
    /// Those of [`open`](Self::open) and of [`KeyManager::signer`].
    pub async fn signer(&self, uri: &KeyUri) -> Result<Arc<dyn Signer>> {
        self.open(uri).await?.signer(uri, None).await
    }

    fn unknown(&self, scheme: &str) -> Error {
        let known: Vec<_> = self.schemes().collect();
        Error::new(ErrorKind::Unsupported, format!("no backend for scheme `{scheme}`"))
            .with_hint(format!("known here: {}", if known.is_empty() { "none".into() } else { known.join(", ") }))
    }
}
