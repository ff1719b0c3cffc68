//! What AWS KMS does with keys beyond what all places do: deletion that can be taken back, switching off and on, and
//! verification by the service.

use std::sync::Arc;

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::MessageType;
use kms_core::external_mu::external_mu;
use kms_core::{Deadline, Error, ErrorKind, KeyUri, Result, SignatureAlgorithm};

use crate::algorithm;
use crate::connection::{Connection, Repeat, run};
use crate::error::{Fault, integrity};
use crate::key_id::KeyId;
use crate::key_info::KeyInfo;
use crate::manager::AwsKeyManager;
use crate::recent::Recent;

impl AwsKeyManager {
    /// Schedules the deletion of a key: until then nobody can use it, and after `days` (7 to 30) nobody ever again.
    /// One request, two for an alias. Needs `kms:ScheduleKeyDeletion`, for an alias `kms:DescribeKey` too. Aliases stay.
    ///
    /// # Errors
    /// `NotFound`; `KeyUnusable` when its deletion is scheduled already; `InvalidArgument` for other numbers of days.
    pub async fn schedule_key_deletion(&self, key: &KeyUri, days: u8) -> Result<()> {
        let id = self.existing(key)?;
        if !(7..=30).contains(&days) {
            let context = format!("awskms: a key cannot be scheduled for deletion in {days} days");
            return Err(Error::new(ErrorKind::InvalidArgument, context).with_hint("give 7 to 30 days"));
        }
        self.change("schedule deletion", id, Repeat::IfRefused, move |client, key| async move {
            let request = client.schedule_key_deletion().key_id(key.as_str()).pending_window_in_days(days.into());
            request.send().await?;
            Ok(())
        })
        .await
    }

    /// Takes a scheduled deletion back. The key is disabled afterwards: see [`enable_key`](Self::enable_key). Needs
    /// `kms:CancelKeyDeletion`, for an alias `kms:DescribeKey` too.
    ///
    /// # Errors
    /// `NotFound`; `KeyUnusable` when no deletion is scheduled.
    pub async fn cancel_key_deletion(&self, key: &KeyUri) -> Result<()> {
        self.change("cancel deletion", self.existing(key)?, Repeat::IfRefused, |client, key| async move {
            client.cancel_key_deletion().key_id(key.as_str()).send().await?;
            Ok(())
        })
        .await
    }

    /// Lets a key be used again. Needs `kms:EnableKey`, for an alias `kms:DescribeKey` too.
    ///
    /// # Errors
    /// `NotFound`; `KeyUnusable` in a state that does not allow it.
    pub async fn enable_key(&self, key: &KeyUri) -> Result<()> {
        self.change("enable", self.existing(key)?, Repeat::Yes, |client, key| async move {
            client.enable_key().key_id(key.as_str()).send().await?;
            Ok(())
        })
        .await
    }

    /// Keeps a key from being used until it is enabled. Needs `kms:DisableKey`, for an alias `kms:DescribeKey` too.
    ///
    /// # Errors
    /// `NotFound`; `KeyUnusable` in a state that does not allow it.
    pub async fn disable_key(&self, key: &KeyUri) -> Result<()> {
        self.change("disable", self.existing(key)?, Repeat::Yes, |client, key| async move {
            client.disable_key().key_id(key.as_str()).send().await?;
            Ok(())
        })
        .await
    }

    /// Lets the service verify a signature over a message of any length: two requests. Needs `kms:GetPublicKey` and
    /// `kms:Verify`. Verifying here, with the public key, costs nothing; this is for those whose rules want the
    /// service's word, and its log of it.
    ///
    /// # Errors
    /// `Integrity` when it does not verify; those of [`signer`](kms_core::KeyManager::signer).
    pub async fn verify_remotely(
        &self,
        key: &KeyUri,
        algorithm: Option<SignatureAlgorithm>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        let id = self.existing(key)?;
        let stated = SignatureAlgorithm::stated(key, algorithm)?;
        let deadline = self.connection.policy().deadline();
        let (connection, recent) = (Arc::clone(&self.connection), Arc::clone(&self.recent));
        let (message, signature) = (message.to_vec(), Blob::new(signature));
        run("verify", deadline, async move {
            let info = KeyInfo::fetch(&connection, &id, &recent, deadline).await?;
            let settled = info.settle(stated)?;
            let (message, message_type) = match settled.hash() {
                Some(hash) => (Blob::new(hash.digest(&message).as_bytes()), MessageType::Digest),
                None if settled == SignatureAlgorithm::Ed25519 => (Blob::new(message), MessageType::Raw),
                None => (Blob::new(external_mu(info.public_key.raw(), &message)), MessageType::ExternalMu),
            };
            let (native, arn) = (algorithm::signing_algorithm(settled)?, info.arn);
            let sent = connection.send("verify", deadline, Repeat::Yes, |client| {
                let request = client.verify().key_id(&arn).message(message.clone()).message_type(message_type.clone());
                let request = request.signature(signature.clone()).signing_algorithm(native.clone());
                async move { Ok(request.send().await?) }
            });
            let answer = sent.await.map_err(|fault: Fault| fault.in_context(format!("verify with `{id}`")))?;
            let same = answer.key_id.as_deref() == Some(&*arn) && answer.signing_algorithm == Some(native);
            if same && answer.signature_valid {
                return Ok(());
            }
            Err(integrity(format!("asked `{id}` whether a signature is valid, the answer does not say so")))
        })
        .await
    }

    /// Changes the state of a key; `repeat` says whether the service takes the same again. These requests take no alias.
    pub(crate) async fn change<A>(
        &self,
        operation: &'static str,
        id: KeyId,
        repeat: Repeat,
        request: impl Fn(Client, KeyId) -> A + Send + Sync + 'static,
    ) -> Result<()>
    where
        A: Future<Output = Result<(), Fault>> + Send + 'static,
    {
        let deadline = self.connection.policy().deadline();
        let (connection, recent) = (Arc::clone(&self.connection), Arc::clone(&self.recent));
        run(operation, deadline, async move {
            let key = if id.is_alias() { resolve(&connection, &recent, &id, deadline).await? } else { id.clone() };
            let ask = || connection.send(operation, deadline, repeat, |client| request(client, key.clone()));
            let changed = recent.settled(&key, deadline, ask).await;
            changed.map_err(|fault| fault.in_context(format!("{operation} `{id}`")))
        })
        .await
    }
}

/// The key that an alias means, whatever its state.
async fn resolve(connection: &Connection, recent: &Recent, alias: &KeyId, deadline: Deadline) -> Result<KeyId> {
    let ask = || {
        connection.send("describe key", deadline, Repeat::Yes, |client| async move {
            Ok(client.describe_key().key_id(alias.as_str()).send().await?)
        })
    };
    let answer = recent.settled(alias, deadline, ask).await;
    let answer = answer.map_err(|fault: Fault| fault.in_context(format!("describe `{alias}`")))?;
    let arn = answer.key_metadata.and_then(|metadata| metadata.arn).unwrap_or_default();
    arn.parse().map_err(|_| integrity(format!("the key of `{alias}` has a name that is no ARN: `{arn}`")))
}
