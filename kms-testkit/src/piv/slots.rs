//! Keys in slots: made, imported, moved, described.

use super::apdu::{Answer, Command, status};
use super::card::Card;
use super::key::{Key, Pair};
use super::pin::{FACTORY_PIN, FACTORY_PUK, Pin};
use super::policy::{PinPolicy, TouchPolicy};
use super::tlv::{self, find, object};

impl Card {
    pub(super) fn generate(&mut self, command: &Command) -> Answer {
        self.need_management()?;
        let slot = checked_slot(command.p2)?;
        let outer = tlv::parse(&command.data).ok_or(status::WRONG_DATA)?;
        let parts = tlv::parse(find(&outer, 0xac).ok_or(status::WRONG_DATA)?).ok_or(status::WRONG_DATA)?;
        let Some(&[algorithm]) = find(&parts, 0x80) else { return Err(status::WRONG_DATA) };
        self.check_algorithm(algorithm)?;
        let (pin, touch) = self.policies(slot, &parts)?;
        let pair = Pair::generate(algorithm)?;
        let public = object(0x7f49, &pair.public());
        self.state.keys.insert(slot, Key { pair, pin, touch, imported: false });
        Ok(public)
    }

    pub(super) fn import(&mut self, command: &Command) -> Answer {
        self.need_management()?;
        let (algorithm, slot) = (command.p1, checked_slot(command.p2)?);
        self.check_algorithm(algorithm)?;
        let parts = tlv::parse(&command.data).ok_or(status::WRONG_DATA)?;
        let (pin, touch) = self.policies(slot, &parts)?;
        let pair = Pair::import(algorithm, &parts)?;
        self.state.keys.insert(slot, Key { pair, pin, touch, imported: true });
        Ok(Vec::new())
    }

    /// Moves a key to an empty slot, or deletes it (to FF).
    pub(super) fn move_key(&mut self, command: &Command) -> Answer {
        self.need_management()?;
        let (to, from) = (command.p1, checked_slot(command.p2)?);
        if to != 0xff && (checked_slot(to).is_err() || self.state.keys.contains_key(&to)) {
            return Err(status::WRONG_PARAMETERS);
        }
        let key = self.state.keys.remove(&from).ok_or(status::REFERENCE_NOT_FOUND)?;
        if to != 0xff {
            self.state.keys.insert(to, key);
        }
        Ok(Vec::new())
    }

    pub(super) fn metadata(&self, command: &Command) -> Answer {
        let pin = |pin: &Pin, factory| {
            let parts = [object(1, &[0xff]), object(5, &[u8::from(pin.value == factory)])];
            Ok([parts.concat(), object(6, &[pin.most, pin.tries])].concat())
        };
        match command.p2 {
            0x80 => pin(&self.state.pin, FACTORY_PIN),
            0x81 => pin(&self.state.puk, FACTORY_PUK),
            0x9b => {
                let key = &self.state.management;
                let touch = if key.touch { TouchPolicy::Always } else { TouchPolicy::Never };
                let parts = [object(1, &[key.algorithm]), object(2, &[0, touch.octet()])];
                Ok([parts.concat(), object(5, &[u8::from(key.is_factory())])].concat())
            }
            slot => {
                let key = match slot {
                    0xf9 => &self.state.attestor.key,
                    slot => self.state.keys.get(&slot).ok_or(status::REFERENCE_NOT_FOUND)?,
                };
                Ok([
                    object(1, &[key.pair.algorithm()]),
                    object(2, &[key.pin.octet(), key.touch.octet()]),
                    object(3, &[if key.imported { 2 } else { 1 }]),
                    object(4, &key.pair.public()),
                ]
                .concat())
            }
        }
    }

    /// RSA-3072, RSA-4096 and Ed25519 came with firmware 5.7.
    fn check_algorithm(&self, algorithm: u8) -> Result<(), u16> {
        match algorithm {
            0x07 | 0x11 => Ok(()),
            0x14 if self.state.firmware >= [4, 0, 0] => Ok(()),
            0x05 | 0x16 | 0xe0 if self.state.firmware >= [5, 7, 0] => Ok(()),
            _ => Err(status::WRONG_DATA),
        }
    }

    fn policies(&self, slot: u8, parts: &[(u32, &[u8])]) -> Result<(PinPolicy, TouchPolicy), u16> {
        let octet = |tag| match find(parts, tag) {
            None => Ok(0),
            Some(&[octet]) => Ok(octet),
            Some(_) => Err(status::WRONG_DATA),
        };
        let pin = PinPolicy::read(octet(0xaa)?, slot).ok_or(status::WRONG_DATA)?;
        let touch = TouchPolicy::read(octet(0xab)?).ok_or(status::WRONG_DATA)?;
        if touch == TouchPolicy::Cached && self.state.firmware < [4, 3, 0] {
            return Err(status::WRONG_DATA);
        }
        Ok((pin, touch))
    }
}

/// 9A, 9C, 9D, 9E, and 82 to 95 for retired keys.
fn checked_slot(slot: u8) -> Result<u8, u16> {
    match slot {
        0x9a | 0x9c..=0x9e | 0x82..=0x95 => Ok(slot),
        _ => Err(status::WRONG_PARAMETERS),
    }
}
