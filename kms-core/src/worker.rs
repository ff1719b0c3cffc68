//! Where blocking calls run, and how a synchronous caller waits.
//!
//! Work runs where its resource lives; callers only wait. A call that may block for long, or for ever, runs on a thread
//! of [`Workers`]; what the caller awaits is a channel and needs no particular executor. So a synchronous caller may
//! park its thread on it, inside or outside any runtime, and the deadline holds even when the call never returns.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_channel::oneshot;

use crate::{Deadline, Error, ErrorKind, Result};

/// How long an idle worker is kept.
const IDLE: Duration = Duration::from_secs(10);

/// How many threads may be stuck in calls that nobody waits for any more, for each that may work.
const STUCK_PER_THREAD: usize = 16;

/// Waits for `future` on this thread, parking it. For synchronous callers; may be used inside a runtime, where it
/// blocks that thread as any blocking call does.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    futures_lite::future::block_on(future)
}

/// Runs `work` on a worker thread that everyone in the process shares: key generation, file access.
///
/// # Errors
/// Those of `work`; [`Timeout`](ErrorKind::Timeout) at the deadline, and then the work may still go on unobserved.
pub async fn offload<T: Send + 'static>(
    operation: &'static str,
    deadline: Deadline,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    static SHARED: LazyLock<Workers> = LazyLock::new(|| Workers::new("kms-worker", 64));
    SHARED.run(operation, deadline, work).await
}

/// Threads that carry out blocking calls, first come, first served.
///
/// A thread whose caller stopped waiting, because the deadline came or the future was dropped, is given up: it no longer
/// counts against the limit, a new one takes its place, and it ends when its call does. When sixteen times as many as may
/// work are stuck so, calls are refused until some return: a device that is dead must not fill the process with threads.
#[derive(Clone)]
pub struct Workers(Arc<Shared>);

struct Shared {
    name: &'static str,
    limit: usize,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Box<dyn Task>>,
    threads: usize,
    idle: usize,
    stuck: usize,
}

trait Task: Send {
    /// Carries the call out. False when its caller had given up meanwhile, and with it the thread.
    fn carry_out(self: Box<Self>) -> bool;
}

impl Workers {
    /// At most `limit` threads, started when there is work and named `name`.
    pub fn new(name: &'static str, limit: usize) -> Self {
        let (state, wake) = (Mutex::default(), Condvar::new());
        Self(Arc::new(Shared { name, limit: limit.max(1), state, wake }))
    }

