//! From the return values of PKCS #11 to our kinds, and to how deep to rebuild: the only table between them.

use std::fmt;

use cryptoki_sys as sys;
use cryptoki_sys::CK_RV;
use kms_core::{Error, ErrorKind};

use crate::library::Fault;

/// What can make the same call succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Remedy {
    /// Nothing we can do: the call, the key or the caller must change.
    None,
    /// A session to become free.
    Wait,
    /// Another session, and finding the key again.
    Session,
    /// Logging in again.
    Login,
    /// Another connection to the token, in the end initialising the library anew.
    Module,
}

/// One row for each return value that says something particular. What is not here, and every vendor's own code, may
/// pass: the library is taken to be in trouble.
const TABLE: &[(CK_RV, &str, ErrorKind, Remedy, &str)] = &[
    (sys::CKR_HOST_MEMORY, "CKR_HOST_MEMORY", ErrorKind::Unavailable, Remedy::Module, ""),
    (sys::CKR_SLOT_ID_INVALID, "CKR_SLOT_ID_INVALID", ErrorKind::DeviceRemoved, Remedy::Module, ""),
    (sys::CKR_GENERAL_ERROR, "CKR_GENERAL_ERROR", ErrorKind::Unavailable, Remedy::Module, ""),
    (sys::CKR_FUNCTION_FAILED, "CKR_FUNCTION_FAILED", ErrorKind::Unavailable, Remedy::Module, ""),
    (sys::CKR_ARGUMENTS_BAD, "CKR_ARGUMENTS_BAD", ErrorKind::Unsupported, Remedy::None, ""),
    (
        sys::CKR_CANT_LOCK,
        "CKR_CANT_LOCK",
        ErrorKind::Unsupported,
        Remedy::None,
        "the library cannot be used from several threads",
    ),
    (sys::CKR_ATTRIBUTE_READ_ONLY, "CKR_ATTRIBUTE_READ_ONLY", ErrorKind::Unsupported, Remedy::None, ATTRIBUTES),
    (sys::CKR_ATTRIBUTE_SENSITIVE, "CKR_ATTRIBUTE_SENSITIVE", ErrorKind::PermissionDenied, Remedy::None, ""),
    (sys::CKR_ATTRIBUTE_TYPE_INVALID, "CKR_ATTRIBUTE_TYPE_INVALID", ErrorKind::Unsupported, Remedy::None, ATTRIBUTES),
    (sys::CKR_ATTRIBUTE_VALUE_INVALID, "CKR_ATTRIBUTE_VALUE_INVALID", ErrorKind::Unsupported, Remedy::None, ATTRIBUTES),
    (sys::CKR_ACTION_PROHIBITED, "CKR_ACTION_PROHIBITED", ErrorKind::PermissionDenied, Remedy::None, ""),
    (sys::CKR_DATA_INVALID, "CKR_DATA_INVALID", ErrorKind::InvalidArgument, Remedy::None, ""),
    (sys::CKR_DATA_LEN_RANGE, "CKR_DATA_LEN_RANGE", ErrorKind::InvalidArgument, Remedy::None, ""),
    (sys::CKR_DEVICE_ERROR, "CKR_DEVICE_ERROR", ErrorKind::Unavailable, Remedy::Module, ""),
    (sys::CKR_DEVICE_MEMORY, "CKR_DEVICE_MEMORY", ErrorKind::Other, Remedy::None, "the token is full"),
    (sys::CKR_DEVICE_REMOVED, "CKR_DEVICE_REMOVED", ErrorKind::DeviceRemoved, Remedy::Module, ""),
    (sys::CKR_ENCRYPTED_DATA_INVALID, "CKR_ENCRYPTED_DATA_INVALID", ErrorKind::InvalidArgument, Remedy::None, ""),
    (sys::CKR_ENCRYPTED_DATA_LEN_RANGE, "CKR_ENCRYPTED_DATA_LEN_RANGE", ErrorKind::InvalidArgument, Remedy::None, ""),
    (sys::CKR_FUNCTION_CANCELED, "CKR_FUNCTION_CANCELED", ErrorKind::Unavailable, Remedy::Session, ""),
    (sys::CKR_FUNCTION_NOT_SUPPORTED, "CKR_FUNCTION_NOT_SUPPORTED", ErrorKind::Unsupported, Remedy::None, ""),
    (sys::CKR_FUNCTION_REJECTED, "CKR_FUNCTION_REJECTED", ErrorKind::PermissionDenied, Remedy::None, ""),
    (sys::CKR_KEY_HANDLE_INVALID, "CKR_KEY_HANDLE_INVALID", ErrorKind::Unavailable, Remedy::Session, ""),
    (sys::CKR_KEY_SIZE_RANGE, "CKR_KEY_SIZE_RANGE", ErrorKind::Unsupported, Remedy::None, ""),
    (sys::CKR_KEY_TYPE_INCONSISTENT, "CKR_KEY_TYPE_INCONSISTENT", ErrorKind::Unsupported, Remedy::None, ""),
    (
        sys::CKR_KEY_FUNCTION_NOT_PERMITTED,
        "CKR_KEY_FUNCTION_NOT_PERMITTED",
        ErrorKind::KeyUnusable,
        Remedy::None,
        "the key was not made for this",
    ),
    (sys::CKR_KEY_EXHAUSTED, "CKR_KEY_EXHAUSTED", ErrorKind::KeyUnusable, Remedy::None, ""),
    (sys::CKR_MECHANISM_INVALID, "CKR_MECHANISM_INVALID", ErrorKind::Unsupported, Remedy::None, MECHANISMS),
    (sys::CKR_MECHANISM_PARAM_INVALID, "CKR_MECHANISM_PARAM_INVALID", ErrorKind::Unsupported, Remedy::None, MECHANISMS),
    (
        sys::CKR_PARAMETER_SET_NOT_SUPPORTED,
        "CKR_PARAMETER_SET_NOT_SUPPORTED",
        ErrorKind::Unsupported,
        Remedy::None,
        MECHANISMS,
    ),
    (sys::CKR_CURVE_NOT_SUPPORTED, "CKR_CURVE_NOT_SUPPORTED", ErrorKind::Unsupported, Remedy::None, MECHANISMS),
    (sys::CKR_DOMAIN_PARAMS_INVALID, "CKR_DOMAIN_PARAMS_INVALID", ErrorKind::Unsupported, Remedy::None, MECHANISMS),
    (sys::CKR_OBJECT_HANDLE_INVALID, "CKR_OBJECT_HANDLE_INVALID", ErrorKind::Unavailable, Remedy::Session, ""),
    (sys::CKR_OPERATION_ACTIVE, "CKR_OPERATION_ACTIVE", ErrorKind::Unavailable, Remedy::Session, ""),
    (sys::CKR_OPERATION_NOT_INITIALIZED, "CKR_OPERATION_NOT_INITIALIZED", ErrorKind::Unavailable, Remedy::Session, ""),
    (
        sys::CKR_PIN_INCORRECT,
        "CKR_PIN_INCORRECT",
        ErrorKind::PinIncorrect { tries_left: None },
        Remedy::None,
        "it is not sent again; open with the right PIN",
    ),
    (
        sys::CKR_PIN_INVALID,
        "CKR_PIN_INVALID",
        ErrorKind::PinIncorrect { tries_left: None },
        Remedy::None,
        "it has characters that this token's PINs never have",
    ),
    (
        sys::CKR_PIN_LEN_RANGE,
        "CKR_PIN_LEN_RANGE",
        ErrorKind::PinIncorrect { tries_left: None },
        Remedy::None,
        "it is shorter or longer than this token's PINs are",
    ),
    (
        sys::CKR_PIN_EXPIRED,
        "CKR_PIN_EXPIRED",
        ErrorKind::Unauthenticated,
        Remedy::None,
        "the PIN has expired: set a new one with the vendor's tool",
    ),
    (
        sys::CKR_PIN_LOCKED,
        "CKR_PIN_LOCKED",
        ErrorKind::PinLocked,
        Remedy::None,
        "the security officer must set a new PIN",
    ),
    (sys::CKR_SESSION_CLOSED, "CKR_SESSION_CLOSED", ErrorKind::Unavailable, Remedy::Session, ""),
    (
        sys::CKR_SESSION_COUNT,
        "CKR_SESSION_COUNT",
        ErrorKind::Unavailable,
        Remedy::Wait,
        "the token has no session left: others use them all, or `max-sessions` is above what it has",
    ),
    (sys::CKR_SESSION_HANDLE_INVALID, "CKR_SESSION_HANDLE_INVALID", ErrorKind::Unavailable, Remedy::Session, ""),
    (sys::CKR_SESSION_READ_ONLY, "CKR_SESSION_READ_ONLY", ErrorKind::PermissionDenied, Remedy::None, READ_ONLY),
    (
        sys::CKR_SESSION_READ_WRITE_SO_EXISTS,
        "CKR_SESSION_READ_WRITE_SO_EXISTS",
        ErrorKind::Unauthenticated,
        Remedy::None,
        "the security officer is logged in through the same library",
    ),
    (sys::CKR_TEMPLATE_INCOMPLETE, "CKR_TEMPLATE_INCOMPLETE", ErrorKind::Unsupported, Remedy::None, ATTRIBUTES),
    (sys::CKR_TEMPLATE_INCONSISTENT, "CKR_TEMPLATE_INCONSISTENT", ErrorKind::Unsupported, Remedy::None, ATTRIBUTES),
    (sys::CKR_TOKEN_NOT_PRESENT, "CKR_TOKEN_NOT_PRESENT", ErrorKind::DeviceRemoved, Remedy::Module, ""),
    (sys::CKR_TOKEN_NOT_RECOGNIZED, "CKR_TOKEN_NOT_RECOGNIZED", ErrorKind::DeviceRemoved, Remedy::Module, ""),
    (
        sys::CKR_TOKEN_NOT_INITIALIZED,
        "CKR_TOKEN_NOT_INITIALIZED",
        ErrorKind::KeyUnusable,
        Remedy::None,
        "initialise the token first",
    ),
    (sys::CKR_TOKEN_WRITE_PROTECTED, "CKR_TOKEN_WRITE_PROTECTED", ErrorKind::PermissionDenied, Remedy::None, READ_ONLY),
    (sys::CKR_TOKEN_RESOURCE_EXCEEDED, "CKR_TOKEN_RESOURCE_EXCEEDED", ErrorKind::Unavailable, Remedy::Session, ""),
    (sys::CKR_USER_NOT_LOGGED_IN, "CKR_USER_NOT_LOGGED_IN", ErrorKind::Unauthenticated, Remedy::Login, ""),
    (
        sys::CKR_USER_PIN_NOT_INITIALIZED,
        "CKR_USER_PIN_NOT_INITIALIZED",
        ErrorKind::Unauthenticated,
        Remedy::None,
        "the security officer must set a user PIN first",
    ),
    (
        sys::CKR_USER_ANOTHER_ALREADY_LOGGED_IN,
        "CKR_USER_ANOTHER_ALREADY_LOGGED_IN",
        ErrorKind::Unauthenticated,
        Remedy::None,
        "another user is logged in through the same library",
    ),
    (
        sys::CKR_USER_TOO_MANY_TYPES,
        "CKR_USER_TOO_MANY_TYPES",
        ErrorKind::Unauthenticated,
        Remedy::None,
        "another user is logged in through the same library",
    ),
    (sys::CKR_BUFFER_TOO_SMALL, "CKR_BUFFER_TOO_SMALL", ErrorKind::Unavailable, Remedy::Session, ""),
    (sys::CKR_CRYPTOKI_NOT_INITIALIZED, "CKR_CRYPTOKI_NOT_INITIALIZED", ErrorKind::Unavailable, Remedy::Module, ""),
];

