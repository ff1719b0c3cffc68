//! Keys that change their slot.

use kms_core::{Key, KeyUri, Result};

use crate::card::status;
use crate::error::{self, bad_uri, unsupported};
use crate::manager::{YubiKeyManager, at_piv};
use crate::session::Session;

impl YubiKeyManager {
    /// Moves a key into a slot that has none; with it go its policies, while a certificate stays where it is. Needs the
    /// management key and firmware 5.7.
    ///
    /// # Errors
    /// `Unsupported` for older firmware; `NotFound` when there is no key; `AlreadyExists` when the other slot has one.
    pub async fn move_key(&self, from: &KeyUri, to: &KeyUri) -> Result<Key> {
        let ((slot, wanted), (target, _)) = (self.existing(from)?, self.existing(to)?);
        if slot == target {
            return Err(bad_uri(format!("a key is moved from slot {slot} to the same slot")));
        }
        if !self.device.firmware().deletes_keys() {
            let context = format!("moving keys needs firmware 5.7, this YubiKey has {}", self.device.firmware());
            return Err(unsupported(context));
        }
        let look = move |session: &mut Session<'_>| {
            at_piv(session, |session| {
                session.existing_key(slot)?;
                session.check_empty(target)
            })
        };
        self.run("look at the slots", look).await?;
        let manager = self.manager(&wanted).await?;
        let moving = move |session: &mut Session<'_>| {
            session.ensure_selected()?;
            let key = session.existing_key(slot)?;
            session.check_empty(target)?;
            session.manage(&manager)?;
            let reply = session.send_once(0xf6, target.octet(), slot.octet(), &[])?;
            if reply.status != status::OK {
                return Err(error::status("move the key", reply.status).into());
            }
            session.device.made().remove(&slot);
            Ok(key.public_key)
        };
        let public_key = self.run("move key", moving).await?;
        Ok(Key::new(self.uri_of(target)?, public_key))
    }
}
