//! From a URI to typed options.

use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;

use kms_core::{Error, ErrorKind, KeyUri, Result, SecretPrompt, SecretSource, SignatureAlgorithm};

use crate::address::Address;
use crate::directory;

/// Where a manager keeps its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyStore {
    /// Each key in a file of its own, anywhere.
    Files,
    /// All in one directory, by name.
    Directory(PathBuf),
    /// In memory, by name, as long as the manager lives.
    Memory,
}

/// What a `softkms:` manager is opened with. `Debug` shows no password.
#[derive(Clone, Debug)]
pub struct SoftOptions {
    store: KeyStore,
    password: Option<SecretSource>,
}

impl SoftOptions {
    /// Keys in `store`, without a password.
    pub fn new(store: KeyStore) -> Self {
        Self { store, password: None }
    }

    /// Sets where the password comes from that encrypts new key files and decrypts existing ones. A
    /// [`Prompt`](SecretSource::Prompt) is asked only for a file that is encrypted: it does not encrypt new ones.
    pub fn with_password(mut self, password: SecretSource) -> Self {
        self.password = Some(password);
        self
    }

    /// Reads the URI a manager is opened with; `prompt` is the source of the password if the URI gives none. A key that
    /// it names is not looked for.
    ///
    /// # Errors
    /// [`InvalidUri`](ErrorKind::InvalidUri) for an attribute that is unknown, wrong or contradicts another, and for a
    /// name that does not say where.
    pub fn from_uri(uri: &KeyUri, prompt: Option<&Arc<dyn SecretPrompt>>) -> Result<Self> {
        let stated = Stated::read(uri, prompt)?;
        let store = match (stated.store, stated.name) {
            (Some(store), _) => store,
            (None, None) => KeyStore::Files,
            (None, Some(_)) => {
                return Err(bad_uri("`name` alone does not say where the key is")
                    .with_hint("add `dir=DIRECTORY` or `mode=memory`, or name its file: `softkms:path=FILE`"));
            }
        };
        Ok(Self { store, password: stated.password })
    }

    /// Where the keys are.
    pub fn store(&self) -> &KeyStore {
        &self.store
    }

    /// Reads the URI of a key in this store: where it is, and the password's source.
    pub(crate) fn address(&self, key: &KeyUri) -> Result<(Address, Option<SecretSource>)> {
        let stated = self.read_agreeing(key)?;
        let address = match (&self.store, stated.path, stated.name) {
            (KeyStore::Files, Some(path), _) => Address::File(path),
            (KeyStore::Directory(directory), _, Some(name)) => Address::Entry { directory: directory.clone(), name },
            (KeyStore::Memory, _, Some(name)) => Address::Memory(name),
            (KeyStore::Files, None, Some(_)) => {
                return Err(bad_uri("`name` needs a directory, but the manager was opened without one")
                    .with_hint("open it with `softkms:dir=DIRECTORY`, or name the file: `softkms:path=FILE`"));
            }
            (KeyStore::Files, None, None) => {
                return Err(bad_uri("the URI names no key").with_hint("write `softkms:path=FILE`"));
            }
            (KeyStore::Directory(_) | KeyStore::Memory, _, None) => {
                return Err(bad_uri("the URI names no key").with_hint("add `name=NAME`"));
            }
        };
        Ok((address, stated.password.or_else(|| self.password.clone())))
    }

    /// Reads the URI of a search in this store: the name, if it states one, and the password's source.
    pub(crate) fn query(&self, query: &KeyUri) -> Result<(Option<String>, Option<SecretSource>)> {
        let stated = self.read_agreeing(query)?;
        Ok((stated.name, stated.password.or_else(|| self.password.clone())))
    }

    fn read_agreeing(&self, uri: &KeyUri) -> Result<Stated> {
        let stated = Stated::read(uri, None)?;
        match &stated.store {
            Some(store) if *store != self.store => Err(bad_uri(format!(
                "the key is in {}, but the manager was opened on {}",
                name(store),
                name(&self.store)
            ))
            .with_hint("open a manager for the place of the key")),
            _ => Ok(stated),
        }
    }
}

impl TryFrom<&KeyUri> for SoftOptions {
    type Error = Error;

    /// As [`from_uri`](SoftOptions::from_uri), without a prompt.
    fn try_from(uri: &KeyUri) -> Result<Self> {
        Self::from_uri(uri, None)
    }
}

/// What one URI states, each attribute taken.
struct Stated {
    path: Option<PathBuf>,
    name: Option<String>,
    store: Option<KeyStore>,
    password: Option<SecretSource>,
}

