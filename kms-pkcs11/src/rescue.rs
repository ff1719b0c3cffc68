//! Taking a caller away from a call that hangs, to try again on another thread.
//!
//! When a library has to be rebuilt, calls may be stuck in it for ever (p11-kit's client forgets all but one of those who
//! wait as its server dies). Their threads are lost; their callers need not be.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

/// Shared by the caller who waits and the thread that works.
#[derive(Debug, Default)]
pub(crate) struct Rescue {
    given_up: AtomicBool,
    ticket: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

impl Rescue {
    /// Says that the thread is not waited for any more.
    pub(crate) fn give_up(&self) {
        self.given_up.store(true, Ordering::SeqCst);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the thread is not waited for any more: whatever it holds may by now be another's.
    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::SeqCst)
    }

    /// Notes what the thread has of the pool; zero for nothing.
    pub(crate) fn hold(&self, ticket: u64) {
        self.ticket.store(ticket, Ordering::SeqCst);
    }

    /// What the thread has of the pool.
    pub(crate) fn held(&self) -> u64 {
        self.ticket.load(Ordering::SeqCst)
    }

    /// Waits for `work`; `None` once it is given up.
    pub(crate) async fn wait<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
            if self.is_given_up() { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }
}
