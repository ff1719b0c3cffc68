//! From the errors of Cloud KMS and its client to our kinds: the only table between them.

use std::error::Error as StdError;
use std::fmt;

use google_cloud_gax::client_builder::Error as BuilderError;
use google_cloud_gax::error::rpc::{Code, StatusDetails};
use kms_core::{Error, ErrorKind};

use crate::text::{chain, clean};

/// What went wrong with one request. Keeps what tells the reason and nothing else: the client's own errors hold the
/// whole answer, and what a proxy answers may repeat the request's headers.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    code: Option<Code>,
    /// `ErrorInfo.reason`: `SERVICE_DISABLED`, `IAM_PERMISSION_DENIED`.
    reason: String,
    message: String,
    permission: Option<String>,
    status: Option<u16>,
    cause: Cause,
}

/// Where it went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The service said so.
    Service,
    /// No credentials could be had.
    Credentials,
    /// No connection, or it broke.
    Connection,
    /// No answer in time.
    Timeout,
    /// An answer that is none of this service.
    Response,
    /// An answer that does not go with those before it.
    Contradiction,
    /// The request was never sent.
    Request,
}

/// One row for each code: kind, and what to do next.
const TABLE: &[(Code, ErrorKind, &str)] = &[
    (Code::NotFound, ErrorKind::NotFound, "check project, location, key ring, key and version"),
    (Code::AlreadyExists, ErrorKind::AlreadyExists, "choose another name; nothing was changed"),
    (Code::FailedPrecondition, ErrorKind::KeyUnusable, "its state does not allow this"),
    (Code::InvalidArgument, ErrorKind::InvalidArgument, ""),
    (Code::OutOfRange, ErrorKind::InvalidArgument, ""),
    (Code::Unimplemented, ErrorKind::Unsupported, "the service does not offer this here"),
    (Code::PermissionDenied, ErrorKind::PermissionDenied, ""),
    (
        Code::Unauthenticated,
        ErrorKind::Unauthenticated,
        "the credentials are refused; log in anew, or look at the clock",
    ),
    (
        Code::ResourceExhausted,
        ErrorKind::Throttled,
        "a quota is used up; quotas are shown for a minute but kept for each second: ask for more, or sign less often",
    ),
    (Code::Unavailable, ErrorKind::Unavailable, ""),
    (Code::Internal, ErrorKind::Unavailable, ""),
    (Code::Unknown, ErrorKind::Unavailable, ""),
    (Code::Aborted, ErrorKind::Unavailable, ""),
    (Code::Cancelled, ErrorKind::Unavailable, ""),
    (Code::DeadlineExceeded, ErrorKind::Unavailable, ""),
    (Code::DataLoss, ErrorKind::Unavailable, ""),
];

/// States of a version in which it does nothing, and what to do about them.
const STATES: [(&str, &str); 8] = [
    ("DESTROY_SCHEDULED", ": restore and enable it, if it is meant to be used"),
    ("DESTROYED", ": it is gone for ever"),
    ("DISABLED", ": enable it, if it is meant to be used"),
    ("PENDING_GENERATION", ": wait until it is generated"),
    ("PENDING_IMPORT", ": wait until it is imported"),
    ("IMPORT_FAILED", ": import it again"),
    ("GENERATION_FAILED", ": create another version"),
    ("PENDING_EXTERNAL_DESTRUCTION", ": it is on its way out"),
];

impl Fault {
    /// No credentials could be had.
    pub(crate) fn credentials(message: String) -> Self {
        Self::of(Cause::Credentials, message)
    }

    /// No answer in time.
    pub(crate) fn timeout() -> Self {
        Self::of(Cause::Timeout, "no answer in time".into())
    }

    /// An answer that does not go with those before it.
    pub(crate) fn contradiction(message: String) -> Self {
        Self::of(Cause::Contradiction, message)
    }

