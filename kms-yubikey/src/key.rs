//! What a card tells of the key in a slot.

use kms_core::certificate::CertificateParts;
use kms_core::{Error, ErrorKind, KeySpec, KeyUsage, PublicKey, Result};

use crate::algorithm;
use crate::attestation::Statement;
use crate::card::status;
use crate::certificate;
use crate::error::{self, Trouble, garbled};
use crate::management::Manager;
use crate::options::NewKeyOptions;
use crate::policy::{PinPolicy, TouchPolicy};
use crate::session::Session;
use crate::slot::Slot;
use crate::tlv;

/// A key in a slot.
#[derive(Clone, Debug)]
pub(crate) struct SlotKey {
    pub(crate) slot: Slot,
    pub(crate) public_key: PublicKey,
    /// As strict as it may be, where the card does not tell.
    pub(crate) pin_policy: PinPolicy,
    pub(crate) touch_policy: TouchPolicy,
    /// The policies are the card's word.
    pub(crate) told: bool,
}

/// A key to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewKey {
    pub(crate) slot: Slot,
    pub(crate) spec: KeySpec,
    pub(crate) options: NewKeyOptions,
}

impl Session<'_> {
    /// The key in the slot, by what the card tells of it, else by its attestation, its certificate, or what this process
    /// made there. One command on firmware from 5.3 on.
    pub(crate) fn key(&mut self, slot: Slot) -> Result<Option<SlotKey>, Trouble> {
        let reply = self.send(0xf7, 0, slot.octet(), &[])?;
        match reply.status {
            status::OK => Ok(Some(read(slot, &reply.data)?)),
            status::REFERENCE_NOT_FOUND | status::NOT_FOUND => Ok(None),
            status if error::is_unsupported(status) => self.key_without_metadata(slot),
            status => Err(error::status("tell of a key", status).into()),
        }
    }

    /// As [`key`](Self::key); absence is an error.
    pub(crate) fn existing_key(&mut self, slot: Slot) -> Result<SlotKey, Trouble> {
        let found = self.key(slot)?;
        found.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("{}: no key in slot {slot}", self.device))
                .with_hint("`ykman piv info` shows which slots have keys")
                .into()
        })
    }

    /// Whether there may be made or imported such a key; the octet of its type.
    pub(crate) fn check_new(&mut self, new: &NewKey) -> Result<u8, Trouble> {
        let key_type = new.spec.key_type;
        self.firmware.check_type(key_type)?;
        if new.spec.usage == KeyUsage::Decrypt && !matches!(key_type, kms_core::KeyType::Rsa { .. }) {
            return Err(error::unsupported(format!("a key of type {key_type} does not decrypt")).into());
        }
        let octet = algorithm::native(key_type).ok_or_else(|| error::unsupported("no such key type"))?;
        if new.options.overwrite != Some(true) {
            self.check_empty(new.slot)?;
        }
        if let Some(advisory) = self.firmware.advisory(key_type) {
            tracing::warn!(serial = self.device.serial(), firmware = %self.firmware, advisory, "known weakness");
        }
        Ok(octet)
    }

    /// A key is never overwritten, nor is one that might be there.
    pub(crate) fn check_empty(&mut self, slot: Slot) -> Result<(), Trouble> {
        let there = |certain| {
            let context = format!("slot {slot} {} a key", if certain { "has" } else { "may have" });
            Error::new(ErrorKind::AlreadyExists, context)
                .in_context(self.device)
                .with_hint("take another slot, or add `;overwrite=true`, which destroys the key that is there")
        };
        let (some, none) = (there(true), there(false));
        if self.key(slot)?.is_some() {
            return Err(some.into());
        }
        // Without metadata an imported key without a certificate does not show.
        let told = self.send(0xf7, 0, slot.octet(), &[])?.status;
        if error::is_unsupported(told) { Err(none.into()) } else { Ok(()) }
    }

    fn key_without_metadata(&mut self, slot: Slot) -> Result<Option<SlotKey>, Trouble> {
        if let Some(statement) = self.attest(slot)? {
            let statement = Statement::from_der(&statement)?;
            let (pin_policy, touch_policy) = (statement.pin_policy(), statement.touch_policy());
            let public_key = statement.public_key().clone();
            return Ok(Some(SlotKey { slot, public_key, pin_policy, touch_policy, told: true }));
        }
        let made = self.device.made().get(&slot).cloned();
        let public_key = match (made, certificate::read(self, slot)?) {
            (Some(made), _) => made,
            (None, Some(leaf)) => PublicKey::from_spki_der(CertificateParts::from_der(&leaf)?.public_key_info)?,
            (None, None) => return Ok(None),
        };
        let (pin_policy, touch_policy) = (PinPolicy::Always, TouchPolicy::Cached);
        Ok(Some(SlotKey { slot, public_key, pin_policy, touch_policy, told: false }))
    }

    /// The statement about the key in a slot; `None` where there is none, or no key.
    pub(crate) fn attest(&mut self, slot: Slot) -> Result<Option<Vec<u8>>, Trouble> {
        let reply = self.send(0xf9, slot.octet(), 0, &[])?;
        match reply.status {
            status::OK if !reply.data.is_empty() => Ok(Some(reply.data.to_vec())),
            // Cards have many words for this.
            status if status & 0xff00 == 0x6a00 || status & 0xff00 == 0x6900 || error::is_unsupported(status) => {
                Ok(None)
            }
            status => Err(error::status("attest a key", status).into()),
        }
    }
}

