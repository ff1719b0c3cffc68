//! From the faults of files, PKCS #8 and aws-lc to our kinds: the only table between them.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use aws_lc_rs::error::{KeyRejected, Unspecified};
use kms_core::{Error, ErrorKind};
use pkcs8::pkcs5;

/// A file that could not be read, listed or deleted; `attempt` completes "cannot …".
pub(crate) fn file(attempt: &str, path: &Path, error: io::Error) -> Error {
    let (kind, hint) = kind_of(error.kind());
    let error = Error::new(kind, format!("cannot {attempt} {}", path.display())).with_source(error);
    if hint.is_empty() { error } else { error.with_hint(hint) }
}

/// A file that could not be made. Nothing is left of it.
pub(crate) fn write(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists => exists(path.display()),
        io::ErrorKind::NotFound => {
            let directory = path.parent().unwrap_or(path).display();
            Error::new(ErrorKind::NotFound, format!("cannot write {}: no such directory", path.display()))
                .with_hint(format!("make it first: mkdir -p -m 700 {directory}"))
                .with_source(error)
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            file("write", path, error).with_hint("nothing was written; make the directory writable for this user")
        }
        _ => file("write", path, error),
    }
}

/// What was to be made exists.
pub(crate) fn exists(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::AlreadyExists, format!("{what} exists and is left as it is"))
        .with_hint("choose another name, or delete it first")
}

/// Something that is not what it should be; `context` says what it was taken for.
pub(crate) fn invalid(context: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}

/// A private key that aws-lc does not take.
pub(crate) fn rejected(key: &str, error: KeyRejected) -> Error {
    match error.description_() {
        "TooSmall" => unsupported(format!("{key} key is too short")).with_hint("use 2048 to 8192 bits"),
        "TooLarge" => unsupported(format!("{key} key is too long")).with_hint("use 2048 to 8192 bits"),
        _ => invalid(format!("not a valid {key} private key")).with_source(error),
    }
}

/// A computation that failed in aws-lc, which does not say why.
pub(crate) fn failed(operation: &'static str, error: Unspecified) -> Error {
    Error::new(ErrorKind::Other, format!("{operation} failed")).with_source(error)
}

/// Something that this backend or key cannot do at all.
pub(crate) fn unsupported(context: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Unsupported, context)
}

/// Octets that are not the encoding of `what`.
pub(crate) fn undecodable(what: &str, error: der::Error) -> Error {
    invalid(format!("not {what}: damaged, or something else")).with_source(error)
}

/// A key that could not be encrypted.
pub(crate) fn unencryptable(error: pkcs8::Error) -> Error {
    Error::new(ErrorKind::Other, "encrypting the key failed").with_source(error)
}

/// An encrypted key that does not decrypt.
pub(crate) fn undecryptable(error: pkcs5::Error) -> Error {
    match error {
        pkcs5::Error::DecryptFailed => wrong_password(),
        _ => unknown_encryption(error),
    }
}

/// A key encrypted with an algorithm that is not read.
pub(crate) fn unknown_encryption(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    unsupported("encrypted in a way that is not supported")
        .with_hint("re-encrypt: openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW")
        .with_source(source)
}

/// Also for what decrypts to something that is no key: one wrong password in 256 does.
pub(crate) fn wrong_password() -> Error {
    Error::new(ErrorKind::Unauthenticated, "wrong password, or the file is damaged")
        .with_hint("check where the password comes from; a space or an empty line too many counts")
}

/// Adds to a file that is no private key what to do, where nothing else says it.
pub(crate) fn with_remedy(error: Error) -> Error {
    if error.kind() != ErrorKind::InvalidArgument || error.hint().is_some() {
        return error;
    }
    error.with_hint("give a whole private key, best in PKCS #8 as PEM; a damaged file can only be restored from a copy")
}

fn kind_of(kind: io::ErrorKind) -> (ErrorKind, &'static str) {
    match kind {
        io::ErrorKind::NotFound => (ErrorKind::NotFound, ""),
        io::ErrorKind::PermissionDenied => (ErrorKind::PermissionDenied, "this user may not; check owner and mode"),
        io::ErrorKind::ReadOnlyFilesystem => (ErrorKind::PermissionDenied, "the file system is read-only"),
        io::ErrorKind::AlreadyExists => (ErrorKind::AlreadyExists, ""),
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => (ErrorKind::InvalidArgument, "check the path"),
        io::ErrorKind::InvalidFilename => (ErrorKind::InvalidArgument, "the name is too long or not allowed here"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            (ErrorKind::Other, "the disk or quota is full; nothing was written")
        }
        _ => (ErrorKind::Other, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_says_why_and_what_to_do() {
        for (fault, kind, remedy) in [
            (io::ErrorKind::StorageFull, ErrorKind::Other, "nothing was written"),
            (io::ErrorKind::QuotaExceeded, ErrorKind::Other, "nothing was written"),
            (io::ErrorKind::PermissionDenied, ErrorKind::PermissionDenied, "writable"),
            (io::ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied, "writable"),
            (io::ErrorKind::NotFound, ErrorKind::NotFound, "mkdir -p -m 700 pki"),
            (io::ErrorKind::AlreadyExists, ErrorKind::AlreadyExists, "another name"),
        ] {
            let error = write(Path::new("pki/root.key"), fault.into());
            assert_eq!(error.kind(), kind, "{fault}");
            assert!(error.context().contains("pki/root.key"), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains(remedy)), "{error}");
            assert!(!error.is_transient(), "{fault}");
        }
    }
}
