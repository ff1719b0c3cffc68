//! Two vendors' libraries in one process.

use kms_core::{Execution, KeyType, block_on};
use kms_testkit::pkcs11::{Kryoptic, SoftHsm};

use crate::{Case, PIN, create, fail, kryoptic, policy, registry, softhsm, uri};

pub(crate) fn cases() -> Vec<Case> {
    vec![("library::two_of_them", two_of_them)]
}

/// With tokens and keys of the same names.
fn two_of_them() {
    softhsm().init_token("two", PIN).unwrap();
    kryoptic().init_token("two", PIN).unwrap();
    let modules = [SoftHsm::module().unwrap(), Kryoptic::module().unwrap()];
    let signers = modules.map(|module| {
        let name = uri(&module, "two", ";object=key;id=key");
        let key = create(&name, KeyType::EcP256);
        let signer = block_on(registry(policy(Execution::Guarded)).signer(&name)).unwrap_or_else(fail);
        assert_eq!(*signer.public_key(), key.public_key);
        signer
    });
    assert_ne!(signers[0].public_key(), signers[1].public_key());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let signers = &signers;
            scope.spawn(move || {
                for number in 0..50 {
                    block_on(signers[(thread + number) % 2].sign(b"message")).unwrap_or_else(fail);
                }
            });
        }
    });
}
