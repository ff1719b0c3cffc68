//! From the errors of AWS KMS and its SDK to our kinds: the only table between them.

use std::error::Error as StdError;
use std::fmt;

use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::RequestId;
use kms_core::{Error, ErrorKind};

/// Longest text of others that is kept.
const MAX_TEXT: usize = 600;

/// What went wrong with one request. Keeps what tells the reason and nothing else: the SDK's own errors hold the whole
/// answer, and what a service or proxy answers may repeat the request's headers.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    code: String,
    message: String,
    request_id: Option<String>,
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
    /// An answer that is none.
    Response,
    /// The request was never sent.
    Request,
}

/// One row for each code that says something particular: kind, and what to do next.
const TABLE: &[(&str, ErrorKind, &str)] = &[
    (
        "NotFoundException",
        ErrorKind::NotFound,
        "check the identifier, the region and the account; an alias is written `alias/NAME`",
    ),
    ("AlreadyExistsException", ErrorKind::AlreadyExists, "choose another name; nothing was changed"),
    ("DisabledException", ErrorKind::KeyUnusable, "its state is Disabled: enable it, if it is meant to be used"),
    ("KMSInvalidStateException", ErrorKind::KeyUnusable, "its state does not allow this"),
    ("InvalidKeyUsageException", ErrorKind::KeyUnusable, "the key was not made for this"),
    (
        "UnsupportedOperationException",
        ErrorKind::Unsupported,
        "the key or the region cannot do this; a symmetric key has no public key",
    ),
    ("InvalidArnException", ErrorKind::InvalidUri, "write the key's ARN as the service shows it, or its identifier"),
    (
        "InvalidAliasNameException",
        ErrorKind::InvalidUri,
        "an alias has letters, digits, `/`, `_` and `-`, and does not begin with `aws/`",
    ),
    (
        "AccessDeniedException",
        ErrorKind::PermissionDenied,
        "allow the action in the key's policy or the caller's IAM policy",
    ),
    ("AccessDenied", ErrorKind::PermissionDenied, "allow the action in the key's policy or the caller's IAM policy"),
    ("OptInRequired", ErrorKind::PermissionDenied, "the account has not opted in to this region or service"),
    ("ExpiredTokenException", ErrorKind::Unauthenticated, EXPIRED),
    ("ExpiredToken", ErrorKind::Unauthenticated, EXPIRED),
    ("UnrecognizedClientException", ErrorKind::Unauthenticated, UNKNOWN),
    ("InvalidClientTokenId", ErrorKind::Unauthenticated, UNKNOWN),
    ("InvalidAccessKeyId", ErrorKind::Unauthenticated, UNKNOWN),
    ("MissingAuthenticationTokenException", ErrorKind::Unauthenticated, UNKNOWN),
    ("MissingAuthenticationToken", ErrorKind::Unauthenticated, UNKNOWN),
    ("IncompleteSignature", ErrorKind::Unauthenticated, SIGNATURE),
    ("IncompleteSignatureException", ErrorKind::Unauthenticated, SIGNATURE),
    ("InvalidSignatureException", ErrorKind::Unauthenticated, SIGNATURE),
    ("SignatureDoesNotMatch", ErrorKind::Unauthenticated, SIGNATURE),
    ("RequestExpired", ErrorKind::Unauthenticated, SIGNATURE),
    ("NotAuthorized", ErrorKind::PermissionDenied, ""),
    ("ThrottlingException", ErrorKind::Throttled, THROTTLED),
    ("Throttling", ErrorKind::Throttled, THROTTLED),
    ("ThrottledException", ErrorKind::Throttled, THROTTLED),
    ("RequestThrottled", ErrorKind::Throttled, THROTTLED),
    ("RequestThrottledException", ErrorKind::Throttled, THROTTLED),
    ("TooManyRequestsException", ErrorKind::Throttled, THROTTLED),
    ("RequestLimitExceeded", ErrorKind::Throttled, THROTTLED),
    ("SlowDown", ErrorKind::Throttled, THROTTLED),
    (
        "LimitExceededException",
        ErrorKind::Other,
        "the account has as many keys, aliases or grants as its quota allows: delete some, or ask for more",
    ),
    ("KeyUnavailableException", ErrorKind::Unavailable, ""),
    ("DependencyTimeoutException", ErrorKind::Unavailable, ""),
    ("KMSInternalException", ErrorKind::Unavailable, ""),
    ("InternalFailure", ErrorKind::Unavailable, ""),
    ("ServiceUnavailable", ErrorKind::Unavailable, ""),
    ("ServiceUnavailableException", ErrorKind::Unavailable, ""),
    ("CustomKeyStoreInvalidStateException", ErrorKind::KeyUnusable, "its custom key store is not connected"),
    (
        "CloudHsmClusterInvalidConfigurationException",
        ErrorKind::KeyUnusable,
        "its CloudHSM cluster is not as AWS KMS needs it",
    ),
    ("InvalidCiphertextException", ErrorKind::InvalidArgument, ""),
    ("IncorrectKeyException", ErrorKind::KeyMismatch, "it was encrypted for another key"),
    ("IncorrectKeyMaterialException", ErrorKind::KeyMismatch, "another private key was imported there before"),
    ("IncorrectTrustAnchorException", ErrorKind::InvalidArgument, ""),
    ("InvalidImportTokenException", ErrorKind::InvalidArgument, ""),
    ("ExpiredImportTokenException", ErrorKind::InvalidArgument, "the import took longer than a day: try again"),
    ("InvalidMarkerException", ErrorKind::Other, ""),
    ("MalformedPolicyDocumentException", ErrorKind::InvalidArgument, "correct the key policy"),
    ("TagException", ErrorKind::InvalidArgument, "correct the tags"),
    ("ValidationException", ErrorKind::InvalidArgument, ""),
    ("ValidationError", ErrorKind::InvalidArgument, ""),
    ("KMSInvalidSignatureException", ErrorKind::Integrity, "the signature is not one by this key over this message"),
];

