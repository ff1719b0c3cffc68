//! What every case begins with.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use kms_core::{
    Error, Execution, Key, KeyManager, KeySpec, KeyType, KeyUri, OpenOptions, OperationPolicy, Registry, Signer,
    block_on,
};
use kms_pkcs11::Pkcs11;
use kms_testkit::judge;
use kms_testkit::pkcs11::{FaultModule, SoftHsm};

/// The PIN of every token.
pub(crate) const PIN: &str = "1234";

/// Where tokens are made.
pub(crate) static TOKENS: OnceLock<&SoftHsm> = OnceLock::new();

/// A key on a token of its own, behind a module of its own.
pub(crate) struct Scene {
    pub(crate) module: FaultModule,
    pub(crate) token: String,
    pub(crate) manager: Arc<dyn KeyManager>,
    pub(crate) registry: Registry,
    pub(crate) key: Key,
}

pub(crate) fn policy(execution: Execution, timeout: u64) -> OperationPolicy {
    OperationPolicy::default().with_execution(execution).with_timeout(Duration::from_millis(timeout))
}

/// A token of its own, since SoftHSM does not bear two instances that write to one.
pub(crate) fn token() -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let token = format!("faults-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    TOKENS.get().expect("set at the start").init_token(&token, PIN).expect("SoftHSM makes a token");
    token
}

pub(crate) fn scene(settings: &str, policy: OperationPolicy) -> Scene {
    let (module, token) =
        (FaultModule::wrap(&SoftHsm::module().expect("SoftHSM")).expect("the faulty module"), token());
    module.set(settings).expect("settings");
    let registry = Registry::new().with(Pkcs11::default()).with_options(OpenOptions::default().with_policy(policy));
    let manager = block_on(registry.open(&uri(&module, &token, "", PIN))).unwrap_or_else(fail);
    let key = uri(&module, &token, ";object=key", PIN);
    let key = block_on(manager.create_key(&key, &KeySpec::new(KeyType::EcP256))).unwrap_or_else(fail);
    Scene { module, token, manager, registry, key }
}

pub(crate) fn uri(module: &FaultModule, token: &str, path: &str, pin: &str) -> KeyUri {
    format!("pkcs11:token={token}{path}?module-path={}&pin-value={pin}", module.path().display()).parse().unwrap()
}

#[allow(clippy::needless_pass_by_value, reason = "for `unwrap_or_else`")]
pub(crate) fn fail<T>(error: Error) -> T {
    panic!("{:?}: {}", error.kind(), error.chain())
}

impl Scene {
    /// The same with another policy: deadlines that are short for a fault are too short for making keys.
    pub(crate) fn with_policy(mut self, policy: OperationPolicy) -> Self {
        let options = OpenOptions::default().with_policy(policy);
        self.registry = Registry::new().with(Pkcs11::default()).with_options(options);
        self.manager = block_on(self.registry.open(&self.uri(""))).unwrap_or_else(fail);
        self
    }

    pub(crate) fn uri(&self, path: &str) -> KeyUri {
        uri(&self.module, &self.token, path, PIN)
    }

    /// The key, with the PIN.
    pub(crate) fn with_pin(&self) -> KeyUri {
        self.key.uri.with_query("pin-value", PIN).unwrap()
    }

    pub(crate) fn create(&self, label: &str, key_type: KeyType) -> Key {
        let name = self.uri(&format!(";object={label}"));
        block_on(self.manager.create_key(&name, &KeySpec::new(key_type))).unwrap_or_else(fail)
    }

    pub(crate) fn signer(&self) -> Arc<dyn Signer> {
        block_on(self.manager.signer(&self.key.uri, None)).unwrap_or_else(fail)
    }

    /// 600 signatures on 8 threads; the slowest.
    pub(crate) fn sign_on(&self, signer: &Arc<dyn Signer>, threads: u8, each: u8) -> Duration {
        let work = |thread: u8| {
            let mut slowest = Duration::ZERO;
            for number in 0..each {
                let start = Instant::now();
                let signature = block_on(signer.sign(&[thread, number])).unwrap_or_else(fail);
                slowest = slowest.max(start.elapsed());
                let octets = signature.as_bytes();
                judge::verify(self.key.public_key.spki_der(), signer.algorithm(), &[thread, number], octets).unwrap();
            }
            slowest
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no thread fails")).max().unwrap()
        })
    }
}
