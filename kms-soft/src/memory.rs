//! Keys and certificates that live as long as their manager.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kms_core::{Error, ErrorKind, Result};

use crate::error;
use crate::key_pair::KeyPair;

/// Keys and certificates by name.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Content>);

#[derive(Debug, Default)]
struct Content {
    keys: BTreeMap<String, Arc<KeyPair>>,
    certificates: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Memory {
    /// The key of that name.
    pub(crate) fn key(&self, name: &str) -> Result<Arc<KeyPair>> {
        self.lock().keys.get(name).cloned().ok_or_else(|| no_key(name))
    }

    /// Every key with its name, sorted.
    pub(crate) fn keys(&self) -> Vec<(String, Arc<KeyPair>)> {
        self.lock().keys.iter().map(|(name, key)| (name.clone(), Arc::clone(key))).collect()
    }

    /// Whether there is no key of that name.
    pub(crate) fn check_absent(&self, name: &str) -> Result<()> {
        if self.lock().keys.contains_key(name) { Err(error::exists(format!("key `{name}`"))) } else { Ok(()) }
    }

    /// Adds a key, never over another.
    pub(crate) fn insert(&self, name: &str, key: KeyPair) -> Result<()> {
        let mut content = self.lock();
        if content.keys.contains_key(name) {
            return Err(error::exists(format!("key `{name}`")));
        }
        content.keys.insert(name.to_owned(), Arc::new(key));
        Ok(())
    }

    /// Deletes a key; its certificates stay.
    pub(crate) fn delete(&self, name: &str) -> Result<()> {
        self.lock().keys.remove(name).map(drop).ok_or_else(|| no_key(name))
    }

    /// Adds a chain, never over another.
    pub(crate) fn insert_certificates(&self, name: &str, chain: &[Vec<u8>]) -> Result<()> {
        let mut content = self.lock();
        if content.certificates.contains_key(name) {
            return Err(error::exists(format!("certificate of `{name}`")));
        }
        content.certificates.insert(name.to_owned(), chain.to_vec());
        Ok(())
    }

    /// The chain kept under that name.
    pub(crate) fn certificates(&self, name: &str) -> Result<Vec<Vec<u8>>> {
        self.lock().certificates.get(name).cloned().ok_or_else(|| no_certificate(name))
    }

    /// Deletes a chain.
    pub(crate) fn delete_certificates(&self, name: &str) -> Result<()> {
        self.lock().certificates.remove(name).map(drop).ok_or_else(|| no_certificate(name))
    }

    /// No change is ever left half done, so a panic elsewhere is no reason to refuse.
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_key(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("no key `{name}` in memory"))
        .with_hint("a key in memory is gone with the manager that created it")
}

fn no_certificate(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("no certificate of `{name}` in memory"))
}
