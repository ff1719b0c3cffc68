//! The client of one place: made when it is needed, used on the library's runtime, made anew when its credentials are
//! refused.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::config::IdentityCache;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use kms_core::{Deadline, ErrorKind, OperationPolicy, Result, runtime};
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use crate::configuration;
use crate::error::Fault;
use crate::options::Place;

/// Time for a connection to be made.
const CONNECT: Duration = Duration::from_millis(3100);
/// Longest time for one attempt: what does not answer by then is asked again, while the deadline allows.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Least share of a deadline for one attempt.
const ATTEMPTS: u32 = 3;

/// Where a client comes from.
#[derive(Clone)]
pub(crate) enum Source {
    /// What the URI says, and for the rest the environment.
    Place(Place),
    /// The application's own.
    Ready(Box<aws_sdk_kms::Config>),
}

/// Whether a request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing, or the same again.
    Yes,
    /// It creates something, or is refused the second time: only when the service said that it did nothing.
    IfRefused,
}

/// One place with its client.
pub(crate) struct Connection {
    source: Source,
    policy: OperationPolicy,
    current: Mutex<Option<Current>>,
    /// Held by the one who makes the credentials anew.
    renewal: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Current {
    client: Client,
    /// Counts renewals.
    generation: u64,
    /// Whose connections it has: those of a parent process belong to its runtime.
    process: u32,
}

impl Connection {
    pub(crate) fn new(source: Source, policy: OperationPolicy) -> Self {
        Self { source, policy, current: Mutex::default(), renewal: tokio::sync::Mutex::new(()) }
    }

    pub(crate) fn policy(&self) -> &OperationPolicy {
        &self.policy
    }

    /// Sends a request, and sends it again while that may help and the deadline allows: after growing, jittered pauses
    /// when it was throttled or the service is unwell, once with new credentials when they were refused.
    ///
    /// Only on the library's own runtime: see [`run`].
    ///
    /// # Errors
    /// The last fault.
    pub(crate) async fn send<T, A>(
        &self,
        operation: &'static str,
        deadline: Deadline,
        repeat: Repeat,
        request: impl Fn(Client) -> A,
    ) -> Result<T, Fault>
    where
        A: Future<Output = Result<T, Fault>>,
    {
        let retry = &self.policy.retry;
        let (mut ceiling, mut tries, mut renewed) = (retry.first_pause, 0, false);
        let (ahead, mut before) = (deadline.ahead(), None::<Fault>);
        loop {
            let current = self.current().await;
            // At trace level the SDK writes whole requests, session token included. Its futures are large.
            let sent = Box::pin(request(current.client).with_subscriber(NoSubscriber::default()));
            let ended = match before.take() {
                // What creates may have done so: then it is not known, and not refused either.
                Some(fault) if repeat == Repeat::Yes => {
                    tokio::time::timeout(ahead.remaining(), sent).await.unwrap_or(Err(fault))
                }
                _ => sent.await,
            };
            let fault = match ended {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            if fault.is_stale_credentials() && !renewed {
                renewed = true;
                tracing::debug!(operation, "credentials were refused and are loaded anew");
                self.renew(current.generation).await;
                continue;
            }
            let again = match fault.kind() {
                ErrorKind::Throttled => true,
                ErrorKind::Unavailable => repeat == Repeat::Yes,
                _ => false,
            };
            // "Full jitter": clients that were throttled together do not come back together.
            let pause = ceiling.mul_f64(fastrand::f64());
            if !again || tries >= retry.retries || pause >= ahead.remaining() {
                return Err(fault);
            }
            tracing::debug!(operation, kind = fault.kind().name(), ?pause, "will try again");
            tokio::time::sleep(pause).await;
            before = Some(fault);
            (ceiling, tries) = (ceiling.saturating_mul(2).min(retry.longest_pause), tries + 1);
        }
    }

    async fn current(&self) -> Current {
        let process = std::process::id();
        if let Some(current) = &*self.slot()
            && current.process == process
        {
            return current.clone();
        }
        let current = self.load(0).await;
        let mut slot = self.slot();
        match &*slot {
            // Somebody else was faster; one client is better than two, since it has the connections.
            Some(there) if there.process == process => there.clone(),
            _ => slot.insert(current).clone(),
        }
    }

    /// Loads profile and credentials anew, unless somebody has since.
    async fn renew(&self, refused: u64) {
        let _alone = self.renewal.lock().await;
        if self.slot().as_ref().is_some_and(|current| current.generation != refused) {
            return;
        }
        let current = self.load(refused + 1).await;
        *self.slot() = Some(current);
    }

    async fn load(&self, generation: u64) -> Current {
        let config = match &self.source {
            Source::Place(place) => {
                let loaded = Box::pin(configuration::load(place).with_subscriber(NoSubscriber::default()));
                loaded.await.to_builder()
            }
            // Fresh: what the application's client remembers of the credentials is what was refused.
            Source::Ready(config) => config.to_builder().identity_cache(IdentityCache::lazy().build()),
        };
        let attempt = ATTEMPT.min(self.policy.timeout / ATTEMPTS).max(Duration::from_millis(1));
        // With a time of our own for connecting, the SDK gives us connections of our own, even from a client that others
        // use on their runtimes.
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(attempt).build();
        let config = config.retry_config(RetryConfig::disabled()).timeout_config(timeouts).build();
        Current { client: Client::from_conf(config), generation, process: std::process::id() }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Configuration for a request that is not cut short before the deadline.
pub(crate) fn patient(deadline: Deadline) -> aws_sdk_kms::config::Builder {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(deadline.remaining());
    aws_sdk_kms::Config::builder().timeout_config(timeouts.build())
}

/// Does work on the library's own runtime, with the deadline.
pub(crate) async fn run<T: Send + 'static>(
    operation: &'static str,
    deadline: Deadline,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    runtime::run(operation, deadline, work).await
}

/// Does work that must not stop half-way: it goes on when the caller does not wait for it any more.
pub(crate) async fn run_to_the_end<T: Send + 'static>(
    operation: &'static str,
    deadline: Deadline,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let detached = async move {
        tokio::spawn(work)
            .await
            .unwrap_or_else(|_| Err(kms_core::Error::new(ErrorKind::Other, format!("{operation}: request panicked"))))
    };
    runtime::run(operation, deadline, detached).await
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Connection");
        match &self.source {
            Source::Place(place) => debug.field("place", place),
            Source::Ready(_) => debug.field("place", &"of the application's client"),
        };
        debug.finish_non_exhaustive()
    }
}
