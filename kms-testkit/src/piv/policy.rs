//! PIN and touch policies, by their octets in Yubico's extensions.

/// When a key needs the PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PinPolicy {
    Never,
    Once,
    Always,
}

/// When a key needs a touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TouchPolicy {
    Never,
    Always,
    Cached,
}

impl PinPolicy {
    pub(super) fn octet(self) -> u8 {
        match self {
            Self::Never => 1,
            Self::Once => 2,
            Self::Always => 3,
        }
    }

    /// What the slot has unless stated: once; always for 9c; never for 9e.
    pub(super) fn of_slot(slot: u8) -> Self {
        match slot {
            0x9c => Self::Always,
            0x9e => Self::Never,
            _ => Self::Once,
        }
    }

    pub(super) fn read(octet: u8, slot: u8) -> Option<Self> {
        match octet {
            0 => Some(Self::of_slot(slot)),
            1 => Some(Self::Never),
            2 => Some(Self::Once),
            3 => Some(Self::Always),
            _ => None,
        }
    }
}

impl TouchPolicy {
    pub(super) fn octet(self) -> u8 {
        match self {
            Self::Never => 1,
            Self::Always => 2,
            Self::Cached => 3,
        }
    }

    pub(super) fn read(octet: u8) -> Option<Self> {
        match octet {
            0 | 1 => Some(Self::Never),
            2 => Some(Self::Always),
            3 => Some(Self::Cached),
            _ => None,
        }
    }
}
