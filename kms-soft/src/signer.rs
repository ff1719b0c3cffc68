//! One software key with one algorithm.

use std::sync::Arc;

use async_trait::async_trait;
use kms_core::{Deadline, OperationPolicy, PublicKey, Result, SignInput, Signature, SignatureAlgorithm, Signer};

use crate::key_pair::KeyPair;

/// A software key with its algorithm. Signs on the caller's thread; the key is in memory until the last clone of the
/// `Arc` is dropped.
#[derive(Debug)]
pub struct SoftSigner {
    key: Arc<KeyPair>,
    algorithm: SignatureAlgorithm,
    policy: OperationPolicy,
}

impl SoftSigner {
    /// `algorithm` is settled: the key can do it.
    pub(crate) fn new(key: Arc<KeyPair>, algorithm: SignatureAlgorithm, policy: OperationPolicy) -> Self {
        Self { key, algorithm, policy }
    }
}

#[async_trait]
impl Signer for SoftSigner {
    fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn policy(&self) -> &OperationPolicy {
        &self.policy
    }

    async fn sign_input(&self, input: SignInput<'_>, _: Deadline) -> Result<Signature> {
        self.key.sign(self.algorithm, input)
    }
}
