//! `softkms:` — signing keys in files or in memory, for kmskit.
//!
//! The key is in the memory of the process while it is used, and in a file that its owner can copy: for tests, for
//! development, and where the file itself is well kept. The other backends hold keys that nobody can read; this one has
//! the same shape, so an application changes over by changing a URI.
//!
//! # URIs
//!
//! | URI | the key |
//! |---|---|
//! | `softkms:root.key`, `softkms:path=root.key`, `softkms:/pki/root.key` | is that file |
//! | `softkms:name=root;dir=pki` | is `pki/root.key`, its certificates are `pki/root.crt` |
//! | `softkms:name=root;mode=memory` | lives as long as its manager; nothing is shared between managers |
//!
//! Without a key, `softkms:dir=pki` opens the directory, `softkms:mode=memory` an empty memory, `softkms:` a manager for
//! any key file. A name has 1 to 128 letters, digits, `.`, `_` and `-`, no `.` in front. A manager that was opened on a
//! directory also takes `softkms:name=root`. Every URI handed out is complete, with absolute paths, and holds no secret.
//!
//! After the `?`, `password-source=file:/path` or `password-source=env:NAME` (or, in tests, `password-value=…`) gives the
//! password that encrypts new key files and decrypts existing ones. Without it the application's prompt is asked, but
//! only for a file that is encrypted; it never encrypts a new one.
//!
//! # Files
//!
//! Made: PKCS #8 in PEM, mode 0600, encrypted with PBES2 (PBKDF2-HMAC-SHA-256 with 600 000 rounds, AES-256-CBC) if a
//! password is stated; certificates with mode 0644. A file appears whole or not at all, is on the disk when the call
//! returns, and never takes the place of another. A directory that is missing is made with mode 0700.
//!
//! Read: PKCS #8 (versions 1 and 2; PBES2 with PBKDF2 or scrypt), SEC 1 and PKCS #1, in PEM; PKCS #8 in DER; up to 64
//! KiB. A file that its group or the world may touch is refused. The user needs to read the file, and for a new one to
//! write the directory.
//!
//! # Keys
//!
//! P-256, P-384, P-521, secp256k1, RSA of 2048, 3072 and 4096 bits (existing ones of 2048 to
//! 8192), Ed25519, and ML-DSA-44, -65 and -87, all by aws-lc. Signatures are computed on the caller's thread; files are
//! read, and keys made, on a worker thread that keeps the deadline. Decryption is RSA-OAEP.
//!
//! # Example
//!
//! ```
//! use kms_core::{KeySpec, KeyType, KeyUri, Registry, block_on};
//! use kms_soft::Soft;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new().with(Soft::default());
//! let manager = block_on(registry.open(&KeyUri::parse("softkms:mode=memory")?))?;
//!
//! let key = block_on(manager.create_key(&KeyUri::parse("softkms:name=root")?, &KeySpec::new(KeyType::EcP256)))?;
//! let signer = block_on(manager.signer(&key.uri, None))?;
//! let signature = block_on(signer.sign(b"message"))?;
//! key.public_key.verify(signer.algorithm(), b"message", signature.as_bytes())?;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod address;
mod algorithm;
mod backend;
mod capability;
mod certificate;
mod directory;
mod encryption;
mod error;
mod file;
mod key_file;
mod key_pair;
mod manager;
mod memory;
mod options;
mod pem;
mod signer;

pub use crate::backend::Soft;
pub use crate::manager::SoftKeyManager;
pub use crate::options::{KeyStore, SoftOptions};
pub use crate::signer::SoftSigner;

/// The scheme of the URIs.
const SCHEME: &str = "softkms";
