//! The value that a registry is given, and what it allows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use kms_core::{Backend, Error, ErrorKind, KeyManager, KeyUri, OpenOptions, Result};

use crate::error::bad_uri;
use crate::key::KeyAttributes;
use crate::manager::Pkcs11KeyManager;
use crate::options::{ModuleName, Stated};

/// Where systems keep PKCS #11 libraries. Those for which `*` stands are looked for.
const DIRECTORIES: &[&str] = &[
    "/usr/lib/*/pkcs11",
    "/usr/lib/pkcs11",
    "/usr/lib64/pkcs11",
    "/usr/lib/softhsm",
    "/usr/lib/*/softhsm",
    "/usr/lib64/softhsm",
    "/usr/local/lib/softhsm",
    "/usr/local/lib/pkcs11",
    "/opt/homebrew/lib/softhsm",
    "/opt/homebrew/lib/pkcs11",
    "/usr/lib/*",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/opt/homebrew/lib",
];

/// The library that stands for all that the system has configured.
const PROXY: &str = "p11-kit-proxy";

/// Opens `pkcs11:` URIs.
#[derive(Clone, Debug, Default)]
pub struct Pkcs11 {
    allowed: Option<Vec<PathBuf>>,
    attributes: KeyAttributes,
    one_at_a_time: bool,
}

impl Pkcs11 {
    /// Restricts which libraries a URI can make the process load: each path is that of a library, or of a directory
    /// with libraries. Without this, any `module-path` is loaded and `module-name` is looked for in the system's
    /// module directories, so that whoever writes the URI decides.
    #[must_use]
    pub fn with_allowed_modules<P: Into<PathBuf>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.allowed = Some(paths.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the attributes that new keys are given; tokens differ in those they take.
    #[must_use]
    pub fn with_key_attributes(mut self, attributes: KeyAttributes) -> Self {
        self.attributes = attributes;
        self
    }

    /// Makes one call at a time, for libraries that are not safe to use from several threads.
    #[must_use]
    pub fn with_one_call_at_a_time(mut self) -> Self {
        self.one_at_a_time = true;
        self
    }

    pub(crate) fn key_attributes(&self) -> &KeyAttributes {
        &self.attributes
    }

    pub(crate) fn is_one_at_a_time(&self) -> bool {
        self.one_at_a_time
    }

    /// The canonical path of the library that is meant, if the application allows it.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, and `InvalidUri` when none is named and there is no p11-kit.
    pub(crate) fn resolve(&self, name: Option<&ModuleName>) -> Result<PathBuf> {
        let path = match name {
            Some(ModuleName::Path(path)) => path.clone(),
            Some(ModuleName::Name(name)) => find(name).ok_or_else(|| {
                Error::new(ErrorKind::NotFound, format!("no PKCS #11 module `{name}` in the system's directories"))
                    .with_hint("give its path: `?module-path=/…`")
            })?,
            None => find(PROXY).ok_or_else(|| {
                bad_uri("the URI names no module, and there is no p11-kit that would know some")
                    .with_hint("add `?module-path=/path/to/module.so`, the library of the token's vendor")
            })?,
        };
        let canonical = path.canonicalize().map_err(|error| {
            Error::new(ErrorKind::NotFound, format!("no PKCS #11 module {}", path.display()))
                .with_hint("is the vendor's package installed, and the path right?")
                .with_source(error)
        })?;
        self.check(&canonical).map(|()| canonical)
    }

    fn check(&self, module: &Path) -> Result<()> {
        let Some(allowed) = &self.allowed else { return Ok(()) };
        let is_allowed = |allowed: &PathBuf| allowed.canonicalize().is_ok_and(|allowed| module.starts_with(allowed));
        if allowed.iter().any(is_allowed) {
            return Ok(());
        }
        let names: Vec<_> = allowed.iter().map(|path| path.display().to_string()).collect();
        Err(Error::new(ErrorKind::PermissionDenied, format!("{} is not an allowed module", module.display()))
            .with_hint(format!("the application allows {}", names.join(", "))))
    }
}

#[async_trait]
impl Backend for Pkcs11 {
    fn schemes(&self) -> &'static [&'static str] {
        &[crate::SCHEME]
    }

    /// Loads and initialises the library if this is its first use in the process, and finds the token. No PIN is used.
    async fn open(&self, uri: &KeyUri, options: &OpenOptions) -> Result<Arc<dyn KeyManager>> {
        let stated = Stated::read(uri, options.prompt.as_ref())?;
        Ok(Arc::new(Pkcs11KeyManager::open(self.clone(), stated, options.policy.clone()).await?))
    }
}

fn find(name: &str) -> Option<PathBuf> {
    let suffix = std::env::consts::DLL_EXTENSION;
    let names = [name.to_owned(), format!("{name}.{suffix}"), format!("lib{name}.{suffix}")];
    directories()
        .into_iter()
        .flat_map(|directory| names.clone().map(|name| directory.join(name)))
        .find(|path| path.is_file())
}

fn directories() -> Vec<PathBuf> {
    let expand = |pattern: &&str| match pattern.split_once("/*") {
        None => vec![PathBuf::from(pattern)],
        Some((parent, rest)) => {
            let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
            // Only directories of one architecture: `x86_64-linux-gnu`.
            let mut found: Vec<_> = entries
                .filter(|entry| entry.file_name().to_string_lossy().ends_with("-gnu"))
                .map(|entry| entry.path().join(rest.trim_start_matches('/')))
                .collect();
            found.sort();
            found
        }
    };
    DIRECTORIES.iter().flat_map(expand).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_modules_are_resolved() {
        let directory = tempfile::tempdir().unwrap();
        let (inside, outside) = (directory.path().join("in"), directory.path().join("out"));
        for directory in [&inside, &outside] {
            std::fs::create_dir(directory).unwrap();
            std::fs::write(directory.join("m.so"), "").unwrap();
        }
        let link = inside.join("link.so");
        std::os::unix::fs::symlink(outside.join("m.so"), &link).unwrap();
        let backend = Pkcs11::default().with_allowed_modules([&inside]);
        let resolve = |path: PathBuf| backend.resolve(Some(&ModuleName::Path(path))).map_err(|error| error.kind());
        assert!(resolve(inside.join("m.so")).is_ok());
        assert_eq!(resolve(outside.join("m.so")), Err(ErrorKind::PermissionDenied));
        assert_eq!(resolve(inside.join("../out/m.so")), Err(ErrorKind::PermissionDenied));
        assert_eq!(resolve(link), Err(ErrorKind::PermissionDenied));
        assert_eq!(resolve(inside.join("none.so")), Err(ErrorKind::NotFound));
        let absent = ModuleName::Name("no-such-module-anywhere".into());
        assert_eq!(Pkcs11::default().resolve(Some(&absent)).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
