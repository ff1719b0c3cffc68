//! `tls_server` and `tls_client`, run as programs and judged by OpenSSL, GnuTLS and curl, with keys in files and in
//! SoftHSM; and the `rustls` adapter beneath them. Build them first: `cargo build --examples --all-features`.

#[path = "../../../examples/tls_server/accept.rs"]
mod accept;
mod backend;
mod client;
mod concurrency;
mod faults;
#[path = "../../../examples/shared/handshake.rs"]
mod handshake;
mod identity;
mod mutual;
mod pki;
mod process;
mod refusals;
mod schemes;
mod server;