const EXPIRED: &str = "the credentials have expired and could not be refreshed; log in anew";
const UNKNOWN: &str = "the credentials are not known to AWS; check the profile, the variables AWS_ACCESS_KEY_ID and \
    AWS_SESSION_TOKEN, and whether the region is one of the account's partition";
const SIGNATURE: &str = "the secret access key does not go with the access key, or the clock is wrong";
const THROTTLED: &str = "ask for a higher quota, or sign less often";

/// Codes that fresh credentials can help.
const STALE: [&str; 5] = [
    "ExpiredTokenException",
    "ExpiredToken",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
];

impl Fault {
    /// Whether fresh credentials may help.
    pub(crate) fn is_stale_credentials(&self) -> bool {
        self.cause == Cause::Service && STALE.contains(&self.code.as_str())
    }

    /// Whether the service knows no such key or alias.
    pub(crate) fn is_not_found(&self) -> bool {
        self.code == "NotFoundException"
    }

    /// Whether the service said just that.
    pub(crate) fn is(&self, code: &str) -> bool {
        self.code == code
    }

    /// Our kind.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self.cause {
            Cause::Credentials => ErrorKind::Unauthenticated,
            Cause::Connection | Cause::Timeout | Cause::Response => ErrorKind::Unavailable,
            Cause::Request => ErrorKind::InvalidArgument,
            Cause::Service => match (row(&self.code), self.status) {
                (Some(row), _) => row.1,
                (None, Some(429)) => ErrorKind::Throttled,
                (None, Some(500..)) => ErrorKind::Unavailable,
                (None, Some(401)) => ErrorKind::Unauthenticated,
                (None, Some(403)) => ErrorKind::PermissionDenied,
                // Not an error of AWS KMS: a proxy, or another service at that address.
                (None, Some(404 | 405)) if self.code.is_empty() => ErrorKind::Unavailable,
                (None, _) => ErrorKind::Other,
            },
        }
    }

    /// The fault as an error; `context` says what was attempted.
    pub(crate) fn in_context(self, context: impl fmt::Display) -> Error {
        let hint = match self.cause {
            Cause::Credentials => {
                "give credentials: `profile=…`, AWS_PROFILE, AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, or a role"
                    .into()
            }
            Cause::Connection => "check the network, the region and `endpoint-url`".into(),
            Cause::Response => "what answers there is not AWS KMS; check `endpoint-url` and proxies".into(),
            Cause::Timeout | Cause::Request => String::new(),
            Cause::Service => match self.state() {
                Some(state) => format!("its state is {state}{}", remedy(state)),
                None => row(&self.code).map(|row| row.2.to_owned()).unwrap_or_default(),
            },
        };
        let error = Error::new(self.kind(), format!("awskms: {context}")).with_source(self);
        if hint.is_empty() { error } else { error.with_hint(hint) }
    }

    /// The key state that the service gives as its reason. Its texts are not part of its interface, so this is for the
    /// reader only.
    fn state(&self) -> Option<&'static str> {
        if !matches!(&*self.code, "KMSInvalidStateException" | "DisabledException") {
            return None;
        }
        let text: String = self.message.chars().filter(|char| char.is_alphabetic()).collect();
        let text = text.to_ascii_lowercase();
        [
            ("notpendingdeletion", None),
            ("pendingreplicadeletion", Some("PendingReplicaDeletion")),
            ("pendingdeletion", Some("PendingDeletion")),
            ("pendingimport", Some("PendingImport")),
            ("unavailable", Some("Unavailable")),
            ("creating", Some("Creating")),
            ("updating", Some("Updating")),
            ("disabled", Some("Disabled")),
        ]
        .into_iter()
        .find(|(words, _)| text.contains(words))
        .and_then(|(_, state)| state)
        .or_else(|| (self.code == "DisabledException").then_some("Disabled"))
    }
}

