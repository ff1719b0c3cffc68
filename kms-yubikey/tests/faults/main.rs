//! What a card, its reader, `pcscd` and other programs do wrong, and what the caller is told. One test at a time: all share
//! the readers.

mod card;
mod pin;
mod sharing;
mod touch;

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kms_core::{
    Error, ErrorKind, Key, KeyManager, KeySpec, KeyType, KeyUri, OpenOptions, OperationPolicy, Registry, Signer,
    block_on,
};
use kms_testkit::judge;
use kms_testkit::piv::{Card, CardOptions, Control, Inserted, PcscRig, reexec_with_pcsc};
use kms_yubikey::YubiKey;
use libtest_mimic::{Arguments, Failed, Trial};
use tracing_subscriber::filter::LevelFilter;

const PIN: &str = "123456";
const MANAGEMENT_KEY: &str = "010203040506070801020304050607080102030405060708";

/// GENERAL AUTHENTICATE, by which keys are used.
const USE_KEY: u8 = 0x87;
/// VERIFY, by which a PIN is sent; without data it asks for the tries left.
const VERIFY: u8 = 0x20;

/// The reader looks for its card twice in a second. One that goes and comes in between confuses it.
const NOTICES: Duration = Duration::from_millis(1200);

type Outcome = Result<(), Failed>;

fn main() -> ExitCode {
    reexec_with_pcsc().expect("a network and a /run of one's own");
    if let Ok(uri) = std::env::var(sharing::OTHER_PROCESS) {
        return sharing::other_process(&uri);
    }
    LazyLock::force(&LOG);
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let rig = if arguments.list { None } else { Some(PcscRig::start_beside(4, 2).expect("pcscd and vpcd")) };
    let rig = Arc::new(Mutex::new(rig));
    let trial = |(name, test): (&str, fn(&mut PcscRig) -> Outcome)| {
        let rig = Arc::clone(&rig);
        Trial::test(name, move || {
            let mut rig: MutexGuard<'_, Option<PcscRig>> = rig.lock().unwrap_or_else(PoisonError::into_inner);
            test(rig.as_mut().ok_or("no readers")?)
        })
    };
    let tests = [pin::TESTS, card::TESTS, touch::TESTS, sharing::TESTS].concat();
    libtest_mimic::run(&arguments, tests.into_iter().map(trial).collect()).exit_code()
}

type Test = (&'static str, fn(&mut PcscRig) -> Outcome);

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(octets);
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

/// A card in the first reader.
struct Scene {
    inserted: Option<Inserted>,
    control: Control,
    serial: u32,
}

impl Scene {
    fn new(rig: &PcscRig) -> Self {
        Self::in_reader(rig, 0)
    }

    fn in_reader(rig: &PcscRig, reader: u16) -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(7_000_000);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let card = Card::new(&CardOptions::default().with_serial(serial)).expect("a card");
        let control = card.control();
        let mut this = Self { inserted: None, control, serial };
        this.insert(rig, card, reader);
        this
    }

    fn insert(&mut self, rig: &PcscRig, card: Card, reader: u16) {
        self.inserted = Some(rig.insert(card, reader).expect("a free reader"));
        let start = Instant::now();
        while let Err(error) = self.open("", OperationPolicy::default()) {
            assert!(start.elapsed() < Duration::from_secs(30), "no card after 30 s: {}", error.chain());
            sleep(Duration::from_millis(50));
        }
    }

    /// Takes the card out, and waits until the reader has noticed.
    fn take_out(&mut self) -> Card {
        let card = self.inserted.take().expect("it is in").take_out().expect("the card");
        sleep(NOTICES);
        card
    }

    fn uri(&self, rest: &str) -> KeyUri {
        format!("yubikey:serial={}{rest}", self.serial).parse().expect("a good URI")
    }

    fn open(&self, rest: &str, policy: OperationPolicy) -> Result<Arc<dyn KeyManager>, Error> {
        let registry = Registry::new().with(YubiKey::default().with_touch_timeout(Duration::from_secs(3)));
        let registry = registry.with_options(OpenOptions::default().with_policy(policy));
        block_on(registry.open(&self.uri(rest)))
    }

    /// Makes a P-256 key in that slot, with those attributes.
    fn key(&self, slot: &str, rest: &str) -> Result<Key, Error> {
        let manager =
            self.open(&format!("?management-key={MANAGEMENT_KEY}&pin-value={PIN}"), OperationPolicy::default())?;
        block_on(manager.create_key(&self.uri(&format!(";slot-id={slot}{rest}")), &KeySpec::new(KeyType::EcP256)))
    }

    fn signer(&self, slot: &str, pin: &str) -> Result<Arc<dyn Signer>, Error> {
        self.signer_within(slot, pin, Duration::from_secs(30))
    }

    /// Opens the key with that PIN, which sends it, and signs.
    fn sign_with(&self, slot: &str, pin: &str) -> Result<(), Error> {
        sign(&self.signer(slot, pin)?)
    }

    fn signer_within(&self, slot: &str, pin: &str, timeout: Duration) -> Result<Arc<dyn Signer>, Error> {
        let manager = self.open(&format!("?pin-value={pin}"), OperationPolicy::default().with_timeout(timeout))?;
        block_on(manager.signer(&self.uri(&format!(";slot-id={slot}")), None))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(inserted) = self.inserted.take() {
            drop(inserted);
            sleep(NOTICES);
        }
    }
}

/// Signs, and lets a library judge that shares nothing with the backend.
fn sign(signer: &Arc<dyn Signer>) -> Result<(), Error> {
    let signature = block_on(signer.sign(b"message"))?;
    judge::verify(signer.public_key().spki_der(), signer.algorithm(), b"message", signature.as_bytes())
        .map_err(|why| Error::new(ErrorKind::Integrity, why))
}

#[track_caller]
fn fails(result: Result<(), Error>, kind: ErrorKind) -> Error {
    let error = result.expect_err("it must fail");
    assert_eq!(error.kind(), kind, "{}", error.chain());
    error
}
