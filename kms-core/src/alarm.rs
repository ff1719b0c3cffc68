//! Waking those whose deadline comes: one thread for all, which sleeps while deadlines only come and go.
//!
//! A deadline is set for every operation and hardly ever comes. So the thread is told of one only when it is earlier
//! than all before, and not told when one is done with: it finds out when it would have been due. Signatures with the
//! same time limit, one after the other, then wake nobody but those who make and want them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;
use std::{io, mem};

/// Wakes one task at one time, unless it is dropped before.
#[derive(Debug)]
pub(crate) struct Alarm {
    at: Instant,
    /// Number and waker, once it is set.
    set: Option<(u64, Waker)>,
}

#[derive(Default)]
struct State {
    alarms: BTreeMap<(Instant, u64), Waker>,
    numbers: u64,
    /// The process with the thread: a fork leaves it behind.
    process: Option<u32>,
    /// When the thread will look again by itself; `None` when it will not.
    looks_at: Option<Instant>,
}

static STATE: Mutex<State> = Mutex::new(State { alarms: BTreeMap::new(), numbers: 0, process: None, looks_at: None });
static CHANGED: Condvar = Condvar::new();

impl Alarm {
    /// Not set yet.
    pub(crate) fn at(at: Instant) -> Self {
        Self { at, set: None }
    }

    /// Has the task woken when the time comes.
    ///
    /// # Errors
    /// When there is no thread for it and none can be started.
    pub(crate) fn set(&mut self, context: &Context<'_>) -> io::Result<()> {
        if let Some((_, waker)) = &self.set
            && waker.will_wake(context.waker())
        {
            return Ok(());
        }
        let waker = context.waker().clone();
        let replaced = {
            let mut state = lock();
            state.ensure_thread()?;
            let number = self.set.as_ref().map_or(state.numbers, |(number, _)| *number);
            state.numbers = state.numbers.max(number + 1);
            let replaced = state.alarms.insert((self.at, number), waker.clone());
            if state.looks_at.is_none_or(|looks_at| self.at < looks_at) {
                state.looks_at = Some(self.at);
                CHANGED.notify_one();
            }
            (replaced, self.set.replace((number, waker)))
        };
        // A waker is somebody else's code: not under the lock.
        drop(replaced);
        Ok(())
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some((number, _)) = self.set {
            let removed = lock().alarms.remove(&(self.at, number));
            drop(removed);
        }
    }
}

impl State {
    fn ensure_thread(&mut self) -> io::Result<()> {
        let process = std::process::id();
        if self.process != Some(process) {
            std::thread::Builder::new().name("kms-deadlines".to_owned()).spawn(watch)?;
            (self.process, self.looks_at) = (Some(process), None);
        }
        Ok(())
    }

    /// Takes out all that are due.
    fn due(&mut self, now: Instant) -> BTreeMap<(Instant, u64), Waker> {
        let later = self.alarms.split_off(&(now, u64::MAX));
        mem::replace(&mut self.alarms, later)
    }
}

fn watch() {
    let mut state = lock();
    loop {
        let now = Instant::now();
        let due = state.due(now);
        if !due.is_empty() {
            drop(state);
            for waker in due.into_values() {
                // Somebody else's code; the others are to be woken whatever it does.
                let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
            }
            state = lock();
            continue;
        }
        state.looks_at = state.alarms.keys().next().map(|(at, _)| *at);
        state = match state.looks_at {
            Some(at) => CHANGED.wait_timeout(state, at - now).unwrap_or_else(PoisonError::into_inner).0,
            None => CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

fn lock() -> MutexGuard<'static, State> {
    // Nothing here panics while it holds the lock, so a poisoned one is still consistent.
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::Duration;

    use super::*;
    use crate::block_on;

    /// Waits for the alarm and tells how late it was.
    fn sleep(time: Duration) -> Duration {
        let at = Instant::now() + time;
        let mut alarm = Alarm::at(at);
        block_on(poll_fn(|context| {
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            alarm.set(context).unwrap();
            Poll::Pending
        }));
        at.elapsed()
    }

    #[test]
    fn each_is_woken_at_its_time_whatever_the_order() {
        std::thread::scope(|scope| {
            for number in 0..32_u64 {
                scope.spawn(move || {
                    for round in 0..5 {
                        let late = sleep(Duration::from_millis(1 + (number * 7 + round * 13) % 40));
                        assert!(late < Duration::from_secs(2), "{late:?}");
                    }
                });
            }
        });
    }

    #[test]
    fn what_is_dropped_is_forgotten() {
        let at = Instant::now() + Duration::from_hours(1);
        let mut alarm = Alarm::at(at);
        alarm.set(&Context::from_waker(Waker::noop())).unwrap();
        alarm.set(&Context::from_waker(Waker::noop())).unwrap();
        let ours = || lock().alarms.keys().filter(|(other, _)| *other == at).count();
        assert_eq!(ours(), 1);
        drop(alarm);
        assert_eq!(ours(), 0);
    }
}
