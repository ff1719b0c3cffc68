//! Where one key is.

use std::fmt;
use std::path::{Path, PathBuf};

use kms_core::{KeyUri, Result};

/// Where one key is. Paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// In a file.
    File(PathBuf),
    /// In a directory, by name.
    Entry {
        /// The directory.
        directory: PathBuf,
        /// The name of the key.
        name: String,
    },
    /// In memory, by name.
    Memory(String),
}

/// What an [`Address`] leads to.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A key file, and the file for its certificates.
    Files {
        /// The key file.
        key: PathBuf,
        /// The file for certificates.
        certificates: PathBuf,
    },
    /// A name in memory.
    Memory(String),
}

impl Address {
    /// The complete URI, usable from anywhere, without a secret.
    pub(crate) fn uri(&self) -> Result<KeyUri> {
        let builder = KeyUri::builder(crate::SCHEME);
        let builder = match self {
            Self::File(path) => builder.path("path", octets(path)),
            Self::Entry { directory, name } => builder.path("name", name).path("dir", octets(directory)),
            Self::Memory(name) => builder.path("name", name).path("mode", "memory"),
        };
        Ok(builder.build()?)
    }

    /// Where its octets are.
    pub(crate) fn place(&self) -> Place {
        match self {
            Self::File(key) => Place::Files { key: key.clone(), certificates: certificates_beside(key) },
            Self::Entry { directory, name } => Place::Files {
                key: directory.join(format!("{name}.key")),
                certificates: directory.join(format!("{name}.crt")),
            },
            Self::Memory(name) => Place::Memory(name.clone()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Entry { directory, name } => write!(f, "{}", directory.join(format!("{name}.key")).display()),
            Self::Memory(name) => write!(f, "key `{name}` in memory"),
        }
    }
}

/// `root.crt` for `root.key` and `root.pem`; after any other name `.crt` is added, so that it never is the key itself.
fn certificates_beside(key: &Path) -> PathBuf {
    if let Some("key" | "pem" | "der" | "p8" | "pk8") = key.extension().and_then(|extension| extension.to_str()) {
        return key.with_extension("crt");
    }
    let mut path = key.as_os_str().to_owned();
    path.push(".crt");
    path.into()
}

#[cfg(unix)]
fn octets(path: &Path) -> &[u8] {
    std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())
}

#[cfg(not(unix))]
fn octets(path: &Path) -> Vec<u8> {
    // A path that came from a URI is UTF-8 here.
    path.to_string_lossy().into_owned().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_lie_beside_the_key_and_never_on_it() {
        for (key, expected) in [
            ("/pki/root.key", "/pki/root.crt"),
            ("/pki/root.v2.key", "/pki/root.v2.crt"),
            ("/pki/root.pem", "/pki/root.crt"),
            ("/pki/root", "/pki/root.crt"),
            ("/pki/root.v2", "/pki/root.v2.crt"),
            ("/pki/root.crt", "/pki/root.crt.crt"),
        ] {
            assert_eq!(certificates_beside(Path::new(key)), Path::new(expected), "{key}");
        }
    }
}
