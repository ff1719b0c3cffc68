//! The asynchronous traits.

use std::sync::Arc;

use signature::hazmat::AsyncPrehashSigner;
use spki::{AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier};

use crate::adapters::SignatureForm;
use crate::{PublicKey, Signer};

/// A [`Signer`] behind the asynchronous traits of [`signature`].
///
/// Its futures only wait, on any executor; they may be dropped at any time. Implements `AsyncSigner` and
/// `AsyncPrehashSigner` for every [`SignatureForm`]; the compiler cannot tell from the result which one is wanted, so name
/// it: `signature::AsyncSigner::<Signature>::sign_async(&signer, message).await`.
#[derive(Clone, Debug)]
pub struct AsyncSigner(Arc<dyn Signer>);

impl AsyncSigner {
    /// Wraps a signer. No call.
    pub fn new(signer: Arc<dyn Signer>) -> Self {
        Self(signer)
    }

    /// The signer within.
    pub fn inner(&self) -> &Arc<dyn Signer> {
        &self.0
    }

    async fn sign_as<S: SignatureForm>(&self, message: &[u8]) -> Result<S, signature::Error> {
        S::check(&*self.0).map_err(signature::Error::from_source)?;
        self.0.sign(message).await.and_then(S::from_signature).map_err(signature::Error::from_source)
    }
}

/// The asynchronous trait for one form; generically it would clash with `signature`'s own blanket implementation.
macro_rules! asynchronous {
    ($feature:meta, $form:ty) => {
        #[cfg($feature)]
        impl signature::AsyncSigner<$form> for AsyncSigner {
            async fn sign_async(&self, message: &[u8]) -> Result<$form, signature::Error> {
                self.sign_as(message).await
            }
        }
    };
}

asynchronous!(all(), crate::Signature);
asynchronous!(feature = "p256", p256::ecdsa::Signature);
asynchronous!(feature = "p256", p256::ecdsa::DerSignature);
asynchronous!(feature = "p384", p384::ecdsa::Signature);
asynchronous!(feature = "p384", p384::ecdsa::DerSignature);
asynchronous!(feature = "p521", p521::ecdsa::Signature);
asynchronous!(feature = "p521", p521::ecdsa::DerSignature);
asynchronous!(feature = "k256", k256::ecdsa::Signature);
asynchronous!(feature = "k256", k256::ecdsa::DerSignature);
asynchronous!(feature = "rsa", rsa::pkcs1v15::Signature);
asynchronous!(feature = "rsa", rsa::pss::Signature);
asynchronous!(feature = "ed25519", ed25519::Signature);

/// Signs what must be the digest by the algorithm's own hash; its length is checked before any call.
impl<S: SignatureForm> AsyncPrehashSigner<S> for AsyncSigner {
    async fn sign_prehash_async(&self, prehash: &[u8]) -> Result<S, signature::Error> {
        S::check(&*self.0).map_err(signature::Error::from_source)?;
        self.0.sign_digest(prehash).await.and_then(S::from_signature).map_err(signature::Error::from_source)
    }
}

impl signature::Keypair for AsyncSigner {
    type VerifyingKey = PublicKey;

    fn verifying_key(&self) -> PublicKey {
        self.0.public_key().clone()
    }
}

impl DynSignatureAlgorithmIdentifier for AsyncSigner {
    fn signature_algorithm_identifier(&self) -> spki::Result<AlgorithmIdentifierOwned> {
        Ok(self.0.algorithm().algorithm_identifier())
    }
}
