//! A canary password in each place where one can stand in a `softkms:` URI, right or wrong: never in Debug, Display,
//! error chains, logs at trace level, or URIs that are handed out.

use std::error::Error as StdError;
use std::fmt::{Debug, Display};
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};

use tracing::level_filters::LevelFilter;

use kms_core::{
    DecryptionAlgorithm, Error, KeyManager, KeySpec, KeyType, KeyUri, OpenOptions, Registry, Result, Secret,
    SecretPrompt, SecretRequest, SignatureAlgorithm, block_on,
};
use kms_soft::Soft;
use kmskit_tests::soft;

const CANARY: &str = "canary-7c0ffee-password";
const VARIABLE: &str = "KMSKIT_TEST_PASSWORD";

/// All that was logged by this process.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(move || writer.clone()).init();
    log
});

#[test]
fn the_right_place() {
    let directory = tempfile::tempdir().unwrap();
    let key = in_directory(directory.path(), "root");
    let uri = key.with_query("password-value", CANARY).unwrap();
    let mut shown = Shown::new();
    shown.use_everything(&soft(), &uri);
    // It was used as a password indeed.
    create(&soft(), &uri);
    let pem = std::fs::read_to_string(directory.path().join("root.key")).unwrap();
    assert!(pem.contains("ENCRYPTED PRIVATE KEY"), "{pem}");
    shown.text(&pem);
    shown.wrong_password(&key);
    shown.assert_clean();
}

#[test]
fn a_file() {
    let directory = tempfile::tempdir().unwrap();
    for (number, (content, good)) in
        [(CANARY.to_owned(), true), (format!("{CANARY}\n"), true), (format!("{CANARY}{}", "x".repeat(100_000)), false)]
            .into_iter()
            .enumerate()
    {
        let file = directory.path().join(format!("password-{number}"));
        std::fs::write(&file, content).unwrap();
        let key = in_directory(directory.path(), &format!("root-{number}"));
        let uri = key.with_query("password-source", format!("file:{}", file.display())).unwrap();
        let mut shown = Shown::new();
        assert_eq!(block_on(block_on(soft().open(&uri)).unwrap().create_key(&uri, &spec())).is_ok(), good);
        shown.use_everything(&soft(), &uri);
        shown.assert_clean();
    }
}

