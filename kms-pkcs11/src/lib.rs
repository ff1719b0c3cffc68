//! `pkcs11:` — signing keys in any HSM, card or software token with a PKCS #11 module, for kmskit.
//!
//! # URIs
//!
//! [RFC 7512](https://www.rfc-editor.org/rfc/rfc7512), all of it. The path says which token and which key:
//!
//! | attribute | |
//! |---|---|
//! | `token`, `serial`, `manufacturer`, `model` | the token, as it calls itself; padding does not count |
//! | `slot-id`, `slot-description`, `slot-manufacturer` | its slot |
//! | `library-manufacturer`, `library-description`, `library-version` | its library |
//! | `object` | the key's label |
//! | `id` | its identifier: octets, `%01%02`. `id=7371` is the four characters, not two octets |
//! | `id-hex` | the same in hex: `id-hex=0102` |
//! | `type` | `private`, `public` or `cert`, where that matters |
//! | `alg` | the signature algorithm; an RSA key has several |
//!
//! After the `?` stands how to reach it:
//!
//! | attribute | |
//! |---|---|
//! | `module-path` | the library, an absolute path |
//! | `module-name` | the library's name, looked for in the system's module directories; without either, p11-kit's proxy |
//! | `pin-source` | `file:/path` or `env:NAME`: where the PIN is |
//! | `pin-value` | the PIN itself, for tests |
//! | `max-sessions` | most sessions at a time; 8 unless stated, and never more than the token says it has |
//! | `certificate-dir` | an absolute path: certificates are files there, for tokens that hold none (AWS `CloudHSM`) |
//! | `extractable` | `true` for a new key that may leave the token wrapped |
//!
//! A URI must match exactly one token and one key. When several match, or none, the error says what is there. URIs that
//! are handed out are complete and hold no PIN. [`uri_from_crypto11`] reads the configuration of Go's `crypto11`.
//!
//! # PINs
//!
//! A token is logged in once for the whole process, when the PIN is first needed; public keys are read without, where no
//! PIN is stated and the token shows them. A PIN that the token refused, as wrong, locked, expired or in words of its own,
//! is not sent again by this process, for any number of calls and managers; and none is sent when the token says that a
//! single try is left. A login answered with a fault that may mean anything counts as a refusal, unless the same PIN has
//! logged in before and the token counts no wrong ones.
//!
//! # What it survives
//!
//! A signature is two calls on a session that nobody else has. Sessions are reused first, opened up to `max-sessions`,
//! and then handed on in the order of asking. When a session, the login, the token or the library is lost, one caller
//! builds it anew while the others wait: as deep as necessary, in the end by initialising the library again, and until
//! the deadline. The key is then found again, and used only if its public key is the one that was handed out.
//!
//! Calls run on worker threads, so that the deadline holds even when the library hangs; with
//! [`Execution::Direct`](kms_core::Execution::Direct) they run on the caller's, which saves some tens of microseconds.
//!
//! A library is loaded once in the process and never finalised behind others' backs. After a fork the child uses it
//! anew; fork while no other thread is in a call. A remote library may write to a socket that is closed: Rust programs
//! ignore the signal (`SIGPIPE`) that this raises, a program in C that uses this crate must do so itself.
//!
//! # Example
//!
//! ```no_run
//! use kms_core::{KeySpec, KeyType, KeyUri, Registry, block_on};
//! use kms_pkcs11::Pkcs11;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new().with(Pkcs11::default());
//! let token = KeyUri::parse("pkcs11:token=ca?module-name=softhsm2&pin-source=env:PIN")?;
//! let manager = block_on(registry.open(&token))?;
//!
//! let key = block_on(manager.create_key(&KeyUri::parse("pkcs11:object=root")?, &KeySpec::new(KeyType::EcP256)))?;
//! let signer = block_on(manager.signer(&key.uri, None))?;
//! let signature = block_on(signer.sign(b"message"))?;
//! key.public_key.verify(signer.algorithm(), b"message", signature.as_bytes())?;
//! # Ok(())
//! # }
//! ```

// PKCS #11 is a C interface: `library.rs`, and it alone, has the calls. That is why this cannot be `forbid`.
#![deny(unsafe_code)]

mod algorithm;
mod attribute;
mod backend;
mod capability;
mod certificate;
mod connection;
mod crypto11;
mod error;
mod execution;
mod gate;
mod import;
mod info;
mod key;
mod library;
mod login;
mod manager;
mod mechanism;
mod module;
mod object;
mod options;
mod pem_file;
mod pool;
mod public_key;
mod recovery;
mod rescue;
mod session;
mod signer;
mod sync;
mod token;

pub use crate::backend::Pkcs11;
pub use crate::crypto11::uri_from_crypto11;
pub use crate::key::KeyAttributes;
pub use crate::manager::Pkcs11KeyManager;
pub use crate::signer::Pkcs11Signer;

/// The scheme of the URIs.
const SCHEME: &str = "pkcs11";