    /// Runs `work` on one of the threads and waits for it until the deadline.
    ///
    /// # Errors
    /// Those of `work`; [`Timeout`](ErrorKind::Timeout) at the deadline; [`Other`](ErrorKind::Other) when `work`
    /// panics; [`Unavailable`](ErrorKind::Unavailable) when no thread can be started or too many are stuck.
    pub async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        deadline: Deadline,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let stage = Arc::new(Mutex::new(Stage::Queued));
        let ticket = Ticket { shared: Arc::clone(&self.0), stage: Arc::clone(&stage) };
        self.0.enqueue(Box::new(Call { work, sender, stage }))?;
        let answer = async {
            receiver
                .await
                .unwrap_or_else(|_| Err(Error::new(ErrorKind::Other, format!("{operation}: worker panicked"))))
        };
        let result = deadline.run(operation, answer).await;
        drop(ticket);
        result
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.0.state);
        f.debug_struct("Workers")
            .field("name", &self.0.name)
            .field("limit", &self.0.limit)
            .field("threads", &state.threads)
            .field("waiting", &state.queue.len())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn enqueue(self: &Arc<Self>, task: Box<dyn Task>) -> Result<()> {
        let mut state = lock(&self.state);
        if state.stuck >= self.limit * STUCK_PER_THREAD {
            return Err(Error::new(ErrorKind::Unavailable, format!("{} calls hang already", state.stuck))
                .with_hint("the device or its software does not answer; see to it, or restart the process"));
        }
        state.queue.push_back(task);
        if state.idle >= state.queue.len() {
            self.wake.notify_one();
            return Ok(());
        }
        if state.threads >= self.limit {
            return Ok(());
        }
        self.start_thread(&mut state).or_else(|error| {
            // Somebody else will carry it out, unless there is nobody.
            if state.threads > 0 {
                return Ok(());
            }
            state.queue.pop_back();
            Err(Error::new(ErrorKind::Unavailable, "cannot start a worker thread").with_source(error))
        })
    }

    fn start_thread(self: &Arc<Self>, state: &mut State) -> std::io::Result<()> {
        let shared = Arc::clone(self);
        std::thread::Builder::new().name(self.name.to_owned()).spawn(move || shared.work())?;
        state.threads += 1;
        Ok(())
    }

    fn work(&self) {
        while let Some(task) = self.next() {
            // What a task owns may panic even while it is dropped; the thread goes on all the same.
            if !catch_unwind(AssertUnwindSafe(|| task.carry_out())).unwrap_or(true) {
                lock(&self.state).stuck -= 1;
                return; // Given up: the ticket has already taken this thread off the count.
            }
        }
    }

    fn next(&self) -> Option<Box<dyn Task>> {
        let mut state = lock(&self.state);
        loop {
            if let Some(task) = state.queue.pop_front() {
                return Some(task);
            }
            state.idle += 1;
            let (guard, wait) = self.wake.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.idle -= 1;
            if wait.timed_out() && state.queue.is_empty() {
                state.threads -= 1;
                return None;
            }
        }
    }

    /// Takes a thread that is stuck in a call off the count and lets another serve those who wait.
    fn give_up_one(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        state.threads -= 1;
        state.stuck += 1;
        if !state.queue.is_empty()
            && let Err(error) = self.start_thread(&mut state)
        {
            tracing::warn!(%error, "cannot replace a worker that hangs");
        }
    }
}

/// Where a call is, as its caller and its thread must agree.
#[derive(PartialEq, Eq)]
enum Stage {
    Queued,
    Running,
    Done,
    Abandoned,
}

/// The caller's side: when it is dropped early, the call is withdrawn or its thread given up.
struct Ticket {
    shared: Arc<Shared>,
    stage: Arc<Mutex<Stage>>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let before = std::mem::replace(&mut *lock(&self.stage), Stage::Abandoned);
        if before == Stage::Running {
            self.shared.give_up_one();
        }
    }
}

struct Call<T, W> {
    work: W,
    sender: oneshot::Sender<Result<T>>,
    stage: Arc<Mutex<Stage>>,
}

