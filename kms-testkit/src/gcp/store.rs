//! What there is: key rings, keys, import jobs, each by its name.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::answer::{Answer, missing, time};
use super::attestation::Partition;
use super::import::Job;
use super::key::CryptoKey;
use super::version::Version;

pub(crate) struct Store {
    pub(crate) key_rings: BTreeMap<String, SystemTime>,
    pub(crate) keys: BTreeMap<String, CryptoKey>,
    pub(crate) jobs: BTreeMap<String, Job>,
    /// Of the HSM.
    pub(crate) partition: Partition,
    /// How many looks at a new version find it pending.
    pub(crate) pending: usize,
    /// Entries of a page, at most.
    pub(crate) page: usize,
}

impl Store {
    pub(crate) fn new() -> Result<Self, String> {
        Ok(Self {
            key_rings: BTreeMap::new(),
            keys: BTreeMap::new(),
            jobs: BTreeMap::new(),
            partition: Partition::new()?,
            pending: 1,
            page: 100,
        })
    }

    pub(crate) fn key_ring(&self, name: &str) -> Answer {
        match self.key_rings.get(name) {
            Some(created) => Ok(describe_key_ring(name, *created)),
            None => missing("KeyRing", name),
        }
    }

    pub(crate) fn key(&mut self, name: &str) -> Answer<&mut CryptoKey> {
        self.key_ring(above(name))?;
        self.keys.get_mut(name).map_or_else(|| missing("CryptoKey", name), Ok)
    }

    pub(crate) fn version(&mut self, name: &str) -> Answer<&mut Version> {
        let key = self.key(above(name))?;
        let number = name.rsplit_once('/').and_then(|(_, number)| number.parse::<usize>().ok());
        let version = number.and_then(|number| key.versions.get_mut(number.checked_sub(1)?));
        version.filter(|version| version.name == name).map_or_else(|| missing("CryptoKeyVersion", name), Ok)
    }

    pub(crate) fn job(&mut self, name: &str) -> Answer<&mut Job> {
        self.key_ring(above(name))?;
        self.jobs.get_mut(name).map_or_else(|| missing("ImportJob", name), Ok)
    }
}

pub(crate) fn describe_key_ring(name: &str, created: SystemTime) -> Value {
    json!({ "name": name, "createTime": time(created) })
}

/// The name of what something is in: `…/keyRings/ca` of `…/keyRings/ca/cryptoKeys/root`.
pub(crate) fn above(name: &str) -> &str {
    let mut parents = name.rmatch_indices('/').map(|(at, _)| &name[..at]);
    parents.nth(1).unwrap_or_default()
}
