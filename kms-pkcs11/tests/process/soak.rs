//! Many signatures, and nothing left of them.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use kms_core::{Execution, KeyType, Signer, block_on};
use kms_testkit::pkcs11::{FaultModule, SoftHsm};

use crate::{Case, create, fail, policy, registry, softhsm, uri};

pub(crate) fn cases() -> Vec<Case> {
    vec![("soak::hundred_thousand_signatures", hundred_thousand_signatures)]
}

/// Octets by which the memory in use may differ.
const FLAT: u64 = 2 << 20;

/// One for each thread, and one that keeps the login.
const SESSIONS: u64 = 3;

fn hundred_thousand_signatures() {
    softhsm().init_token("soak", crate::PIN).unwrap();
    // Around SoftHSM, to count the sessions.
    let module = FaultModule::wrap(&SoftHsm::module().unwrap()).unwrap();
    let name = uri(&module.path(), "soak", ";object=key");
    create(&name, KeyType::EcP256);
    for (execution, signatures) in [(Execution::Direct, 100_000), (Execution::Guarded, 10_000)] {
        let policy = policy(execution).dangerous_without_verification();
        let signer = block_on(registry(policy).signer(&name)).unwrap_or_else(fail);
        sign(&signer, 4_000);
        let (start, before) = (Instant::now(), Held::now(&module));
        sign(&signer, signatures);
        let after = Held::now(&module);
        println!("{execution:?}: {signatures} signatures in {:?}; {before:?}, then {after:?}", start.elapsed());
        // A second one is opened when both threads happen to sign at once, which may be late.
        assert!(before.sessions <= SESSIONS && after.sessions <= SESSIONS, "{before:?}, then {after:?}");
        assert_eq!(after.descriptors, before.descriptors);
        assert!(after.memory.abs_diff(before.memory) <= FLAT, "{before:?}, then {after:?}");
    }
    assert_eq!(module.misuse().unwrap(), []);
}

fn sign(signer: &Arc<dyn Signer>, signatures: usize) {
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..signatures / 2 {
                    block_on(signer.sign(b"message")).unwrap_or_else(fail);
                }
            });
        }
    });
}

/// What the process holds.
#[derive(Debug)]
struct Held {
    sessions: u64,
    descriptors: usize,
    /// Resident, in octets.
    memory: u64,
}

impl Held {
    fn now(module: &FaultModule) -> Self {
        let sessions = module.calls("C_OpenSession").unwrap() - module.calls("C_CloseSession").unwrap();
        let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let memory = line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024;
        Self { sessions, descriptors, memory }
    }
}
