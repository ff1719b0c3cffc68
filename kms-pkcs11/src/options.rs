//! From a URI to typed options.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use kms_core::{KeyUri, Result, SecretPrompt, SecretSource, SignatureAlgorithm};

use crate::error::bad_uri;
use crate::token::TokenQuery;

/// Most sessions with one token, unless the URI says otherwise: enough for any HSM's own parallelism, and no burden.
const MAX_SESSIONS: usize = 8;

/// What one `pkcs11:` URI states, each attribute taken. `Debug` shows no PIN.
#[derive(Clone, Debug)]
pub(crate) struct Stated {
    pub(crate) module: Option<ModuleName>,
    pub(crate) token: TokenQuery,
    pub(crate) key: KeyQuery,
    pub(crate) pin: Option<SecretSource>,
    pub(crate) max_sessions: Option<usize>,
    pub(crate) certificate_dir: Option<PathBuf>,
    pub(crate) extractable: Option<bool>,
}

/// How a URI names the library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModuleName {
    /// `module-path`: absolute.
    Path(PathBuf),
    /// `module-name`: `softhsm2` for `libsofthsm2.so` in one of the system's module directories.
    Name(String),
}

/// What a URI says of the object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyQuery {
    pub(crate) id: Option<Vec<u8>>,
    pub(crate) label: Option<String>,
    pub(crate) class: Option<Class>,
}

/// `type=`, as far as it concerns us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Private,
    Public,
    Certificate,
}

impl Stated {
    /// Reads a URI; `prompt` is the source of the PIN if the URI gives none. No call, no file.
    ///
    /// # Errors
    /// `InvalidUri` for an attribute that is unknown, wrong or contradicts another.
    pub(crate) fn read(uri: &KeyUri, prompt: Option<&Arc<dyn SecretPrompt>>) -> Result<Self> {
        if uri.scheme() != crate::SCHEME {
            return Err(bad_uri(format!("`{}:` is not for PKCS #11", uri.scheme())).with_hint("write `pkcs11:`"));
        }
        SignatureAlgorithm::stated(uri, None)?;
        let mut attributes = uri.attributes();
        let token = TokenQuery::take(&mut attributes)?;
        let id = attributes.path("id")?.map(|value| value.bytes().to_vec());
        let id_hex = attributes.path("id-hex")?.map(|value| value.hex()).transpose()?;
        let label = attributes.path("object")?.map(|value| value.text().map(str::to_owned)).transpose()?;
        let class = attributes.path("type")?;
        let module_path = attributes.query("module-path")?;
        let module_name = attributes.query("module-name")?;
        let pin = SecretSource::take(&mut attributes, "pin-value", "pin-source", prompt)?;
        let max_sessions = attributes.either("max-sessions")?;
        let certificate_dir = attributes.either("certificate-dir")?;
        let extractable = attributes.either("extractable")?.map(|value| value.flag()).transpose()?;
        attributes.finish()?;

        if id.is_some() && id_hex.is_some() {
            return Err(bad_uri("both `id` and `id-hex` are given").with_hint("give one of them"));
        }
        let class = match class.map(|value| (value, value.bytes().to_ascii_lowercase())) {
            None => None,
            Some((value, name)) => Some(match &name[..] {
                b"private" => Class::Private,
                b"public" => Class::Public,
                b"cert" => Class::Certificate,
                _ => return Err(value.misfit("`private`, `public` or `cert` here")),
            }),
        };
        let module = match (module_path, module_name) {
            (Some(_), Some(_)) => {
                return Err(bad_uri("both `module-path` and `module-name` are given").with_hint("give one of them"));
            }
            (Some(path), None) if path.file()?.is_absolute() => Some(ModuleName::Path(path.file()?.to_owned())),
            (Some(path), None) => return Err(path.misfit("an absolute path: `module-path=/usr/lib/…`")),
            (None, Some(name)) => match name.text()? {
                text if text.is_empty() || text.contains('/') => {
                    return Err(name.misfit("a name without directories; a path goes into `module-path`"));
                }
                text => Some(ModuleName::Name(text.to_owned())),
            },
            (None, None) => None,
        };
        let max_sessions = match max_sessions {
            Some(value) => match value.number::<usize>()? {
                0 => return Err(value.misfit("a number from 1 on")),
                number => Some(number),
            },
            None => None,
        };
        let certificate_dir = match certificate_dir {
            Some(value) if value.file()?.is_absolute() => Some(value.file()?.to_owned()),
            Some(value) => return Err(value.misfit("an absolute path")),
            None => None,
        };
        let key = KeyQuery { id: id.or(id_hex), label, class };
        Ok(Self { module, token, key, pin, max_sessions, certificate_dir, extractable })
    }

