//! What Cloud KMS does with versions beyond what all places do: destruction that can be taken back, switching off and
//! on.

use std::sync::Arc;

use google_cloud_kms_v1::client::KeyManagementService as Client;
use google_cloud_kms_v1::model::CryptoKeyVersion;
use google_cloud_kms_v1::model::crypto_key_version::CryptoKeyVersionState as State;
use google_cloud_wkt::FieldMask;
use kms_core::{KeyUri, Result};

use crate::connection::{Repeat, run};
use crate::error::integrity;
use crate::manager::GcpKeyManager;
use crate::operation::{DESTROY, Operation, RESTORE, UPDATE_VERSION};
use crate::resource_name::VersionName;

impl GcpKeyManager {
    /// Schedules the destruction of a version: until then nobody can use it, and when the key's time is over (30 days
    /// unless it was made with another) nobody ever again. The key and its name stay. One request. Needs
    /// `cloudkms.cryptoKeyVersions.destroy`.
    ///
    /// # Errors
    /// `NotFound`; `KeyUnusable` when its destruction is scheduled already.
    pub async fn destroy_version(&self, key: &KeyUri) -> Result<()> {
        let states = [State::DestroyScheduled, State::Destroyed, State::PendingExternalDestruction];
        self.change(DESTROY, self.version(key)?, Repeat::IfRefused, &states, |client, version| async move {
            client.destroy_crypto_key_version().set_name(version.to_string()).send().await
        })
        .await
    }

    /// Takes a scheduled destruction back. The version is disabled afterwards: see
    /// [`enable_version`](Self::enable_version). One request. Needs `cloudkms.cryptoKeyVersions.restore`.
    ///
    /// # Errors
    /// `NotFound`; `KeyUnusable` when no destruction is scheduled.
    pub async fn restore_version(&self, key: &KeyUri) -> Result<()> {
        self.change(RESTORE, self.version(key)?, Repeat::IfRefused, &[State::Disabled], |client, version| async move {
            client.restore_crypto_key_version().set_name(version.to_string()).send().await
        })
        .await
    }

    /// Lets a version be used again. One request. Needs `cloudkms.cryptoKeyVersions.update`.
    ///
    /// # Errors
    /// `NotFound`; `KeyUnusable` in a state that does not allow it.
    pub async fn enable_version(&self, key: &KeyUri) -> Result<()> {
        self.set_state(key, State::Enabled).await
    }

    /// Keeps a version from being used until it is enabled; where the service has copies, that may take some minutes,
    /// in rare cases hours. One request. Needs `cloudkms.cryptoKeyVersions.update`.
    ///
    /// # Errors
    /// `NotFound`; `KeyUnusable` in a state that does not allow it.
    pub async fn disable_version(&self, key: &KeyUri) -> Result<()> {
        self.set_state(key, State::Disabled).await
    }

    async fn set_state(&self, key: &KeyUri, state: State) -> Result<()> {
        let wanted = state.clone();
        self.change(UPDATE_VERSION, self.version(key)?, Repeat::Yes, &[wanted], move |client, version| {
            let version = CryptoKeyVersion::new().set_name(version.to_string()).set_state(state.clone());
            let mask = FieldMask::default().set_paths(["state"]);
            async move {
                client.update_crypto_key_version().set_crypto_key_version(version).set_update_mask(mask).send().await
            }
        })
        .await
    }

    /// Changes the state of a version; `repeat` says whether the service takes the same again, `states` what it may
    /// have afterwards.
    async fn change<A>(
        &self,
        operation: Operation,
        version: VersionName,
        repeat: Repeat,
        states: &[State],
        request: impl Fn(Client, VersionName) -> A + Send + Sync + 'static,
    ) -> Result<()>
    where
        A: Future<Output = google_cloud_kms_v1::Result<CryptoKeyVersion>> + Send + 'static,
    {
        let deadline = self.connection.policy().deadline();
        let (connection, states) = (Arc::clone(&self.connection), states.to_vec());
        run(operation.name, deadline, async move {
            let sent = connection.send(operation, deadline, repeat, |client| request(client, version.clone())).await;
            let answer = sent.map_err(|fault| fault.in_context(format!("{} {version}", operation.name)))?;
            if answer.name == version.to_string() && states.contains(&answer.state) {
                return Ok(());
            }
            let (name, state) = (&answer.name, &answer.state);
            Err(integrity(format!(
                "{} {version}: the answer is about `{name}`, whose state is {state:?}",
                operation.name
            )))
        })
        .await
    }
}
