//! Secrets and where they come from: the URI, a file, the environment, the application.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::uri::Attributes;
use crate::{Error, ErrorKind, Result};

/// Longest secret read from a file, in octets.
const MAX_FILE: u64 = 64 * 1024;

/// A PIN, password or key octets: never printed, wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the octets over.
    pub fn new(octets: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(octets.into()))
    }

    /// The octets. Keep them no longer than the call that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The octets as text.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when they are not UTF-8.
    pub fn expose_str(&self) -> Result<&str> {
        std::str::from_utf8(&self.0).map_err(|_| Error::new(ErrorKind::InvalidArgument, "secret is not UTF-8"))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(<redacted>)")
    }
}

/// Asks a person, or the application's own vault, for a secret.
pub trait SecretPrompt: fmt::Debug + Send + Sync {
    /// Returns the secret for `request`, or an error to give up. Called on the thread that opens the key; may block.
    ///
    /// # Errors
    /// Whatever ended the asking; it is passed on.
    fn prompt(&self, request: &SecretRequest) -> Result<Secret>;
}

/// What a [`SecretPrompt`] is asked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SecretRequest {
    /// The attribute's stem: `pin`, `password`, `management-key`.
    pub name: &'static str,
    /// What the secret opens, for people: a file, a token's label.
    pub target: String,
    /// Tries left, where the device tells.
    pub tries_left: Option<u8>,
}

impl SecretRequest {
    /// A request for `name`, to open `target`.
    pub fn new(name: &'static str, target: impl Into<String>) -> Self {
        Self { name, target: target.into(), tries_left: None }
    }
}

/// Where a secret comes from. Read when it is needed, not when the URI is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SecretSource {
    /// Stated in the URI or by the application.
    Value(Secret),
    /// The content of a file, less one line end.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// The application is asked.
    Prompt(Arc<dyn SecretPrompt>),
}

impl SecretSource {
    /// Takes `NAME-value` and `NAME-source` from the query of a URI; without either, `prompt` is the source.
    ///
    /// A source is `file:/path` (also `file:///path` and `file:relative`) or `env:NAME`. A command is never run.
    ///
    /// # Errors
    /// [`InvalidUri`](ErrorKind::InvalidUri) for both at once, an empty value or another form of source.
    pub fn take(
        attributes: &mut Attributes<'_>,
        value_name: &'static str,
        source_name: &'static str,
        prompt: Option<&Arc<dyn SecretPrompt>>,
    ) -> Result<Option<Self>> {
        let value = attributes.query(value_name)?;
        let source = attributes.query(source_name)?;
        match (value, source) {
            (Some(_), Some(_)) => {
                Err(bad_uri(format!("both `{value_name}` and `{source_name}` are given")).with_hint("give one of them"))
            }
            (Some(value), None) if value.bytes().is_empty() => Err(bad_uri(format!("`{value_name}` is empty"))),
            (Some(value), None) => Ok(Some(Self::Value(Secret(value.secret())))),
            (None, Some(source)) => {
                Self::parse(source.text()?).map(Some).map_err(|error| error.in_context(source_name))
            }
            (None, None) => Ok(prompt.cloned().map(Self::Prompt)),
        }
    }

