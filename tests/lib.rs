//! What the tests share.

use std::sync::Arc;

use kms_core::{Key, KeyManager, KeySpec, KeyType, KeyUri, Registry, Signer, block_on};
use kms_soft::Soft;

pub mod programs;

/// A registry with software keys and nothing else.
pub fn soft() -> Registry {
    Registry::new().with(Soft::default())
}

/// Software keys in memory, gone with the manager.
pub fn memory() -> Arc<dyn KeyManager> {
    block_on(soft().open(&uri("softkms:mode=memory"))).expect("a memory opens")
}

/// A new key in a [`memory`].
pub fn create(manager: &Arc<dyn KeyManager>, name: &str, key_type: KeyType) -> Key {
    let uri = uri(&format!("softkms:name={name}"));
    block_on(manager.create_key(&uri, &KeySpec::new(key_type))).expect("a key is made")
}

/// A signer for a new key in memory, with the default algorithm.
pub fn signer(key_type: KeyType) -> Arc<dyn Signer> {
    let manager = memory();
    let key = create(&manager, "key", key_type);
    block_on(manager.signer(&key.uri, None)).expect("a signer opens")
}

/// A URI that is known to be good.
pub fn uri(text: &str) -> KeyUri {
    text.parse().expect("a good URI")
}
