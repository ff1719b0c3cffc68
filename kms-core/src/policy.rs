//! How long an operation may take, what is tried again, and what is checked.

use std::cmp::Ordering;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};

use crate::alarm::Alarm;
use crate::{Error, ErrorKind, Result};

/// The rules for every operation of a manager and its signers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OperationPolicy {
    /// Time for one operation, retries included; 30 s unless set.
    pub timeout: Duration,
    /// Whether each signature is verified before the caller sees it; on unless switched off.
    pub verify: bool,
    /// Which thread carries out calls to a device.
    pub execution: Execution,
    /// What is tried again, and how often.
    pub retry: RetryPolicy,
}

/// Which thread carries out calls to a device. Software keys compute in place and network backends always use their
/// own runtime, so this concerns PKCS #11 modules and cards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Execution {
    /// A worker thread: the deadline holds even when the module hangs.
    #[default]
    Guarded,
    /// The caller's thread: saves the hand-over, but a call that hangs, hangs its caller.
    Direct,
}

/// How faults that say "try again" are tried again: with growing, jittered pauses, inside the deadline.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Most tries after the first.
    pub retries: usize,
    /// The first pause; each next one is twice as long, plus jitter.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for OperationPolicy {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            verify: true,
            execution: Execution::default(),
            retry: RetryPolicy::default(),
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { retries: 20, first_pause: Duration::from_millis(50), longest_pause: Duration::from_secs(2) }
    }
}

impl OperationPolicy {
    /// Sets the time for one operation.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Hands out signatures without verifying them: a wrong one from a broken device then reaches the caller.
    pub fn dangerous_without_verification(mut self) -> Self {
        self.verify = false;
        self
    }

    /// Sets which thread carries out calls to a device.
    pub fn with_execution(mut self, execution: Execution) -> Self {
        self.execution = execution;
        self
    }

    /// Sets what is tried again.
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// The deadline of an operation that starts now.
    pub fn deadline(&self) -> Deadline {
        Deadline::after(self.timeout)
    }
}

/// A point in time after which nobody waits any more. The earlier of two is the lesser; one that never comes is the
/// greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// `timeout` from now; a time too far to express never comes.
    pub fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// What is left; zero once it has passed.
    pub fn remaining(self) -> Duration {
        self.0.map_or(Duration::MAX, |instant| instant.saturating_duration_since(Instant::now()))
    }

    /// A little before it, for who works for somebody that waits until then: so he is told why nothing came of it, and not
    /// only that time is up. 50 ms, and nothing where there are less than five times as many left.
    #[must_use]
    pub fn ahead(self) -> Self {
        const MARGIN: Duration = Duration::from_millis(50);
        match self.0 {
            Some(at) if self.remaining() > 5 * MARGIN => Self(at.checked_sub(MARGIN)),
            _ => self,
        }
    }

    /// Whether it has passed.
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// The error of an operation that it cut short; `operation` says which.
    pub fn error(operation: &str) -> Error {
        Error::new(ErrorKind::Timeout, format!("{operation}: not finished at the deadline"))
            .with_hint("allow more time, or look whether the device, service or disk answers")
    }

    /// Waits for `future`, but not past the deadline. Needs no particular executor; a future that is ready at once
    /// costs no timer.
    ///
    /// The future is dropped at the deadline, so it must only wait, for a worker or a runtime, and not itself block.
    ///
    /// # Errors
    /// [`Timeout`](ErrorKind::Timeout), or those of the future.
    pub async fn run<T>(self, operation: &str, future: impl Future<Output = Result<T>>) -> Result<T> {
        let mut future = pin!(future);
        let mut alarm = None;
        poll_fn(|context| {
            if let ready @ Poll::Ready(_) = future.as_mut().poll(context) {
                return ready;
            }
            let Some(at) = self.0 else { return Poll::Pending };
            if self.has_passed() {
                return Poll::Ready(Err(Self::error(operation)));
            }
            // Who cannot be woken must not begin to wait.
            alarm.get_or_insert_with(|| Alarm::at(at)).set(context).map_or_else(
                |error| {
                    let context = format!("{operation}: cannot start the thread that keeps deadlines");
                    Poll::Ready(Err(Error::new(ErrorKind::Unavailable, context).with_source(error)))
                },
                |()| Poll::Pending,
            )
        })
        .await
    }

    /// Runs `attempt` until it succeeds, fails with something that a retry cannot help, or the deadline comes.
    ///
    /// For calls that may be repeated without harm only: never with a PIN, never to create something. Only
    /// [`Throttled`](ErrorKind::Throttled) and [`Unavailable`](ErrorKind::Unavailable) are tried again.
    ///
    /// # Errors
    /// The last error of `attempt`, or [`Timeout`](ErrorKind::Timeout).
    pub async fn retry<T, F>(self, operation: &str, policy: &RetryPolicy, attempt: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(policy.first_pause)
            .with_max_delay(policy.longest_pause)
            .with_max_times(policy.retries)
            .with_jitter();
        let again = |error: &Error| matches!(error.kind(), ErrorKind::Throttled | ErrorKind::Unavailable);
        let notice = |error: &Error, pause: Duration| {
            tracing::debug!(operation, kind = error.kind().name(), ?pause, "will try again");
        };
        let work = attempt.retry(pauses).sleep(backon::FuturesTimerSleeper).when(again).notify(notice);
        self.run(operation, work).await
    }
}

