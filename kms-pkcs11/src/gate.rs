//! Many at once, or one alone; with deadlines.
//!
//! Two of them guard a module: calls go on together while a rebuild is alone, searches go on together while a write is
//! alone. Whoever is inside past his deadline hangs in a call that nobody can end: he is not waited for.

use std::cell::Cell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kms_core::Deadline;

use crate::rescue::Rescue;

/// How long those are waited for who can be rescued: longer than most signatures take, and not as long as most deadlines.
/// Whoever is only slow signs a second time, elsewhere.
const PATIENCE: Duration = Duration::from_millis(100);

/// Lets many in together, or one alone.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    tickets: u64,
    together: Vec<Entry>,
    alone: Option<(u64, Deadline)>,
    /// How many wait to be alone: nobody else is let in before them.
    wanting: usize,
}

#[derive(Debug)]
struct Entry {
    ticket: u64,
    deadline: Deadline,
    rescue: Option<Arc<Rescue>>,
}

/// Being inside together with others, until it is dropped.
#[derive(Debug)]
pub(crate) struct Together<'a> {
    gate: &'a Gate,
    ticket: u64,
}

/// Being inside alone, until it is dropped.
#[derive(Debug)]
pub(crate) struct Alone<'a> {
    gate: &'a Gate,
    ticket: u64,
    /// Somebody else is still in a call that hangs.
    hung: Cell<bool>,
}

impl Gate {
    /// Waits until nobody is alone, or wants to be. `None` at the deadline.
    ///
    /// With a rescue, he will be waited for [`PATIENCE`] only: then his caller is told.
    pub(crate) fn together(&self, deadline: Deadline, rescue: Option<&Arc<Rescue>>) -> Option<Together<'_>> {
        let mut state = self.lock();
        while state.wanting > 0 || state.alone.is_some_and(|(_, end)| !end.has_passed()) {
            let end = state.alone.map(|(_, end)| end);
            state = self.wait(state, deadline, end)?;
        }
        let ticket = state.ticket();
        state.together.push(Entry { ticket, deadline, rescue: rescue.cloned() });
        Some(Together { gate: self, ticket })
    }

    /// Waits until nobody is inside but those who hang. `None` at the deadline.
    pub(crate) fn alone(&self, deadline: Deadline) -> Option<Alone<'_>> {
        let patience = Deadline::after(PATIENCE);
        let mut state = self.lock();
        state.wanting += 1;
        loop {
            let Some(next) = state.next_end(patience) else {
                let hung = !state.together.is_empty() || state.alone.is_some();
                state.together.iter().filter_map(|entry| entry.rescue.as_ref()).for_each(|rescue| rescue.give_up());
                let ticket = state.ticket();
                state.wanting -= 1;
                state.alone = Some((ticket, deadline));
                return Some(Alone { gate: self, ticket, hung: Cell::new(hung) });
            };
            if let Some(guard) = self.wait(state, deadline, Some(next)) {
                state = guard;
            } else {
                self.lock().wanting -= 1;
                self.changed.notify_all();
                return None;
            }
        }
    }

    /// Forgets who is inside: after a fork they are in another process.
    pub(crate) fn forget_all(&self) {
        let mut state = self.lock();
        *state = State { tickets: state.tickets, ..State::default() };
    }

    /// Waits for a change, but not past the deadline (then `None`) nor past `end`.
    fn wait<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        deadline: Deadline,
        end: Option<Deadline>,
    ) -> Option<MutexGuard<'a, State>> {
        let remaining = deadline.remaining();
        if remaining.is_zero() {
            return None;
        }
        let most = end.map_or(remaining, |end| end.remaining().min(remaining)).min(Duration::from_hours(1));
        // A millisecond more, so that `end` has passed when it wakes.
        let (state, _) =
            self.changed.wait_timeout(state, most + Duration::from_millis(1)).unwrap_or_else(PoisonError::into_inner);
        Some(state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Alone<'_> {
    /// Whether somebody else is still in a call that hangs.
    pub(crate) fn with_hung(&self) -> bool {
        self.hung.get()
    }

    /// Leaves those who hang behind, where they can do no harm.
    pub(crate) fn leave_hung_behind(&self) {
        self.gate.lock().together.clear();
        self.hung.set(false);
    }
}

impl State {
    /// When to look again; `None` when all who are inside hang.
    fn next_end(&self, patience: Deadline) -> Option<Deadline> {
        let together = self.together.iter().map(|entry| match entry.rescue {
            Some(_) => entry.deadline.min(patience),
            None => entry.deadline,
        });
        together.chain(self.alone.map(|(_, end)| end)).filter(|end| !end.has_passed()).min()
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }
}

impl Drop for Together<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        if let Some(at) = state.together.iter().position(|entry| entry.ticket == self.ticket) {
            state.together.swap_remove(at);
        }
        if state.wanting > 0 {
            self.gate.changed.notify_all();
        }
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        // Another may have taken its place when its time was over.
        if state.alone.is_some_and(|(ticket, _)| ticket == self.ticket) {
            state.alone = None;
        }
        self.gate.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use super::*;

    fn after(milliseconds: u64) -> Deadline {
        Deadline::after(Duration::from_millis(milliseconds))
    }

    #[test]
    fn one_alone_or_many_together() {
        let (gate, inside) = (Gate::default(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (gate, inside) = (&gate, &inside);
                scope.spawn(move || {
                    for round in 0..100 {
                        if (number + round) % 8 == 0 {
                            let alone = gate.alone(after(20_000)).unwrap();
                            assert_eq!(inside.fetch_add(1000, Ordering::SeqCst), 0);
                            inside.fetch_sub(1000, Ordering::SeqCst);
                            assert!(!alone.with_hung());
                        } else {
                            let _together = gate.together(after(20_000), None).unwrap();
                            assert!(inside.fetch_add(1, Ordering::SeqCst) < 1000);
                            inside.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn who_hangs_is_waited_for_until_his_deadline_only() {
        let gate = Gate::default();
        let hanging = gate.together(after(50), None).unwrap();
        assert!(gate.alone(after(10)).is_none());
        let start = Instant::now();
        let alone = gate.alone(after(20_000)).unwrap();
        assert!(alone.with_hung() && start.elapsed() < Duration::from_secs(3));
        assert!(gate.together(after(10), None).is_none());
        drop(alone);
        drop(hanging);
        let hanging = gate.alone(after(30)).unwrap();
        drop(gate.together(after(20_000), None).unwrap());
        assert!(gate.alone(after(20_000)).unwrap().with_hung());
        drop(hanging);
        assert!(!gate.alone(after(20_000)).unwrap().with_hung());
    }

    #[test]
    fn who_can_be_rescued_is_waited_for_a_moment_only() {
        let (gate, rescue) = (Gate::default(), Arc::default());
        let hanging = gate.together(after(20_000), Some(&rescue)).unwrap();
        let start = Instant::now();
        assert!(gate.alone(after(20_000)).unwrap().with_hung());
        assert!(rescue.is_given_up() && start.elapsed() < Duration::from_secs(5));
        drop(hanging);
    }
}
