//! Handshakes that block no other task, and what went wrong with them.

use std::future::Future;
use std::io;
use std::time::Duration;

use kmskit::adapters::cause;
use kmskit::{Error, ErrorKind};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Carries a handshake out on a thread where its signature may take its time, while the runtime's workers go on.
pub(crate) async fn off_the_workers<T: Send + 'static>(
    limit: Duration,
    handshake: impl Future<Output = io::Result<T>> + Send + 'static,
) -> io::Result<T> {
    let runtime = Handle::current();
    // The limit is inside: from without, a blocking thread cannot be stopped.
    spawn_blocking(move || runtime.block_on(timeout(limit, handshake))).await??
}

/// The fault of a connection: that of our own key where it is that, else that of TLS or the network.
pub(crate) fn failed(what: &str, error: io::Error) -> Error {
    if let Some(own) = cause(&error) {
        return own.duplicate().in_context(what);
    }
    let kind = match error.kind() {
        io::ErrorKind::TimedOut => ErrorKind::Timeout,
        // What TLS itself refuses.
        io::ErrorKind::InvalidData => ErrorKind::Other,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, what.to_owned()).with_source(error)
}
