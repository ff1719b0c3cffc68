//! The synchronous traits.

use std::sync::Arc;

use signature::hazmat::PrehashSigner;
use spki::{AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier};

use crate::adapters::SignatureForm;
use crate::{PublicKey, Signer, block_on};

/// A [`Signer`] behind the synchronous traits of [`signature`].
///
/// Each call parks the calling thread until the signature is there or the deadline of the signer's policy has come; in
/// an executor's thread that blocks the executor. Implements `Signer` and `PrehashSigner` for every
/// [`SignatureForm`]; where several are switched on, name the one you want: `let s: Signature = signer.try_sign(m)?`.
#[derive(Clone, Debug)]
pub struct SyncSigner(Arc<dyn Signer>);

impl SyncSigner {
    /// Wraps a signer. No call.
    pub fn new(signer: Arc<dyn Signer>) -> Self {
        Self(signer)
    }

    /// The signer within.
    pub fn inner(&self) -> &Arc<dyn Signer> {
        &self.0
    }
}

impl<S: SignatureForm> signature::Signer<S> for SyncSigner {
    fn try_sign(&self, message: &[u8]) -> Result<S, signature::Error> {
        S::check(&*self.0).map_err(signature::Error::from_source)?;
        block_on(self.0.sign(message)).and_then(S::from_signature).map_err(signature::Error::from_source)
    }
}

/// Signs what must be the digest by the algorithm's own hash; its length is checked before any call.
impl<S: SignatureForm> PrehashSigner<S> for SyncSigner {
    fn sign_prehash(&self, prehash: &[u8]) -> Result<S, signature::Error> {
        S::check(&*self.0).map_err(signature::Error::from_source)?;
        block_on(self.0.sign_digest(prehash)).and_then(S::from_signature).map_err(signature::Error::from_source)
    }
}

impl signature::Keypair for SyncSigner {
    type VerifyingKey = PublicKey;

    fn verifying_key(&self) -> PublicKey {
        self.0.public_key().clone()
    }
}

impl DynSignatureAlgorithmIdentifier for SyncSigner {
    fn signature_algorithm_identifier(&self) -> spki::Result<AlgorithmIdentifierOwned> {
        Ok(self.0.algorithm().algorithm_identifier())
    }
}
