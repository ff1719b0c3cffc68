//! The timed part: threads or tasks that sign, one message after the other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use kmskit::{Error, ErrorKind, Signature, Signer, block_on};

/// When to stop.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    Count(u64),
    Time(Duration),
}

/// Who calls.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    /// Threads that block on each call.
    Sync,
    /// Tasks of a multi-threaded runtime.
    Async,
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Measurement {
    pub(crate) samples: Vec<Sample>,
    /// Failed calls by kind.
    pub(crate) errors: BTreeMap<&'static str, u64>,
    pub(crate) elapsed: Duration,
    /// Of the whole process; `None` where the system does not tell.
    pub(crate) cpu: Option<Duration>,
}

/// One call that went well.
pub(crate) struct Sample {
    pub(crate) index: u64,
    pub(crate) signature: Signature,
    pub(crate) time: Duration,
}

/// The message of that index: each is another one.
pub(crate) fn message(index: u64) -> [u8; 32] {
    let mut message = *b"kms bench message ______________";
    message[24..].copy_from_slice(&index.to_be_bytes());
    message
}

/// Signs with `workers` at a time until `limit`.
pub(crate) fn run(signer: &Arc<dyn Signer>, workers: usize, limit: Limit, mode: Mode) -> Result<Measurement, Error> {
    let tickets = Tickets { limit, next: AtomicU64::new(0), begin: OnceLock::new() };
    let (tallies, cpu) = match mode {
        Mode::Sync => run_threads(&**signer, workers, &tickets)?,
        Mode::Async => run_tasks(signer, workers, &tickets.into())?,
    };
    let begin = tallies.iter().filter_map(|tally| tally.begin).min();
    let end = tallies.iter().filter_map(|tally| tally.end).max();
    let elapsed = begin.zip(end).map_or(Duration::ZERO, |(begin, end)| end - begin);
    let mut measurement = Measurement { elapsed, cpu, ..Measurement::default() };
    for tally in tallies {
        measurement.samples.extend(tally.samples);
        for (kind, count) in tally.errors {
            *measurement.errors.entry(kind).or_default() += count;
        }
    }
    Ok(measurement)
}

fn run_threads(
    signer: &dyn Signer,
    workers: usize,
    tickets: &Tickets,
) -> Result<(Vec<Tally>, Option<Duration>), Error> {
    // Closed until every thread has come to it.
    let (gate, too_few) = (RwLock::new(()), AtomicBool::new(false));
    let work = |here: mpsc::Sender<()>| {
        // Sessions, random numbers and caches are set up at the first use; a fault will show again in what is measured.
        let _ = block_on(signer.sign(b"before the measurement"));
        let _ = here.send(());
        drop(gate.read());
        let mut tally = Tally::default();
        if too_few.load(Ordering::Relaxed) {
            return tally;
        }
        while let Some(index) = tickets.take() {
            tally.note(index, || block_on(signer.sign(&message(index))));
        }
        tally
    };
    thread::scope(|scope| {
        let closed = gate.write().unwrap_or_else(PoisonError::into_inner);
        let (here, arrivals) = mpsc::channel();
        let start = |_| {
            let (here, work) = (here.clone(), &work);
            thread::Builder::new().spawn_scoped(scope, move || work(here))
        };
        let threads = (0..workers).map(start).collect::<Result<Vec<_>, _>>().map_err(|error| {
            too_few.store(true, Ordering::Relaxed);
            Error::new(ErrorKind::Unavailable, format!("cannot start {workers} threads"))
                .with_hint("give a smaller number with --threads")
                .with_source(error)
        })?;
        arrivals.iter().take(workers).for_each(drop);
        let before = cpu_time();
        drop(closed);
        // A worker cannot panic but by a fault of the library, and then its calls must not be left out in silence.
        let tallies = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Tally::panicked())).collect();
        Ok((tallies, spent(before)))
    })
}

fn run_tasks(
    signer: &Arc<dyn Signer>,
    workers: usize,
    tickets: &Arc<Tickets>,
) -> Result<(Vec<Tally>, Option<Duration>), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(ErrorKind::Other, "cannot start the runtime").with_source(error))?;
    let work = async move |signer: Arc<dyn Signer>, tickets: Arc<Tickets>| {
        let mut tally = Tally::default();
        while let Some(index) = tickets.take() {
            tally.note_async(index, signer.sign(&message(index))).await;
            // A software key never waits; without this, one task would keep its thread to itself.
            tokio::task::yield_now().await;
        }
        tally
    };
    Ok(runtime.block_on(async {
        let _ = signer.sign(b"before the measurement").await;
        let before = cpu_time();
        let tasks: Vec<_> = (0..workers).map(|_| tokio::spawn(work(Arc::clone(signer), Arc::clone(tickets)))).collect();
        let mut tallies = Vec::with_capacity(workers);
        for task in tasks {
            tallies.push(task.await.unwrap_or_else(|_| Tally::panicked()));
        }
        (tallies, spent(before))
    }))
}

/// Hands out message numbers until the limit.
struct Tickets {
    limit: Limit,
    next: AtomicU64,
    begin: OnceLock<Instant>,
}

impl Tickets {
    fn take(&self) -> Option<u64> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let more = match self.limit {
            Limit::Count(count) => index < count,
            Limit::Time(time) => self.begin.get_or_init(Instant::now).elapsed() < time,
        };
        more.then_some(index)
    }
}

/// What one worker did.
#[derive(Default)]
struct Tally {
    samples: Vec<Sample>,
    errors: BTreeMap<&'static str, u64>,
    begin: Option<Instant>,
    end: Option<Instant>,
}

impl Tally {
    fn note(&mut self, index: u64, call: impl FnOnce() -> Result<Signature, Error>) {
        let start = Instant::now();
        let result = call();
        self.add(index, start, result);
    }

    async fn note_async(&mut self, index: u64, call: impl Future<Output = Result<Signature, Error>>) {
        let start = Instant::now();
        let result = call.await;
        self.add(index, start, result);
    }

    fn add(&mut self, index: u64, start: Instant, result: Result<Signature, Error>) {
        let end = Instant::now();
        self.begin.get_or_insert(start);
        self.end = Some(end);
        match result {
            Ok(signature) => self.samples.push(Sample { index, signature, time: end - start }),
            Err(error) => *self.errors.entry(error.kind().name()).or_default() += 1,
        }
    }

    fn panicked() -> Self {
        Self { errors: [("Panic", 1)].into(), ..Self::default() }
    }
}

/// CPU time that this process has used, in user mode and in the kernel.
#[cfg(unix)]
fn cpu_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

#[cfg(not(unix))]
fn cpu_time() -> Option<Duration> {
    None
}

fn spent(before: Option<Duration>) -> Option<Duration> {
    cpu_time()?.checked_sub(before?)
}
