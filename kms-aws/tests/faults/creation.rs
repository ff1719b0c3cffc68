//! New keys: none is made twice, and none is lost sight of.

use std::time::Duration;

use kms_core::{ErrorKind, KeyManager, KeySpec, KeyType, block_on};
use kms_testkit::aws::{AwsKms, Fault};

use crate::{Scene, manager, manager_uri};

fn spec() -> KeySpec {
    KeySpec::new(KeyType::EcP256)
}

/// The answer is lost: nobody knows whether there is a key, so no second one is made.
#[test]
fn a_creation_without_answer_is_not_repeated() {
    let server = AwsKms::start().unwrap();
    let manager = manager(&server.uri(), Duration::from_secs(30));
    for fault in [Fault::Cut, Fault::Refuse { status: 500, code: "KMSInternalException" }] {
        let before = server.requests("CreateKey");
        server.set("CreateKey", fault);
        let error = block_on(manager.create_key(&manager_uri(&server.uri()), &spec())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
        assert!(error.to_string().contains("search before trying again"), "{error}");
        assert_eq!(server.requests("CreateKey"), before + 1);
    }
}

#[test]
fn a_creation_that_is_never_answered_says_what_is_not_known() {
    let server = AwsKms::start().unwrap();
    let manager = manager(&server.uri(), Duration::from_millis(900));
    server.set("CreateKey", Fault::Hang);
    let name = manager_uri(&server.uri()).with_path("name", "ca").unwrap();
    let error = block_on(manager.create_key(&name, &spec())).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable), "{}", error.chain());
    assert!(error.to_string().contains("search before trying again"), "{error}");
    assert_eq!(server.requests("CreateKey"), 1);
}

/// AWS would make the key and then refuse the name.
#[test]
fn a_name_of_aws_makes_no_key() {
    let server = AwsKms::start().unwrap();
    let manager = manager(&server.uri(), Duration::from_secs(30));
    let name = manager_uri(&server.uri()).with_path("name", "aws/ca").unwrap();
    let error = block_on(manager.create_key(&name, &spec())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidUri, "{}", error.chain());
    assert_eq!(server.requests("*"), 0);
}

/// What was refused was not done.
#[test]
fn a_creation_that_was_throttled_is_repeated() {
    let server = AwsKms::start().unwrap();
    let manager = manager(&server.uri(), Duration::from_secs(30));
    server.set_times("CreateKey", Fault::Throttle { percent: 100 }, 2);
    block_on(manager.create_key(&manager_uri(&server.uri()), &spec())).unwrap();
    assert_eq!(server.requests("CreateKey"), 3);
}

/// A key without a name, or that cannot be read yet, exists and costs: the caller learns which.
#[test]
fn a_later_step_that_fails_tells_the_key() {
    for operation in ["CreateAlias", "GetPublicKey"] {
        let server = AwsKms::start().unwrap();
        let manager = manager(&server.uri(), Duration::from_secs(30));
        let mut uri = manager_uri(&server.uri());
        if operation == "CreateAlias" {
            uri = uri.with_path("name", "ca").unwrap();
        }
        server.set(operation, Fault::Refuse { status: 400, code: "AccessDeniedException" });
        let error = block_on(manager.create_key(&uri, &spec())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{}", error.chain());
        assert!(error.to_string().contains("arn:aws:kms:us-east-1:111122223333:key/"), "{error}");
        assert_eq!(server.requests("CreateKey"), 1);
        // It is there, and is found by its ARN.
        server.clear();
        let text = error.to_string();
        let arn = text.split_whitespace().find(|word| word.starts_with("arn:")).unwrap();
        let found = manager_uri(&format!("{};key-id={arn}", server.uri()));
        block_on(block_on(manager.signer(&found, None)).unwrap().sign(b"message")).unwrap();
    }
}

#[test]
fn a_name_that_is_taken_makes_no_key() {
    let scene = Scene::new();
    let before = scene.server.requests("CreateKey");
    let name = manager_uri(&scene.server.uri()).with_path("name", "ca").unwrap();
    let error = block_on(scene.manager.create_key(&name, &spec())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{}", error.chain());
    // Nor while it cannot be used.
    block_on(scene.manager.disable_key(&scene.key.uri)).unwrap();
    let error = block_on(scene.manager.create_key(&name, &spec())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{}", error.chain());
    assert_eq!(scene.server.requests("CreateKey"), before);
}

/// The service may not know at once everywhere what it has made. We wait for what we made, and for nothing else.
#[test]
fn what_was_made_a_moment_ago_is_waited_for() {
    let server = AwsKms::start().unwrap();
    server.set_consistency_delay(Duration::from_millis(700));
    let manager = manager(&server.uri(), Duration::from_secs(30));
    let name = manager_uri(&server.uri()).with_path("name", "ca").unwrap();
    let key = block_on(manager.create_key(&name, &spec())).unwrap();
    for uri in [&key.uri, &name] {
        block_on(block_on(manager.signer(uri, None)).unwrap().sign(b"message")).unwrap();
    }
    let absent = manager_uri(&server.uri()).with_path("name", "absent").unwrap();
    let before = server.requests("*");
    assert_eq!(block_on(manager.signer(&absent, None)).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(server.requests("*"), before + 1, "asked once");
}