    /// The client could not be made.
    pub(crate) fn client(error: &BuilderError) -> Self {
        let cause = if error.is_transport() { Cause::Request } else { Cause::Credentials };
        Self::of(cause, clean(&error.to_string()))
    }

    fn of(cause: Cause, message: String) -> Self {
        Self { code: None, reason: String::new(), message, permission: None, status: None, cause }
    }

    /// Notes the permission that the request needs, unless the service named one.
    pub(crate) fn needing(mut self, permission: &str) -> Self {
        self.permission.get_or_insert_with(|| permission.to_owned());
        self
    }

    /// Whether fresh credentials may help.
    pub(crate) fn is_stale_credentials(&self) -> bool {
        self.cause == Cause::Service && self.kind() == ErrorKind::Unauthenticated
    }

    /// Whether the service knows no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        self.code == Some(Code::NotFound)
    }

    /// Whether the service said just that.
    pub(crate) fn is(&self, code: Code) -> bool {
        self.code == Some(code)
    }

    /// Whether the state of the thing does not allow it; not whether the API is disabled.
    pub(crate) fn is_about_state(&self) -> bool {
        self.kind() == ErrorKind::KeyUnusable
    }

    /// Whether the same may succeed later: a page of a proxy stays one.
    pub(crate) fn may_pass(&self) -> bool {
        self.cause != Cause::Response
    }

    /// Our kind.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self.cause {
            Cause::Credentials => ErrorKind::Unauthenticated,
            Cause::Connection | Cause::Timeout | Cause::Response => ErrorKind::Unavailable,
            Cause::Contradiction => ErrorKind::Integrity,
            Cause::Request => ErrorKind::InvalidArgument,
            Cause::Service if self.is_api_disabled() => ErrorKind::PermissionDenied,
            Cause::Service if self.is_about_checksum() => ErrorKind::Integrity,
            Cause::Service => match (self.code.and_then(row), self.status) {
                (Some(row), _) => row.1,
                (None, Some(429)) => ErrorKind::Throttled,
                (None, Some(500..)) => ErrorKind::Unavailable,
                (None, Some(401)) => ErrorKind::Unauthenticated,
                (None, Some(403)) => ErrorKind::PermissionDenied,
                (None, _) => ErrorKind::Other,
            },
        }
    }

    /// The fault as an error; `context` says what was attempted.
    pub(crate) fn in_context(self, context: impl fmt::Display) -> Error {
        let hint = self.hint();
        let error = Error::new(self.kind(), format!("cloudkms: {context}")).with_source(self);
        if hint.is_empty() { error } else { error.with_hint(hint) }
    }

    fn hint(&self) -> String {
        match self.cause {
            Cause::Credentials => "give credentials: `credentials-file=…`, GOOGLE_APPLICATION_CREDENTIALS, or \
                `gcloud auth application-default login`"
                .into(),
            Cause::Connection => "check the network and `endpoint-url`".into(),
            Cause::Response => "what answers there is not Cloud KMS; check `endpoint-url` and proxies".into(),
            Cause::Timeout | Cause::Contradiction | Cause::Request => String::new(),
            Cause::Service if self.is_api_disabled() => {
                "the Cloud KMS API is not enabled in the project: `gcloud services enable cloudkms.googleapis.com`, and \
                 wait some minutes"
                    .into()
            }
            Cause::Service if self.kind() == ErrorKind::PermissionDenied => self.denied(),
            Cause::Service => match self.state() {
                Some((state, remedy)) => format!("its state is {state}{remedy}"),
                None => self.code.and_then(row).map(|row| row.2.to_owned()).unwrap_or_default(),
            },
        }
    }

    fn denied(&self) -> String {
        match &*self.reason {
            "ACCESS_TOKEN_SCOPE_INSUFFICIENT" => {
                "the access token is not for Cloud KMS: give it the scope `https://www.googleapis.com/auth/cloudkms`"
                    .into()
            }
            "BILLING_DISABLED" => "the project has no billing account".into(),
            "CONSUMER_INVALID" | "CONSUMER_SUSPENDED" => "the project does not exist, or is suspended".into(),
            _ => match &self.permission {
                Some(permission) => format!("grant `{permission}` on the key or its key ring"),
                None => "grant the permission on the key or its key ring".into(),
            },
        }
    }

    /// What was sent came there damaged: <https://cloud.google.com/kms/docs/data-integrity-guidelines>. The code is that of
    /// other wrong arguments, but no other is sent again.
    fn is_about_checksum(&self) -> bool {
        let text = self.message.to_ascii_lowercase();
        self.code == Some(Code::InvalidArgument) && (text.contains("checksum") || text.contains("crc32c"))
    }

    /// The service answers so with one code or the other, of which one looks like the fault of a key.
    fn is_api_disabled(&self) -> bool {
        if self.reason == "SERVICE_DISABLED" {
            return true;
        }
        let text = self.message.to_ascii_lowercase();
        matches!(self.code, Some(Code::FailedPrecondition | Code::PermissionDenied))
            && self.reason != "IAM_PERMISSION_DENIED"
            && !text.contains("cryptokeyversions/")
            && (text.contains("api") || text.contains("cloudkms.googleapis.com"))
            && ["has not been used", "not enabled", "is disabled", "it is disabled"]
                .iter()
                .any(|words| text.contains(words))
    }

    /// The state that the service gives as its reason. Its texts are not part of its interface, so this is for the
    /// reader only.
    fn state(&self) -> Option<(&'static str, &'static str)> {
        if self.code != Some(Code::FailedPrecondition) {
            return None;
        }
        // Without names, in which such words may be too.
        let words: Vec<_> = self.message.split_whitespace().filter(|word| !word.contains('/')).collect();
        let text = words.join("_").to_ascii_uppercase();
        STATES.into_iter().find(|(state, _)| text.contains(state))
    }
}

