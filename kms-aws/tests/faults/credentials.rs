//! Whose request it is.

use std::fs;
use std::time::Duration;

use kms_aws::Aws;
use kms_core::{ErrorKind, KeyManager, KeySpec, KeyType, OpenOptions, block_on};
use kms_testkit::aws::{AwsKms, Credentials};

use crate::{Scene, manager, manager_uri};

fn spec() -> KeySpec {
    KeySpec::new(KeyType::EcP256)
}

/// Credentials that expired are loaded once more: what is in the file by then is used.
#[test]
fn expired_credentials_are_refreshed_once() {
    let server = AwsKms::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("credentials");
    let first = Credentials::new("AKIAFIRST00000000000", "first", "111122223333").with_session_token("token-1");
    server.add_credentials(first.clone());
    fs::write(&file, first.to_file()).unwrap();
    let place =
        format!("awskms:region=us-east-1;endpoint-url={};credentials-file={}", server.endpoint(), file.display());
    let manager = manager(&place, Duration::from_secs(30));
    let key = block_on(manager.create_key(&manager_uri(&place), &spec())).unwrap();
    let signer = block_on(manager.signer(&key.uri, None)).unwrap();
    block_on(signer.sign(b"message")).unwrap();

    let second = Credentials::new("AKIASECOND0000000000", "second", "111122223333").with_session_token("token-2");
    server.add_credentials(second.clone());
    fs::write(&file, second.to_file()).unwrap();
    server.expire_credentials("AKIAFIRST00000000000");
    let before = server.requests("Sign");
    block_on(signer.sign(b"message")).unwrap();
    assert_eq!(server.requests("Sign"), before + 2, "refused once, then with the new ones");

    server.expire_credentials("AKIASECOND0000000000");
    let before = server.requests("Sign");
    let error = block_on(signer.sign(b"message")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{}", error.chain());
    assert!(error.to_string().contains("log in anew"), "{error}");
    assert_eq!(server.requests("Sign"), before + 2, "one refresh, then the error");
}

#[test]
fn a_wrong_secret_is_told_without_what_was_signed() {
    let scene = Scene::new();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("credentials");
    let wrong = Credentials::new("AKIAIOSFODNN7EXAMPLE", "canary-secret-key", "111122223333");
    fs::write(&file, wrong.to_file()).unwrap();
    let place =
        format!("awskms:region=us-east-1;endpoint-url={};credentials-file={}", scene.server.endpoint(), file.display());
    let manager = manager(&place, Duration::from_secs(30));
    let error = block_on(manager.signer(&scene.key.uri.clone(), None)).unwrap_err();
    // The key's URI is of the scene's place: another file of credentials is a contradiction.
    assert_eq!(error.kind(), ErrorKind::InvalidUri, "{}", error.chain());
    let uri = manager_uri(&format!("{place};name=ca"));
    let error = block_on(manager.signer(&uri, None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{}", error.chain());
    let shown = format!("{error} {error:?} {}", error.chain());
    for canary in ["canary-secret-key", "AWS4-HMAC", "Signature="] {
        assert!(!shown.contains(canary), "{shown}");
    }
}

#[test]
fn credentials_that_are_not_there_are_missed_before_a_request() {
    let server = AwsKms::start().unwrap();
    let place = format!("awskms:region=us-east-1;endpoint-url={};credentials-file=/absent/aws", server.endpoint());
    let opened = block_on(Aws::default().manager(&manager_uri(&place), &OpenOptions::default()));
    let error = opened.map(drop).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unauthenticated), "{}", error.chain());
    assert_eq!(server.requests("*"), 0);
}

/// Two accounts and two regions live in one process, and neither sees the other's keys.
#[test]
fn two_accounts_in_two_regions() {
    let server = AwsKms::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let open = |number: u8, region: &str, account: &str| {
        let file = directory.path().join(format!("{number}"));
        let credentials = Credentials::new(format!("AKIAEXAMPLE{number:09}"), format!("secret-{number}"), account);
        fs::write(&file, credentials.to_file()).unwrap();
        server.add_credentials(credentials);
        let place =
            format!("awskms:region={region};endpoint-url={};credentials-file={}", server.endpoint(), file.display());
        let key_uri = manager_uri(&format!("{place};name=ca"));
        let manager = manager(&place, Duration::from_secs(30));
        let key = block_on(manager.create_key(&key_uri, &spec())).unwrap();
        (manager, key)
    };
    let (ours, our_key) = open(1, "us-east-1", "111122223333");
    let (theirs, their_key) = open(2, "eu-west-1", "444455556666");
    assert_ne!(our_key.public_key, their_key.public_key);
    for (manager, key) in [(&ours, &our_key), (&theirs, &their_key)] {
        let signer = block_on(manager.signer(&key.uri, None)).unwrap();
        assert_eq!(*signer.public_key(), key.public_key);
        block_on(signer.sign(b"message")).unwrap();
    }
    assert_eq!(block_on(ours.signer(&their_key.uri, None)).unwrap_err().kind(), ErrorKind::InvalidUri);
}