/// In a process of its own, since a variable of this one cannot be set safely.
#[test]
fn the_environment() {
    if std::env::var_os(VARIABLE).is_none() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let output = child.args(["the_environment", "--exact", "--nocapture"]).env(VARIABLE, CANARY).output().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        assert!(!text.contains(CANARY), "{text}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let uri = in_directory(directory.path(), "root").with_query("password-source", format!("env:{VARIABLE}")).unwrap();
    let mut shown = Shown::new();
    create(&soft(), &uri);
    shown.use_everything(&soft(), &uri);
    shown.assert_clean();
}

#[test]
fn a_prompt() {
    let directory = tempfile::tempdir().unwrap();
    let key = in_directory(directory.path(), "root");
    create(&soft(), &key.with_query("password-value", CANARY).unwrap());
    let registry = Registry::new().with(Soft::default()).with_options(OpenOptions::default().with_prompt(Canary));
    let mut shown = Shown::new();
    shown.text(&format!("{registry:?}"));
    block_on(block_on(registry.signer(&key)).expect("the prompt is asked").sign(b"m")).unwrap();
    shown.use_everything(&registry, &key);
    shown.assert_clean();
}

/// Where people put one by mistake. All are refused, and the refusal may not repeat what was given.
#[test]
fn wrong_places() {
    let directory = tempfile::tempdir().unwrap();
    let key = in_directory(directory.path(), "root");
    let mut shown = Shown::new();
    let mut refused = 0;
    for name in [
        "password",
        "password-value",
        "Password",
        "old-password",
        "db_password",
        "passphrase",
        "pin",
        "pin-value",
        "so-pin",
        "puk",
        "secret",
        "client-secret",
        "management-key",
        "private-key",
    ] {
        for uri in [key.with_path(name, CANARY), key.with_query(name, CANARY)] {
            let uri = uri.unwrap();
            shown.use_everything(&soft(), &uri);
            let right = uri.query().any(|attribute| attribute.name() == "password-value");
            assert_eq!(block_on(soft().open(&uri)).is_ok(), right, "{uri}");
            refused += usize::from(!right);
        }
    }
    assert_eq!(refused, 27);
    // The password where a source is due, a command, both at once, the empty one.
    for query in [
        format!("password-source={CANARY}"),
        format!("password-source=env:{CANARY}%20"),
        format!("password-source=%7Cecho%20{CANARY}"),
        format!("password-source=pass:{CANARY}"),
        format!("password-value={CANARY}&password-source=env:X"),
        format!("password-value={CANARY}&password-value={CANARY}"),
        format!("password-value={CANARY}&nmae=x"),
        format!("password-value={CANARY}&pin-value={CANARY}"),
    ] {
        let text = format!("{}?{query}", *key.to_exposed_string());
        match text.parse::<KeyUri>() {
            Err(error) => shown.error(&error.into()),
            Ok(uri) => {
                // The name of an attribute that is not secret may show its value; the backend's refusal may not.
                let error = block_on(soft().open(&uri)).expect_err("refused");
                shown.error(&error);
                shown.error(&block_on(soft().signer(&uri)).expect_err("refused"));
            }
        }
    }
    shown.assert_clean();
}

/// Faults of syntax around the secret, at each position: the parser may not quote it.
#[test]
fn malformed_around_the_secret() {
    let good = format!("softkms:name=root;dir=pki?password-value={CANARY}&alg=x");
    let mut shown = Shown::new();
    let mut faults = 0;
    for position in 0..=good.len() {
        for wrong in ["%", "%z", " ", "\u{0}", "\u{e9}", ";", "?", "&", "=", "#", "["] {
            let text = format!("{}{wrong}{}", &good[..position], &good[position..]);
            match text.parse::<KeyUri>() {
                Ok(uri) if uri.to_exposed_string().contains(CANARY) => {
                    // A name that the damage turned into another is no secret's name.
                    if uri.has_secret() {
                        shown.show(&uri);
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    faults += 1;
                    shown.show(&error);
                    shown.error(&error.into());
                }
            }
        }
    }
    assert!(faults > 500, "only {faults} faults");
    shown.assert_clean();
}

/// The search finds the canary in each kind of text when it is there.
#[test]
fn the_search_finds_it() {
    let found = |look: &dyn Fn(&mut Shown)| {
        let mut shown = Shown::new();
        look(&mut shown);
        !shown.hits.is_empty()
    };
    let error = || Error::new(kms_core::ErrorKind::Other, "context");
    assert!(!found(&|shown| shown.error(&error())));
    assert!(found(&|shown| shown.error(&Error::new(kms_core::ErrorKind::Other, CANARY))));
    assert!(found(&|shown| shown.error(&error().with_hint(CANARY))));
    assert!(found(&|shown| shown.error(&error().with_source(error().with_source(CANARY)))));
    assert!(found(&|shown| shown.text(&format!("{:?}", CANARY.as_bytes()))));
    assert!(found(&|shown| shown.text(&hex::encode_upper(CANARY))));
    let exposed = KeyUri::builder("softkms").query("password-value", CANARY).build().unwrap().to_exposed_string();
    assert!(found(&|shown| shown.text(&exposed)));
    // In the log too: a control of its own, so that it does not disturb the search for the real one.
    Shown::new();
    tracing::trace!(control = "control-in-the-log", "control");
    assert!(LOG.text().contains("control-in-the-log"), "what is logged at trace level is not seen");
    assert!(LOG.text().contains("TRACE"));
}

fn in_directory(directory: &Path, name: &str) -> KeyUri {
    let directory = directory.to_str().expect("UTF-8");
    KeyUri::builder("softkms").path("name", name).path("dir", directory).build().unwrap()
}

fn create(registry: &Registry, uri: &KeyUri) {
    let manager = block_on(registry.open(uri)).unwrap();
    block_on(manager.create_key(uri, &spec())).unwrap();
}

fn spec() -> KeySpec {
    KeySpec::new(KeyType::EcP256)
}

/// What a user or a log could have seen, searched for the canary.
struct Shown {
    hits: Vec<String>,
}

impl Shown {
    fn new() -> Self {
        LazyLock::force(&LOG);
        Self { hits: Vec::new() }
    }

    /// Every call there is, so that every path has its chance to show something. Deletes the key in the end.
    fn use_everything(&mut self, registry: &Registry, uri: &KeyUri) {
        if uri.has_secret() {
            self.show(uri);
            self.text(&format!("{:?} {:?}", uri.attributes(), uri.path().chain(uri.query()).collect::<Vec<_>>()));
            self.text(&uri.without_secrets().to_exposed_string());
        }
        self.result(block_on(registry.signer(uri)).map(|signer| format!("{signer:?}")));
        match block_on(registry.open(uri)) {
            Ok(manager) => self.use_manager(&manager, uri),
            Err(error) => self.error(&error),
        }
    }

    fn use_manager(&mut self, manager: &Arc<dyn KeyManager>, uri: &KeyUri) {
        self.text(&format!("{manager:?}"));
        for _ in 0..2 {
            self.result(
                block_on(manager.create_key(uri, &spec()))
                    .map(|key| format!("{key:?} {} {}", key.uri, *key.uri.to_exposed_string())),
            );
        }
        self.result(block_on(manager.public_key(uri)).map(|key| format!("{key:?}")));
        for algorithm in [None, Some(SignatureAlgorithm::EcdsaSha256), Some(SignatureAlgorithm::Ed25519)] {
            self.result(block_on(manager.signer(uri, algorithm)).map(|signer| {
                format!("{signer:?} {:?} {:?}", block_on(signer.sign(b"m")), block_on(signer.sign_digest(b"m")))
            }));
        }
        if let Some(searcher) = manager.as_key_searcher() {
            self.result(block_on(searcher.search_keys(uri)).map(|keys| {
                let uris: Vec<_> = keys.iter().map(|key| key.uri.to_exposed_string()).collect();
                format!("{keys:?} {uris:?}")
            }));
        }
        if let Some(certificates) = manager.as_certificate_manager() {
            self.result(block_on(certificates.load_certificates(uri)).map(|chain| format!("{chain:?}")));
            self.result(block_on(certificates.store_certificates(uri, &[vec![0]])).map(|()| String::new()));
            self.result(block_on(certificates.delete_certificates(uri)).map(|()| String::new()));
        }
        if let Some(decrypter) = manager.as_decrypter() {
            let decrypted = block_on(decrypter.decrypt(uri, DecryptionAlgorithm::RsaOaepSha256, &[1; 256]));
            self.result(decrypted.map(|plain| format!("{plain:?}")));
        }
        if let Some(importer) = manager.as_key_importer() {
            let imported = block_on(importer.import_key(uri, &Secret::new(CANARY), &spec()));
            self.result(imported.map(|key| format!("{key:?}")));
        }
        if let Some(deleter) = manager.as_key_deleter() {
            for _ in 0..2 {
                self.result(block_on(deleter.delete_key(uri)).map(|()| String::new()));
            }
        }
    }

    /// The canary with one letter more, against a key that is encrypted under the canary.
    fn wrong_password(&mut self, key: &KeyUri) {
        let uri = key.with_query("password-value", format!("{CANARY}x")).unwrap();
        let manager = block_on(soft().open(&uri)).unwrap();
        self.error(&block_on(manager.signer(&uri, None)).expect_err("refused"));
        self.error(&block_on(manager.public_key(&uri)).expect_err("refused"));
        self.error(&block_on(soft().signer(key)).expect_err("no password"));
    }

    fn result(&mut self, result: Result<String>) {
        match result {
            Ok(text) => self.text(&text),
            Err(error) => self.error(&error),
        }
    }

    fn error(&mut self, error: &Error) {
        self.show(error);
        self.text(&error.chain());
        self.text(error.context());
        self.text(error.hint().unwrap_or_default());
        let mut next = error.source();
        while let Some(source) = next {
            self.text(&format!("{source} {source:?} {source:#?}"));
            next = source.source();
        }
    }

    fn show(&mut self, shown: &(impl Display + Debug)) {
        self.text(&format!("{shown} {shown:?} {shown:#?}"));
    }

    fn text(&mut self, text: &str) {
        if contains_canary(text) {
            self.hits.push(text.to_owned());
        }
    }

    fn assert_clean(&self) {
        assert!(self.hits.is_empty(), "{} hits: {:#?}", self.hits.len(), self.hits);
        let log = LOG.text();
        let logged: Vec<_> = log.lines().filter(|line| contains_canary(line)).collect();
        assert!(logged.is_empty(), "{logged:#?}");
    }
}

/// As it is, in hex, or as a list of octets.
fn contains_canary(text: &str) -> bool {
    let octets = format!("{:?}", CANARY.as_bytes());
    let hex = hex::encode(CANARY);
    text.contains(CANARY) || text.to_lowercase().contains(&hex) || text.contains(octets.trim_matches(['[', ']']))
}

/// An application's vault.
#[derive(Debug)]
struct Canary;

impl SecretPrompt for Canary {
    fn prompt(&self, _: &SecretRequest) -> Result<Secret> {
        Ok(Secret::new(CANARY))
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