    /// Reads a source: `file:/path`, `file:///path`, `file:relative` or `env:NAME`.
    ///
    /// # Errors
    /// [`InvalidUri`](ErrorKind::InvalidUri) for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        const FORMS: &str = "write `file:/path/to/file` or `env:NAME`";
        if let Some(name) = text.strip_prefix("env:") {
            let valid = !name.is_empty() && name.bytes().all(|octet| octet == b'_' || octet.is_ascii_alphanumeric());
            return if valid {
                Ok(Self::Environment(name.to_owned()))
            } else {
                Err(bad_uri("bad name of an environment variable").with_hint(FORMS))
            };
        }
        let path = text.strip_prefix("file:").ok_or_else(|| {
            let context =
                if text.starts_with('|') { "a command is never run for a secret" } else { "unknown form of source" };
            bad_uri(context).with_hint(FORMS)
        })?;
        let path = match path.strip_prefix("//") {
            Some(rest) if rest.starts_with('/') => rest,
            Some(_) => return Err(bad_uri("a file on another host cannot be read").with_hint(FORMS)),
            None => path,
        };
        if path.is_empty() {
            Err(bad_uri("no path after `file:`").with_hint(FORMS))
        } else {
            Ok(Self::File(path.into()))
        }
    }

    /// Reads the secret: one file, one variable, or one question. Never an empty one.
    ///
    /// # Errors
    /// [`Unauthenticated`](ErrorKind::Unauthenticated) when it cannot be read or is empty, naming the file or variable;
    /// whatever the prompt answers.
    pub fn read(&self, request: &SecretRequest) -> Result<Secret> {
        let secret = match self {
            Self::Value(secret) => secret.clone(),
            Self::File(path) => read_file(path, request.name)?,
            Self::Environment(name) => Secret::new(std::env::var_os(name).unwrap_or_default().into_encoded_bytes()),
            Self::Prompt(prompt) => prompt.prompt(request)?,
        };
        if secret.expose().is_empty() {
            return Err(Error::new(ErrorKind::Unauthenticated, format!("{} {self} is empty or not set", request.name))
                .with_hint("an empty secret is never used"));
        }
        Ok(secret)
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("given in place"),
            Self::File(path) => write!(f, "in file {}", path.display()),
            Self::Environment(name) => write!(f, "in environment variable {name}"),
            Self::Prompt(_) => f.write_str("from the prompt"),
        }
    }
}

fn read_file(path: &Path, name: &str) -> Result<Secret> {
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Unauthenticated, format!("cannot read {name} from {}", path.display()))
            .with_hint("check the path after `file:` and who may read it")
            .with_source(error)
    };
    // A pipe or device could hang or never end.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(Error::new(ErrorKind::Unauthenticated, format!("{} is not a regular file", path.display()))
            .with_hint("a secret is read from a regular file or an environment variable"));
    }
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if size > MAX_FILE {
        return Err(Error::new(ErrorKind::Unauthenticated, format!("{} is too large for a secret", path.display())));
    }
    // Room for all of it at once: a buffer that grows would leave copies behind.
    let mut octets = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_FILE).unwrap_or_default()));
    file.take(MAX_FILE).read_to_end(&mut octets).map_err(failed)?;
    if octets.last() == Some(&b'\n') {
        octets.pop();
        if octets.last() == Some(&b'\r') {
            octets.pop();
        }
    }
    Ok(Secret(octets))
}

fn bad_uri(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidUri, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_near_misses_refused() {
        for (text, expected) in [
            ("file:/etc/pin", "in file /etc/pin"),
            ("file:///etc/pin", "in file /etc/pin"),
            ("file:pin.txt", "in file pin.txt"),
            ("env:KMS_PIN", "in environment variable KMS_PIN"),
        ] {
            assert_eq!(SecretSource::parse(text).unwrap().to_string(), expected, "{text}");
        }
        for text in ["", "file:", "/etc/pin", "env:", "env:A B", "|cat /etc/pin", "file://host/pin", "https://x/y"] {
            assert_eq!(SecretSource::parse(text).unwrap_err().kind(), ErrorKind::InvalidUri, "{text}");
        }
    }

    #[test]
    fn an_unreadable_or_empty_source_is_an_error_not_an_empty_secret() {
        let request = SecretRequest::new("pin", "a token");
        let directory = std::env::temp_dir();
        let empty = directory.join(format!("kms-core-empty-{}", std::process::id()));
        std::fs::write(&empty, "\n").unwrap();
        for source in [
            SecretSource::File("/nonexistent/pin".into()),
            SecretSource::File(directory),
            SecretSource::File("/dev/zero".into()),
            SecretSource::File(empty.clone()),
            SecretSource::Environment("KMS_CORE_NEVER_SET".into()),
        ] {
            assert_eq!(source.read(&request).unwrap_err().kind(), ErrorKind::Unauthenticated, "{source}");
        }
        std::fs::write(&empty, "12 34 \r\n").unwrap();
        assert_eq!(SecretSource::File(empty.clone()).read(&request).unwrap().expose(), b"12 34 ");
        std::fs::remove_file(empty).unwrap();
    }

    #[test]
    fn a_secret_is_not_printed() {
        let source = SecretSource::Value(Secret::new("canary"));
        assert!(!format!("{source:?} {source}").contains("canary"));
    }
}
