//! The tokens, their keys, and the C program.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kms_core::{
    Execution, KeyManager, KeySpec, KeyType, KeyUri, OpenOptions, OperationPolicy, Registry, Signer, block_on,
};
use kms_pkcs11::Pkcs11;
use kms_testkit::pkcs11::{SoftHsm, reexec_with_softhsm};

use crate::Result;
use crate::load::Sample;

/// What is signed, by the C program as well: 32 octets.
pub(crate) const DIGEST: [u8; 32] = [0x5a; 32];

const PIN: &str = "1234";

/// Set in a process that is to open, to sign once, and to say how long that took.
const COLD: &str = "KMS_PKCS11_FLOOR_COLD";

/// A directory of tokens: `few` with the keys `ec` and `rsa`, `many` with `ec` and others.
pub(crate) struct Place {
    softhsm: SoftHsm,
    module: PathBuf,
}

/// Whether this process is one that [`cold_start`] began.
pub(crate) fn is_cold() -> bool {
    std::env::var_os(COLD).is_some()
}

/// How long a new process takes to open and to sign once, in milliseconds.
pub(crate) fn cold_start() -> Result<f64> {
    let output = Command::new(std::env::current_exe()?).env(COLD, "1").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

impl Place {
    pub(crate) fn new() -> Result<Self> {
        let softhsm = reexec_with_softhsm()?;
        Ok(Self { softhsm, module: SoftHsm::module()? })
    }

    /// Makes the tokens and their keys, and compiles the C program.
    pub(crate) fn make_keys(&self) -> Result<()> {
        for token in ["few", "many"] {
            self.softhsm.init_token(token, PIN)?;
            self.create(token, "ec", KeyType::EcP256)?;
        }
        self.create("few", "rsa", KeyType::Rsa { bits: 2048 })?;
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/pkcs11_floor.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-pthread", "-o"]).arg(self.program()).args([source, "-ldl"]);
        if compiler.status()?.success() { Ok(()) } else { Err(format!("cannot compile {source}").into()) }
    }

    /// Adds as many key pairs.
    pub(crate) fn fill(&self, token: &str, number: usize) -> Result<()> {
        (0..number).try_for_each(|number| self.create(token, &format!("extra-{number}"), KeyType::EcP256))
    }

    pub(crate) fn signer(&self, token: &str, key: &str, on: Execution, verify: bool) -> Result<Arc<dyn Signer>> {
        let policy = OperationPolicy::default().with_execution(on);
        let policy = if verify { policy } else { policy.dangerous_without_verification() };
        let registry = Registry::new().with(Pkcs11::default()).with_options(OpenOptions::default().with_policy(policy));
        Ok(block_on(registry.signer(&self.uri(token, &format!(";object={key}"))?))?)
    }

    /// The C program on the token `few`.
    pub(crate) fn floor(&self, threads: usize, key: &str, turn: Duration) -> Result<Sample> {
        let mut program = self.softhsm.command(self.program());
        program.arg(&self.module).args(["few", PIN, key, &threads.to_string()]);
        program.args([format!("{}s", turn.as_secs_f64()), if key == "rsa" { "rsa" } else { "ecdsa" }.to_owned()]);
        let output = program.output()?;
        if !output.status.success() {
            return Err(format!("the C program: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let number = |name: &str| answer[name].as_f64().ok_or(format!("the C program tells no {name}"));
        Ok(Sample { ops: number("ops_s")?, p50: number("p50_us")?, p99: number("p99_us")?, cpu: number("cpu_us_op")? })
    }

    pub(crate) fn open_and_sign(&self) -> Result<Duration> {
        let start = Instant::now();
        let signer = self.signer("few", "ec", Execution::Guarded, true)?;
        block_on(signer.sign_digest(&DIGEST))?;
        Ok(start.elapsed())
    }

    fn create(&self, token: &str, label: &str, key_type: KeyType) -> Result<()> {
        let registry = Registry::new().with(Pkcs11::default());
        let manager: Arc<dyn KeyManager> = block_on(registry.open(&self.uri(token, "")?))?;
        block_on(manager.create_key(&format!("pkcs11:object={label}").parse()?, &KeySpec::new(key_type)))?;
        Ok(())
    }

    fn uri(&self, token: &str, key: &str) -> Result<KeyUri> {
        let module = self.module.display();
        Ok(format!("pkcs11:token={token}{key}?module-path={module}&pin-value={PIN}").parse()?)
    }

    fn program(&self) -> PathBuf {
        self.softhsm.directory().join("pkcs11_floor")
    }
}