const ATTRIBUTES: &str = "tokens differ in the attributes they take: set others with `Pkcs11::with_key_attributes`";
const MECHANISMS: &str = "`pkcs11-tool --list-mechanisms` shows what the token has";
const READ_ONLY: &str = "the token is read-only";

impl Fault {
    /// What can make the same call succeed.
    pub(crate) fn remedy(&self) -> Remedy {
        match (self.call, self.code) {
            // AWS CloudHSM says so when sessions are opened in quick succession.
            ("C_OpenSession", sys::CKR_ARGUMENTS_BAD) => Remedy::Wait,
            // Refusals of the key itself, where a rebuilt session would change nothing, are in the table.
            _ => row(self.code).map_or(Remedy::Module, |row| row.3),
        }
    }

    /// The fault as an error; `context` says what was attempted.
    pub(crate) fn in_context(self, context: impl fmt::Display) -> Error {
        let (kind, hint) = row(self.code).map_or((ErrorKind::Unavailable, ""), |row| (row.2, row.4));
        let error = Error::new(kind, context.to_string()).with_source(self);
        if hint.is_empty() { error } else { error.with_hint(hint) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, code_name(self.code))
    }
}

impl std::error::Error for Fault {}

/// The name PKCS #11 gives the return value, with its number where that is not in every header.
pub(crate) fn code_name(code: CK_RV) -> String {
    match row(code) {
        Some(row) => row.1.to_owned(),
        None if code & sys::CKR_VENDOR_DEFINED != 0 => format!("CKR_VENDOR_DEFINED {code:#010x}"),
        None => format!("CKR {code:#x}"),
    }
}

