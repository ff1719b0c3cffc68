//! Access tokens: in no log at trace level, error or Debug; and not sent where nobody said.

use std::io::{self, Read as _, Write};
use std::net::TcpListener;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use kms_core::{KeySpec, KeyType, block_on};
use serde_json::json;
use tracing_subscriber::filter::LevelFilter;

use crate::{manager, uri};
use kms_testkit::gcp::{Fault, GcpKms};

const SECRETS: [&str; 3] = ["canary-access-token", "canary-refresh-token", "canary-client-secret"];

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// All that this process logs, of every crate.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(move || writer.clone()).init();
    log
});

/// Hands out the access token to whoever asks.
fn token_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/token", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let _ = connection.read(&mut request);
            let body = json!({ "access_token": SECRETS[0], "expires_in": 3600, "token_type": "Bearer" }).to_string();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length:";
            let _ = connection.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes());
        }
    });
    address
}

#[test]
fn nothing_secret_is_shown() {
    LazyLock::force(&LOG);
    let server = GcpKms::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("credentials.json");
    let credentials = json!({
        "type": "authorized_user",
        "client_id": "id",
        "client_secret": SECRETS[2],
        "refresh_token": SECRETS[1],
        "token_uri": token_server(),
    });
    std::fs::write(&file, credentials.to_string()).unwrap();
    let with_file = |within: &str| format!("{}&credentials-file={}", server.uri(within), file.display());
    let manager = manager(&with_file(""), Duration::from_secs(3));
    let name = uri(&with_file("/cryptoKeys/ca"));
    let key = block_on(manager.create_key(&name, &KeySpec::new(KeyType::EcP256))).unwrap();
    let signer = block_on(manager.signer(&key.uri, None)).unwrap();
    block_on(signer.sign(b"message")).unwrap();
    let mut shown = vec![format!("{manager:?} {signer:?} {} {:?}", key.uri, key.uri)];
    for fault in [
        Fault::refuse(401, "UNAUTHENTICATED", "the header was Authorization: Bearer canary-access-token"),
        Fault::refuse(403, "PERMISSION_DENIED", "not with Bearer canary-access-token"),
        Fault::refuse(429, "RESOURCE_EXHAUSTED", ""),
        Fault::Cut,
        Fault::Html(404),
        Fault::Hang,
    ] {
        server.set("AsymmetricSign", fault);
        let error = block_on(signer.sign(b"message")).unwrap_err();
        shown.push(format!("{error} {error:?} {}", error.chain()));
    }
    std::fs::write(&file, "{\"type\": \"authorized_user\", \"client_secret\": \"canary-client-secret\"").unwrap();
    let broken = crate::manager(&with_file(""), Duration::from_secs(3));
    let error = block_on(broken.signer(&key.uri, None)).unwrap_err();
    assert_eq!(error.kind(), kms_core::ErrorKind::Unauthenticated, "{}", error.chain());
    shown.push(format!("{error} {error:?} {}", error.chain()));

    let log = String::from_utf8_lossy(&LOG.0.lock().unwrap()).into_owned();
    assert!(log.contains("will try again") && log.contains("loaded anew"), "the log is read at all");
    for (what, text) in [("errors and Debug", shown.concat()), ("log", log)] {
        for secret in SECRETS {
            assert!(!text.contains(secret), "{what} has {secret}");
        }
    }
}
