//! When a key wants the PIN, and when a touch.

use kms_core::Result;
use kms_core::uri::Value;

/// When a key wants the PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PinPolicy {
    /// Never.
    Never,
    /// Once, until the card is reset or another application selected.
    Once,
    /// Before each use.
    Always,
}

/// When a key wants to be touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TouchPolicy {
    /// Never.
    Never,
    /// For each use.
    Always,
    /// Unless it was within the last 15 s.
    Cached,
}

impl PinPolicy {
    pub(crate) fn read(value: &Value<'_>) -> Result<Self> {
        match value.bytes() {
            b"never" => Ok(Self::Never),
            b"once" => Ok(Self::Once),
            b"always" => Ok(Self::Always),
            _ => Err(value.misfit("`never`, `once` or `always`")),
        }
    }

    pub(crate) fn octet(self) -> u8 {
        match self {
            Self::Never => 1,
            Self::Once => 2,
            Self::Always => 3,
        }
    }

    /// As a card tells it; 4 and 5 are those of cards that read fingerprints. What is not known is the strictest.
    pub(crate) fn from_octet(octet: u8) -> Self {
        match octet {
            1 => Self::Never,
            2 | 4 => Self::Once,
            _ => Self::Always,
        }
    }
}

impl TouchPolicy {
    pub(crate) fn read(value: &Value<'_>) -> Result<Self> {
        match value.bytes() {
            b"never" => Ok(Self::Never),
            b"always" => Ok(Self::Always),
            b"cached" => Ok(Self::Cached),
            _ => Err(value.misfit("`never`, `always` or `cached`")),
        }
    }

    pub(crate) fn octet(self) -> u8 {
        match self {
            Self::Never => 1,
            Self::Always => 2,
            Self::Cached => 3,
        }
    }

    /// As a card tells it; of what is not known, a touch may be wanted.
    pub(crate) fn from_octet(octet: u8) -> Self {
        match octet {
            0 | 1 => Self::Never,
            2 => Self::Always,
            _ => Self::Cached,
        }
    }
}
