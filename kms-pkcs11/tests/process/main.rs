//! What becomes of the process: its memory, its descriptors, its children, its end.

use std::process::ExitCode;
use std::sync::OnceLock;

use kms_core::{Error, Execution, Key, KeySpec, KeyType, KeyUri, OpenOptions, OperationPolicy, Registry, block_on};
use kms_pkcs11::Pkcs11;
use kms_testkit::pkcs11::{Kryoptic, SoftHsm, reexec_with_kryoptic, reexec_with_softhsm};
use libtest_mimic::{Arguments, Trial};

mod cost;
mod fork;
mod soak;
mod two;

const PIN: &str = "1234";

static TOKENS: OnceLock<(SoftHsm, Kryoptic)> = OnceLock::new();

/// A named case.
type Case = (&'static str, fn());

fn main() -> ExitCode {
    let softhsm = reexec_with_softhsm().expect("SoftHSM can be configured");
    let kryoptic = reexec_with_kryoptic().expect("kryoptic can be configured");
    TOKENS.set((softhsm, kryoptic)).expect("set once");
    let cases = [soak::cases(), cost::cases(), fork::cases(), two::cases()].into_iter().flatten();
    let trials = cases.map(|(name, case)| {
        Trial::test(name, move || {
            case();
            Ok(())
        })
    });
    // On this thread, one after the other: others would be counted in, or be missing in a child.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn softhsm() -> &'static SoftHsm {
    &TOKENS.get().expect("set at the start").0
}

fn kryoptic() -> &'static Kryoptic {
    &TOKENS.get().expect("set at the start").1
}

fn registry(policy: OperationPolicy) -> Registry {
    Registry::new().with(Pkcs11::default()).with_options(OpenOptions::default().with_policy(policy))
}

fn policy(execution: Execution) -> OperationPolicy {
    OperationPolicy::default().with_execution(execution)
}

fn uri(module: &std::path::Path, token: &str, path: &str) -> KeyUri {
    format!("pkcs11:token={token}{path}?module-path={}&pin-value={PIN}", module.display()).parse().unwrap()
}

fn create(name: &KeyUri, key_type: KeyType) -> Key {
    let manager = block_on(registry(OperationPolicy::default()).open(name)).unwrap_or_else(fail);
    block_on(manager.create_key(name, &KeySpec::new(key_type))).unwrap_or_else(fail)
}

#[allow(clippy::needless_pass_by_value, reason = "for `unwrap_or_else`")]
fn fail<T>(error: Error) -> T {
    panic!("{:?}: {}", error.kind(), error.chain())
}
