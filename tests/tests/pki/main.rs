//! `pki_init`, `sign_csr` and `csr`, run as programs and judged by OpenSSL, GnuTLS, OpenSSH and Python's `cryptography`.
//! Build them first: `cargo build --examples`.

mod aws;
mod csr;
mod failures;
mod gcp;
mod init;
mod post_quantum;
mod refusals;
mod sign_csr;