/// `; what to do about it`, where there is something.
fn remedy(state: &str) -> &'static str {
    match state {
        "Disabled" => ": enable it, if it is meant to be used",
        "PendingDeletion" => ": cancel the deletion and enable it, if it is meant to be used",
        "PendingImport" => ": import its key material first",
        "Unavailable" => ": connect its custom key store",
        "Creating" | "Updating" => ": wait until that is done",
        _ => "",
    }
}

impl<E> From<SdkError<E, HttpResponse>> for Fault
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let code = error.code().filter(|code| is_code(code)).unwrap_or_default().to_owned();
        let message = clean(error.message().unwrap_or_default());
        let status = error.raw_response().map(|response| response.status().as_u16());
        let request_id = error.request_id().map(clean);
        let fault =
            |cause, message| Self { code: code.clone(), message, request_id: request_id.clone(), status, cause };
        match &error {
            // A page of something between us and the service.
            SdkError::ServiceError(_) if code.is_empty() && matches!(status, Some(..400)) => {
                fault(Cause::Response, chain(&error))
            }
            SdkError::ServiceError(_) => fault(Cause::Service, message),
            SdkError::TimeoutError(_) => fault(Cause::Timeout, "no answer in time".into()),
            SdkError::ResponseError(_) if matches!(status, Some(400..)) => fault(Cause::Service, message),
            SdkError::ResponseError(_) => fault(Cause::Response, chain(&error)),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => fault(Cause::Timeout, chain(&error)),
            SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) if is_about_credentials(&error) => {
                fault(Cause::Credentials, chain(&error))
            }
            SdkError::DispatchFailure(_) => fault(Cause::Connection, chain(&error)),
            _ => fault(Cause::Request, chain(&error)),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = if self.code.is_empty() { None } else { Some(self.code.as_str()) };
        match (named, self.status) {
            (Some(code), _) => f.write_str(code)?,
            (None, Some(status)) => write!(f, "HTTP status {status}")?,
            (None, None) => return f.write_str(&self.message),
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        Ok(())
    }
}

impl StdError for Fault {}

/// Something wrong with a URI.
pub(crate) fn bad_uri(context: impl fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidUri, format!("awskms: {context}"))
}

