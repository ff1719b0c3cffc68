//! The server's side of a handshake.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::server::TlsStream;

use crate::handshake::off_the_workers;

/// Longest wait for the client's first message, and again for the rest of the handshake.
const LIMIT: Duration = Duration::from_secs(10);

/// A handshake that blocks no other task, and keeps no thread for those who connect and say nothing.
pub(crate) async fn accept<IO>(stream: IO, config: Arc<ServerConfig>) -> io::Result<TlsStream<IO>>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let hello = timeout(LIMIT, LazyConfigAcceptor::new(Acceptor::default(), stream)).await??;
    // `into_stream` signs, unless it must ask the client to begin anew: then what it returns does.
    off_the_workers(LIMIT, async move { hello.into_stream(config).await }).await
}
