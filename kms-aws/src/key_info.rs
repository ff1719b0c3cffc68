//! What `GetPublicKey` says of a key: all that there is to check before it signs.

use aws_sdk_kms::operation::get_public_key::GetPublicKeyOutput;
use aws_sdk_kms::types::{KeyUsageType, SigningAlgorithmSpec};
use kms_core::{Deadline, Error, ErrorKind, PublicKey, Result, SignatureAlgorithm};

use crate::algorithm;
use crate::connection::{Connection, Repeat};
use crate::error::{Fault, integrity};
use crate::key_id::KeyId;
use crate::recent::Recent;

/// A key, as the service describes it.
#[derive(Clone, Debug)]
pub(crate) struct KeyInfo {
    /// What the name that was asked for means now.
    pub(crate) arn: String,
    pub(crate) public_key: PublicKey,
    usage: Option<KeyUsageType>,
    algorithms: Vec<SigningAlgorithmSpec>,
}

/// Why there is no [`KeyInfo`].
pub(crate) enum Missing {
    Fault(Fault),
    Error(Error),
}

impl KeyInfo {
    /// One request. Needs `kms:GetPublicKey`.
    ///
    /// # Errors
    /// `NotFound`; `KeyUnusable` for a key that is disabled or on its way; `Unsupported` for one that is not asymmetric.
    pub(crate) async fn fetch(
        connection: &Connection,
        key: &KeyId,
        recent: &Recent,
        deadline: Deadline,
    ) -> Result<Self> {
        Self::look(connection, key, recent, deadline).await.map_err(|missing| missing.into_error(key))
    }

    /// As [`fetch`](Self::fetch), for those who look at the fault themselves.
    pub(crate) async fn look(
        connection: &Connection,
        key: &KeyId,
        recent: &Recent,
        deadline: Deadline,
    ) -> Result<Self, Missing> {
        let ask = || {
            connection.send("read public key", deadline, Repeat::Yes, |client| async move {
                Ok(client.get_public_key().key_id(key.as_str()).send().await?)
            })
        };
        let answer = recent.settled(key, deadline, ask).await.map_err(Missing::Fault)?;
        Self::read(key, answer).map_err(Missing::Error)
    }

    /// Settles the algorithm of a signer.
    ///
    /// # Errors
    /// `KeyUnusable` for a key that is not for signing, `Unsupported` for an algorithm that it does not do.
    pub(crate) fn settle(&self, stated: Option<SignatureAlgorithm>) -> Result<SignatureAlgorithm> {
        if self.usage.as_ref().is_some_and(|usage| *usage != KeyUsageType::SignVerify) {
            let usage = self.usage.as_ref().map_or("", KeyUsageType::as_str);
            let context = format!("awskms: the key {} is not for signing", self.arn);
            return Err(Error::new(ErrorKind::KeyUnusable, context)
                .with_hint(format!("its usage is {usage}, for ever; signing needs SIGN_VERIFY")));
        }
        let settled = self.public_key.key_type().settle(stated).map_err(|error| error.in_context(&self.arn))?;
        let native = algorithm::signing_algorithm(settled)?;
        if !self.algorithms.is_empty() && !self.algorithms.contains(&native) {
            let able: Vec<_> = self.algorithms.iter().map(SigningAlgorithmSpec::as_str).collect();
            return Err(Error::new(ErrorKind::Unsupported, format!("awskms: {} cannot sign with {settled}", self.arn))
                .with_hint(format!("it can sign with {}", able.join(", "))));
        }
        Ok(settled)
    }

    /// Whether it is for signing.
    pub(crate) fn signs(&self) -> bool {
        self.usage.as_ref().is_none_or(|usage| *usage == KeyUsageType::SignVerify)
    }

    fn read(key: &KeyId, answer: GetPublicKeyOutput) -> Result<Self> {
        let arn = answer.key_id.unwrap_or_default();
        if arn.is_empty() || !key.may_be(&arn) {
            return Err(integrity(format!("asked for the public key of `{key}`, the answer is about `{arn}`")));
        }
        let octets = answer.public_key.map(aws_sdk_kms::primitives::Blob::into_inner).unwrap_or_default();
        let public_key = PublicKey::from_spki_der(&octets).map_err(|error| {
            let kind = if error.kind() == ErrorKind::Unsupported { error.kind() } else { ErrorKind::Integrity };
            Error::new(kind, format!("awskms: cannot use the public key of `{key}`")).with_source(error)
        })?;
        if let Some(spec) = &answer.key_spec
            && algorithm::key_spec(public_key.key_type()).is_ok_and(|expected| expected != *spec)
        {
            let found = public_key.key_type();
            return Err(integrity(format!("`{key}` is said to be {spec}, but its public key is {found}")));
        }
        let algorithms = answer.signing_algorithms.unwrap_or_default();
        Ok(Self { arn, public_key, usage: answer.key_usage, algorithms })
    }
}

impl Missing {
    pub(crate) fn into_error(self, key: &KeyId) -> Error {
        match self {
            Self::Fault(fault) => fault.in_context(format!("read public key of `{key}`")),
            Self::Error(error) => error,
        }
    }
}
