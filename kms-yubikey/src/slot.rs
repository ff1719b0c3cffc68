//! Slots: where keys are, and the data objects that belong to them.

use std::fmt;

use kms_core::Result;
use kms_core::uri::Value;
use yubikey::piv::{RetiredSlotId, SlotId};

/// A slot that holds a key of the user: 9a, 9c, 9d, 9e, 82 to 95.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(u8);

impl Slot {
    /// Every slot, in the order of their names.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0x82..=0x9e).filter_map(Self::from_octet)
    }

    pub(crate) fn from_octet(octet: u8) -> Option<Self> {
        match SlotId::try_from(octet).ok()? {
            SlotId::Attestation | SlotId::Management(_) => None,
            _ => Some(Self(octet)),
        }
    }

    /// Reads `slot-id`: two hex digits.
    pub(crate) fn read(value: &Value<'_>) -> Result<Self> {
        let expected = "9a, 9c, 9d, 9e or 82 to 95";
        let octets = value.hex().map_err(|_| value.misfit(expected))?;
        let slot = <[u8; 1]>::try_from(octets).ok().and_then(|[octet]| Self::from_octet(octet));
        slot.ok_or_else(|| value.misfit(expected))
    }

    pub(crate) fn octet(self) -> u8 {
        self.0
    }

    /// The object with the slot's certificate (SP 800-73-4 part 1 table 3).
    pub(crate) fn certificate_object(self) -> [u8; 3] {
        let last = match self.0 {
            0x9a => 0x05,
            0x9c => 0x0a,
            0x9d => 0x0b,
            0x9e => 0x01,
            // 82 is the first of twenty retired ones.
            retired => 0x0d + (retired - u8::from(RetiredSlotId::R1)),
        };
        [0x5f, 0xc1, last]
    }

    /// The object in which we keep what comes after the certificate in its chain. Yubico's cards take any object from
    /// 5F0000 on; this range is used by no standard and no program known to us.
    pub(crate) fn chain_object(self) -> [u8; 3] {
        [0x5f, 0x4b, self.0]
    }

    /// Whether SP 800-73-4 wants the PIN for each use of the key.
    pub(crate) fn is_for_signatures(self) -> bool {
        self.0 == 0x9c
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_twenty_four() {
        let all: Vec<_> = Slot::all().map(|slot| slot.to_string()).collect();
        assert_eq!((all.len(), &*all[0], &*all[19], &*all[20], &*all[23]), (24, "82", "95", "9a", "9e"));
        let object = |octet| Slot::from_octet(octet).unwrap().certificate_object();
        assert_eq!((object(0x82), object(0x95)), ([0x5f, 0xc1, 0x0d], [0x5f, 0xc1, 0x20]));
        for none in [0x80, 0x81, 0x96, 0x9b, 0xf9, 0] {
            assert_eq!(Slot::from_octet(none), None);
        }
    }
}