    /// Most sessions, given what the token itself allows.
    pub(crate) fn session_limit(&self, token: Option<usize>) -> usize {
        let wanted = self.max_sessions.unwrap_or(MAX_SESSIONS);
        token.map_or(wanted, |most| wanted.min(most)).max(1)
    }
}

impl KeyQuery {
    /// Whether it says which key.
    pub(crate) fn names_key(&self) -> bool {
        self.id.is_some() || self.label.is_some()
    }

    /// For people: as the URI has it.
    pub(crate) fn describe(&self) -> String {
        let stated = describe(self.id.as_deref(), self.label.as_deref());
        if stated.is_empty() { "a URI that names no key".to_owned() } else { format!("`{stated}`") }
    }
}

/// Identifier and label as a URI has them: `id=%01%02;object=root`.
pub(crate) fn describe(id: Option<&[u8]>, label: Option<&str>) -> String {
    let id = id.map(|id| format!("id={}", percent(id)));
    let label = label.map(|label| format!("object={label}"));
    id.into_iter().chain(label).collect::<Vec<_>>().join(";")
}

/// As RFC 7512 section 2.3 advises for identifiers: every octet escaped.
pub(crate) fn percent(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        // Writing to a string does not fail.
        let _ = write!(text, "%{octet:02X}");
        text
    })
}

#[cfg(test)]
mod tests {
    use kms_core::ErrorKind;

    use super::*;

    fn stated(text: &str) -> Result<Stated> {
        Stated::read(&KeyUri::parse(text)?, None)
    }

    #[test]
    fn good_uris_are_read() {
        for (text, id, label) in [
            ("pkcs11:", None, None),
            ("pkcs11:token=ca;object=root", None, Some("root")),
            ("pkcs11:id=%01%02;object=root;type=private", Some(&[1, 2][..]), Some("root")),
            ("pkcs11:id-hex=0aFF", Some(&[10, 255]), None),
            ("pkcs11:id=7371", Some(b"7371"), None),
            ("pkcs11:object=a;alg=ecdsa-sha256?module-name=softhsm2&max-sessions=4", None, Some("a")),
            ("pkcs11:object=a;max-sessions=4?module-path=/usr/lib/x.so&pin-source=env:PIN", None, Some("a")),
            ("PKCS11:object=a;type=cert?pin-value=canary&certificate-dir=/pki", None, Some("a")),
        ] {
            let stated = stated(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((stated.key.id.as_deref(), stated.key.label.as_deref()), (id, label), "{text}");
            assert!(!format!("{stated:?}").contains("canary"), "{text}");
        }
        assert_eq!(stated("pkcs11:").unwrap().session_limit(None), 8);
        assert_eq!(stated("pkcs11:max-sessions=40").unwrap().session_limit(Some(16)), 16);
    }

    #[test]
    fn bad_uris_are_refused_with_a_remedy() {
        for (text, remedy) in [
            ("pkcs11:object=a;pin-value=canary", "after the `?`"),
            ("pkcs11:object=a;pin-source=env:PIN", "after the `?`"),
            ("pkcs11:object=a;module-name=x", "after the `?`"),
            ("pkcs11:object=a?pin-value=canary&pin-source=env:PIN", "one of them"),
            ("pkcs11:object=a?pin-value=", ""),
            ("pkcs11:object=a?pin-source=%7Ccat%20x", "env:"),
            ("pkcs11:id=%01;id-hex=01", "one of them"),
            ("pkcs11:id-hex=1", "hex"),
            ("pkcs11:id-hex=", "hex"),
            ("pkcs11:object=a?module-path=x.so", "absolute"),
            ("pkcs11:object=a?module-path=", "path"),
            ("pkcs11:object=a?module-name=", "module-path"),
            ("pkcs11:object=a?module-name=..%2Fx", "module-path"),
            ("pkcs11:object=a?module-name=x&module-path=/x", "one of them"),
            ("pkcs11:object=a?max-sessions=0", "from 1 on"),
            ("pkcs11:object=a?max-sessions=x", "decimal"),
            ("pkcs11:object=a;type=data", "private"),
            ("pkcs11:object=a;type=secret-key", "private"),
            ("pkcs11:slot-id=x", "decimal"),
            ("pkcs11:object=a?certificate-dir=pki", "absolute"),
            ("pkcs11:object=a;extractable=yes", "true"),
            ("pkcs11:obejct=a", "known"),
            ("pkcs11:object=a;alg=ecdsa-sha257", "ecdsa-sha256"),
            ("pkcs11:object=%00", "text"),
            ("softkms:name=a", "pkcs11:"),
        ] {
            let error = stated(text).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::InvalidUri, "{text}");
            assert!(error.hint().unwrap_or_default().contains(remedy), "{text}: {error}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{text}");
        }
    }
}
