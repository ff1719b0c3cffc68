//! Whose rights a request has: those of a file, of an account that is acted as; and what happens when they end.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use kms_core::{ErrorKind, KeySpec, KeyType, block_on};

use crate::{LATER, Scene, manager, uri};

fn uri_with(scene: &Scene, within: &str, file: &std::path::Path) -> String {
    format!("{}&credentials-file={}", scene.server.uri(within), file.display())
}

/// The token of the file is sent with each request, and a new one is fetched when it is refused.
#[test]
fn tokens_are_renewed_once() {
    let scene = Scene::new();
    scene.server.require_credentials();
    for (file, id) in
        [(scene.server.credentials_file(), "by-user"), (scene.server.impersonating_credentials_file(), "by-account")]
    {
        let manager = manager(&uri_with(&scene, "", &file), LATER);
        let name = uri(&uri_with(&scene, &format!("/cryptoKeys/{id}"), &file));
        let key = block_on(manager.create_key(&name, &KeySpec::new(KeyType::EcP256))).unwrap();
        let signer = block_on(manager.signer(&key.uri, None)).unwrap();
        block_on(signer.sign(b"message")).unwrap();
        for _ in 0..3 {
            scene.server.expire_credentials();
            let before = scene.server.requests("AsymmetricSign");
            block_on(signer.sign(b"message")).unwrap();
            assert_eq!(scene.server.requests("AsymmetricSign") - before, 2, "{id}: refused, and then done");
        }
    }
}

/// What a token endpoint answers may be what it was sent.
#[test]
fn what_a_token_endpoint_answers_is_not_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/token", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let _ = connection.read(&mut [0; 4096]);
            let body = "no such thing: CANARY-VALUE";
            let head = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length:";
            let _ = connection.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes());
        }
    });
    let scene = Scene::new();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("echoed.json");
    let text = std::fs::read_to_string(scene.server.credentials_file()).unwrap();
    let own = format!("{}/token", scene.server.endpoint());
    std::fs::write(&file, text.replace(&own, &address)).unwrap();
    let manager = manager(&uri_with(&scene, "", &file), LATER);
    let key = uri(&uri_with(&scene, "/cryptoKeys/ca/cryptoKeyVersions/1", &file));
    let error = block_on(manager.public_key(&key)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{}", error.chain());
    assert!(!format!("{error:?} {}", error.chain()).contains("CANARY"), "{}", error.chain());
}

/// Without credentials, and with those of nobody: once, and the error says what to do.
#[test]
fn who_is_nobody_is_told_so() {
    let scene = Scene::new();
    scene.server.require_credentials();
    let before = scene.server.requests("*");
    let error = block_on(scene.manager.signer(&scene.key.uri, None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{}", error.chain());
    assert!(scene.server.requests("*") - before <= 2, "asked again and again");

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("other.json");
    let text = std::fs::read_to_string(scene.server.credentials_file()).unwrap();
    std::fs::write(&file, text.replace("refresh-token", "canary-token")).unwrap();
    let other = manager(&uri_with(&scene, "", &file), LATER);
    let error = block_on(other.public_key(&uri(&uri_with(&scene, "/cryptoKeys/ca/cryptoKeyVersions/1", &file))));
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{}", error.chain());
    assert!(!format!("{error:?} {}", error.chain()).contains("canary-token"), "{}", error.chain());
}
