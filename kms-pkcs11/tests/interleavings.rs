//! The pool under a scheduler that tries orders of its steps, in place of threads that happen upon few of them.
//!
//! It is the pool's own source, compiled with other locks. Waiting there never comes to an end by itself, so that a
//! wake-up that is lost is a deadlock, which the scheduler reports; where a case is about deadlines, any wait may end at
//! once.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use kms_core::Deadline;
use libtest_mimic::{Arguments, Trial};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::{Config, Runner, thread};

#[path = "../src/pool.rs"]
#[allow(dead_code, unused_imports, reason = "the library uses all of it, and its unit tests stay there")]
mod pool;

use pool::{Lendable, Pool};

/// What [`pool`] takes its locks from.
mod sync {
    pub(crate) use std::sync::PoisonError;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{LockResult, WaitTimeoutResult};
    use std::time::Duration;

    use shuttle::rand::Rng as _;
    pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard};

    /// Whether a wait may end by itself.
    pub(crate) static TIMES_OUT: AtomicBool = AtomicBool::new(false);

    #[derive(Debug)]
    pub(crate) struct Condvar(shuttle::sync::Condvar);

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self(shuttle::sync::Condvar::new())
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn wait_timeout_while<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
            _: Duration,
            condition: impl FnMut(&mut T) -> bool,
        ) -> LockResult<(MutexGuard<'a, T>, Option<WaitTimeoutResult>)> {
            if TIMES_OUT.load(Ordering::Relaxed) && shuttle::rand::thread_rng().gen_bool(0.5) {
                return Ok((guard, None));
            }
            match self.0.wait_while(guard, condition) {
                Ok(guard) => Ok((guard, None)),
                Err(poisoned) => Err(PoisonError::new((poisoned.into_inner(), None))),
            }
        }
    }
}

/// How many orders of each case are tried, half of them by each scheduler.
const ORDERS: usize = 20_000;

fn main() -> ExitCode {
    let cases: [(&str, bool, fn()); 6] = [
        ("interleavings::one_at_a_time", false, one_at_a_time),
        ("interleavings::two_at_a_time", false, two_at_a_time),
        ("interleavings::written_off", false, written_off),
        ("interleavings::rebuilt_meanwhile", false, rebuilt_meanwhile),
        ("interleavings::refused", true, refused),
        ("interleavings::deadlines_pass", true, deadlines_pass),
    ];
    let trials = cases.map(|(name, times_out, case)| {
        Trial::test(name, move || {
            sync::TIMES_OUT.store(times_out, std::sync::atomic::Ordering::Relaxed);
            let config = || {
                let mut config = Config::new();
                config.silence_warnings = true;
                config
            };
            Runner::new(RandomScheduler::new(ORDERS / 2), config()).run(case);
            Runner::new(PctScheduler::new(3, ORDERS / 2), config()).run(case);
            Ok(())
        })
    });
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

#[derive(Debug)]
struct Thing {
    number: usize,
    kept: bool,
}

impl Lendable for Thing {
    fn is_kept(&self) -> bool {
        self.kept
    }
}

/// A pool, and who is inside.
struct Scene {
    pool: Pool<Thing>,
    limit: usize,
    inside: AtomicUsize,
    opened: AtomicUsize,
    /// The numbers of what is lent.
    lent: shuttle::sync::Mutex<BTreeSet<usize>>,
}

impl Scene {
    fn new(limit: usize) -> Arc<Self> {
        let (inside, opened) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { pool: Pool::new(), limit, inside, opened, lent: shuttle::sync::Mutex::default() })
    }

    fn open(&self, kept: bool) -> Thing {
        Thing { number: self.opened.fetch_add(1, Ordering::SeqCst), kept }
    }

    /// Takes one, has it to himself, and ends with it as `end` says. Whether there was one before the deadline.
    fn take(&self, deadline: Deadline, end: impl FnOnce(&Pool<Thing>, u64, Thing)) -> bool {
        let Some(grant) = self.pool.acquire(self.limit, deadline) else { return false };
        let thing = grant.thing.unwrap_or_else(|| self.open(false));
        let number = thing.number;
        assert!(self.lent.lock().unwrap().insert(number), "lent to two");
        thread::yield_now();
        assert!(self.lent.lock().unwrap().remove(&number));
        end(&self.pool, grant.ticket, thing);
        true
    }

    fn give_back(&self) {
        let inside = |by: isize| {
            if by > 0 {
                self.inside.fetch_add(1, Ordering::SeqCst) + 1
            } else {
                self.inside.fetch_sub(1, Ordering::SeqCst)
            }
        };
        let taken = self.take(never(), |pool, ticket, thing| {
            assert!(inside(1) <= self.limit);
            inside(-1);
            assert!(pool.give_back(ticket, thing).is_none());
        });
        assert!(taken);
    }
}

