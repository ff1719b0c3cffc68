//! PIN and PUK with their counters.

use super::apdu::status;

/// A PIN or PUK: eight octets, padded with 0xff.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pin {
    pub(super) value: [u8; 8],
    pub(super) tries: u8,
    pub(super) most: u8,
}

pub(super) const FACTORY_PIN: [u8; 8] = *b"123456\xff\xff";
pub(super) const FACTORY_PUK: [u8; 8] = *b"12345678";

impl Pin {
    pub(super) fn new(value: [u8; 8], most: u8) -> Self {
        Self { value, tries: most, most }
    }

    /// Checks a value: right, the counter starts anew; wrong, it costs a try.
    pub(super) fn check(&mut self, value: &[u8]) -> Result<(), u16> {
        if self.tries == 0 {
            return Err(status::BLOCKED);
        }
        if value == self.value {
            self.tries = self.most;
            return Ok(());
        }
        self.tries -= 1;
        Err(self.status())
    }

    /// How many tries are left, as status words.
    pub(super) fn status(&self) -> u16 {
        if self.tries == 0 { status::BLOCKED } else { 0x63c0 | u16::from(self.tries.min(15)) }
    }

    /// Sets another value: six octets at least, the padding at the end.
    pub(super) fn set(&mut self, value: &[u8]) -> Result<(), u16> {
        let value: [u8; 8] = value.try_into().map_err(|_| status::WRONG_DATA)?;
        let length = value.iter().position(|octet| *octet == 0xff).unwrap_or(8);
        if length < 6 || value[length..].iter().any(|octet| *octet != 0xff) {
            return Err(status::WRONG_DATA);
        }
        *self = Self::new(value, self.most);
        Ok(())
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pin").field("tries", &self.tries).field("most", &self.most).finish_non_exhaustive()
    }
}
