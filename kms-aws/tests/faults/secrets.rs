//! Access keys, tokens and authorisation headers: in no log at trace level, error or Debug.

use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use kms_core::{KeyManager, KeySpec, KeyType, block_on};
use kms_testkit::aws::{AwsKms, Credentials, Fault};
use tracing_subscriber::filter::LevelFilter;

use crate::{manager, manager_uri};

const SECRETS: [&str; 3] = ["canary-secret-access-key", "canary-session-token", "AKIACANARY0000000000"];

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

#[test]
fn nothing_secret_is_shown() {
    LazyLock::force(&LOG);
    let server = AwsKms::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("credentials");
    let [secret, token, id] = SECRETS;
    let credentials = Credentials::new(id, secret, "111122223333").with_session_token(token);
    std::fs::write(&file, credentials.to_file()).unwrap();
    server.add_credentials(credentials);
    let place =
        format!("awskms:region=us-east-1;endpoint-url={};credentials-file={}", server.endpoint(), file.display());
    let manager = manager(&place, Duration::from_secs(3));
    let key = block_on(manager.create_key(&manager_uri(&place), &KeySpec::new(KeyType::EcP256))).unwrap();
    let signer = block_on(manager.signer(&key.uri, None)).unwrap();
    block_on(signer.sign(b"message")).unwrap();
    let mut shown = vec![format!("{manager:?} {signer:?} {} {:?}", key.uri, key.uri)];
    for fault in [
        Fault::Refuse { status: 400, code: "InvalidSignatureException" },
        Fault::Refuse { status: 400, code: "IncompleteSignatureException" },
        Fault::Refuse { status: 403, code: "AccessDeniedException" },
        Fault::Throttle { percent: 100 },
        Fault::Cut,
        Fault::Html,
        Fault::Hang,
    ] {
        server.set("Sign", fault);
        let error = block_on(signer.sign(b"message")).unwrap_err();
        shown.push(format!("{error} {error:?} {}", error.chain()));
    }
    server.clear();
    server.expire_credentials(id);
    let error = block_on(signer.sign(b"message")).unwrap_err();
    shown.push(format!("{error} {error:?} {}", error.chain()));

    let log = String::from_utf8_lossy(&LOG.0.lock().unwrap()).into_owned();
    assert!(log.contains("will try again") && log.contains("loaded anew"), "the log is read at all");
    for (what, text) in [("errors and Debug", shown.concat()), ("log", log)] {
        let text = text.to_ascii_lowercase();
        for secret in SECRETS.into_iter().chain(["aws4-hmac-sha256", "x-amz-security-token:"]) {
            assert!(!text.contains(&secret.to_ascii_lowercase()), "{what} has {secret}");
        }
    }
}
