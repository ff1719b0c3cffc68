//! Lending of few things to many callers: reused first, opened up to a limit, then handed on in the order of asking.
//!
//! Knows nothing of PKCS #11, so its logic is tried without a token. What is lent to somebody who is past his deadline is
//! written off, since he hangs with it; should he bring it back, it is his to drop.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use kms_core::Deadline;

use crate::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How long what a refusal taught about the token's own limit is believed.
const BELIEF: Duration = Duration::from_millis(500);

/// A thing that is lent.
pub(crate) trait Lendable {
    /// Whether it is lent last, when nothing else can be had.
    fn is_kept(&self) -> bool;
}

/// Lends things of one kind.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    tickets: u64,
    idle: Vec<T>,
    kept: Option<T>,
    lent: Vec<(u64, Deadline)>,
    waiting: VecDeque<Arc<Waiter<T>>>,
    /// The most that could be opened when the last attempt was refused.
    ceiling: Option<(usize, Instant)>,
}

#[derive(Debug)]
struct Waiter<T> {
    limit: usize,
    deadline: Deadline,
    grant: Mutex<Option<Grant<T>>>,
    granted: Condvar,
}

/// What somebody was given who asked.
#[derive(Debug)]
pub(crate) struct Grant<T> {
    /// To be named when it is given back.
    pub(crate) ticket: u64,
    /// The thing, or leave to open one.
    pub(crate) thing: Option<T>,
}

impl<T: Lendable> Pool<T> {
    pub(crate) fn new() -> Self {
        let state = State {
            tickets: 0,
            idle: Vec::new(),
            kept: None,
            lent: Vec::new(),
            waiting: VecDeque::new(),
            ceiling: None,
        };
        Self { state: Mutex::new(state) }
    }

    /// One thing for the caller, or leave to open one while there are fewer than `limit`. First come, first served.
    /// `None` at the deadline.
    pub(crate) fn acquire(&self, limit: usize, deadline: Deadline) -> Option<Grant<T>> {
        let waiter = {
            let mut state = self.lock();
            if state.waiting.is_empty()
                && let Some(grant) = state.grant(limit, deadline)
            {
                return Some(grant);
            }
            let (grant, granted) = (Mutex::new(None), Condvar::new());
            let waiter = Arc::new(Waiter { limit, deadline, grant, granted });
            state.waiting.push_back(Arc::clone(&waiter));
            waiter
        };
        self.wait(&waiter)
    }

    /// Takes back what was lent. A thing that was written off meanwhile comes back to the caller, who must drop it.
    pub(crate) fn give_back(&self, ticket: u64, thing: T) -> Option<T> {
        let mut state = self.lock();
        if !state.settle(ticket) {
            return Some(thing);
        }
        state.put(thing);
        state.serve();
        None
    }

    /// Says that what was lent, or what was to be opened, is no more.
    pub(crate) fn write_off(&self, ticket: u64) {
        let mut state = self.lock();
        state.settle(ticket);
        state.serve();
    }

    /// Says that nothing more can be opened now, and gives the leave back. Whether there is anything to wait for.
    pub(crate) fn refused(&self, ticket: u64) -> bool {
        let mut state = self.lock();
        state.settle(ticket);
        let open = state.open();
        state.ceiling = Some((open.max(1), Instant::now()));
        open > 0
    }

    /// Takes out all that nobody has.
    pub(crate) fn drain(&self) -> Vec<T> {
        let mut state = self.lock();
        let kept = state.kept.take();
        kept.into_iter().chain(std::mem::take(&mut state.idle)).collect()
    }

    /// Adds a thing that was opened without leave, beside what is lent.
    pub(crate) fn add(&self, thing: T) {
        let mut state = self.lock();
        state.put(thing);
        state.serve();
    }

    /// How many there are, lent or not.
    #[cfg(test)]
    pub(crate) fn open(&self) -> usize {
        self.lock().open()
    }

    /// Forgets who has what: after a fork they are in another process.
    pub(crate) fn forget_lent(&self) {
        let mut state = self.lock();
        state.lent.clear();
        state.waiting.clear();
    }

