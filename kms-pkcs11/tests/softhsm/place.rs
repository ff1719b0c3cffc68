//! Tokens in a directory of their own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use kms_core::{KeyManager, KeyUri, OpenOptions, OperationPolicy, Registry, Result, block_on};
use kms_pkcs11::Pkcs11;

/// Set where SoftHSM is configured.
pub(crate) const MARK: &str = "SOFTHSM2_CONF";

/// The PIN of every token.
pub(crate) const PIN: &str = "1234";

const MODULES: [&str; 3] =
    ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so"];

/// A directory with tokens, removed when it is dropped.
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().expect("a temporary directory") };
        std::fs::create_dir(place.path("tokens")).expect("a directory for tokens");
        let text = format!("directories.tokendir = {}\nobjectstore.backend = file\n", place.path("tokens").display());
        std::fs::write(place.path("softhsm2.conf"), text).expect("a configuration");
        for label in ["ca", "second", "pins", "same"] {
            let made = Command::new("softhsm2-util")
                .args(["--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", PIN])
                .env(MARK, place.path("softhsm2.conf"))
                .output();
            match made {
                Ok(output) if output.status.success() => {}
                Ok(output) => panic!("softhsm2-util: {}", String::from_utf8_lossy(&output.stderr)),
                Err(error) => panic!("softhsm2-util: {error}\n{MISSING}"),
            }
        }
        place
    }

    pub(crate) fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            (MARK, self.path("softhsm2.conf")),
            ("PKCS11SPY", module()),
            ("PKCS11SPY_OUTPUT", self.path("spy.log")),
            ("KMS_TEST_SPY_LOG", self.path("spy.log")),
        ]
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

const MISSING: &str = "these tests need SoftHSM: apt-get install softhsm2 opensc";

/// The library.
pub(crate) fn module() -> PathBuf {
    let found = MODULES.iter().map(Path::new).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("no libsofthsm2.so; {MISSING}")).to_owned()
}

/// Runs `pkcs11-tool`, as the user of the token, and returns what it prints.
pub(crate) fn pkcs11_tool(token: &str, arguments: &[&str]) -> String {
    let mut tool = Command::new("pkcs11-tool");
    tool.arg("--module").arg(module()).args(["--token-label", token, "--login", "--pin", PIN]).args(arguments);
    let output = tool.output().expect("pkcs11-tool runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A registry with the backend and nothing else changed.
pub(crate) fn registry() -> Registry {
    Registry::new().with(Pkcs11::default())
}

/// The same with another policy.
pub(crate) fn with_policy(policy: OperationPolicy) -> Registry {
    registry().with_options(OpenOptions::default().with_policy(policy))
}

/// A URI in the token: `path` comes after `token=LABEL`, `query` after the module and the PIN.
pub(crate) fn uri(token: &str, path: &str, query: &str) -> KeyUri {
    let text = format!("pkcs11:token={token}{path}?module-path={}&pin-value={PIN}{query}", module().display());
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A URI without a PIN.
pub(crate) fn bare(path: &str) -> KeyUri {
    let text = format!("pkcs11:{path}?module-path={}", module().display());
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The token `ca`.
pub(crate) fn manager() -> Arc<dyn KeyManager> {
    open(&uri("ca", "", "")).expect("the token opens")
}

pub(crate) fn open(uri: &KeyUri) -> Result<Arc<dyn KeyManager>> {
    block_on(registry().open(uri))
}
