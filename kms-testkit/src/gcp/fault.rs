//! Faults on demand.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::Switched;

/// How the server misbehaves.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Fault {
    /// Not at all.
    #[default]
    None,
    /// Refuses this share of requests with `RESOURCE_EXHAUSTED`: evenly spread.
    Throttle {
        /// Of a hundred.
        percent: u8,
    },
    /// Answers with this error before doing anything.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// `PERMISSION_DENIED`, `FAILED_PRECONDITION`, …
        code: &'static str,
        /// For people.
        message: String,
        /// A list, as `google.rpc.Status` has it.
        details: Value,
    },
    /// Answers rightly, but only after a time.
    Delay(Duration),
    /// Takes the request and never answers.
    Hang,
    /// Does what was asked, then closes the connection without an answer.
    Cut,
    /// Answers a page of HTML with that status, as proxies and captive portals do.
    Html(u16),
    /// Turns over one bit of each signature, with a checksum that fits.
    CorruptSignature,
    /// Lets another key of the same algorithm sign, or answers its public key, and says that it was the right one.
    OtherKey,
    /// Changes what was asked, as if on the way, before it is carried out.
    Request(fn(&mut Value)),
    /// Changes the answer, in which enumerations are names.
    Answer(fn(&mut Value)),
}

impl Fault {
    /// That error, with no details.
    pub fn refuse(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self::Refuse { status, code, message: message.into(), details: json!([]) }
    }

    /// The error of a caller who lacks that permission, which is named in the details.
    pub fn permission_denied(permission: &str) -> Self {
        let message = format!("Permission '{permission}' denied on resource (or it may not exist).");
        let details = json!([{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "IAM_PERMISSION_DENIED",
            "domain": "cloudkms.googleapis.com",
            "metadata": { "permission": permission },
        }]);
        Self::Refuse { status: 403, code: "PERMISSION_DENIED", message, details }
    }

    /// The error of a project in which Cloud KMS is not enabled.
    pub fn service_disabled() -> Self {
        let message = "Cloud Key Management Service (KMS) API has not been used in project 1 before or it is disabled.";
        let details = json!([{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "SERVICE_DISABLED",
            "domain": "googleapis.com",
            "metadata": { "service": "cloudkms.googleapis.com", "consumer": "projects/1" },
        }]);
        Self::Refuse { status: 403, code: "PERMISSION_DENIED", message: message.into(), details }
    }
}

impl Switched for Fault {
    fn share(&self) -> Option<u8> {
        match self {
            Self::Throttle { percent } => Some(*percent),
            _ => None,
        }
    }
}
