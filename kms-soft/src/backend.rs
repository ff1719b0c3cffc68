//! The value that a registry is given.

use std::sync::Arc;

use async_trait::async_trait;
use kms_core::{Backend, KeyManager, KeyUri, OpenOptions, Result};

use crate::manager::SoftKeyManager;
use crate::options::SoftOptions;

/// Opens `softkms:` URIs. Opening does no I/O, so a fault of the file shows when the key is used.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Soft;

#[async_trait]
impl Backend for Soft {
    fn schemes(&self) -> &'static [&'static str] {
        &[crate::SCHEME]
    }

    async fn open(&self, uri: &KeyUri, options: &OpenOptions) -> Result<Arc<dyn KeyManager>> {
        let stated = SoftOptions::from_uri(uri, options.prompt.as_ref())?;
        Ok(Arc::new(SoftKeyManager::new(stated, options.policy.clone())))
    }
}
