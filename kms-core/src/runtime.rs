//! The one runtime on which network backends run every request.
//!
//! A pooled connection belongs to the runtime that opened it: its driver task lives there. Were requests to run on
//! their callers' runtimes, a later synchronous call could wait on a connection whose driver cannot run because that
//! very call blocks its thread. So requests run here, for synchronous and asynchronous callers alike, and callers wait
//! on a channel.

use std::future::Future;
use std::sync::{OnceLock, PoisonError, RwLock};

use tokio::runtime::Handle;

use crate::{Deadline, Error, ErrorKind, Result};

/// Runs `request` on the library's own runtime and waits for it, from any thread or executor, until the deadline.
/// Dropping the returned future cancels the request.
///
/// # Errors
/// Those of `request`; [`Timeout`](ErrorKind::Timeout) at the deadline; [`Other`](ErrorKind::Other) when it panics;
/// [`Unavailable`](ErrorKind::Unavailable) when the runtime cannot be started.
pub async fn run<T: Send + 'static>(
    operation: &'static str,
    deadline: Deadline,
    request: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let task = CancelOnDrop(handle()?.spawn(async move {
        // Here the deadline has a timer of the runtime; no second one is needed outside.
        tokio::time::timeout(deadline.remaining(), request).await.unwrap_or_else(|_| Err(Deadline::error(operation)))
    }));
    task.finish(operation).await
}

struct CancelOnDrop<T>(tokio::task::JoinHandle<Result<T>>);

impl<T> CancelOnDrop<T> {
    async fn finish(mut self, operation: &'static str) -> Result<T> {
        // The panic's own message could hold anything, so it is no source.
        (&mut self.0)
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Other, format!("{operation}: request panicked"))))
    }
}

impl<T> Drop for CancelOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The runtime's handle. Its thread is started at the first request and lives as long as the process; after a fork the
/// child starts its own.
fn handle() -> Result<Handle> {
    static RUNNING: OnceLock<RwLock<Option<(u32, Handle)>>> = OnceLock::new();
    let running = RUNNING.get_or_init(RwLock::default);
    let process = std::process::id();
    if let Some((owner, handle)) = &*running.read().unwrap_or_else(PoisonError::into_inner)
        && *owner == process
    {
        return Ok(handle.clone());
    }
    let mut running = running.write().unwrap_or_else(PoisonError::into_inner);
    match &*running {
        Some((owner, handle)) if *owner == process => Ok(handle.clone()),
        _ => {
            let handle = start().map_err(|error| {
                Error::new(ErrorKind::Unavailable, "cannot start the network runtime").with_source(error)
            })?;
            *running = Some((process, handle.clone()));
            Ok(handle)
        }
    }
}

fn start() -> std::io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new().name("kms-network".to_owned()).spawn(move || {
        runtime.block_on(std::future::pending::<()>());
    })?;
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::block_on;

    fn later() -> Deadline {
        Deadline::after(Duration::from_secs(20))
    }

    /// A resource as a pooled connection is: driven by a task on the runtime that made it.
    #[derive(Clone, Default)]
    struct Pooled(Arc<Mutex<Option<tokio::sync::mpsc::Sender<tokio::sync::oneshot::Sender<u32>>>>>);

    impl Pooled {
        async fn request(self) -> Result<u32> {
            let connection = self.0.lock().unwrap().get_or_insert_with(Self::connect).clone();
            let (answer, wait) = tokio::sync::oneshot::channel();
            connection.send(answer).await.unwrap();
            Ok(wait.await.unwrap())
        }

        fn connect() -> tokio::sync::mpsc::Sender<tokio::sync::oneshot::Sender<u32>> {
            let (sender, mut requests) = tokio::sync::mpsc::channel::<tokio::sync::oneshot::Sender<u32>>(1);
            tokio::spawn(async move {
                while let Some(answer) = requests.recv().await {
                    tokio::task::yield_now().await;
                    let _ = answer.send(42);
                }
            });
            sender
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_synchronous_call_after_an_asynchronous_one_does_not_hang() {
        let client = Pooled::default();
        assert_eq!(run("sign", later(), client.clone().request()).await.unwrap(), 42);
        assert_eq!(block_on(run("sign", later(), client.request())).unwrap(), 42);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn nor_on_a_runtime_with_one_worker() {
        let client = Pooled::default();
        let inner = client.clone();
        tokio::spawn(async move {
            assert_eq!(run("sign", later(), inner.clone().request()).await.unwrap(), 42);
            assert_eq!(block_on(run("sign", later(), inner.request())).unwrap(), 42);
        })
        .await
        .unwrap();
    }

    #[test]
    fn no_runtime_is_needed() {
        let client = Pooled::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let client = client.clone();
                scope.spawn(move || assert_eq!(block_on(run("sign", later(), client.request())).unwrap(), 42));
            }
        });
    }

    #[test]
    fn the_deadline_holds_and_panics_are_faults() {
        let start = Instant::now();
        let deadline = Deadline::after(Duration::from_millis(50));
        let error = block_on(run::<()>("sign", deadline, std::future::pending())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(start.elapsed() < Duration::from_secs(2));
        let error = block_on(run::<()>("sign", later(), async { panic!("client") })).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other);
        assert_eq!(block_on(run("sign", later(), async { Ok(1) })).unwrap(), 1);
    }

    #[test]
    fn dropping_the_future_cancels_the_request() {
        struct Notice(Arc<AtomicBool>);
        impl Drop for Notice {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let cancelled = Arc::new(AtomicBool::new(false));
        let notice = Notice(Arc::clone(&cancelled));
        let request = run::<()>("sign", later(), async move {
            let _notice = notice;
            std::future::pending().await
        });
        let _ = block_on(Deadline::after(Duration::from_millis(20)).run("wait", request));
        let give_up = Instant::now() + Duration::from_secs(5);
        while !cancelled.load(Ordering::SeqCst) {
            assert!(Instant::now() < give_up, "the request goes on");
            std::thread::yield_now();
        }
    }
}
