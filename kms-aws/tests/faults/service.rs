//! A service that is busy, unwell or cut off.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kms_core::{ErrorKind, KeyType, block_on};
use kms_testkit::aws::Fault;

use crate::Scene;

/// Of 1,000 signatures, 999 within ten seconds each, with every second request refused.
#[test]
fn throttling_is_outwaited() {
    const EACH: usize = 63;
    let scene = Scene::with(KeyType::EcP256, Duration::from_secs(10));
    let signer = scene.signer();
    scene.server.set("Sign", Fault::Throttle { percent: 50 });
    let failed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    if block_on(signer.sign(b"message")).is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(failed.load(Ordering::Relaxed) <= 1, "{failed:?} of {} failed", 16 * EACH);
    let requests = scene.server.requests("Sign");
    assert!(requests > 16 * EACH * 3 / 2, "{requests} requests: nothing was throttled");
}

#[test]
fn throttling_without_end_is_told_as_such() {
    let scene = Scene::with(KeyType::EcP256, Duration::from_secs(2));
    scene.server.set("Sign", Fault::Throttle { percent: 100 });
    let start = Instant::now();
    let error = block_on(scene.signer().sign(b"message")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Throttled | ErrorKind::Timeout), "{}", error.chain());
    assert!(error.is_transient() && start.elapsed() < Duration::from_secs(10));
    assert!(scene.server.requests("Sign") > 2, "it was tried again");
}

#[test]
fn what_is_unwell_is_asked_again() {
    for code in ["KMSInternalException", "DependencyTimeoutException", "ServiceUnavailable"] {
        let scene = Scene::new();
        let signer = scene.signer();
        scene.server.set_times("Sign", Fault::Refuse { status: 500, code }, 3);
        block_on(signer.sign(b"message")).unwrap();
        assert_eq!(scene.server.requests("Sign"), 4, "{code}");
    }
}

#[test]
fn a_connection_that_is_cut_is_made_anew() {
    let scene = Scene::new();
    let signer = scene.signer();
    scene.server.set_times("Sign", Fault::Cut, 2);
    block_on(signer.sign(b"message")).unwrap();
    assert_eq!(scene.server.requests("Sign"), 3);
}

/// What will not change by asking again is not asked again.
#[test]
fn what_is_final_is_asked_once() {
    for (status, code, kind) in [
        (400, "AccessDeniedException", ErrorKind::PermissionDenied),
        (400, "DisabledException", ErrorKind::KeyUnusable),
        (400, "KMSInvalidStateException", ErrorKind::KeyUnusable),
        (400, "NotFoundException", ErrorKind::NotFound),
        (400, "InvalidKeyUsageException", ErrorKind::KeyUnusable),
        (400, "ValidationException", ErrorKind::InvalidArgument),
        (400, "UnsupportedOperationException", ErrorKind::Unsupported),
        (400, "SomethingNewException", ErrorKind::Other),
    ] {
        // Not the scene's own manager: what it made a moment ago may not be found for a while.
        let scene = Scene::new();
        let signer = crate::manager(&scene.server.uri(), Duration::from_secs(30));
        let signer = block_on(kms_core::KeyManager::signer(&signer, &scene.key.uri, None)).unwrap();
        scene.server.set("Sign", Fault::Refuse { status, code });
        let error = block_on(signer.sign(b"message")).unwrap_err();
        assert_eq!((error.kind(), scene.server.requests("Sign")), (kind, 1), "{code}: {}", error.chain());
        assert!(error.chain().contains(code), "{}", error.chain());
    }
}

/// Opened, a signer needs one request for each signature, and one connection for all.
#[test]
fn a_signature_is_one_request() {
    let scene = Scene::new();
    let signer = scene.signer();
    let (requests, connections) = (scene.server.requests("*"), scene.server.connections());
    for _ in 0..50 {
        block_on(signer.sign(b"message")).unwrap();
    }
    assert_eq!(scene.server.requests("*"), requests + 50);
    assert_eq!(scene.server.requests("Sign"), 50);
    assert_eq!(scene.server.connections(), connections);
}
