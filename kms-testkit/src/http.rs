//! What the stand-ins for the clouds have in common: an HTTP server in a thread of its own, and switches by operation.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

pub(crate) type Reply = Response<Full<Bytes>>;

/// What answers requests.
pub(crate) trait Serve: Send + Sync + 'static {
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Result<Reply, Closed>> + Send;
}

/// The connection is closed without an answer.
#[derive(Debug)]
pub(crate) struct Closed;

/// A running server; it ends when this is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on that port of this machine; 0 for any.
    pub(crate) fn start(name: &str, port: u16, service: Arc<impl Serve>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicUsize::new(0));
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let counting = Arc::clone(&connections);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async move {
                tokio::spawn(serve(listener, service, counting));
                let _ = stopped.await;
            });
            runtime.shutdown_background();
        })?;
        Ok(Self { address, connections, stop: Some(stop), thread: Some(thread) })
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Waits until the server ends, which it does not by itself.
    pub(crate) fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: std::net::TcpListener, service: Arc<impl Serve>, connections: Arc<AtomicUsize>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(connection(stream, Arc::clone(&service)));
            }
            // Out of file descriptors, most likely: they come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(stream: TcpStream, service: Arc<impl Serve>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { service.answer(request).await }
    });
    // What is wrong with a connection is its client's to notice.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed on purpose")
    }
}

impl std::error::Error for Closed {}

/// A fault that a switch sets.
pub(crate) trait Switched: Clone + Default {
    /// Of a hundred requests, how many have it, evenly spread; none for all.
    fn share(&self) -> Option<u8>;
}

/// Faults by operation, with the requests left for which they hold; and how often each operation was asked for.
#[derive(Debug, Default)]
pub(crate) struct Switches<F> {
    by_operation: BTreeMap<String, (F, Option<usize>)>,
    requests: BTreeMap<String, usize>,
    spread: u32,
}

impl<F: Switched> Switches<F> {
    pub(crate) fn set(&mut self, operation: &str, fault: F, times: Option<usize>) {
        self.by_operation.insert(operation.to_owned(), (fault, times));
    }

    pub(crate) fn clear(&mut self) {
        self.by_operation.clear();
    }

    /// Counts a request.
    pub(crate) fn count(&mut self, operation: &str) {
        *self.requests.entry(operation.to_owned()).or_default() += 1;
    }

    /// How many there were; `*` for all.
    pub(crate) fn requests(&self, operation: &str) -> usize {
        if operation == "*" {
            return self.requests.values().sum();
        }
        self.requests.get(operation).copied().unwrap_or_default()
    }

    /// The fault of this request; that of `*` for an operation that has none of its own.
    pub(crate) fn next(&mut self, operation: &str) -> F {
        let key = if self.by_operation.contains_key(operation) { operation } else { "*" };
        let Some((fault, times)) = self.by_operation.get_mut(key) else { return F::default() };
        match times {
            Some(0) => return F::default(),
            Some(times) => *times -= 1,
            None => {}
        }
        let Some(percent) = fault.share() else { return fault.clone() };
        // By the golden ratio: never long runs, and no rhythm that clients could fall in with.
        self.spread = self.spread.wrapping_add(2_654_435_769);
        let share = (u64::from(self.spread) * 100) >> 32;
        if share < u64::from(percent) { fault.clone() } else { F::default() }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