impl From<google_cloud_kms_v1::Error> for Fault {
    fn from(error: google_cloud_kms_v1::Error) -> Self {
        let status = error.http_status_code();
        if let Some(said) = error.status() {
            let mut fault = Self::of(Cause::Service, clean(&said.message));
            let code = if said.code == Code::Unknown { status.and_then(code_of) } else { None };
            (fault.code, fault.status) = (Some(code.unwrap_or(said.code)), status);
            for detail in &said.details {
                if let StatusDetails::ErrorInfo(info) = detail {
                    fault.reason = clean(&info.reason);
                    fault.permission = info.metadata.get("permission").map(|permission| clean(permission));
                }
            }
            return fault;
        }
        let cause = match status {
            Some(401 | 403 | 429 | 500..) => Cause::Service,
            Some(_) => Cause::Response,
            None if error.is_authentication() => Cause::Credentials,
            None if error.is_timeout() => Cause::Timeout,
            None if error.is_deserialization() => Cause::Response,
            None if error.is_binding() || error.is_serialization() => Cause::Request,
            None => Cause::Connection,
        };
        let message = match cause {
            // What it says is a page for people, or parts of an answer.
            Cause::Response | Cause::Service => "the answer is not one of Cloud KMS".to_owned(),
            _ => chain(&error),
        };
        Self { status, ..Self::of(cause, message) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.code, self.status) {
            (Some(code), _) => f.write_str(code.name())?,
            (None, Some(status)) => write!(f, "HTTP status {status}")?,
            (None, None) => return f.write_str(&self.message),
        }
        if !self.reason.is_empty() {
            write!(f, " ({})", self.reason)?;
        }
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

impl StdError for Fault {}

/// Something wrong with a URI.
pub(crate) fn bad_uri(context: impl fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidUri, format!("cloudkms: {context}"))
}

/// An answer that is not one to what was asked.
pub(crate) fn integrity(context: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Integrity, format!("cloudkms: {context}"))
}

