//! `yubikey:` — signing keys in the PIV application of a YubiKey, for kmskit.
//!
//! # URIs
//!
//! | attribute | |
//! |---|---|
//! | `slot-id` | the slot of the key: `9a`, `9c`, `9d`, `9e`, or one of the retired ones, `82` to `95` |
//! | `serial` | the device; needed as soon as two are plugged in |
//! | `alg` | the signature algorithm; an RSA key has several |
//! | `reader` | part of the name of the reader, for one that is not called YubiKey: NFC, other vendors' cards |
//!
//! After the `?` stands how to open it:
//!
//! | attribute | |
//! |---|---|
//! | `pin-source` | `file:/path` or `env:NAME`: where the PIN is |
//! | `pin-value` | the PIN itself, for tests |
//! | `management-key-source` | the same for the management key, in hex: 3DES, AES-128, AES-192 or AES-256 |
//! | `management-key` | the management key itself |
//!
//! And for new keys:
//!
//! | attribute | |
//! |---|---|
//! | `pin-policy` | `never`, `once` or `always`; the slot's own unless stated |
//! | `touch-policy` | `never`, `always` or `cached`; `never` unless stated |
//! | `overwrite` | `true`: destroys the key that is in the slot |
//!
//! Readers that are not called YubiKey are not opened. Without a management key, writing opens the card with the one that
//! `ykman` has put behind the PIN, if there is one. No factory PIN or key is ever tried.
//!
//! # PINs
//!
//! The card is asked how many tries are left before a PIN is sent; where it is the last, none is
//! ([`YubiKey::with_last_try`] allows it). A PIN that was refused is not sent again by this process, to that device. A
//! key's PIN policy is read from the card: with `once` the PIN is given once and again when the card has forgotten it,
//! with `always` before each signature, in the same transaction, so that no other program can use it.
//!
//! Nothing of what is sent to the card is logged.
//!
//! # What it survives
//!
//! All calls to one device are made on one thread of the process. The card is shared with other programs: each operation
//! waits until they let go of it, until its deadline; then the error names the program that probably has it. A card that
//! was reset, taken out and put in again, or whose `pcscd` was restarted, is found again inside the deadline, and the
//! operation done again, unless it writes.
//!
//! A signature is one command to the card; two where the PIN policy is `always`.
//!
//! # Example
//!
//! ```no_run
//! use kms_core::{KeySpec, KeyType, KeyUri, Registry, block_on};
//! use kms_yubikey::YubiKey;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new().with(YubiKey::default());
//! let device = KeyUri::parse("yubikey:?pin-source=env:PIN&management-key-source=file:/run/secrets/management-key")?;
//! let manager = block_on(registry.open(&device))?;
//!
//! let key = KeyUri::parse("yubikey:slot-id=9c;touch-policy=cached")?;
//! let key = block_on(manager.create_key(&key, &KeySpec::new(KeyType::EcP256)))?;
//! let signer = block_on(manager.signer(&key.uri, None))?;
//! let signature = block_on(signer.sign(b"message"))?;
//! key.public_key.verify(signer.algorithm(), b"message", signature.as_bytes())?;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod algorithm;
mod attestation;
mod backend;
mod capability;
mod card;
mod certificate;
mod device;
mod discovery;
mod error;
mod firmware;
mod holder;
mod import;
mod key;
mod login;
mod management;
mod manager;
mod moving;
mod options;
mod padding;
mod policy;
mod session;
mod signer;
mod slot;
mod tlv;
mod touch;

pub use crate::attestation::{FormFactor, Statement};
pub use crate::backend::YubiKey;
pub use crate::manager::YubiKeyManager;
pub use crate::policy::{PinPolicy, TouchPolicy};
pub use crate::signer::YubiKeySigner;
pub use crate::touch::{TouchPrompt, TouchRequest};

/// The scheme of the URIs.
const SCHEME: &str = "yubikey";
