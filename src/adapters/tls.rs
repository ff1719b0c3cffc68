//! Keys of TLS servers and clients, for `rustls` 0.23.
//!
//! [`TlsKey`] is a key with every signature scheme that it can sign with; [`TlsIdentity`] adds its certificates, checked
//! against it, and resolves to them in a server and in a client:
//!
//! ```no_run
//! # async fn configure(uri: &str, chain: &[u8], roots: rustls::RootCertStore) -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use kmskit::adapters::tls::TlsIdentity;
//!
//! let manager = kmskit::open(uri).await?;
//! let identity = TlsIdentity::open(&*manager, &uri.parse()?, chain).await?;
//!
//! let server = rustls::ServerConfig::builder()
//!     .with_no_client_auth()
//!     .with_cert_resolver(Arc::new(identity.clone()));
//! let client = rustls::ClientConfig::builder()
//!     .with_root_certificates(roots)
//!     .with_client_cert_resolver(Arc::new(identity));
//! # Ok(())
//! # }
//! ```
//!
//! # In an asynchronous server
//!
//! `rustls` signs synchronously, within a call that also reads and writes: while a device or service signs, the thread
//! of that call waits. In an executor every other task of that thread then waits too, so a server with two workers and
//! a key that takes 200 ms would finish ten handshakes a second and do nothing else. Let a thread of its own do each
//! handshake, and the workers the rest:
//!
#![cfg_attr(feature = "examples", doc = "```no_run")]
#![cfg_attr(not(feature = "examples"), doc = "```ignore")]
//! use std::io;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use tokio::net::TcpStream;
//! use tokio::runtime::Handle;
//! use tokio::task::spawn_blocking;
//! use tokio::time::timeout;
//! use tokio_rustls::LazyConfigAcceptor;
//! use tokio_rustls::rustls::ServerConfig;
//! use tokio_rustls::rustls::server::Acceptor;
//! use tokio_rustls::server::TlsStream;
//!
//! /// Longest wait for the client's first message, and for the rest of the handshake.
//! const LIMIT: Duration = Duration::from_secs(10);
//!
//! async fn accept(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<TlsStream<TcpStream>> {
//!     // No thread is kept for those who connect and say nothing.
//!     let hello = timeout(LIMIT, LazyConfigAcceptor::new(Acceptor::default(), tcp)).await??;
//!     let runtime = Handle::current();
//!     spawn_blocking(move || runtime.block_on(async { timeout(LIMIT, hello.into_stream(config)).await })).await??
//! }
//! ```
//!
//! The limit stands inside, since a blocking thread cannot be cancelled from without. Tokio has 512 such threads unless
//! told otherwise (`max_blocking_threads`): as many handshakes can be under way at once. A client with a key of its own
//! does the same with `connector.connect(name, tcp)`.
//!
//! # Errors
//!
//! A signature that fails ends the handshake with a `rustls::Error::Other`, which `tokio-rustls` wraps in an
//! `io::Error`; [`cause`](crate::adapters::cause) finds ours in either.

mod identity;
mod key;

pub use self::identity::{TlsIdentity, certificates};
pub use self::key::TlsKey;
