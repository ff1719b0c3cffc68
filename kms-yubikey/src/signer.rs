//! One key in a slot with one algorithm.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use kms_core::{
    Deadline, Error, ErrorKind, OperationPolicy, PublicKey, Result, SignInput, Signature, SignatureAlgorithm, Signer,
};
use zeroize::Zeroizing;

use crate::algorithm;
use crate::card::{Reply, status};
use crate::device::{Device, Stage, missed_touch};
use crate::error::{self, Trouble, garbled};
use crate::key::SlotKey;
use crate::login::Pin;
use crate::policy::{PinPolicy, TouchPolicy};
use crate::session::Session;
use crate::tlv;
use crate::touch::{Touch, TouchRequest};

/// A key in a slot with its algorithm. A signature is one command; one more where the key wants the PIN each time, and
/// three more after another program has reset the card or selected something else on it.
pub struct YubiKeySigner {
    device: Arc<Device>,
    usable: UsableKey,
    algorithm: SignatureAlgorithm,
    policy: OperationPolicy,
}

/// A key, and what it takes to use it.
#[derive(Clone, Debug)]
pub(crate) struct UsableKey {
    pub(crate) key: SlotKey,
    pub(crate) pin: Option<Pin>,
    pub(crate) touch: Touch,
}

impl YubiKeySigner {
    pub(crate) fn new(
        device: Arc<Device>,
        usable: UsableKey,
        algorithm: SignatureAlgorithm,
        policy: &OperationPolicy,
    ) -> Self {
        let policy = usable.policy(policy);
        Self { device, usable, algorithm, policy }
    }
}

#[async_trait]
impl Signer for YubiKeySigner {
    fn public_key(&self) -> &PublicKey {
        &self.usable.key.public_key
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The rules it was opened with; for a key that wants to be touched, with the time for that.
    fn policy(&self) -> &OperationPolicy {
        &self.policy
    }

    async fn sign_input(&self, input: SignInput<'_>, deadline: Deadline) -> Result<Signature> {
        let challenge = algorithm::challenge(self.algorithm, self.public_key(), &input)?;
        let (usable, stage) = (self.usable.clone(), Stage::with_touch_timeout(self.usable.touch.timeout));
        let inside = stage.clone();
        let sign = move |session: &mut Session<'_>| usable.respond(session, &challenge, &inside);
        let octets = self.device.run("sign", deadline, &stage, sign).await?;
        Ok(Signature::from_x509(self.algorithm, octets.to_vec()))
    }
}

impl fmt::Debug for YubiKeySigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("YubiKeySigner")
            .field("device", &self.device)
            .field("slot", &self.usable.key.slot)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl UsableKey {
    /// The rules of an operation that may wait for a touch.
    pub(crate) fn policy(&self, policy: &OperationPolicy) -> OperationPolicy {
        let policy = policy.clone();
        if self.key.touch_policy == TouchPolicy::Never || !self.key.told {
            return policy;
        }
        let timeout = policy.timeout.saturating_add(self.touch.timeout);
        policy.with_timeout(timeout)
    }

    /// Uses the private key: a signature, or a block raised to the private exponent.
    pub(crate) fn respond(
        &self,
        session: &mut Session<'_>,
        challenge: &[u8],
        stage: &Stage,
    ) -> Result<Zeroizing<Vec<u8>>, Trouble> {
        let template = algorithm::template(challenge);
        let mut reply = self.use_once(session, &template, stage)?;
        if !is_answer(&reply) && !self.is_final(session, &reply)? {
            // Another program has closed the card or selected something else. Now nobody can.
            session.select()?;
            reply = self.use_once(session, &template, stage)?;
        }
        match reply.status {
            status::OK => {
                let inner = tlv::find(&reply.data, 0x7c).and_then(|inner| tlv::find(inner, 0x82));
                Ok(Zeroizing::new(inner.ok_or_else(|| garbled("answer"))?.to_vec()))
            }
            status::SECURITY_STATUS if self.key.touch_policy != TouchPolicy::Never => Err(missed_touch().into()),
            status::SECURITY_STATUS if self.pin.is_none() => Err(self.wants_pin().into()),
            status::REFERENCE_NOT_FOUND | status::NOT_FOUND => {
                let context = format!("{}: the key in slot {} is gone", session.device, self.key.slot);
                Err(Error::new(ErrorKind::NotFound, context).into())
            }
            status => Err(error::status("use the key", status).in_context(session.device).into()),
        }
    }

    fn use_once(&self, session: &mut Session<'_>, template: &[u8], stage: &Stage) -> Result<Reply, Trouble> {
        match (&self.pin, self.key.pin_policy) {
            (_, PinPolicy::Never) | (None, _) => {}
            (Some(pin), PinPolicy::Once) => session.log_in(pin)?,
            (Some(pin), PinPolicy::Always) => session.log_in_again(pin)?,
        }
        let type_octet = algorithm::native(self.key.public_key.key_type()).unwrap_or_default();
        let slot = self.key.slot;
        let request = TouchRequest { serial: session.device.serial(), slot: slot.to_string() };
        let policy = self.key.touch_policy;
        self.touch.during(policy, &request, stage, || session.send(0x87, type_octet, slot.octet(), template))
    }

    /// Whether a refusal will not change: the card is as we believe it to be.
    fn is_final(&self, session: &mut Session<'_>, reply: &Reply) -> Result<bool, Trouble> {
        if reply.status != status::SECURITY_STATUS || self.key.touch_policy == TouchPolicy::Never {
            return Ok(false);
        }
        // Either nobody touched it, or the PIN was lost. For a key that wants it each time it was given just now.
        let wants_pin = self.pin.is_some() && self.key.pin_policy == PinPolicy::Once;
        Ok(!wants_pin || session.tries_left()?.is_none())
    }

    fn wants_pin(&self) -> Error {
        Error::new(ErrorKind::Unauthenticated, format!("yubikey: the key in slot {} wants the PIN", self.key.slot))
            .with_hint("add `?pin-source=file:/path/to/pin` or `?pin-source=env:NAME`")
    }
}

fn is_answer(reply: &Reply) -> bool {
    reply.status == status::OK
}
