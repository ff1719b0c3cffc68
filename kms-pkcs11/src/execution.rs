//! Which thread makes the calls.

use std::sync::{Arc, Mutex, PoisonError};

use kms_core::worker::Workers;
use kms_core::{Deadline, Execution, OperationPolicy, Result};

use crate::rescue::Rescue;

/// Runs work on workers, where a call that hangs costs its worker and not the caller, or on the caller's thread.
#[derive(Debug)]
pub(crate) struct Executor {
    execution: Execution,
    limit: usize,
    /// With the process they belong to: a fork leaves them behind.
    workers: Mutex<(u32, Workers)>,
}

impl Executor {
    /// At most `limit` workers: as many as there can be sessions, so that the line is that of the workers.
    pub(crate) fn new(policy: &OperationPolicy, limit: usize) -> Self {
        Self { execution: policy.execution, limit, workers: Mutex::new((std::process::id(), workers(limit))) }
    }

    /// Carries `work` out.
    ///
    /// # Errors
    /// Those of `work`; on a worker also `Timeout` at the deadline.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        deadline: Deadline,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match self.execution {
            Execution::Direct => work(),
            _ => self.workers().run(operation, deadline, work).await,
        }
    }

    /// Carries out work that may be done twice: on a worker, and again on another while the one before is given up.
    /// `given_up` is told what the thread had of the pool.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(crate) async fn run_rescued<T: Send + 'static, W: FnOnce() -> Result<T> + Send + 'static>(
        &self,
        operation: &'static str,
        deadline: Deadline,
        work: impl Fn(Option<Arc<Rescue>>) -> W,
        given_up: impl Fn(u64),
    ) -> Result<T> {
        if self.execution == Execution::Direct {
            return work(None)();
        }
        loop {
            let rescue = Arc::new(Rescue::default());
            let workers = self.workers();
            let attempt = workers.run(operation, deadline, work(Some(Arc::clone(&rescue))));
            match rescue.wait(attempt).await {
                Some(result) => return result,
                None => given_up(rescue.held()),
            }
        }
    }

    fn workers(&self) -> Workers {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if workers.0 != std::process::id() {
            // What the others hold is theirs; only their threads are missing here.
            let inherited = std::mem::replace(&mut *workers, (std::process::id(), self::workers(self.limit)));
            std::mem::forget(inherited);
        }
        workers.1.clone()
    }
}

fn workers(limit: usize) -> Workers {
    Workers::new("kms-pkcs11", limit)
}