impl<T: Send, W: FnOnce() -> Result<T> + Send> Task for Call<T, W> {
    fn carry_out(self: Box<Self>) -> bool {
        let Self { work, sender, stage } = *self;
        if std::mem::replace(&mut *lock(&stage), Stage::Running) == Stage::Abandoned {
            *lock(&stage) = Stage::Abandoned;
            return true; // Withdrawn before it began; the thread is as good as new.
        }
        let result = catch_unwind(AssertUnwindSafe(work));
        let still_wanted = {
            let mut stage = lock(&stage);
            let wanted = *stage != Stage::Abandoned;
            if wanted {
                *stage = Stage::Done;
            }
            wanted
        };
        // A panic in the call drops the sender, which the caller sees. What nobody takes may panic when it is dropped.
        let _ = catch_unwind(AssertUnwindSafe(|| match result {
            Ok(result) if still_wanted => drop(sender.send(result)),
            other => drop(other),
        }));
        still_wanted
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here panics while it holds a lock, so a poisoned one is still consistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    fn soon() -> Deadline {
        Deadline::after(Duration::from_millis(50))
    }

    fn later() -> Deadline {
        Deadline::after(Duration::from_secs(20))
    }

    #[test]
    fn work_is_carried_out_and_faults_come_back() {
        let workers = Workers::new("test", 2);
        assert_eq!(block_on(workers.run("sign", later(), || Ok(7))).unwrap(), 7);
        let fail = || Err::<(), _>(Error::new(ErrorKind::NotFound, "no key"));
        assert_eq!(block_on(workers.run("sign", later(), fail)).unwrap_err().kind(), ErrorKind::NotFound);
        let error = block_on(workers.run::<()>("sign", later(), || panic!("module"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other);
        assert_eq!(block_on(workers.run("sign", later(), || Ok(8))).unwrap(), 8);
    }

    #[test]
    fn a_call_that_hangs_costs_its_worker_and_not_the_next_caller() {
        let workers = Workers::new("test", 1);
        let (release, hang) = mpsc::channel::<()>();
        let start = Instant::now();
        let error = block_on(workers.run("sign", soon(), move || Ok(hang.recv().is_ok()))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(start.elapsed() < Duration::from_millis(150), "{:?}", start.elapsed());
        assert_eq!(block_on(workers.run("sign", later(), || Ok(1))).unwrap(), 1);
        drop(release);
        assert_eq!(block_on(workers.run("sign", later(), || Ok(2))).unwrap(), 2);
        assert_eq!(lock(&workers.0.state).threads, 1);
    }

    #[test]
    fn a_queued_call_is_withdrawn_when_its_caller_gives_up() {
        let workers = Workers::new("test", 1);
        let (release, hang) = mpsc::channel::<()>();
        let busy = workers.clone();
        let first = std::thread::spawn(move || block_on(busy.run("sign", later(), move || Ok(hang.recv().is_ok()))));
        while lock(&workers.0.state).threads == 0 || !lock(&workers.0.state).queue.is_empty() {
            std::thread::yield_now();
        }
        let error = block_on(workers.run("sign", soon(), || -> Result<()> { panic!("must not run") })).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        drop(release);
        assert!(!first.join().unwrap().unwrap());
        assert_eq!(block_on(workers.run("sign", later(), || Ok(3))).unwrap(), 3);
    }

    #[test]
    fn threads_that_hang_are_limited_and_come_back() {
        let workers = Workers::new("test", 1);
        let (release, hang) = mpsc::channel::<()>();
        let hang = Arc::new(Mutex::new(hang));
        let mut refused = 0;
        for _ in 0..STUCK_PER_THREAD + 4 {
            let hang = Arc::clone(&hang);
            let call = move || Ok(lock(&hang).recv().is_ok());
            let error = block_on(workers.run("sign", Deadline::after(Duration::from_millis(5)), call)).unwrap_err();
            refused += usize::from(error.kind() == ErrorKind::Unavailable);
        }
        assert!(refused >= 3, "{refused}");
        drop(release);
        let give_up = Instant::now() + Duration::from_secs(10);
        while lock(&workers.0.state).stuck > 0 {
            assert!(Instant::now() < give_up);
            std::thread::yield_now();
        }
        assert_eq!(block_on(workers.run("sign", later(), || Ok(1))).unwrap(), 1);
    }

    #[test]
    fn what_panics_when_dropped_costs_no_thread() {
        #[derive(Debug)]
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        let workers = Workers::new("test", 1);
        let (release, hang) = mpsc::channel::<()>();
        let busy = workers.clone();
        let first = std::thread::spawn(move || block_on(busy.run("sign", later(), move || Ok(hang.recv().is_ok()))));
        while lock(&workers.0.state).threads == 0 || !lock(&workers.0.state).queue.is_empty() {
            std::thread::yield_now();
        }
        let bomb = Bomb;
        let withdrawn = workers.run("sign", soon(), move || {
            std::mem::forget(bomb);
            Ok(())
        });
        assert_eq!(block_on(withdrawn).unwrap_err().kind(), ErrorKind::Timeout);
        drop(release);
        first.join().unwrap().unwrap();
        for _ in 0..3 {
            assert_eq!(block_on(workers.run("sign", later(), || Ok(4))).unwrap(), 4);
        }
    }

    #[test]
    fn many_callers_share_few_threads() {
        let workers = Workers::new("test", 3);
        std::thread::scope(|scope| {
            for caller in 0..32 {
                let workers = &workers;
                scope.spawn(move || {
                    for _ in 0..50 {
                        assert_eq!(block_on(workers.run("sign", later(), move || Ok(caller))).unwrap(), caller);
                    }
                });
            }
        });
        assert!(lock(&workers.0.state).threads <= 3);
    }
}