/// It may have been written off meanwhile: then it is not taken back.
fn give_back_late(pool: &Pool<Thing>, ticket: u64, thing: Thing) {
    let _late = pool.give_back(ticket, thing);
}

fn never() -> Deadline {
    Deadline::after(Duration::from_secs(100_000))
}

fn at_once() -> Deadline {
    Deadline::after(Duration::ZERO)
}

fn together(scene: &Arc<Scene>, threads: usize, work: impl Fn(&Scene, usize) + Clone + Send + 'static) {
    let spawn = |number| {
        let (scene, work) = (Arc::clone(scene), work.clone());
        thread::spawn(move || work(&scene, number))
    };
    let threads: Vec<_> = (0..threads).map(spawn).collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

fn one_at_a_time() {
    let scene = Scene::new(1);
    together(&scene, 3, |scene, _| (0..2).for_each(|_| scene.give_back()));
    assert_eq!(scene.opened.load(Ordering::SeqCst), 1);
}

fn two_at_a_time() {
    let scene = Scene::new(2);
    together(&scene, 4, |scene, _| scene.give_back());
    assert!(scene.opened.load(Ordering::SeqCst) <= 2);
}

/// What breaks makes room for another.
fn written_off() {
    let scene = Scene::new(1);
    together(&scene, 4, |scene, number| {
        if number % 2 == 0 {
            assert!(scene.take(never(), |pool, ticket, _broken| pool.write_off(ticket)));
        } else {
            scene.give_back();
        }
    });
    scene.give_back();
}

/// One takes out all that nobody has, and puts back what is still good, and one that is kept.
fn rebuilt_meanwhile() {
    let scene = Scene::new(2);
    scene.pool.add(scene.open(true));
    together(&scene, 4, |scene, number| {
        if number > 0 {
            // The kept one may stand beside two others for a moment.
            assert!(scene.take(never(), give_back_late));
            return;
        }
        let drained = scene.pool.drain();
        thread::yield_now();
        if !drained.iter().any(Lendable::is_kept) {
            scene.pool.add(scene.open(false));
        }
        for thing in drained {
            scene.pool.add(thing);
        }
    });
    scene.give_back();
}

/// The token has one session fewer than was thought.
fn refused() {
    let scene = Scene::new(2);
    let open = Arc::new(AtomicUsize::new(0));
    together(&scene, 3, move |scene, _| {
        loop {
            let Some(grant) = scene.pool.acquire(scene.limit, never()) else { panic!("no deadline passes") };
            let thing = match grant.thing {
                Some(thing) => thing,
                None if open.fetch_add(1, Ordering::SeqCst) == 0 => scene.open(false),
                None => {
                    open.fetch_sub(1, Ordering::SeqCst);
                    scene.pool.refused(grant.ticket);
                    thread::yield_now();
                    continue;
                }
            };
            assert!(scene.pool.give_back(grant.ticket, thing).is_none());
            return;
        }
    });
    assert_eq!(scene.opened.load(Ordering::SeqCst), 1);
}

/// Whoever leaves the line takes nothing with him; whoever comes late may not put back what was written off.
fn deadlines_pass() {
    let scene = Scene::new(1);
    together(&scene, 4, |scene, number| {
        let deadline = if number % 2 == 0 { at_once() } else { never() };
        scene.take(deadline, give_back_late);
    });
    assert!(scene.take(never(), |pool, ticket, thing| assert!(pool.give_back(ticket, thing).is_none())));
    assert_eq!(scene.pool.open(), 1);
}