impl Stated {
    fn read(uri: &KeyUri, prompt: Option<&Arc<dyn SecretPrompt>>) -> Result<Self> {
        if uri.scheme() != crate::SCHEME {
            return Err(bad_uri(format!("`{}:` is not for software keys", uri.scheme())).with_hint("write `softkms:`"));
        }
        let mut attributes = uri.attributes();
        let path = attributes.path("path")?;
        let name = attributes.path("name")?;
        let directory = attributes.path("dir")?;
        let mode = attributes.path("mode")?;
        let password = SecretSource::take(&mut attributes, "password-value", "password-source", prompt)?;
        attributes.finish()?;
        // Known, whatever the URI is used for.
        SignatureAlgorithm::stated(uri, None)?;

        if let Some(other) = [&name, &directory, &mode].into_iter().flatten().next()
            && path.is_some()
        {
            return Err(bad_uri(format!("both `path` and `{}` are given", other.name()))
                .with_hint("give `path=FILE`, or `name=NAME;dir=DIRECTORY`, or `name=NAME;mode=memory`"));
        }
        if let Some(mode) = mode.filter(|mode| mode.bytes() != b"memory") {
            return Err(mode.misfit("`memory`, and nothing else"));
        }
        let name = name.map(|name| match name.text() {
            Ok(text) if directory::is_name(text) => Ok(text.to_owned()),
            _ => {
                Err(name.misfit("1 to 128 letters, digits, `.`, `_` and `-`, no `.` in front: it becomes a file name"))
            }
        });
        let store = match (&path, directory, mode) {
            (None, Some(_), Some(_)) => {
                return Err(bad_uri("both `dir` and `mode=memory` are given").with_hint("give one of them"));
            }
            (None, Some(directory), None) => Some(KeyStore::Directory(from_anywhere(directory.file()?)?)),
            (None, None, Some(_)) => Some(KeyStore::Memory),
            (None, None, None) => None,
            (Some(_), ..) => Some(KeyStore::Files),
        };
        let path = path.map(|path| from_anywhere(path.file()?)).transpose()?;
        Ok(Self { path, name: name.transpose()?, store, password })
    }
}

/// The same path whatever the process's directory will be.
fn from_anywhere(path: &Path) -> Result<PathBuf> {
    let absolute = absolute(path).map_err(|fault| bad_uri("a path that cannot be resolved").with_source(fault))?;
    // As components, so that a `/` at the end does not count.
    Ok(absolute.components().collect())
}

fn name(store: &KeyStore) -> String {
    match store {
        KeyStore::Files => "a file of its own".into(),
        KeyStore::Directory(directory) => format!("directory {}", directory.display()),
        KeyStore::Memory => "memory".into(),
    }
}