/// An answer that is not one to what was asked.
pub(crate) fn integrity(context: impl fmt::Display) -> Error {
    // It quotes what was answered.
    Error::new(ErrorKind::Integrity, clean(&format!("awskms: {context}")))
}

fn row(code: &str) -> Option<&'static (&'static str, ErrorKind, &'static str)> {
    TABLE.iter().find(|row| row.0 == code)
}

/// Looks through the chain for the error of a credentials provider, or the SDK's word that there is none.
fn is_about_credentials(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if text.contains("credential") || text.contains("identity") {
            return true;
        }
        next = error.source();
    }
    false
}

/// The texts of an error of the SDK and all beneath, each once.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        next = error.source();
    }
    clean(&texts.join(": "))
}

/// Whether it can be the name of an exception, and not another text in its place.
fn is_code(text: &str) -> bool {
    text.len() <= 128 && text.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | ':' | '#'))
}

/// A text of others, fit to be shown: one line, not too long, and nothing at all where it may repeat a signed request.
/// The service explains a wrong signature by what it should have signed, session token included.
fn clean(text: &str) -> String {
    const OF_A_REQUEST: [&str; 6] =
        ["aws4-hmac", "credential=", "signature=", "x-amz-security-token", "authorization:", "aws_secret"];
    let lower = text.to_ascii_lowercase();
    if OF_A_REQUEST.iter().any(|word| lower.contains(word)) {
        return "the text is withheld, since it repeats parts of the signed request".into();
    }
    let line = text.chars().map(|char| if char.is_control() { ' ' } else { char });
    line.take(MAX_TEXT).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: &str, message: &str, status: u16) -> Fault {
        let (code, message) = (code.to_owned(), clean(message));
        Fault { code, message, request_id: None, status: Some(status), cause: Cause::Service }
    }

    #[test]
    fn each_code_has_one_row() {
        for (at, row) in TABLE.iter().enumerate() {
            assert!(TABLE[at + 1..].iter().all(|other| other.0 != row.0), "{}", row.0);
        }
    }

    #[test]
    fn states_are_named() {
        for (code, message, state) in [
            ("DisabledException", "arn:… is disabled.", "Disabled"),
            ("DisabledException", "arn:… is pending deletion.", "PendingDeletion"),
            ("KMSInvalidStateException", "arn:… is pending deletion.", "PendingDeletion"),
            ("KMSInvalidStateException", "key state is PendingImport", "PendingImport"),
            ("KMSInvalidStateException", "arn:… is unavailable", "Unavailable"),
            ("KMSInvalidStateException", "arn:… is pending replica deletion", "PendingReplicaDeletion"),
        ] {
            let error = fault(code, message, 400).in_context("sign");
            assert_eq!(error.kind(), ErrorKind::KeyUnusable, "{message}");
            assert!(error.to_string().contains(state) && !error.is_transient(), "{error}");
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_told_by_its_status() {
        for (code, status, kind) in [
            ("", 503, ErrorKind::Unavailable),
            ("Whatever", 500, ErrorKind::Unavailable),
            ("Whatever", 429, ErrorKind::Throttled),
            ("Whatever", 400, ErrorKind::Other),
            ("", 403, ErrorKind::PermissionDenied),
            ("", 404, ErrorKind::Unavailable),
            ("ThrottlingException", 400, ErrorKind::Throttled),
        ] {
            assert_eq!(fault(code, "", status).kind(), kind, "{code} {status}");
        }
    }

    #[test]
    fn a_repeated_request_is_withheld() {
        for text in [
            "The Canonical String should have been 'POST\n/\nx-amz-security-token:canary'",
            "got AWS4-HMAC-SHA256 Credential=canary/2026",
            "Authorization: canary",
        ] {
            let shown = format!("{:?} {0}", fault("InvalidSignatureException", text, 400));
            assert!(!shown.contains("canary") && shown.contains("withheld"), "{shown}");
        }
        assert_eq!(clean("a\nb\u{1b}c "), "a b c");
        assert_eq!(clean(&"x".repeat(10_000)).len(), MAX_TEXT);
    }
}
