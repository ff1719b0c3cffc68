//! What the service, the network and the clock do wrong, and what the caller is told.

mod answers;
mod credentials;
mod deadlines;
mod keys;
mod secrets;
mod service;

use std::sync::Arc;
use std::time::Duration;

use kms_core::{Key, KeyManager, KeySpec, KeyType, KeyUri, OpenOptions, OperationPolicy, Registry, Signer, block_on};
use kms_gcp::Gcp;
use kms_testkit::gcp::GcpKms;

/// Whatever the deadline is, it is later.
const LATER: Duration = Duration::from_secs(30);

/// A server with one key, and what opens it.
struct Scene {
    server: GcpKms,
    manager: Arc<dyn KeyManager>,
    key: Key,
}

impl Scene {
    fn new() -> Self {
        Self::with(KeyType::EcP256, Duration::from_secs(30))
    }

    fn with(key_type: KeyType, timeout: Duration) -> Self {
        let server = GcpKms::start().unwrap();
        let name = uri(&server.uri("/cryptoKeys/ca"));
        // Whatever the deadline is, the key is there.
        let key =
            block_on(manager(&server.uri(""), Duration::from_secs(30)).create_key(&name, &KeySpec::new(key_type)));
        let manager = manager(&server.uri(""), timeout);
        Self { server, manager, key: key.unwrap() }
    }

    fn signer(&self) -> Arc<dyn Signer> {
        block_on(self.manager.signer(&self.key.uri, None)).unwrap()
    }
}

fn uri(text: &str) -> KeyUri {
    text.parse().unwrap()
}

fn manager(place: &str, timeout: Duration) -> Arc<dyn KeyManager> {
    manager_of(Gcp::default(), place, timeout)
}

fn manager_of(backend: Gcp, place: &str, timeout: Duration) -> Arc<dyn KeyManager> {
    let options = OpenOptions::default().with_policy(OperationPolicy::default().with_timeout(timeout));
    block_on(Registry::new().with(backend).with_options(options).open(&uri(place))).unwrap()
}
