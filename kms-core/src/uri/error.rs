//! The fault of a text that is not a key URI: where, what, and what to write instead.

use std::borrow::Cow;

use thiserror::Error as ThisError;

use crate::{Error, ErrorKind};

/// A text that is not a key URI, or parts that do not make one.
///
/// It names the place and the class of the fault, never the text found there: no value, and no attribute name but those
/// this library knows, for half a PIN with a raw `&` in it looks like a name.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("{}{}", self.context(), self.remedy())]
pub struct UriError {
    fault: Cow<'static, str>,
    position: Option<usize>,
    hint: Option<Cow<'static, str>>,
}

impl UriError {
    pub(super) fn new(fault: impl Into<Cow<'static, str>>) -> Self {
        Self { fault: fault.into(), position: None, hint: None }
    }

    pub(super) fn at(mut self, position: usize) -> Self {
        self.position = Some(position);
        self
    }

    pub(super) fn hint_with(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// For faults in text the caller never saw.
    pub(super) fn without_position(mut self) -> Self {
        self.position = None;
        self
    }

    /// Offset in bytes from the start of the parsed text; `None` for a text that is too long and for the builder.
    pub fn position(&self) -> Option<usize> {
        self.position
    }

    /// What to write instead, where there is something to say.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    fn context(&self) -> String {
        match self.position {
            Some(position) => format!("key URI: {} at byte {position}", self.fault),
            None => format!("key URI: {}", self.fault),
        }
    }

    fn remedy(&self) -> String {
        self.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default()
    }
}

impl From<UriError> for Error {
    /// Kind [`InvalidUri`](ErrorKind::InvalidUri), with the position kept in the text.
    fn from(error: UriError) -> Self {
        let wrapped = Self::new(ErrorKind::InvalidUri, error.context());
        match error.hint {
            Some(hint) => wrapped.with_hint(hint),
            None => wrapped,
        }
    }
}
