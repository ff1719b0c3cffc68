//! A service that is busy, unwell, cut off, or says no.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kms_core::{ErrorKind, KeyType, block_on};
use serde_json::{Value, json};

use crate::Scene;
use kms_testkit::gcp::Fault;

fn refuse(http: u16, code: &'static str) -> Fault {
    Fault::refuse(http, code, "said so")
}

/// Of 1,000 signatures, 999 within ten seconds each, with every second request refused.
#[test]
fn throttling_is_outwaited() {
    const EACH: usize = 63;
    let scene = Scene::with(KeyType::EcP256, Duration::from_secs(10));
    let signer = scene.signer();
    scene.server.set("AsymmetricSign", Fault::Throttle { percent: 50 });
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
    let requests = scene.server.requests("AsymmetricSign");
    assert!(requests > 16 * EACH * 3 / 2, "{requests} requests: nothing was throttled");
}

#[test]
fn throttling_without_end_is_told_as_such() {
    let scene = Scene::with(KeyType::EcP256, Duration::from_secs(2));
    scene.server.set("AsymmetricSign", refuse(429, "RESOURCE_EXHAUSTED"));
    let start = Instant::now();
    let error = block_on(scene.signer().sign(b"message")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Throttled | ErrorKind::Timeout), "{}", error.chain());
    assert!(error.is_transient() && start.elapsed() < Duration::from_secs(10));
    assert!(scene.server.requests("AsymmetricSign") > 2, "it was tried again");
}

#[test]
fn what_is_unwell_is_asked_again() {
    for fault in [
        refuse(503, "UNAVAILABLE"),
        refuse(500, "INTERNAL"),
        refuse(504, "DEADLINE_EXCEEDED"),
        refuse(409, "ABORTED"),
        Fault::Html(502),
        Fault::Cut,
    ] {
        let scene = Scene::new();
        let signer = scene.signer();
        scene.server.set_times("AsymmetricSign", fault, 3);
        block_on(signer.sign(b"message")).unwrap();
        assert_eq!(scene.server.requests("AsymmetricSign"), 4);
    }
}

/// What will not change by asking again is not asked again.
#[test]
fn what_is_final_is_asked_once() {
    for (http, code, kind) in [
        (403, "PERMISSION_DENIED", ErrorKind::PermissionDenied),
        (400, "FAILED_PRECONDITION", ErrorKind::KeyUnusable),
        (404, "NOT_FOUND", ErrorKind::NotFound),
        (400, "INVALID_ARGUMENT", ErrorKind::InvalidArgument),
        (501, "UNIMPLEMENTED", ErrorKind::Unsupported),
        // Of a service that leaves the code to HTTP.
        (403, "", ErrorKind::PermissionDenied),
        (404, "", ErrorKind::NotFound),
    ] {
        let scene = Scene::new();
        let signer = scene.signer();
        scene.server.set("AsymmetricSign", refuse(http, code));
        let error = block_on(signer.sign(b"message")).unwrap_err();
        assert_eq!((error.kind(), scene.server.requests("AsymmetricSign")), (kind, 1), "{code}: {}", error.chain());
        assert!(error.chain().contains(code), "{}", error.chain());
    }
}

#[test]
fn a_missing_permission_is_named() {
    let scene = Scene::new();
    let signer = scene.signer();
    for (fault, named) in [
        (Fault::refuse(403, "PERMISSION_DENIED", "Permission denied"), "cloudkms.cryptoKeyVersions.useToSign"),
        (Fault::permission_denied("cloudkms.cryptoKeyVersions.inTheAnswer"), "inTheAnswer"),
    ] {
        scene.server.set("AsymmetricSign", fault);
        let error = block_on(signer.sign(b"message")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[test]
fn a_disabled_api_is_told_from_a_disabled_key() {
    let scene = Scene::new();
    let signer = scene.signer();
    let disabled = json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "SERVICE_DISABLED",
        "domain": "googleapis.com",
        "metadata": { "service": "cloudkms.googleapis.com", "consumer": "projects/1" },
    }]);
    let said = |http, code, message, details: &Value| {
        let (message, details) = (String::from(message), details.clone());
        scene.server.set("AsymmetricSign", Fault::Refuse { status: http, code, message, details });
        block_on(signer.sign(b"message")).unwrap_err()
    };
    scene.server.set("AsymmetricSign", Fault::service_disabled());
    for error in [
        block_on(signer.sign(b"message")).unwrap_err(),
        said(403, "PERMISSION_DENIED", "off", &disabled),
        said(400, "FAILED_PRECONDITION", "off", &disabled),
        said(400, "FAILED_PRECONDITION", "Cloud KMS API has not been used in project 1 before", &json!([])),
    ] {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{}", error.chain());
        assert!(error.to_string().contains("gcloud services enable"), "{error}");
    }
    let error = said(
        400,
        "FAILED_PRECONDITION",
        "…/cryptoKeyVersions/1 is not enabled, current state is: DISABLED.",
        &json!([]),
    );
    assert_eq!(error.kind(), ErrorKind::KeyUnusable);
    assert!(error.to_string().contains("DISABLED"), "{error}");
}

/// Opened, a signer needs one request for each signature, and one connection for all.
#[test]
fn a_signature_is_one_request() {
    let scene = Scene::new();
    let signer = scene.signer();
    block_on(signer.sign(b"message")).unwrap();
    let (requests, connections) = (scene.server.requests("*"), scene.server.connections());
    for _ in 0..50 {
        block_on(signer.sign(b"message")).unwrap();
    }
    assert_eq!(scene.server.requests("*"), requests + 50);
    assert_eq!(scene.server.requests("AsymmetricSign"), 51);
    assert_eq!(scene.server.connections(), connections);
}
