//! The client of one place: made when it is needed, used on the library's runtime, made anew when its credentials are
//! refused.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use google_cloud_auth::credentials::Credentials;
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_kms_v1::client::KeyManagementService as Client;
use kms_core::{Deadline, ErrorKind, OperationPolicy, Result, runtime};
use rustls::crypto::CryptoProvider;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use crate::credentials;
use crate::error::Fault;
use crate::operation::Operation;
use crate::options::Place;

/// Longest time for one attempt: what does not answer by then is asked again, while the deadline allows.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Least share of a deadline for one attempt.
const ATTEMPTS: u32 = 3;

/// A request on its way.
type Sent<'a, T> = Pin<Box<dyn Future<Output = google_cloud_kms_v1::Result<T>> + Send + 'a>>;

/// Where a client comes from.
#[derive(Clone)]
pub(crate) enum Source {
    /// What the URI says, and for the rest the environment.
    Place(Place),
    /// The application's own credentials.
    Credentials(Credentials, Place),
    /// The application's own client.
    Ready(Client),
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
    /// Held by the one who makes the client.
    making: tokio::sync::Mutex<()>,
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
        Self { source, policy, current: Mutex::default(), making: tokio::sync::Mutex::new(()) }
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
        operation: Operation,
        deadline: Deadline,
        repeat: Repeat,
        request: impl Fn(Client) -> A,
    ) -> Result<T, Fault>
    where
        A: Future<Output = google_cloud_kms_v1::Result<T>> + Send,
    {
        let retry = &self.policy.retry;
        let (mut ceiling, mut tries, mut renewed) = (retry.first_pause, 0, false);
        let (ahead, mut before) = (deadline.ahead(), None::<Fault>);
        loop {
            let attempt = self.attempt(deadline, repeat, &request);
            let ended = match before.take() {
                // What creates may have done so: then it is not known, and not refused either.
                Some(fault) if repeat == Repeat::Yes => match tokio::time::timeout(ahead.remaining(), attempt).await {
                    Ok(ended) => ended,
                    Err(_) => return Err(fault),
                },
                _ => attempt.await,
            };
            let (fault, generation) = match ended {
                Ok(answer) => return Ok(answer),
                Err((fault, generation)) => (fault.needing(operation.permission), generation),
            };
            if fault.is_stale_credentials() && !renewed && !matches!(self.source, Source::Ready(_)) {
                renewed = true;
                tracing::debug!(operation = operation.name, "credentials were refused and are loaded anew");
                self.renew(generation).await?;
                continue;
            }
            let again = match fault.kind() {
                ErrorKind::Throttled => true,
                ErrorKind::Unavailable => repeat == Repeat::Yes && fault.may_pass(),
                _ => false,
            };
            // "Full jitter": clients that were throttled together do not come back together.
            let pause = ceiling.mul_f64(fastrand::f64());
            if !again || tries >= retry.retries || pause >= ahead.remaining() {
                return Err(fault);
            }
            tracing::debug!(operation = operation.name, kind = fault.kind().name(), ?pause, "will try again");
            tokio::time::sleep(pause).await;
            before = Some(fault);
            (ceiling, tries) = (ceiling.saturating_mul(2).min(retry.longest_pause), tries + 1);
        }
    }

    async fn attempt<T, A>(
        &self,
        deadline: Deadline,
        repeat: Repeat,
        request: &impl Fn(Client) -> A,
    ) -> Result<T, (Fault, u64)>
    where
        A: Future<Output = google_cloud_kms_v1::Result<T>> + Send,
    {
        let current = self.current().await.map_err(|fault| (fault, 0))?;
        let generation = current.generation;
        // Cut short, a request that creates would leave nobody knowing whether it did.
        let limit = match repeat {
            Repeat::Yes => ATTEMPT.min(self.policy.timeout / ATTEMPTS).max(Duration::from_millis(1)),
            Repeat::IfRefused => deadline.remaining(),
        };
        // What the client and those beneath it log may hold whole requests. Its futures are large, and their types deep.
        let sent: Sent<'_, T> = Box::pin(request(current.client).with_subscriber(NoSubscriber::default()));
        match tokio::time::timeout(limit, sent).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err((error.into(), generation)),
            Err(_) => Err((Fault::timeout(), generation)),
        }
    }

    async fn current(&self) -> Result<Current, Fault> {
        if let Some(there) = self.ours() {
            return Ok(there);
        }
        let _alone = self.making.lock().await;
        match self.ours() {
            Some(there) => Ok(there),
            None => self.make(0).await,
        }
    }

    /// Loads the credentials anew, unless somebody has since.
    async fn renew(&self, refused: u64) -> Result<(), Fault> {
        let _alone = self.making.lock().await;
        match self.ours() {
            Some(there) if there.generation != refused => Ok(()),
            _ => self.make(refused + 1).await.map(drop),
        }
    }

    async fn make(&self, generation: u64) -> Result<Current, Fault> {
        let made: Pin<Box<dyn Future<Output = Result<Client, Fault>> + Send + '_>> =
            Box::pin(self.client().with_subscriber(NoSubscriber::default()));
        let client = made.await?;
        let current = Current { client, generation, process: std::process::id() };
        *self.slot() = Some(current.clone());
        Ok(current)
    }

    async fn client(&self) -> Result<Client, Fault> {
        if CryptoProvider::get_default().is_none() {
            // Without one the client panics when it is built. Who was faster has installed one just as good.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let (credentials, place) = match &self.source {
            Source::Ready(client) => return Ok(client.clone()),
            Source::Credentials(credentials, place) => (credentials.clone(), place),
            Source::Place(place) => (credentials::load(place)?, place),
        };
        let mut builder = Client::builder().with_credentials(credentials).with_retry_policy(NeverRetry);
        if let Some(endpoint) = &place.endpoint_url {
            builder = builder.with_endpoint(endpoint);
        }
        builder.build().await.map_err(|error| Fault::client(&error))
    }

    fn ours(&self) -> Option<Current> {
        self.slot().as_ref().filter(|current| current.process == std::process::id()).cloned()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
            Source::Place(place) | Source::Credentials(_, place) => debug.field("place", place),
            Source::Ready(_) => debug.field("place", &"of the application's client"),
        };
        debug.finish_non_exhaustive()
    }
}