/// Makes a key pair in the card.
pub(crate) fn generate(session: &mut Session<'_>, new: &NewKey, manager: &Manager) -> Result<PublicKey, Trouble> {
    let key_type = new.spec.key_type;
    session.firmware.check_generation(key_type)?;
    let octet = session.check_new(new)?;
    session.manage(manager)?;
    let data = tlv::object(0xac, &[&tlv::object(0x80, &[octet])[..], &new.policies()].concat());
    let reply = session.send_once(0x47, 0, new.slot.octet(), &data)?;
    if reply.status != status::OK {
        return Err(error::status("make a key", reply.status).into());
    }
    let public = tlv::find(&reply.data, 0x7f49).ok_or_else(|| garbled("public key"))?;
    let public_key = algorithm::public_key(key_type, public)?;
    session.device.made().insert(new.slot, public_key.clone());
    Ok(public_key)
}

impl NewKey {
    /// As the commands that make or import a key are told.
    pub(crate) fn policies(&self) -> Vec<u8> {
        let pin = self.options.pin_policy.map(|policy| tlv::object(0xaa, &[policy.octet()]));
        let touch = self.options.touch_policy.map(|policy| tlv::object(0xab, &[policy.octet()]));
        pin.into_iter().chain(touch).flat_map(|object| object.to_vec()).collect()
    }
}

/// GET METADATA's answer: 01 type, 02 policies, 03 origin, 04 public key.
fn read(slot: Slot, octets: &[u8]) -> Result<SlotKey> {
    let part = |tag| tlv::find(octets, tag);
    let Some(&[key_type]) = part(0x01) else { return Err(garbled("metadata")) };
    let public_key = part(0x04).ok_or_else(|| garbled("metadata"))?;
    let public_key = algorithm::public_key(algorithm::key_type(key_type)?, public_key)?;
    let (pin_policy, touch_policy, told) = match part(0x02) {
        // Zero would be the slot's own policy.
        Some(&[0, touch]) if !slot.is_for_signatures() => (PinPolicy::Once, TouchPolicy::from_octet(touch), true),
        Some(&[pin, touch]) => (PinPolicy::from_octet(pin), TouchPolicy::from_octet(touch), true),
        _ => (PinPolicy::Always, TouchPolicy::Cached, false),
    };
    Ok(SlotKey { slot, public_key, pin_policy, touch_policy, told })
}