/// Something wrong with an argument.
pub(crate) fn invalid(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}

/// Something wrong with a URI.
pub(crate) fn bad_uri(context: impl fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidUri, format!("pkcs11: {context}"))
}

/// Something the token, key or library cannot do at all.
pub(crate) fn unsupported(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Unsupported, context)
}

fn row(code: CK_RV) -> Option<&'static (CK_RV, &'static str, ErrorKind, Remedy, &'static str)> {
    TABLE.iter().find(|row| row.0 == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: CK_RV) -> Fault {
        Fault { call: "C_Sign", code }
    }

    #[test]
    fn unknown_and_vendor_codes_may_pass() {
        for code in [0x8000_001a, 0xffff_ffff, 0x7777] {
            assert_eq!(fault(code).remedy(), Remedy::Module, "{code:#x}");
            assert!(fault(code).in_context("sign").is_transient());
        }
        assert_eq!(fault(0x8000_001a).to_string(), "C_Sign: CKR_VENDOR_DEFINED 0x8000001a");
    }

    #[test]
    fn no_fault_of_a_pin_is_ever_retried() {
        for code in [
            sys::CKR_PIN_INCORRECT,
            sys::CKR_PIN_INVALID,
            sys::CKR_PIN_LEN_RANGE,
            sys::CKR_PIN_EXPIRED,
            sys::CKR_PIN_LOCKED,
            sys::CKR_USER_PIN_NOT_INITIALIZED,
        ] {
            assert_eq!(fault(code).remedy(), Remedy::None, "{code:#x}");
            let error = fault(code).in_context("log in");
            assert!(!error.is_transient() && error.hint().is_some(), "{error}");
        }
    }

    #[test]
    fn each_code_has_one_row() {
        for (at, row) in TABLE.iter().enumerate() {
            assert!(TABLE[at + 1..].iter().all(|other| other.0 != row.0), "{}", row.1);
        }
    }

    #[test]
    fn losses_are_rebuilt_as_deep_as_they_are() {
        for (code, remedy) in [
            (sys::CKR_SESSION_HANDLE_INVALID, Remedy::Session),
            (sys::CKR_OBJECT_HANDLE_INVALID, Remedy::Session),
            (sys::CKR_USER_NOT_LOGGED_IN, Remedy::Login),
            (sys::CKR_DEVICE_ERROR, Remedy::Module),
            (sys::CKR_CRYPTOKI_NOT_INITIALIZED, Remedy::Module),
            (sys::CKR_TOKEN_NOT_PRESENT, Remedy::Module),
            (sys::CKR_SESSION_COUNT, Remedy::Wait),
            (sys::CKR_MECHANISM_INVALID, Remedy::None),
        ] {
            assert_eq!(fault(code).remedy(), remedy, "{code:#x}");
        }
        assert_eq!(Fault { call: "C_OpenSession", code: sys::CKR_ARGUMENTS_BAD }.remedy(), Remedy::Wait);
    }
}
