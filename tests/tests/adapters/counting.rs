//! A signer that counts how often its device is called, and one for every key type and algorithm.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use kmskit::{
    Deadline, KeyType, OperationPolicy, PublicKey, Result, SignInput, Signature, SignatureAlgorithm, Signer, block_on,
};
use kmskit_tests::{create, memory};

#[derive(Debug)]
pub(crate) struct Counting {
    signer: Arc<dyn Signer>,
    calls: AtomicUsize,
}

impl Counting {
    pub(crate) fn new(signer: Arc<dyn Signer>) -> Arc<Self> {
        Arc::new(Self { signer, calls: AtomicUsize::new(0) })
    }

    /// Signing calls so far.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Signer for Counting {
    fn public_key(&self) -> &PublicKey {
        self.signer.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.signer.algorithm()
    }

    fn policy(&self) -> &OperationPolicy {
        self.signer.policy()
    }

    async fn sign_input(&self, input: SignInput<'_>, deadline: Deadline) -> Result<Signature> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.signer.sign_input(input, deadline).await
    }
}

/// A signer for each algorithm of each key type; RSA with the shortest modulus only.
pub(crate) fn every_signer() -> Vec<Arc<dyn Signer>> {
    let manager = memory();
    let types = KeyType::CREATABLE.into_iter().filter(|key_type| !matches!(key_type, KeyType::Rsa { bits: 3072.. }));
    let mut signers = Vec::new();
    for key_type in types {
        let key = create(&manager, &key_type.to_string(), key_type);
        for algorithm in key_type.algorithms() {
            signers.push(block_on(manager.signer(&key.uri, Some(*algorithm))).unwrap());
        }
    }
    signers
}
