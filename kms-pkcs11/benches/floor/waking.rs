//! Having work done by another thread: what remains when nothing else is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kms_core::worker::Workers;
use kms_core::{Deadline, Signer, block_on};

use crate::load::{Sample, alone};
use crate::place::DIGEST;
use crate::table::median;

const IDLE: u8 = 0;
const ASKED: u8 = 1;
const ENDED: u8 = 2;

/// Wakes a thread that works for as long as `work` and wakes this one.
pub(crate) fn two_wake_ups(work: Duration, turn: Duration) -> Sample {
    let (state, caller) = (AtomicU8::new(IDLE), thread::current());
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            loop {
                match state.load(Ordering::Acquire) {
                    IDLE => thread::park(),
                    ASKED => {
                        busy(work);
                        state.store(IDLE, Ordering::Release);
                        caller.unpark();
                    }
                    _ => return,
                }
            }
        });
        let sample = alone(turn, || {
            state.store(ASKED, Ordering::Release);
            worker.thread().unpark();
            while state.load(Ordering::Acquire) != IDLE {
                thread::park();
            }
        });
        state.store(ENDED, Ordering::Release);
        worker.thread().unpark();
        sample
    })
}

/// A direct signature made by [`Workers`], in microseconds: until the thread begins, the signature itself, until the
/// caller has it.
pub(crate) fn workers(signer: &Arc<dyn Signer>, turn: Duration) -> [f64; 3] {
    let workers = Workers::new("bench", 8);
    let mut steps = [const { Vec::new() }; 3];
    alone(turn, || {
        let (signer, asked) = (Arc::clone(signer), Instant::now());
        let call = move || {
            let begun = Instant::now();
            block_on(signer.sign_digest(&DIGEST))?;
            Ok((begun, Instant::now()))
        };
        let deadline = Deadline::after(Duration::from_secs(30));
        let (begun, done) = block_on(workers.run("sign", deadline, call)).expect("a signature");
        let times = [begun - asked, done - begun, done.elapsed()];
        steps.iter_mut().zip(times).for_each(|(steps, time)| steps.push(time.as_secs_f64() * 1e6));
    });
    steps.map(median)
}

fn busy(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}
