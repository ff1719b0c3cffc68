//! Sessions under load.

use std::sync::{Barrier, OnceLock};
use std::time::{Duration, Instant};

use kms_core::{Execution, KeyType, OperationPolicy, block_on};
use kms_testkit::judge;

use crate::Case;
use crate::keys::{create, fail, with_pin};
use crate::place::{manager, with_policy};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        ("pool::few_sessions_many_tasks", few_sessions_many_tasks),
        ("pool::eight_threads", eight_threads),
        ("pool::managers_come_and_go", managers_come_and_go),
    ]
}

/// With 1, 2 and 4 sessions, 64 tasks: none fails, none waits much longer than the others.
fn few_sessions_many_tasks() {
    let key = create(&*manager(), ";object=capped", KeyType::EcP256);
    for execution in [Execution::Guarded, Execution::Direct] {
        for limit in [1, 2, 4] {
            let registry = with_policy(OperationPolicy::default().with_execution(execution));
            let uri = with_pin(&key.uri).with_query("max-sessions", limit.to_string()).unwrap();
            let signer = block_on(registry.signer(&uri)).unwrap_or_else(fail);
            let (together, start) = (Barrier::new(64), OnceLock::new());
            let work = || {
                together.wait();
                // For all the same: who is late to run has waited, too.
                let start = start.get_or_init(Instant::now);
                for _ in 0..10 {
                    block_on(signer.sign(b"message")).unwrap_or_else(fail);
                }
                start.elapsed()
            };
            let mut times: Vec<Duration> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..64).map(|_| scope.spawn(work)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            times.sort();
            println!("{execution:?}, {limit} sessions: median {:?}, slowest {:?}", times[32], times[63]);
            assert!(times[63] <= times[32] * 10, "median {:?}, slowest {:?}", times[32], times[63]);
        }
    }
}

fn eight_threads() {
    let key = create(&*manager(), ";object=eight", KeyType::EcP256);
    for execution in [Execution::Guarded, Execution::Direct] {
        let registry = with_policy(OperationPolicy::default().with_execution(execution));
        let signer = block_on(registry.signer(&with_pin(&key.uri))).unwrap_or_else(fail);
        let start = Instant::now();
        std::thread::scope(|scope| {
            for thread in 0..8_u8 {
                let (signer, key) = (&signer, &key);
                scope.spawn(move || {
                    for number in 0..75_u8 {
                        let signature = block_on(signer.sign(&[thread, number])).unwrap_or_else(fail);
                        let octets = signature.as_bytes();
                        judge::verify(key.public_key.spki_der(), signer.algorithm(), &[thread, number], octets)
                            .unwrap();
                    }
                });
            }
        });
        println!("{execution:?}: 600 signatures on 8 threads in {:?}, judged", start.elapsed());
    }
}

/// Whoever drops the last manager leaves nothing behind, and takes nothing from the next.
fn managers_come_and_go() {
    let key = create(&*manager(), ";object=comes-and-goes", KeyType::EcP256);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let signer = block_on(crate::place::registry().signer(&with_pin(&key.uri))).unwrap_or_else(fail);
                    block_on(signer.sign(b"message")).unwrap_or_else(fail);
                }
            });
        }
    });
}
