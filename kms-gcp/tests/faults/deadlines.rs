//! Nothing hangs: deadlines, cancelled calls, and executors of every kind.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use kms_core::{ErrorKind, KeySpec, KeyType, block_on};

use crate::{Scene, manager, uri};
use kms_testkit::gcp::Fault;

const DEADLINE: Duration = Duration::from_millis(900);
/// For machines that have other things to do.
const LEEWAY: Duration = Duration::from_secs(3);

#[track_caller]
fn times_out<T: std::fmt::Debug>(result: kms_core::Result<T>, since: Instant) {
    let error = result.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable), "{}", error.chain());
    assert!(error.is_transient() && since.elapsed() < DEADLINE + LEEWAY, "{:?}", since.elapsed());
}

#[test]
fn a_service_that_never_answers_is_given_up() {
    let scene = Scene::with(KeyType::EcP256, DEADLINE);
    let signer = scene.signer();
    for fault in [Fault::Hang, Fault::Delay(Duration::from_secs(20))] {
        scene.server.set("*", fault);
        let start = Instant::now();
        times_out(block_on(signer.sign(b"message")), start);
        let start = Instant::now();
        times_out(block_on(scene.manager.public_key(&scene.key.uri)), start);
        let name = uri(&scene.server.uri("/cryptoKeys/new"));
        let start = Instant::now();
        times_out(block_on(scene.manager.create_key(&name, &KeySpec::new(KeyType::EcP256))), start);
        scene.server.clear();
        block_on(signer.sign(b"message")).unwrap();
    }
}

/// A listener that takes connections and never reads.
#[test]
fn a_peer_that_accepts_and_is_silent_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("cloudkms:?endpoint-url=http://{}", listener.local_addr().unwrap());
    let manager = manager(&place, DEADLINE);
    let start = Instant::now();
    let key = "cloudkms:projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1";
    times_out(block_on(manager.public_key(&uri(key))), start);
}

/// A slow answer is outwaited where the deadline allows: one attempt is given up, the next one is answered.
#[test]
fn one_slow_answer_does_not_use_up_the_deadline() {
    let scene = Scene::with(KeyType::EcP256, Duration::from_secs(6));
    let signer = scene.signer();
    scene.server.set_times("AsymmetricSign", Fault::Hang, 1);
    block_on(signer.sign(b"message")).unwrap();
    assert_eq!(scene.server.requests("AsymmetricSign"), 2);
}

/// The connection that an asynchronous call has left in the pool must not stall the synchronous one that follows it on
/// the same thread.
#[test]
fn a_synchronous_call_after_an_asynchronous_one() {
    let scene = Scene::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let signer = scene.manager.signer(&scene.key.uri, None).await.unwrap();
        for _ in 0..5 {
            signer.sign(b"message").await.unwrap();
            block_on(signer.sign(b"message")).unwrap();
        }
    });
    // And from a runtime that is gone, in one that has no timer.
    drop(runtime);
    let bare = tokio::runtime::Builder::new_current_thread().build().unwrap();
    bare.block_on(async { scene.signer().sign(b"message").await }).unwrap();
}

#[test]
fn cancelled_calls_leave_everything_usable() {
    let scene = Scene::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let signer = scene.manager.signer(&scene.key.uri, None).await.unwrap();
        scene.server.set("AsymmetricSign", Fault::Delay(Duration::from_millis(200)));
        for after in [0, 1, 5, 20, 50, 100] {
            let cancelled = tokio::time::timeout(Duration::from_millis(after), signer.sign(b"message")).await;
            assert!(cancelled.is_err(), "answered within {after} ms");
        }
        scene.server.clear();
        signer.sign(b"message").await.unwrap();
    });
}

/// The signer has what it needs; the manager, the registry and the runtime on which it was opened may go.
#[test]
fn a_signer_outlives_what_opened_it() {
    let Scene { server, manager, key } = Scene::with(KeyType::EcP256, DEADLINE);
    let signer = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { manager.signer(&key.uri, None).await.unwrap() })
    })
    .join()
    .unwrap();
    block_on(signer.sign(b"message")).unwrap();
    server.set("*", Fault::Cut);
    let start = Instant::now();
    times_out(block_on(signer.sign(b"message")), start);
}
