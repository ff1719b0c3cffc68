//! What a library, a slot and a token tell of themselves; texts without their padding.

use cryptoki_sys as sys;

/// What `C_GetInfo` tells.
#[derive(Clone, Debug, Default)]
pub(crate) struct LibraryInfo {
    pub(crate) manufacturer: String,
    pub(crate) description: String,
    /// Major and minor.
    pub(crate) version: (u8, u8),
}

/// What `C_GetSlotInfo` tells.
#[derive(Clone, Debug, Default)]
pub(crate) struct SlotInfo {
    pub(crate) description: String,
    pub(crate) manufacturer: String,
}

/// What `C_GetTokenInfo` tells.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenInfo {
    pub(crate) label: String,
    pub(crate) manufacturer: String,
    pub(crate) model: String,
    pub(crate) serial: String,
    pub(crate) flags: sys::CK_FLAGS,
    /// Most sessions at once, where the token says so.
    pub(crate) max_sessions: Option<usize>,
}
