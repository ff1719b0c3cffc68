//! From what PC/SC and cards say to our kinds, and to what may help: the only tables between them.

use kms_core::{Error, ErrorKind};

use crate::card::{Fault, status};

/// Why work on the card was not done.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The connection with the card says so.
    Fault(Fault),
    /// Nothing to be done about it.
    Error(Error),
}

/// What can make the same call succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Nothing we can do.
    None,
    /// The card was reset by another program: take note, and go on.
    Reconnect,
    /// Another program has the card for itself, for now.
    Wait,
    /// The card, the reader or the service is gone: look for it until it is back.
    Reopen,
}

/// One row for each fault that says something particular.
const FAULTS: &[(Fault, ErrorKind, Remedy, &str)] = &[
    (Fault::ResetCard, ErrorKind::Unavailable, Remedy::Reconnect, ""),
    (Fault::SharingViolation, ErrorKind::Unavailable, Remedy::Wait, "another program has the card for itself"),
    (Fault::RemovedCard, ErrorKind::DeviceRemoved, Remedy::Reopen, "put it in again"),
    (Fault::NoSmartcard, ErrorKind::DeviceRemoved, Remedy::Reopen, "put it in again"),
    (Fault::UnknownReader, ErrorKind::DeviceRemoved, Remedy::Reopen, "put it in again"),
    (Fault::ReaderUnavailable, ErrorKind::DeviceRemoved, Remedy::Reopen, "put it in again"),
    (Fault::NoReadersAvailable, ErrorKind::DeviceRemoved, Remedy::Reopen, "put it in again"),
    (Fault::UnpoweredCard, ErrorKind::Unavailable, Remedy::Reopen, ""),
    (Fault::UnresponsiveCard, ErrorKind::Unavailable, Remedy::Reopen, ""),
    (Fault::NoService, ErrorKind::Unavailable, Remedy::Reopen, START),
    (Fault::ServiceStopped, ErrorKind::Unavailable, Remedy::Reopen, START),
    (Fault::Shutdown, ErrorKind::Unavailable, Remedy::Reopen, START),
    (Fault::InvalidHandle, ErrorKind::Unavailable, Remedy::Reopen, START),
    (Fault::SystemCancelled, ErrorKind::Unavailable, Remedy::Reopen, ""),
    (Fault::CommError, ErrorKind::Unavailable, Remedy::Reopen, ""),
    (Fault::NotTransacted, ErrorKind::Unavailable, Remedy::Reopen, ""),
    (Fault::ProtoMismatch, ErrorKind::Unavailable, Remedy::Reopen, ""),
    (Fault::NotReady, ErrorKind::Unavailable, Remedy::Reopen, ""),
    (Fault::InternalError, ErrorKind::Unavailable, Remedy::Reopen, ""),
    (Fault::UnknownError, ErrorKind::Unavailable, Remedy::Reopen, ""),
    (Fault::InvalidValue, ErrorKind::Unavailable, Remedy::Reopen, ""),
    (Fault::SecurityViolation, ErrorKind::PermissionDenied, Remedy::None, POLKIT),
    (Fault::NoAccess, ErrorKind::PermissionDenied, Remedy::None, POLKIT),
];

const START: &str = "is pcscd running? `systemctl start pcscd.socket`";
const POLKIT: &str = "polkit may restrict smart cards to local sessions; see the actions `org.debian.pcsc-lite.*`";

/// What may help against a fault.
pub(crate) fn remedy(fault: Fault) -> Remedy {
    row(fault).map_or(Remedy::None, |row| row.2)
}

/// The error for a fault that nothing helped against.
pub(crate) fn fault(operation: &str, fault: Fault) -> Error {
    let (kind, hint) = row(fault).map_or((ErrorKind::Other, ""), |row| (row.1, row.3));
    let error = Error::new(kind, format!("yubikey: cannot {operation}")).with_source(fault);
    if hint.is_empty() { error } else { error.with_hint(hint) }
}

fn row(fault: Fault) -> Option<&'static (Fault, ErrorKind, Remedy, &'static str)> {
    FAULTS.iter().find(|row| row.0 == fault)
}

/// The error for status words that nobody expected.
pub(crate) fn status(operation: &str, status: u16) -> Error {
    let (kind, hint) = match status {
        status::SECURITY_STATUS => (ErrorKind::PermissionDenied, "the card wants a PIN, a key or a touch first"),
        status::BLOCKED => (ErrorKind::PinLocked, "set a new PIN with the PUK: `ykman piv access unblock-pin`"),
        status::NOT_FOUND | status::REFERENCE_NOT_FOUND => (ErrorKind::NotFound, ""),
        status::NO_SPACE => (ErrorKind::Other, "the card is full"),
        status::WRONG_LENGTH => (ErrorKind::InvalidArgument, "too long for the card"),
        status::WRONG_DATA => (ErrorKind::InvalidArgument, ""),
        status if is_unsupported(status) => (ErrorKind::Unsupported, ""),
        _ => (ErrorKind::Unavailable, ""),
    };
    let error = Error::new(kind, format!("yubikey: the card refused to {operation} ({status:04X})"));
    if hint.is_empty() { error } else { error.with_hint(hint) }
}

/// Whether a card says that it does not know the command at all.
pub(crate) fn is_unsupported(status: u16) -> bool {
    matches!(
        status,
        status::UNKNOWN_INSTRUCTION
            | status::UNKNOWN_CLASS
            | status::UNSUPPORTED
            | status::WRONG_PARAMETERS
            | status::WRONG_REFERENCE
    )
}

pub(crate) fn bad_uri(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidUri, context).in_context("yubikey")
}

pub(crate) fn invalid(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidArgument, context).in_context("yubikey")
}

pub(crate) fn unsupported(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Unsupported, context).in_context("yubikey")
}

/// What the card answered cannot be read.
pub(crate) fn garbled(what: &str) -> Error {
    Error::new(ErrorKind::Integrity, format!("yubikey: the card's {what} cannot be read"))
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}
