//! Keys that exist and cannot be used.

use kms_core::{ErrorKind, KeyManager, KeySpec, KeyType, KeyUri, KeyUsage, block_on};
use kms_testkit::aws::Fault;

use crate::{Scene, manager_uri};

#[track_caller]
fn unusable(scene: &Scene, uri: &KeyUri, state: &str) {
    let before = scene.server.requests("GetPublicKey");
    let opened = block_on(scene.manager.signer(uri, None));
    let error = match opened {
        Err(error) => error,
        // What the service lets us read it does not let us use.
        Ok(signer) => block_on(signer.sign(b"message")).unwrap_err(),
    };
    assert_eq!(error.kind(), ErrorKind::KeyUnusable, "{}", error.chain());
    assert!(error.to_string().contains(state), "{state}: {}", error.chain());
    assert_eq!(scene.server.requests("GetPublicKey"), before + 1, "asked again though nothing will change");
}

#[test]
fn each_state_is_named() {
    let scene = Scene::new();
    let uri = &scene.key.uri;
    let signer = scene.signer();

    block_on(scene.manager.disable_key(uri)).unwrap();
    unusable(&scene, uri, "Disabled");
    assert_eq!(block_on(signer.sign(b"message")).unwrap_err().kind(), ErrorKind::KeyUnusable);
    block_on(scene.manager.enable_key(uri)).unwrap();
    block_on(signer.sign(b"message")).unwrap();

    block_on(scene.manager.schedule_key_deletion(uri, 7)).unwrap();
    unusable(&scene, uri, "PendingDeletion");
    let again = block_on(scene.manager.schedule_key_deletion(uri, 7)).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::KeyUnusable, "{}", again.chain());
    block_on(scene.manager.cancel_key_deletion(uri)).unwrap();
    unusable(&scene, uri, "Disabled");
    block_on(scene.manager.enable_key(uri)).unwrap();
    block_on(signer.sign(b"message")).unwrap();

    let arn = uri.path().find(|attribute| attribute.name() == "key-id").unwrap().text().unwrap().to_owned();
    scene.server.disconnect(&arn);
    unusable(&scene, uri, "Unavailable");
}

/// Not one key of all may be read: other than that there is none.
#[test]
fn a_search_that_may_read_nothing_says_so() {
    let scene = Scene::new();
    let everything = manager_uri(&scene.server.uri());
    let search = || block_on(scene.manager.as_key_searcher().unwrap().search_keys(&everything));
    assert_eq!(search().unwrap().len(), 1);
    scene.server.set("GetPublicKey", Fault::Refuse { status: 400, code: "AccessDeniedException" });
    assert_eq!(search().unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[test]
fn a_deletion_window_is_checked_before_a_request() {
    let scene = Scene::new();
    let before = scene.server.requests("*");
    for days in [0, 6, 31] {
        let error = block_on(scene.manager.schedule_key_deletion(&scene.key.uri, days)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
    assert_eq!(scene.server.requests("*"), before);
}

#[test]
fn a_key_for_decryption_does_not_sign() {
    let scene = Scene::new();
    let name = manager_uri(&scene.server.uri()).with_path("name", "mail").unwrap();
    let spec = KeySpec::new(KeyType::Rsa { bits: 2048 }).with_usage(KeyUsage::Decrypt);
    let key = block_on(scene.manager.create_key(&name, &spec)).unwrap();
    let error = block_on(scene.manager.signer(&key.uri, None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnusable, "{}", error.chain());
    assert_eq!(scene.server.requests("Sign"), 0);
}

#[test]
fn what_is_not_there_says_what_to_look_at() {
    let scene = Scene::new();
    let place = scene.server.uri();
    let absent = "1234abcd-12ab-34cd-56ef-1234567890ab";
    for key in [absent.to_owned(), "alias/CA".to_owned(), format!("arn:aws:kms:us-east-1:111122223333:key/{absent}")] {
        let uri = manager_uri(&format!("{place};key-id={key}"));
        let error = block_on(scene.manager.signer(&uri, None)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{}", error.chain());
        assert!(error.hint().is_some_and(|hint| hint.contains("region") && hint.contains("alias/NAME")), "{error}");
    }
    // Neither another region's key nor another account's region is asked for.
    let before = scene.server.requests("*");
    let uri = manager_uri(&format!("awskms:key-id=arn:aws:kms:eu-west-1:111122223333:key/{absent}"));
    let error = block_on(scene.manager.signer(&uri, None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidUri, "{}", error.chain());
    assert!(error.to_string().contains("`region`"), "{error}");
    assert_eq!(scene.server.requests("*"), before);
}
