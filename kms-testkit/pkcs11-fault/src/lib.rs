//! A PKCS #11 module that wraps another one and fails on request.
//!
//! `unsafe` is unavoidable here: the other side of this crate is C. It hands out a table of C functions, is handed raw
//! pointers by whoever loads it, and calls the wrapped module through the same table. Each block is small and says why
//! it holds; what needs none (the configuration, the counters' names) has none.
//!
//! # How a test steers it
//!
//! The module finds its own path and reads `<own path>.conf` beside it, again whenever that file changes. So a test
//! copies the library once for every independent module it wants, and steers each by replacing a file. Calls are
//! counted in `<own path>.count` (see [`counters`]) and, if asked, logged in `<own path>.log`, a line a call:
//!
//! ```text
//! 17 C_Sign CKR_SESSION_HANDLE_INVALID 4242 lose-sessions
//! ```
//!
//! sequence, function, answer, thread, and the faults that were due. A line with `!` for the sequence is something that
//! the caller must not do: `parallel-write`, `shared-session`, `busy-finalize`.
//!
//! The grammar is that of [`config`]. A configuration that cannot be read fails every call with `CKR_GENERAL_ERROR` and
//! says why on stderr: a test never runs without the faults it asked for.
//!
//! # What is really done
//!
//! Sessions that are lost are really closed in the wrapped module, a logout is a logout, and a library that "was never
//! initialised" has been finalised. Functions of PKCS #11 2.40 are intercepted; the ones that 3.0 and 3.2 added go
//! straight to the wrapped module. While nothing is asked for, every answer is the wrapped module's own.

#![warn(clippy::undocumented_unsafe_blocks)]

pub mod config;
pub mod counters;
pub mod names;

mod attributes;
mod call;
mod events;
mod forward;
mod library;
mod list;
mod mechanisms;
mod module;
mod objects;
mod sessions;
mod signing;
mod tamper;
mod tokens;

/// A length as Rust counts it.
pub(crate) fn size(length: cryptoki_sys::CK_ULONG) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// What a C caller points to, or nothing if that is null.
pub(crate) fn octets(start: *const u8, length: usize) -> Vec<u8> {
    if start.is_null() {
        return Vec::new();
    }
    // SAFETY: whoever calls a function of PKCS #11 gives a pointer together with the length of what is there.
    unsafe { std::slice::from_raw_parts(start, length) }.to_vec()
}

/// A length as PKCS #11 counts it.
pub(crate) fn ulong(length: usize) -> cryptoki_sys::CK_ULONG {
    cryptoki_sys::CK_ULONG::try_from(length).unwrap_or(cryptoki_sys::CK_ULONG::MAX)
}
