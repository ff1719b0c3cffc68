//! Where an idle thread waits.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::call::Task;
use super::lock;

/// Where an idle thread is given its next task.
pub(super) struct Seat {
    thread: Thread,
    task: Mutex<Option<Box<dyn Task>>>,
    /// There is a task.
    taken: AtomicBool,
}

impl Seat {
    /// That of the thread which calls this.
    pub(super) fn own() -> Self {
        Self { thread: thread::current(), task: Mutex::default(), taken: AtomicBool::new(false) }
    }

    #[cfg(test)]
    pub(super) fn thread_id(&self) -> thread::ThreadId {
        self.thread.id()
    }

    /// Before others see that it is free.
    pub(super) fn make_free(&self) {
        self.taken.store(false, Ordering::Relaxed);
    }

    /// Whether a task was given.
    pub(super) fn is_taken(&self) -> bool {
        self.taken.load(Ordering::Acquire)
    }

    /// Hands a task over and wakes the thread.
    pub(super) fn give(&self, task: Box<dyn Task>) {
        *lock(&self.task) = Some(task);
        self.taken.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// The task that was given, or is about to be.
    pub(super) fn take(&self) -> Box<dyn Task> {
        loop {
            if let Some(task) = lock(&self.task).take() {
                return task;
            }
            thread::park();
        }
    }

    /// Whether a task is given before `most` is over.
    pub(super) fn sleeps(&self, most: Duration) -> bool {
        let start = Instant::now();
        while !self.is_taken() {
            let Some(remaining) = most.checked_sub(start.elapsed()) else { return false };
            thread::park_timeout(remaining);
        }
        true
    }
}
