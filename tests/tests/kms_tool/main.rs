//! The `kms` tool, driven as a program and judged by OpenSSL. Build it first: `cargo build --example kms`.

mod bench;
mod errors;
mod keys;
mod signatures;
mod tool;
mod uri;
