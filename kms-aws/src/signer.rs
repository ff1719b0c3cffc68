//! One key in AWS KMS with one algorithm.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use kms_core::external_mu::external_mu;
use kms_core::{
    Deadline, Error, ErrorKind, KeyType, OperationPolicy, PublicKey, Result, SignInput, Signature, SignatureAlgorithm,
    Signer,
};

use crate::algorithm;
use crate::connection::{Connection, Repeat, run};
use crate::error::integrity;
use crate::key_id::KeyId;
use crate::key_info::KeyInfo;
use crate::recent::Recent;

/// Longest message that the service takes as such, in octets. Whether it takes an empty one, its reference says both.
const MAX_RAW: usize = 4096;

/// A key in AWS KMS with its algorithm. A signature is one request; it needs `kms:Sign` and counts towards the quota of
/// the key's type.
pub struct AwsSigner {
    key: Arc<Key>,
    public_key: PublicKey,
    algorithm: SignatureAlgorithm,
}

struct Key {
    connection: Arc<Connection>,
    recent: Arc<Recent>,
    /// As the URI has it: a policy may allow the alias only.
    id: KeyId,
    /// What that meant when the signer was opened.
    arn: String,
    algorithm: SigningAlgorithmSpec,
}

impl AwsSigner {
    pub(crate) fn new(
        connection: Arc<Connection>,
        recent: Arc<Recent>,
        id: KeyId,
        info: KeyInfo,
        algorithm: SignatureAlgorithm,
    ) -> Result<Self> {
        let native = algorithm::signing_algorithm(algorithm)?;
        let key = Key { connection, recent, id, arn: info.arn, algorithm: native };
        Ok(Self { key: Arc::new(key), public_key: info.public_key, algorithm })
    }
}

#[async_trait]
impl Signer for AwsSigner {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn policy(&self) -> &OperationPolicy {
        self.key.connection.policy()
    }

    async fn sign_input(&self, input: SignInput<'_>, deadline: Deadline) -> Result<Signature> {
        let (message, message_type) = match (input, self.public_key.key_type()) {
            (SignInput::Digest(digest), _) => (Blob::new(digest.as_bytes()), MessageType::Digest),
            (SignInput::Message(message), KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87) => {
                (Blob::new(external_mu(self.public_key.raw(), message)), MessageType::ExternalMu)
            }
            (SignInput::Message(message), _) if message.len() <= MAX_RAW => (Blob::new(message), MessageType::Raw),
            (SignInput::Message(message), _) => return Err(too_long(self.algorithm, message.len())),
            _ => return Err(Error::new(ErrorKind::Unsupported, "awskms: unknown input")),
        };
        let key = Arc::clone(&self.key);
        let octets = run("sign", deadline, async move { key.sign(message, message_type, deadline).await }).await?;
        Ok(Signature::from_x509(self.algorithm, octets))
    }
}

impl Key {
    async fn sign(&self, message: Blob, message_type: MessageType, deadline: Deadline) -> Result<Vec<u8>> {
        let (message, message_type) = (&message, &message_type);
        let ask = || {
            self.connection.send("sign", deadline, Repeat::Yes, |client| async move {
                let request = client.sign().key_id(self.id.as_str()).message(message.clone());
                let request = request.message_type(message_type.clone()).signing_algorithm(self.algorithm.clone());
                Ok(request.send().await?)
            })
        };
        let answer = self.recent.settled(&self.id, deadline, ask).await;
        let answer = answer.map_err(|fault| fault.in_context(format!("sign with `{}`", self.id)))?;
        if answer.key_id.as_deref() != Some(&*self.arn) {
            let other = answer.key_id.unwrap_or_default();
            let error = integrity(format!("asked {} to sign, the answer is from `{other}`", self.arn));
            return Err(if self.id.is_alias() {
                error.with_hint(format!("`{}` now means another key: open the signer anew if that is meant", self.id))
            } else {
                error
            });
        }
        if answer.signing_algorithm.as_ref() != Some(&self.algorithm) {
            let other = answer.signing_algorithm.as_ref().map_or("", SigningAlgorithmSpec::as_str);
            return Err(integrity(format!("asked for {}, the answer is in `{other}`", self.algorithm)));
        }
        match answer.signature.map(Blob::into_inner) {
            Some(octets) if !octets.is_empty() => Ok(octets),
            _ => Err(integrity("the answer has no signature")),
        }
    }
}

impl fmt::Debug for AwsSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsSigner")
            .field("key", &self.key.arn)
            .field("public_key", &self.public_key)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

fn too_long(algorithm: SignatureAlgorithm, length: usize) -> Error {
    let context = format!("awskms: a message of {length} octets is too long for {algorithm}: AWS KMS takes {MAX_RAW}");
    Error::new(ErrorKind::InvalidArgument, context)
        .with_hint("it takes no digest for this algorithm; sign with a key of another type")
}
