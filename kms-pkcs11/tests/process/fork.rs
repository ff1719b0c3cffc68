//! Children of a process that has signed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use ::fork::{Fork, fork, waitpid_nohang};
use kms_core::{ErrorKind, Execution, KeyType, block_on};
use kms_testkit::judge;
use kms_testkit::pkcs11::{FaultModule, Kryoptic, SoftHsm};

use crate::{Case, PIN, create, fail, kryoptic, policy, registry, softhsm, uri};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        ("fork::softhsm", on_softhsm),
        ("fork::kryoptic", on_kryoptic),
        ("fork::deadline_holds_in_the_child", deadline_holds_in_the_child),
        ("fork::never_finalised", never_finalised),
    ]
}

fn on_softhsm() {
    softhsm().init_token("fork", PIN).unwrap();
    child_and_parent_sign(&SoftHsm::module().unwrap(), "fork");
}

fn on_kryoptic() {
    kryoptic().init_token("fork", PIN).unwrap();
    child_and_parent_sign(&Kryoptic::module().unwrap(), "fork");
}

/// With the signer that the parent opened, and with one of its own; and the parent signs on.
fn child_and_parent_sign(module: &Path, token: &str) {
    for execution in [Execution::Direct, Execution::Guarded] {
        let name = uri(module, token, &format!(";object=key-{execution:?}"));
        let key = create(&name, KeyType::EcP256);
        let registry = registry(policy(execution));
        let inherited = block_on(registry.signer(&name)).unwrap_or_else(fail);
        let sign = |number: u8| {
            let own = block_on(registry.signer(&name)).unwrap_or_else(fail);
            for signer in [&inherited, &own] {
                for _ in 0..10 {
                    let signature = block_on(signer.sign(&[number])).unwrap_or_else(fail);
                    let octets = signature.as_bytes();
                    judge::verify(key.public_key.spki_der(), signer.algorithm(), &[number], octets).unwrap();
                }
            }
        };
        sign(0);
        in_child(|| sign(1));
        sign(2);
        in_child(|| {
            sign(3);
            in_child(|| sign(4));
            sign(5);
        });
        sign(6);
    }
}

/// The threads that work and that watch the time are the parent's: the child needs its own.
fn deadline_holds_in_the_child() {
    softhsm().init_token("fork-hang", PIN).unwrap();
    let module = FaultModule::wrap(&SoftHsm::module().unwrap()).unwrap();
    let name = uri(&module.path(), "fork-hang", ";object=key");
    create(&name, KeyType::EcP256);
    let impatient = policy(Execution::Guarded).with_timeout(Duration::from_millis(500));
    let signer = block_on(registry(impatient).signer(&name)).unwrap_or_else(fail);
    block_on(signer.sign(b"before")).unwrap_or_else(fail);
    in_child(|| {
        block_on(signer.sign(b"child")).unwrap_or_else(fail);
        module.set("fault C_Sign at=1 hang=4000").unwrap();
        let start = Instant::now();
        let error = block_on(signer.sign(b"hangs")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        module.clear().unwrap();
        block_on(signer.sign(b"after")).unwrap_or_else(fail);
        // Whoever ends while a thread is still in a call ends it in a library that is being taken down.
        std::thread::sleep(Duration::from_millis(500));
    });
}

/// Neither by a child nor at its end, which is an ordinary one, with the library's own handlers.
fn never_finalised() {
    softhsm().init_token("fork-end", PIN).unwrap();
    let module = FaultModule::wrap(&SoftHsm::module().unwrap()).unwrap();
    let name = uri(&module.path(), "fork-end", ";object=key");
    create(&name, KeyType::EcP256);
    for execution in [Execution::Direct, Execution::Guarded] {
        in_child(|| {
            let signer = block_on(registry(policy(execution)).signer(&name)).unwrap_or_else(fail);
            block_on(signer.sign(b"message")).unwrap_or_else(fail);
            std::mem::forget(signer);
        });
    }
    assert_eq!(module.calls("C_Finalize").unwrap(), 0);
}

/// Runs `work` in a child, which must end as it should, within half a minute.
fn in_child(work: impl FnOnce()) {
    let child = match fork().unwrap() {
        Fork::Child => {
            let done = catch_unwind(AssertUnwindSafe(work));
            std::process::exit(i32::from(done.is_err()));
        }
        Fork::Parent(child) => child,
    };
    let start = Instant::now();
    let status = loop {
        match waitpid_nohang(child).unwrap() {
            Some(status) => break status,
            None if start.elapsed() > Duration::from_secs(30) => {
                let _ = std::process::Command::new("kill").args(["-9", &child.to_string()]).status();
                panic!("the child hangs");
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    assert_eq!(status, 0, "the status of the child");
}
