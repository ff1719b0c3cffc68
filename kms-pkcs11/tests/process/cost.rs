//! What a signature costs does not depend on what else the token holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kms_core::{Execution, KeySpec, KeyType, OperationPolicy, Signer, block_on};
use kms_testkit::pkcs11::{FaultModule, SoftHsm};

use crate::{Case, create, fail, policy, registry, softhsm, uri};

pub(crate) fn cases() -> Vec<Case> {
    vec![("cost::two_hundred_more_keys", two_hundred_more_keys)]
}

fn two_hundred_more_keys() {
    let module = FaultModule::wrap(&SoftHsm::module().unwrap()).unwrap();
    let policy = policy(Execution::Direct).dangerous_without_verification();
    for token in ["few", "many"] {
        softhsm().init_token(token, crate::PIN).unwrap();
    }
    let [few, many] = ["few", "many"].map(|token| {
        let name = uri(&module.path(), token, ";object=key;id=key");
        create(&name, KeyType::EcP256);
        block_on(registry(policy.clone()).signer(&name)).unwrap_or_else(fail)
    });
    let manager = uri(&module.path(), "many", "");
    let manager = block_on(registry(OperationPolicy::default()).open(&manager)).unwrap_or_else(fail);
    for number in 0..200 {
        let name = uri(&module.path(), "many", &format!(";id=other-{number}"));
        block_on(manager.create_key(&name, &KeySpec::new(KeyType::EcP256))).unwrap_or_else(fail);
    }

    let names = ["C_SignInit", "C_Sign", "C_FindObjectsInit", "C_GetAttributeValue", "C_OpenSession", "C_Login"];
    let counts = || names.map(|name| module.calls(name).unwrap());
    time(&many, 1);
    let before = counts();
    time(&many, 1000);
    let made: Vec<_> = counts().iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(made, [1000, 1000, 0, 0, 0, 0], "{names:?}");

    // In turns, and the best of each: other programs run beside.
    let (mut best_few, mut best_many) = (Duration::MAX, Duration::MAX);
    for _ in 0..60 {
        best_few = best_few.min(time(&few, 50));
        best_many = best_many.min(time(&many, 50));
    }
    let (few, many) = (best_few.as_secs_f64() / 50.0 * 1e6, best_many.as_secs_f64() / 50.0 * 1e6);
    println!("{few:.1} µs for a signature in a token of one key, {many:.1} µs among 200 more: {:.3}", many / few);
    assert!(many <= few * 5.0, "{few:.1} µs, {many:.1} µs");
}

fn time(signer: &Arc<dyn Signer>, signatures: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..signatures {
        block_on(signer.sign(b"message")).unwrap_or_else(fail);
    }
    start.elapsed()
}
