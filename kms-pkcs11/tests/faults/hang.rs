//! Calls that do not return: the deadline holds, and the next call is unharmed.

use std::time::{Duration, Instant};

use kms_core::{
    DecryptionAlgorithm, ErrorKind, Execution, KeySpec, KeyType, KeyUsage, OpenOptions, Registry, Result, block_on,
};
use kms_pkcs11::Pkcs11;
use kms_testkit::pkcs11::{FaultModule, SoftHsm};

use crate::Case;
use crate::scene::{PIN, Scene, fail, policy, scene, uri};

const DEADLINE: u64 = 300;
/// Milliseconds after it that are not held against a busy machine: what is promised, 100, is printed and measured apart.
const LATE: u64 = 2000;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        ("hang::sign", sign),
        ("hang::each_call_of_a_signature", each_call_of_a_signature),
        ("hang::each_call_of_opening", each_call_of_opening),
        ("hang::login", login),
        ("hang::each_call_that_writes", each_call_that_writes),
        ("hang::decrypt", decrypt),
        ("hang::slow_command", slow_command),
        ("hang::left_behind", left_behind),
    ]
}

/// Runs `work`, which may fail by `Timeout` only, and in time.
fn in_time<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = work();
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_millis(DEADLINE + LATE), "{what}: {elapsed:?}");
    if let Err(error) = &result {
        assert_eq!(error.kind(), ErrorKind::Timeout, "{what}: {error}");
    }
    result
}

fn impatient() -> Scene {
    scene("", policy(Execution::Guarded, 10_000)).with_policy(policy(Execution::Guarded, DEADLINE))
}

fn sign() {
    let scene = impatient();
    let signer = scene.signer();
    block_on(signer.sign(b"before")).unwrap_or_else(fail);
    scene.module.set("fault C_Sign at=1 hang=3000").unwrap();
    in_time("C_Sign", || block_on(signer.sign(b"hangs"))).expect_err("it hangs");
    let start = Instant::now();
    block_on(signer.sign(b"after")).unwrap_or_else(fail);
    println!("the next one took {:?}", start.elapsed());
    scene.sign_on(&signer, 8, 10);
    assert_eq!(scene.module.misuse().unwrap(), []);
}

fn each_call_of_a_signature() {
    for call in [
        "C_SignInit",
        "C_Sign",
        "C_OpenSession",
        "C_FindObjectsInit",
        "C_FindObjects",
        "C_FindObjectsFinal",
        "C_GetAttributeValue",
        "C_GetSessionInfo",
    ] {
        let scene = impatient();
        scene.module.set(&format!("fault {call} at=1 hang=1500")).unwrap();
        let signer = in_time(call, || block_on(scene.manager.signer(&scene.key.uri, None)));
        if let Ok(signer) = signer {
            let _ = in_time(call, || block_on(signer.sign(b"one")));
        }
        // While it hangs still, and when it has come back.
        let _ = in_time(call, || block_on(scene.manager.signer(&scene.key.uri, None)));
        scene.module.clear().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        block_on(scene.signer().sign(b"after")).unwrap_or_else(fail);
        assert_eq!(scene.module.misuse().unwrap(), [], "{call}");
    }
}

fn each_call_of_opening() {
    let scene = scene("", policy(Execution::Guarded, 10_000));
    for call in ["C_Initialize", "C_GetInfo", "C_GetSlotList", "C_GetSlotInfo", "C_GetTokenInfo", "C_GetMechanismList"]
    {
        let module = FaultModule::wrap(&SoftHsm::module().unwrap()).unwrap();
        module.set(&format!("fault {call} at=1 hang=1500")).unwrap();
        let place = uri(&module, &scene.token, ";object=key", PIN);
        let registry = registry();
        let manager = in_time(call, || block_on(registry.open(&place)));
        if let Ok(manager) = manager {
            let _ = in_time(call, || block_on(manager.signer(&place, None)));
        }
        module.clear().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let signer = block_on(registry.signer(&place)).unwrap_or_else(fail);
        block_on(signer.sign(b"after")).unwrap_or_else(fail);
        assert_eq!(module.misuse().unwrap(), [], "{call}");
    }
}

