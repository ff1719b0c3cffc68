//! The suite on software keys: in a directory, each in a file of its own, and in memory.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use tempfile::TempDir;

use kms_core::{Backend, DecryptionAlgorithm, KeyManager, KeyUri, OpenOptions, Registry, Result, block_on};
use kms_soft::Soft;
use kms_testkit::conformance::{self, Harness};
use kmskit_tests::{soft, uri};

fn main() -> ExitCode {
    conformance::run([Place::directory(), Place::files(), Place::memory()])
}

struct Place {
    name: &'static str,
    registry: Registry,
    root: KeyUri,
    /// Keeps the files until the end.
    directory: TempDir,
    capabilities: &'static [&'static str],
}

impl Place {
    fn directory() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let place = KeyUri::builder("softkms").path("dir", directory.path().join("keys").to_str().expect("UTF-8"));
        let capabilities = &["delete", "search", "certificates", "decryption", "import"];
        let (registry, root) = (soft(), place.build().expect("a good URI"));
        Self { name: "softkms-directory", registry, root, directory, capabilities }
    }

    fn files() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let capabilities = &["delete", "certificates", "decryption", "import"];
        Self { name: "softkms-files", registry: soft(), root: uri("softkms:"), directory, capabilities }
    }

    /// The memory is gone with its manager, so all cases share one.
    fn memory() -> Self {
        let root = uri("softkms:mode=memory");
        let registry = Registry::new().with(Held { manager: block_on(soft().open(&root)).expect("a memory opens") });
        let directory = tempfile::tempdir().expect("a temporary directory");
        let capabilities = &["delete", "search", "certificates", "decryption", "import"];
        Self { name: "softkms-memory", registry, root, directory, capabilities }
    }

    fn key(&self, name: &str) -> KeyUri {
        if self.name == "softkms-files" {
            let file = self.directory.path().join(format!("{name}.pem"));
            return self.root.with_path("path", file.to_str().expect("UTF-8")).expect("a good URI");
        }
        self.root.with_path("name", name).expect("a good URI")
    }
}

impl Harness for Place {
    fn name(&self) -> &str {
        self.name
    }

    fn registry(&self) -> Registry {
        self.registry.clone()
    }

    fn place(&self) -> KeyUri {
        self.root.clone()
    }

    fn fresh_key(&self, hint: &str) -> KeyUri {
        self.key(hint)
    }

    fn capabilities(&self) -> &[&str] {
        self.capabilities
    }

    fn decryption_unsupported(&self, algorithm: DecryptionAlgorithm) -> Option<String> {
        let broken = algorithm == DecryptionAlgorithm::RsaPkcs1;
        broken.then(|| "softkms offers no padding that an attacker can turn into an oracle".into())
    }

    fn wrong_uris(&self) -> Vec<KeyUri> {
        [
            "softkms:path=a;name=b",
            "softkms:path=a;dir=b",
            "softkms:path=a;mode=memory",
            "softkms:name=a;dir=b;mode=memory",
            "softkms:name=a;mode=disk",
            "softkms:name=..%2Fa;mode=memory",
            "softkms:name=.a;mode=memory",
            "softkms:name=a%00;mode=memory",
            "softkms:name=;mode=memory",
            "softkms:path=",
            "softkms:path=a;pin-value=1234",
            "softkms:path=a?pin-value=1234",
            "softkms:path=a?password-value=",
            "softkms:path=a?password-value=x&password-source=env:X",
            "softkms:path=a?password-source=%7Ccat%20x",
            "softkms:path=a?password-source=x",
        ]
        .map(uri)
        .into()
    }

    fn uris_with_secret(&self, canary: &str) -> Vec<KeyUri> {
        let key = |number: u8| self.key(&format!("secret-{number}"));
        let query = |number: u8, name: &str| key(number).with_query(name, canary);
        let path = |number: u8, name: &str| key(number).with_path(name, canary);
        // The one right place, then those where one may be put by mistake.
        [
            query(0, "password-value"),
            query(1, "password"),
            query(2, "pin-value"),
            path(3, "password-value"),
            path(4, "password"),
            path(5, "pin-value"),
        ]
        .map(|uri| uri.expect("a good URI"))
        .into()
    }
}

/// Answers with one manager whenever a URI is good for it.
#[derive(Debug)]
struct Held {
    manager: Arc<dyn KeyManager>,
}

#[async_trait]
impl Backend for Held {
    fn schemes(&self) -> &'static [&'static str] {
        &["softkms"]
    }

    async fn open(&self, uri: &KeyUri, options: &OpenOptions) -> Result<Arc<dyn KeyManager>> {
        Soft::default().open(uri, options).await?;
        Ok(Arc::clone(&self.manager))
    }
}