impl Ord for Deadline {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.0, other.0) {
            (Some(one), Some(other)) => one.cmp(&other),
            (one, other) => one.is_none().cmp(&other.is_none()),
        }
    }
}

impl PartialOrd for Deadline {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, ready};

    use futures_lite::future::block_on;

    use super::*;

    #[test]
    fn what_never_ends_is_cut_at_the_deadline() {
        let start = Instant::now();
        let never = pending::<Result<()>>();
        let error = block_on(Deadline::after(Duration::from_millis(30)).run("sign", never)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }

    #[test]
    fn what_is_ready_needs_no_time() {
        assert_eq!(block_on(Deadline::after(Duration::ZERO).run("sign", ready(Ok(1)))).unwrap(), 1);
    }

    #[test]
    fn the_earlier_deadline_is_the_lesser_and_never_comes_last() {
        let (now, soon, never) = (Duration::ZERO, Duration::from_secs(9), Duration::MAX);
        let [now, soon, never] = [now, soon, never].map(Deadline::after);
        assert!(now < soon && soon < never && never <= never);
        assert_eq!(never.min(soon), soon);
    }

    #[test]
    fn ahead_is_before_where_there_is_time_for_it() {
        let [soon, later, never] =
            [Duration::from_millis(200), Duration::from_secs(9), Duration::MAX].map(Deadline::after);
        assert_eq!(soon.ahead(), soon);
        assert!(later.ahead() < later && later.ahead() > soon);
        assert_eq!(never.ahead(), never);
    }

    #[test]
    fn only_faults_that_say_so_are_tried_again() {
        let policy = RetryPolicy { retries: 5, first_pause: Duration::from_millis(1), ..RetryPolicy::default() };
        for (kind, expected) in [
            (ErrorKind::Throttled, 6),
            (ErrorKind::Unavailable, 6),
            (ErrorKind::PinIncorrect { tries_left: Some(1) }, 1),
            (ErrorKind::Unauthenticated, 1),
            (ErrorKind::NotFound, 1),
            (ErrorKind::Integrity, 1),
        ] {
            let tries = Cell::new(0);
            let attempt = || {
                tries.set(tries.get() + 1);
                ready(Err::<(), _>(Error::new(kind, "no")))
            };
            let error = block_on(Deadline::after(Duration::from_secs(5)).retry("sign", &policy, attempt)).unwrap_err();
            assert_eq!((error.kind(), tries.get()), (kind, expected));
        }
    }

    #[test]
    fn retries_end_at_the_deadline() {
        let start = Instant::now();
        let attempt = || ready(Err::<(), _>(Error::new(ErrorKind::Throttled, "no")));
        let policy = RetryPolicy::default();
        let error = block_on(Deadline::after(Duration::from_millis(80)).retry("sign", &policy, attempt)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}