/// The PIN is not sent again while nobody knows what became of it.
fn login() {
    let scene = scene("", policy(Execution::Guarded, 10_000));
    let module = FaultModule::wrap(&SoftHsm::module().unwrap()).unwrap();
    module.set("fault C_Login at=1 hang=3000").unwrap();
    let place = uri(&module, &scene.token, ";object=key", PIN);
    let registry = registry();
    in_time("C_Login", || block_on(registry.signer(&place))).expect_err("it hangs");
    for _ in 0..2 {
        let start = Instant::now();
        let error = block_on(registry.signer(&place)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable), "{error}");
        assert!(start.elapsed() < Duration::from_millis(DEADLINE + LATE), "{:?}", start.elapsed());
    }
    assert_eq!(module.calls("C_Login").unwrap(), 1);
    module.clear().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let signer = block_on(registry.signer(&place)).unwrap_or_else(fail);
    block_on(signer.sign(b"after")).unwrap_or_else(fail);
    // Again, if its session was the only one and took the login with it; the PIN is known to be right by then.
    assert!(module.calls("C_Login").unwrap() <= 2);
}

fn each_call_that_writes() {
    let scene = scene("", policy(Execution::Guarded, 10_000));
    let impatient = block_on(registry().open(&scene.uri(""))).unwrap_or_else(fail);
    let signer = block_on(impatient.signer(&scene.key.uri, None)).unwrap_or_else(fail);
    let doomed = scene.create("doomed", KeyType::EcP256);
    for call in ["C_GenerateKeyPair", "C_DestroyObject"] {
        scene.module.set(&format!("fault {call} at=1 hang=1500")).unwrap();
        let written = in_time(call, || match call {
            "C_DestroyObject" => block_on(impatient.as_key_deleter().unwrap().delete_key(&doomed.uri)),
            _ => block_on(impatient.create_key(&scene.uri(";object=hangs"), &KeySpec::new(KeyType::EcP256))).map(drop),
        });
        written.expect_err("it hangs");
        in_time(call, || block_on(signer.sign(b"meanwhile"))).unwrap_or_else(fail);
        scene.module.clear().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        scene.create(&format!("after-{call}"), KeyType::EcP256);
    }
}

fn decrypt() {
    let scene = scene("", policy(Execution::Guarded, 20_000));
    let spec = KeySpec::new(KeyType::Rsa { bits: 2048 }).with_usage(KeyUsage::Decrypt);
    let key = block_on(scene.manager.create_key(&scene.uri(";object=rsa"), &spec)).unwrap_or_else(fail);
    let impatient = block_on(registry().open(&scene.uri(""))).unwrap_or_else(fail);
    let decrypt = || {
        let decrypter = impatient.as_decrypter().unwrap();
        block_on(decrypter.decrypt(&key.uri, DecryptionAlgorithm::RsaOaepSha1, &[1; 256]))
    };
    scene.module.set("fault C_Decrypt at=1 hang=1500").unwrap();
    in_time("C_Decrypt", decrypt).expect_err("it hangs");
    assert_eq!(decrypt().unwrap_err().kind(), ErrorKind::InvalidArgument, "no such block, but an answer");
}

/// A key that takes its time to be made holds up no signature.
fn slow_command() {
    let scene = scene("", policy(Execution::Guarded, 20_000));
    let impatient = block_on(registry().open(&scene.uri(""))).unwrap_or_else(fail);
    let signer = block_on(impatient.signer(&scene.key.uri, None)).unwrap_or_else(fail);
    scene.module.set("fault C_GenerateKeyPair slow=1000").unwrap();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| scene.create("slow", KeyType::EcP256));
        let (mut signatures, mut slowest) = (0, Duration::ZERO);
        while !slow.is_finished() {
            let start = Instant::now();
            block_on(signer.sign(b"meanwhile")).unwrap_or_else(fail);
            (signatures, slowest) = (signatures + 1, slowest.max(start.elapsed()));
        }
        println!("{signatures} signatures meanwhile, the slowest {slowest:?}");
        assert!(signatures > 100, "{signatures}");
    });
}

fn registry() -> Registry {
    let options = OpenOptions::default().with_policy(policy(Execution::Guarded, DEADLINE));
    Registry::new().with(Pkcs11::default()).with_options(options)
}

/// Slow signatures that are given up while the connection is rebuilt leave no session behind.
fn left_behind() {
    let scene = scene("", policy(Execution::Guarded, 10_000));
    let signer = scene.signer();
    for _ in 0..6 {
        scene.module.set("fault C_Sign at=1 slow=300\nfault C_SignInit at=3 rv=CKR_OPERATION_ACTIVE").unwrap();
        scene.sign_on(&signer, 4, 4);
    }
    // What was given up comes back by itself.
    std::thread::sleep(Duration::from_millis(500));
    let left = scene.module.calls("C_OpenSession").unwrap() - scene.module.calls("C_CloseSession").unwrap();
    assert!(left <= 8, "{left} sessions");
    assert_eq!(scene.module.misuse().unwrap(), []);
}
