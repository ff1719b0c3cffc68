//! Where blocking calls run, and how a synchronous caller waits.
//!
//! Work runs where its resource lives; callers only wait. A call that may block for long, or for ever, runs on a thread
//! of [`Workers`]; what the caller awaits is a channel and needs no particular executor. So a synchronous caller may
//! park its thread on it, inside or outside any runtime, and the deadline holds even when the call never returns.

mod call;
mod seat;

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use futures_channel::oneshot;

use self::call::{Call, Stage, Task};
use self::seat::Seat;
use crate::{Deadline, Error, ErrorKind, Result};

/// How long an idle worker is kept.
const IDLE: Duration = Duration::from_secs(10);

/// How long a thread without work looks out for more before it sleeps: as long as it takes to wake a caller who asks
/// again at once. Waking two threads for each call costs more, in time and in processor time.
const LOOKOUT: Duration = Duration::from_micros(30);

/// After how many times in vain it looks out only now and then: callers are not so quick.
const IN_VAIN: u32 = 4;

/// How often that is.
const NOW_AND_THEN: u32 = 64;

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
/// Work goes straight to the thread that became idle last, which looks out for more for a moment before it sleeps.
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
    /// The one thread that looks out: the last to become idle, by the address of its seat.
    lookout: AtomicUsize,
    /// How many times none was given work while it looked out, since the last that was.
    in_vain: AtomicU32,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Box<dyn Task>>,
    /// Those without work, the last one last. Nobody waits in the queue while there is one.
    idle: Vec<Arc<Seat>>,
    threads: usize,
    stuck: usize,
}

impl Workers {
    /// At most `limit` threads, started when there is work and named `name`.
    pub fn new(name: &'static str, limit: usize) -> Self {
        let (state, lookout, in_vain) = (Mutex::default(), AtomicUsize::new(0), AtomicU32::new(0));
        Self(Arc::new(Shared { name, limit: limit.max(1), state, lookout, in_vain }))
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
        if let Some(seat) = state.idle.pop() {
            drop(state);
            seat.give(task);
            return Ok(());
        }
        state.queue.push_back(task);
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
        let seat = Arc::new(Seat::own());
        while let Some(task) = self.next(&seat) {
            // What a task owns may panic even while it is dropped; the thread goes on all the same.
            if !catch_unwind(AssertUnwindSafe(|| task.carry_out())).unwrap_or(true) {
                lock(&self.state).stuck -= 1;
                return; // Given up: the ticket has already taken this thread off the count.
            }
        }
    }

    fn next(&self, seat: &Arc<Seat>) -> Option<Box<dyn Task>> {
        {
            let mut state = lock(&self.state);
            if let Some(task) = state.queue.pop_front() {
                return Some(task);
            }
            seat.make_free();
            state.idle.push(Arc::clone(seat));
        }
        if self.looks_out(seat) || seat.sleeps(IDLE) {
            return Some(seat.take());
        }
        let mut state = lock(&self.state);
        let Some(at) = state.idle.iter().position(|other| Arc::ptr_eq(other, seat)) else {
            drop(state);
            return Some(seat.take()); // At the last moment.
        };
        state.idle.remove(at);
        state.threads -= 1;
        None
    }

    /// Whether a task is given within a moment. Lets others have the processor meanwhile, and stops as soon as another
    /// thread looks out, which will be the next to be given work.
    fn looks_out(&self, seat: &Arc<Seat>) -> bool {
        let in_vain = self.in_vain.load(Ordering::Relaxed);
        let (address, start) = (Arc::as_ptr(seat).addr(), Instant::now());
        self.lookout.store(address, Ordering::Relaxed);
        if in_vain < IN_VAIN || in_vain.is_multiple_of(NOW_AND_THEN) {
            while start.elapsed() < LOOKOUT && self.lookout.load(Ordering::Relaxed) == address {
                if seat.is_taken() {
                    self.in_vain.store(0, Ordering::Relaxed);
                    return true;
                }
                thread::yield_now();
            }
        }
        self.in_vain.store(in_vain.wrapping_add(1), Ordering::Relaxed);
        false
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here panics while it holds a lock, so a poisoned one is still consistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

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
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
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
        // On a busy machine a call may be withdrawn before it began, and then no thread hangs for it.
        let refused = (0..100 * STUCK_PER_THREAD).any(|_| {
            let hang = Arc::clone(&hang);
            let call = move || Ok(lock(&hang).recv().is_ok());
            let error = block_on(workers.run("sign", Deadline::after(Duration::from_millis(5)), call)).unwrap_err();
            error.kind() == ErrorKind::Unavailable
        });
        assert!(refused && lock(&workers.0.state).stuck == STUCK_PER_THREAD);
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
    #[test]
    fn the_last_to_become_idle_works_first() {
        let workers = Workers::new("test", 4);
        let all = Arc::new(std::sync::Barrier::new(4));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (workers, all) = (&workers, Arc::clone(&all));
                scope.spawn(move || block_on(workers.run("sign", later(), move || Ok(all.wait().is_leader()))));
            }
        });
        while lock(&workers.0.state).idle.len() < 4 {
            std::thread::yield_now();
        }
        let last = lock(&workers.0.state).idle.last().map(Arc::clone);
        for _ in 0..20 {
            // The caller may be back before the thread is.
            while lock(&workers.0.state).idle.len() < 4 {
                std::thread::yield_now();
            }
            let worked = block_on(workers.run("sign", later(), || Ok(thread::current().id()))).unwrap();
            assert_eq!(Some(worked), last.as_ref().map(|seat| seat.thread_id()));
        }
    }
}