fn bad_uri(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidUri, context).in_context(crate::SCHEME)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Result<SoftOptions> {
        SoftOptions::try_from(&KeyUri::parse(text)?)
    }

    fn here(path: &str) -> PathBuf {
        std::env::current_dir().unwrap().join(path)
    }

    #[test]
    fn good_uris_are_read() {
        let pki = KeyStore::Directory(here("pki"));
        let root = Address::Entry { directory: here("pki"), name: "root".into() };
        for (text, store, address) in [
            ("softkms:", KeyStore::Files, None),
            ("softkms:path=root.key", KeyStore::Files, Some(Address::File(here("root.key")))),
            ("softkms:root.key", KeyStore::Files, Some(Address::File(here("root.key")))),
            ("softkms:./root.key", KeyStore::Files, Some(Address::File(here("root.key")))),
            ("softkms:/abs/root.key", KeyStore::Files, Some(Address::File("/abs/root.key".into()))),
            ("softkms:///abs/root.key", KeyStore::Files, Some(Address::File("/abs/root.key".into()))),
            ("softkms:path=%2Fabs%2Froot.key", KeyStore::Files, Some(Address::File("/abs/root.key".into()))),
            ("SOFTKMS:root.key", KeyStore::Files, Some(Address::File(here("root.key")))),
            ("softkms:name=root;dir=pki", pki.clone(), Some(root.clone())),
            ("softkms:dir=pki/;name=root", pki.clone(), Some(root.clone())),
            ("softkms:dir=pki;name=root;alg=ecdsa-sha256", pki.clone(), Some(root.clone())),
            ("softkms:name=root;dir=pki?password-source=env:PASSWORD", pki.clone(), Some(root.clone())),
            ("softkms:name=root;dir=pki?password-value=canary", pki.clone(), Some(root)),
            ("softkms:dir=pki", pki, None),
            ("softkms:name=root;mode=memory", KeyStore::Memory, Some(Address::Memory("root".into()))),
            ("softkms:mode=memory", KeyStore::Memory, None),
        ] {
            let options = options(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(options.store, store, "{text}");
            let found = options.address(&KeyUri::parse(text).unwrap());
            assert_eq!(found.map(|(found, _)| found).ok(), address, "{text}");
        }
    }

    #[test]
    fn bad_uris_are_refused_with_a_remedy() {
        for (text, remedy) in [
            ("softkms:name=root", "dir=DIRECTORY"),
            ("softkms:path=a;name=root", "path=FILE"),
            ("softkms:path=a;dir=pki", "path=FILE"),
            ("softkms:path=a;mode=memory", "path=FILE"),
            ("softkms:a;dir=pki", "path=FILE"),
            ("softkms:name=root;dir=pki;mode=memory", "one of them"),
            ("softkms:name=root;mode=disk", "memory"),
            ("softkms:mode=", "memory"),
            ("softkms:path=", "path of a file"),
            ("softkms:dir=;name=root", "path of a file"),
            ("softkms:dir=pki;name=", "letters"),
            ("softkms:dir=pki;name=..", "letters"),
            ("softkms:dir=pki;name=.root", "letters"),
            ("softkms:dir=pki;name=..%2Froot", "letters"),
            ("softkms:dir=pki;name=a%00b", "letters"),
            ("softkms:dir=pki;name=a%20b", "letters"),
            ("softkms:dir=pki;name=%FF", "letters"),
            ("softkms:dir=pki;name=root;pin-value=canary", "known"),
            ("softkms:dir=pki;name=root?pin-value=canary", "known"),
            ("softkms:dir=pki;nmae=root", "known"),
            ("softkms:root.key?password=canary", "known"),
            ("softkms:root.key?password-value=", ""),
            ("softkms:root.key?password-value=canary&password-source=env:PASSWORD", "one of them"),
            ("softkms:root.key?password-source=canary", "file:"),
            ("softkms:root.key?password-source=|canary", ""),
            ("softkms:name=root;name=other;dir=pki", ""),
            ("pkcs11:object=root", "softkms:"),
        ] {
            let error = options(text).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::InvalidUri, "{text}");
            assert!(error.hint().unwrap_or_default().contains(remedy), "{text}: {error}");
            assert!(!format!("{error} {error:?} {}", error.chain()).contains("canary"), "{text}");
        }
    }

    #[test]
    fn a_key_elsewhere_is_refused() {
        for (manager, good, bad) in [
            (
                "softkms:dir=pki",
                &["softkms:name=a", "softkms:name=a;dir=pki", "softkms:name=a;dir=./pki/"][..],
                &["softkms:name=a;dir=other", "softkms:a.key", "softkms:name=a;mode=memory", "softkms:dir=pki"][..],
            ),
            (
                "softkms:a.key",
                &["softkms:b.key", "softkms:/c.key"],
                &["softkms:", "softkms:name=a", "softkms:name=a;dir=pki", "softkms:name=a;mode=memory"],
            ),
            (
                "softkms:mode=memory",
                &["softkms:name=a", "softkms:name=a;mode=memory"],
                &["softkms:mode=memory", "softkms:a.key", "softkms:name=a;dir=pki", "softkms:"],
            ),
        ] {
            let options = options(manager).unwrap();
            for text in good {
                options.address(&KeyUri::parse(text).unwrap()).unwrap_or_else(|error| panic!("{text}: {error}"));
            }
            for text in bad {
                let error = options.address(&KeyUri::parse(text).unwrap()).expect_err(text);
                assert_eq!(error.kind(), ErrorKind::InvalidUri, "{manager} {text}");
                assert!(error.hint().is_some(), "{manager} {text}");
            }
        }
    }

    #[test]
    fn a_complete_uri_names_the_same_key_and_holds_no_secret() {
        for text in [
            "softkms:root.key?password-value=canary",
            "softkms:name=root;dir=p%20k%3Bi?password-value=canary",
            "softkms:name=root;mode=memory",
        ] {
            let uri = KeyUri::parse(text).unwrap();
            let (address, _) = SoftOptions::try_from(&uri).unwrap().address(&uri).unwrap();
            let complete = address.uri().unwrap();
            assert!(!complete.to_exposed_string().contains("canary"), "{text}");
            let again = KeyUri::parse(&complete.to_exposed_string()).unwrap();
            assert_eq!(SoftOptions::try_from(&again).unwrap().address(&again).unwrap().0, address, "{text}");
        }
    }

    #[test]
    fn the_password_is_not_printed() {
        let options = options("softkms:root.key?password-value=canary").unwrap();
        assert!(options.password.is_some());
        assert!(!format!("{options:?}").contains("canary"));
    }
}