    fn wait(&self, waiter: &Arc<Waiter<T>>) -> Option<Grant<T>> {
        loop {
            // Whoever hangs past his deadline makes room for the first in the line.
            let next = self.lock().lent.iter().map(|(_, end)| end.remaining()).min();
            let next = next.unwrap_or(Duration::MAX).saturating_add(Duration::from_millis(1));
            let most = waiter.deadline.remaining().min(next).min(Duration::from_millis(100));
            {
                let grant = waiter.grant.lock().unwrap_or_else(PoisonError::into_inner);
                let wait = waiter.granted.wait_timeout_while(grant, most, |grant| grant.is_none());
                let (mut grant, _) = wait.unwrap_or_else(PoisonError::into_inner);
                if let Some(grant) = grant.take() {
                    return Some(grant);
                }
            }
            let mut state = self.lock();
            state.serve();
            if waiter.deadline.has_passed() {
                state.waiting.retain(|other| !Arc::ptr_eq(other, waiter));
                // Served at the last moment?
                return waiter.grant.lock().unwrap_or_else(PoisonError::into_inner).take();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Lendable> State<T> {
    /// Serves the line from the front, as far as there is something to give.
    fn serve(&mut self) {
        while let Some(first) = self.waiting.front().cloned() {
            let Some(grant) = self.grant(first.limit, first.deadline) else { return };
            self.waiting.pop_front();
            *first.grant.lock().unwrap_or_else(PoisonError::into_inner) = Some(grant);
            first.granted.notify_one();
        }
    }

    fn grant(&mut self, limit: usize, deadline: Deadline) -> Option<Grant<T>> {
        let thing = match self.idle.pop() {
            Some(thing) => Some(thing),
            None if self.has_room(limit) => None,
            None => Some(self.kept.take()?),
        };
        self.tickets += 1;
        self.lent.push((self.tickets, deadline));
        Some(Grant { ticket: self.tickets, thing })
    }

    fn has_room(&mut self, limit: usize) -> bool {
        let ceiling = match self.ceiling {
            Some((ceiling, since)) if since.elapsed() < BELIEF => ceiling,
            _ => usize::MAX,
        };
        let limit = limit.max(1).min(ceiling);
        if self.open() >= limit {
            self.lent.retain(|(_, end)| !end.has_passed());
        }
        self.open() < limit
    }

    fn put(&mut self, thing: T) {
        if thing.is_kept() && self.kept.is_none() {
            self.kept = Some(thing);
        } else {
            self.idle.push(thing);
        }
    }

    fn settle(&mut self, ticket: u64) -> bool {
        let at = self.lent.iter().position(|(other, _)| *other == ticket);
        at.map(|at| self.lent.swap_remove(at)).is_some()
    }

    fn open(&self) -> usize {
        self.idle.len() + self.lent.len() + usize::from(self.kept.is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Thing(u32, bool);

    impl Lendable for Thing {
        fn is_kept(&self) -> bool {
            self.1
        }
    }

    fn after(milliseconds: u64) -> Deadline {
        Deadline::after(Duration::from_millis(milliseconds))
    }

    fn later() -> Deadline {
        after(20_000)
    }

    #[test]
    fn reused_first_then_opened_then_the_kept_one() {
        let pool = Pool::new();
        pool.add(Thing(0, true));
        let first = pool.acquire(2, later()).unwrap();
        assert_eq!(first.thing, None);
        assert_eq!(pool.give_back(first.ticket, Thing(1, false)), None);
        let first = pool.acquire(2, later()).unwrap();
        assert_eq!(first.thing, Some(Thing(1, false)));
        let second = pool.acquire(2, later()).unwrap();
        assert_eq!(second.thing, Some(Thing(0, true)));
        assert!(pool.acquire(2, after(5)).is_none());
        pool.write_off(first.ticket);
        assert_eq!(pool.acquire(2, later()).unwrap().thing, None);
    }

    #[test]
    fn never_more_than_the_limit_and_each_to_one_at_a_time() {
        for limit in [1, 2, 4] {
            let (pool, inside, opened) = (Pool::new(), AtomicUsize::new(0), AtomicUsize::new(0));
            std::thread::scope(|scope| {
                for _ in 0..16 {
                    scope.spawn(|| {
                        for _ in 0..50 {
                            let grant = pool.acquire(limit, later()).unwrap();
                            assert!(inside.fetch_add(1, Ordering::SeqCst) < limit);
                            let thing = grant.thing.unwrap_or_else(|| {
                                opened.fetch_add(1, Ordering::SeqCst);
                                Thing(0, false)
                            });
                            inside.fetch_sub(1, Ordering::SeqCst);
                            assert_eq!(pool.give_back(grant.ticket, thing), None);
                        }
                    });
                }
            });
            assert!(opened.load(Ordering::SeqCst) <= limit && pool.open() <= limit);
        }
    }

    #[test]
    fn the_line_is_served_in_order() {
        let (pool, order) = (Pool::new(), Mutex::new(Vec::new()));
        let held = pool.acquire(1, later()).unwrap();
        std::thread::scope(|scope| {
            for number in 0..8_usize {
                let (pool, order) = (&pool, &order);
                scope.spawn(move || {
                    let grant = pool.acquire(1, later()).unwrap();
                    order.lock().unwrap().push(number);
                    pool.give_back(grant.ticket, grant.thing.unwrap());
                });
                while pool.lock().waiting.len() <= number {
                    std::thread::yield_now();
                }
            }
            pool.give_back(held.ticket, Thing(0, false));
        });
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn what_hangs_is_written_off() {
        let pool = Pool::new();
        let hanging = pool.acquire(1, after(20)).unwrap();
        let next = pool.acquire(1, later()).unwrap();
        assert_eq!(next.thing, None);
        assert_eq!(pool.give_back(hanging.ticket, Thing(7, false)), Some(Thing(7, false)));
        assert_eq!(pool.give_back(next.ticket, Thing(8, false)), None);
        assert_eq!(pool.open(), 1);
    }

    #[test]
    fn a_refusal_is_a_limit_for_a_while() {
        let pool = Pool::new();
        let first = pool.acquire(4, later()).unwrap();
        let second = pool.acquire(4, later()).unwrap();
        assert!(pool.refused(second.ticket));
        assert!(pool.acquire(4, after(5)).is_none());
        pool.give_back(first.ticket, Thing(1, false));
        assert_eq!(pool.acquire(4, later()).unwrap().thing, Some(Thing(1, false)));
        std::thread::sleep(BELIEF);
        assert_eq!(pool.acquire(4, later()).unwrap().thing, None);
    }
}
