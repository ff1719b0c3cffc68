//! Signing as fast as it goes, and what that took.

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use kms_core::{Signer, block_on};
use rustix::time::{ClockId, clock_gettime};

use crate::Result;
use crate::place::DIGEST;

/// What one side of a row showed in one round. Times in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) ops: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Processor time of the process for one operation.
    pub(crate) cpu: f64,
}

/// On as many threads, each waiting for its own signature.
pub(crate) fn threads(signer: &Arc<dyn Signer>, number: usize, turn: Duration) -> Sample {
    let start = Barrier::new(number + 1);
    let sign = || {
        start.wait();
        start.wait();
        let mut times = Times::begin(turn);
        while times.go_on() {
            black_box(block_on(signer.sign_digest(&DIGEST))).expect("a signature");
        }
        times.taken
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..number).map(|_| scope.spawn(sign)).collect();
        start.wait();
        let spent = Spent::begin();
        start.wait();
        spent.sample(threads.into_iter().flat_map(|thread| thread.join().expect("a thread that signs")).collect())
    })
}

/// In as many tasks of a runtime with two threads.
pub(crate) fn tasks(signer: &Arc<dyn Signer>, number: usize, turn: Duration) -> Result<Sample> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    let sign = |signer: Arc<dyn Signer>| async move {
        let mut times = Times::begin(turn);
        while times.go_on() {
            black_box(signer.sign_digest(&DIGEST).await).expect("a signature");
        }
        times.taken
    };
    runtime.block_on(async {
        let spent = Spent::begin();
        let tasks: Vec<_> = (0..number).map(|_| tokio::spawn(sign(Arc::clone(signer)))).collect();
        let mut taken = Vec::new();
        for task in tasks {
            taken.extend(task.await?);
        }
        Ok(spent.sample(taken))
    })
}

/// On this thread, anything.
pub(crate) fn alone(turn: Duration, mut work: impl FnMut()) -> Sample {
    let spent = Spent::begin();
    let mut times = Times::begin(turn);
    while times.go_on() {
        work();
    }
    spent.sample(times.taken)
}

/// The time each operation took, with one look at the clock for each, as in the C program.
struct Times {
    before: Option<Instant>,
    end: Instant,
    taken: Vec<Duration>,
}

impl Times {
    fn begin(turn: Duration) -> Self {
        Self { before: None, end: Instant::now() + turn, taken: Vec::with_capacity(1 << 16) }
    }

    fn go_on(&mut self) -> bool {
        let now = Instant::now();
        if let Some(before) = self.before.replace(now) {
            self.taken.push(now - before);
        }
        now < self.end
    }
}

struct Spent {
    since: Instant,
    cpu: Duration,
}

impl Spent {
    fn begin() -> Self {
        Self { since: Instant::now(), cpu: processor_time() }
    }

    fn sample(self, mut taken: Vec<Duration>) -> Sample {
        let (cpu, passed) = (processor_time().saturating_sub(self.cpu), self.since.elapsed());
        taken.sort_unstable();
        let at = |share: usize| taken.get(taken.len() * share / 100).map_or(f64::NAN, |time| micros(*time));
        let count = u32::try_from(taken.len()).map_or(f64::NAN, f64::from);
        Sample { ops: count / passed.as_secs_f64(), p50: at(50), p99: at(99), cpu: micros(cpu) / count }
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("a time since the process began")
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
