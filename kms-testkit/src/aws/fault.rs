//! Faults on demand.

use std::time::Duration;

use crate::http::Switched;

/// How the server misbehaves.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Fault {
    /// Not at all.
    #[default]
    None,
    /// Refuses this share of requests with `ThrottlingException`: evenly spread.
    Throttle {
        /// Of a hundred.
        percent: u8,
    },
    /// Answers with this error before doing anything.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// `KMSInternalException`, `ExpiredTokenException`, …
        code: &'static str,
    },
    /// Answers rightly, but only after a time.
    Delay(Duration),
    /// Takes the request and never answers.
    Hang,
    /// Does what was asked, then closes the connection without an answer.
    Cut,
    /// Answers a page of HTML with status 200, as a captive portal does.
    Html,
    /// Turns over one bit of each signature.
    CorruptSignature,
    /// Lets another key of the same kind sign, but says that it was the right one.
    OtherKey,
    /// Says that another key has answered.
    OtherKeyId,
    /// Says that another algorithm was used.
    OtherAlgorithm,
}

impl Switched for Fault {
    fn share(&self) -> Option<u8> {
        match self {
            Self::Throttle { percent } => Some(*percent),
            _ => None,
        }
    }
}