fn row(code: Code) -> Option<&'static (Code, ErrorKind, &'static str)> {
    TABLE.iter().find(|row| row.0 == code)
}

/// What a status of HTTP means, for services that do not name a code: <https://cloud.google.com/apis/design/errors>.
fn code_of(status: u16) -> Option<Code> {
    Some(match status {
        400 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        409 => Code::AlreadyExists,
        429 => Code::ResourceExhausted,
        501 => Code::Unimplemented,
        503 => Code::Unavailable,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use google_cloud_gax::error::rpc::Status;

    use super::*;

    fn fault(code: Code, message: &str) -> Fault {
        google_cloud_kms_v1::Error::service(Status::default().set_code(code).set_message(message)).into()
    }

    #[test]
    fn each_code_has_one_row() {
        for (at, row) in TABLE.iter().enumerate() {
            assert!(TABLE[at + 1..].iter().all(|other| other.0 != row.0), "{}", row.0.name());
        }
    }

    #[test]
    fn states_are_named() {
        for (message, state) in [
            ("cryptoKeyVersions/1 is not enabled, current state is: DESTROY_SCHEDULED.", "DESTROY_SCHEDULED"),
            ("the version is destroyed", "DESTROYED"),
            ("key version is DISABLED", "DISABLED"),
            ("still pending generation", "PENDING_GENERATION"),
            ("cryptoKeys/destroyed-1/cryptoKeyVersions/1 is not enabled, current state is: DISABLED.", "DISABLED"),
        ] {
            let error = fault(Code::FailedPrecondition, message).in_context("sign");
            assert_eq!(error.kind(), ErrorKind::KeyUnusable, "{message}");
            assert!(error.to_string().contains(state) && !error.is_transient(), "{error}");
        }
    }

    #[test]
    fn a_disabled_api_is_told_from_a_disabled_key() {
        for message in [
            "Cloud Key Management Service (KMS) API has not been used in project 1 before or it is disabled.",
            "Google Cloud KMS API is not enabled",
        ] {
            for code in [Code::FailedPrecondition, Code::PermissionDenied] {
                let error = fault(code, message).in_context("sign");
                assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{message}");
                assert!(error.hint().unwrap_or_default().contains("services enable") && !error.is_transient());
            }
        }
        let key = fault(Code::FailedPrecondition, "projects/api/…/cryptoKeyVersions/1 is not enabled: it is disabled");
        assert_eq!(key.kind(), ErrorKind::KeyUnusable);
    }

    #[test]
    fn a_missing_permission_is_named() {
        let error = fault(Code::PermissionDenied, "denied").needing("cloudkms.cryptoKeyVersions.useToSign");
        let error = error.in_context("sign");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.hint().unwrap_or_default().contains("useToSign"), "{error}");
    }

    #[test]
    fn pages_of_others_are_told_by_their_status() {
        for (status, kind, passes) in [
            (404, ErrorKind::Unavailable, false),
            (400, ErrorKind::Unavailable, false),
            (502, ErrorKind::Unavailable, true),
            (429, ErrorKind::Throttled, true),
            (401, ErrorKind::Unauthenticated, true),
            (403, ErrorKind::PermissionDenied, true),
        ] {
            let page = google_cloud_kms_v1::Error::http(status, <_>::default(), "<html>canary".into());
            let fault = Fault::from(page);
            assert_eq!((fault.kind(), fault.may_pass()), (kind, passes), "{status}");
            assert!(!format!("{fault:?} {fault} {}", fault.clone().in_context("sign").chain()).contains("canary"));
        }
    }

    #[test]
    fn credentials_are_withheld() {
        for text in ["Authorization: Bearer canary", "{\"private_key\": \"canary\"}", "token ya29.canary"] {
            let shown = format!("{:?} {0}", fault(Code::Internal, text));
            assert!(!shown.contains("canary") && shown.contains("withheld"), "{shown}");
        }
    }
}
