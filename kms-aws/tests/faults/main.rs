//! What the service, the network and the clock do wrong, and what the caller is told.

mod answers;
mod creation;
mod credentials;
mod deadlines;
mod secrets;
mod service;
mod states;

use std::sync::Arc;
use std::time::Duration;

use kms_aws::{Aws, AwsKeyManager};
use kms_core::{Key, KeyManager, KeySpec, KeyType, KeyUri, OpenOptions, OperationPolicy, Signer, block_on};
use kms_testkit::aws::AwsKms;

/// A server with one key, and what opens it.
struct Scene {
    server: AwsKms,
    manager: AwsKeyManager,
    key: Key,
}

impl Scene {
    fn new() -> Self {
        Self::with(KeyType::EcP256, Duration::from_secs(30))
    }

    fn with(key_type: KeyType, timeout: Duration) -> Self {
        let server = AwsKms::start().unwrap();
        let manager = manager(&server.uri(), timeout);
        let name = manager_uri(&server.uri()).with_path("name", "ca").unwrap();
        let key = block_on(manager.create_key(&name, &KeySpec::new(key_type))).unwrap();
        Self { server, manager, key }
    }

    fn signer(&self) -> Arc<dyn Signer> {
        block_on(self.manager.signer(&self.key.uri, None)).unwrap()
    }
}

fn manager_uri(text: &str) -> KeyUri {
    text.parse().unwrap()
}

fn manager(uri: &str, timeout: Duration) -> AwsKeyManager {
    let options = OpenOptions::default().with_policy(OperationPolicy::default().with_timeout(timeout));
    block_on(Aws::default().manager(&manager_uri(uri), &options)).unwrap()
}
