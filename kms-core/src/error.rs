//! The one error type: what kind of fault, what was attempted, what to do next, and what lies beneath.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// A fault, as every backend reports it.
///
/// `Display` gives what was attempted and, after `; `, what to do next. It never repeats the text of the
/// [source](StdError::source) (print the chain for that) and never holds a secret. Both are one line: a control character
/// in what a token or a service calls itself is shown escaped, so that it reaches no terminal and begins no line of a log.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    context: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    source: Option<Source>,
}

/// What went wrong, in the terms a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The URI is malformed, holds an unknown, repeated or missing attribute, or contradicts the manager it is used with.
    InvalidUri,
    /// Another argument does not fit: a digest of the wrong length, a file that is not a key.
    InvalidArgument,
    /// No such key, certificate, token or device.
    NotFound,
    /// What was to be made exists. Nothing was changed.
    AlreadyExists,
    /// More than one key or token matches; none was used.
    Ambiguous,
    /// Credentials, PIN or password are missing, expired or refused (for a PIN see also [`PinIncorrect`](Self::PinIncorrect)).
    Unauthenticated,
    /// The device refused the PIN. It is not sent again until it is set anew.
    PinIncorrect {
        /// Tries left before the PIN locks, where the device tells.
        tries_left: Option<u8>,
    },
    /// The PIN is locked; only the PUK or the security officer can help.
    PinLocked,
    /// The device waited for a touch that did not come.
    TouchRequired,
    /// The credentials are good but do not allow this.
    PermissionDenied,
    /// Another key than expected: its public key is not the one handed out or stated.
    KeyMismatch,
    /// The key exists but cannot be used: disabled, pending, destroyed, or not meant for signing.
    KeyUnusable,
    /// The backend, device or key cannot do this at all.
    Unsupported,
    /// The service asks to slow down.
    Throttled,
    /// The service or device does not answer properly now.
    Unavailable,
    /// The device or token was taken away.
    DeviceRemoved,
    /// The deadline passed.
    Timeout,
    /// What came back is not what was asked for: a wrong signature, checksum or name. Nothing was returned.
    Integrity,
    /// Anything else; the source tells.
    Other,
}

impl Error {
    /// An error of `kind`; `context` says what was attempted, in one line and without secrets.
    pub fn new(kind: ErrorKind, context: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, context: one_line(context.into()), hint: None, source: None }))
    }

    /// Adds what to do next.
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(one_line(hint.into()));
        self
    }

    /// Keeps the error beneath. Its text must not hold a secret.
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Puts `context` (a file, a key, a call) before what is there: `context: what was there`.
    pub fn in_context(mut self, context: impl fmt::Display) -> Self {
        self.0.context = one_line(format!("{context}: {}", self.0.context).into());
        self
    }

    /// Kind, context and hint of this error, with the source as text only: for an error that is only lent.
    pub fn duplicate(&self) -> Self {
        let mut copy = Self::new(self.kind(), self.0.context.clone());
        copy.0.hint.clone_from(&self.0.hint);
        copy.0.source = self.source().map(|source| source.to_string().into());
        copy
    }

    /// The kind of fault.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was attempted, without the hint.
    pub fn context(&self) -> &str {
        &self.0.context
    }

    /// What to do next, where we know.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Whether the same call may succeed later with nothing changed by the caller.
    ///
    /// False for every fault that concerns a PIN: sending it again could lock the device.
    pub fn is_transient(&self) -> bool {
        self.0.kind.is_transient()
    }

    /// The whole chain on one line, outermost first, joined by `: `.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = self.source();
        while let Some(error) = next {
            text.push_str(": ");
            text.push_str(&one_line(error.to_string().into()));
            next = error.source();
        }
        text
    }
}

impl ErrorKind {
    /// See [`Error::is_transient`].
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable | Self::DeviceRemoved | Self::Timeout | Self::TouchRequired)
    }

    /// The name of the kind, as printed in machine-readable output: `NotFound`, `PinIncorrect`.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidUri => "InvalidUri",
            Self::InvalidArgument => "InvalidArgument",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::Ambiguous => "Ambiguous",
            Self::Unauthenticated => "Unauthenticated",
            Self::PinIncorrect { .. } => "PinIncorrect",
            Self::PinLocked => "PinLocked",
            Self::TouchRequired => "TouchRequired",
            Self::PermissionDenied => "PermissionDenied",
            Self::KeyMismatch => "KeyMismatch",
            Self::KeyUnusable => "KeyUnusable",
            Self::Unsupported => "Unsupported",
            Self::Throttled => "Throttled",
            Self::Unavailable => "Unavailable",
            Self::DeviceRemoved => "DeviceRemoved",
            Self::Timeout => "Timeout",
            Self::Integrity => "Integrity",
            Self::Other => "Other",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.context)?;
        if let Some(hint) = &self.0.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

/// A text with its control characters escaped.
fn one_line(text: Cow<'static, str>) -> Cow<'static, str> {
    if !text.contains(char::is_control) {
        return text;
    }
    let escape = |char: char| if char.is_control() { char.escape_debug().to_string() } else { char.to_string() };
    text.chars().map(escape).collect::<String>().into()
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("context", &self.0.context)
            .field("hint", &self.0.hint)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_gives_context_and_hint_and_leaves_the_source_to_the_chain() {
        let error = Error::new(ErrorKind::Ambiguous, "2 private keys match `object=ca`")
            .with_hint("add `id=` (found 01, 02)")
            .with_source("CKR_OK")
            .in_context("pkcs11");
        assert_eq!(error.to_string(), "pkcs11: 2 private keys match `object=ca`; add `id=` (found 01, 02)");
        assert_eq!(error.chain(), format!("{error}: CKR_OK"));
        assert_eq!(error.kind(), ErrorKind::Ambiguous);
    }

    #[test]
    fn what_a_device_calls_itself_stays_on_one_line() {
        let error = Error::new(ErrorKind::NotFound, "no token `a\n\u{1b}[2Jé\u{85}`")
            .with_hint("there is `\r`")
            .with_source("first\nsecond");
        assert_eq!(error.to_string(), r"no token `a\n\u{1b}[2Jé\u{85}`; there is `\r`");
        assert_eq!(error.chain(), format!(r"{error}: first\nsecond"));
    }

    #[test]
    fn no_pin_fault_is_transient() {
        for kind in [ErrorKind::PinIncorrect { tries_left: Some(2) }, ErrorKind::PinLocked, ErrorKind::Unauthenticated]
        {
            assert!(!kind.is_transient(), "{kind:?}");
        }
        assert!(ErrorKind::Throttled.is_transient());
    }
}
