//! A password shows up nowhere: not in texts, not in errors, not in the log.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use kms_core::{Error, KeySpec, KeyType, KeyUri, OpenOptions, Registry, Result, Secret, block_on};
use kms_soft::{Soft, SoftOptions};
use tempfile::TempDir;
use tracing::Level;

const CANARY: &str = "canary-5up3r";

/// All that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn record<T: std::fmt::Debug>(texts: &mut String, result: Result<T>) -> Option<T> {
    let chain = |error: &Error| format!("{error} {error:?} {error:#?} {}", error.chain());
    writeln!(texts, "{result:?} {}", result.as_ref().err().map(chain).unwrap_or_default()).unwrap();
    result.ok()
}

#[test]
fn the_password_shows_up_nowhere() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_max_level(Level::TRACE).with_writer(move || writer.clone()).init();

    let root = TempDir::new().unwrap();
    let path = root.path().join("root.key");
    let uri = |name: &str, password: &str| {
        let directory = root.path().to_str().unwrap();
        let builder = KeyUri::builder("softkms").path("name", name).path("dir", directory);
        builder.query("password-value", password).build().unwrap()
    };
    let (right, wrong) = (uri("root", CANARY), uri("root", &format!("{CANARY}-wrong")));
    let mut texts = String::new();
    let registry = Registry::new().with(Soft::default()).with_options(OpenOptions::default());
    writeln!(texts, "{:?} {:?}", registry, SoftOptions::try_from(&right)).unwrap();

    let manager = block_on(registry.open(&right)).unwrap();
    let spec = KeySpec::new(KeyType::Rsa { bits: 2048 });
    let key = record(&mut texts, block_on(manager.create_key(&right, &spec))).unwrap();
    writeln!(texts, "{manager:?} {} {}", key.uri, &*key.uri.to_exposed_string()).unwrap();
    let signer = record(&mut texts, block_on(manager.signer(&right, None))).unwrap();
    record(&mut texts, block_on(signer.sign(b"message"))).unwrap();
    let searcher = manager.as_key_searcher().unwrap();
    record(&mut texts, block_on(searcher.search_keys(&right))).unwrap();
    fs::write(root.path().join("garbage.key"), CANARY).unwrap();
    for failing in [
        record(&mut texts, block_on(manager.create_key(&right, &spec))).is_none(),
        record(&mut texts, block_on(manager.signer(&wrong, None))).is_none(),
        record(&mut texts, block_on(manager.public_key(&uri("missing", CANARY)))).is_none(),
        record(&mut texts, block_on(manager.public_key(&uri("garbage", CANARY)))).is_none(),
        record(&mut texts, block_on(searcher.search_keys(&wrong))).is_some_and(|found| found.is_empty()),
    ] {
        assert!(failing);
    }
    for length in [0, 60, 100, fs::metadata(&path).unwrap().len() - 40] {
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(length).unwrap();
        assert!(record(&mut texts, block_on(manager.signer(&right, None))).is_none());
    }
    let importer = manager.as_key_importer().unwrap();
    let import = block_on(importer.import_key(&uri("new", CANARY), &Secret::new(CANARY), &spec));
    assert!(record(&mut texts, import).is_none());

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("key left out of the search"), "the log was captured: {logged}");
    assert!(!logged.contains(CANARY), "{logged}");
    assert!(!texts.contains(CANARY), "{texts}");
}
