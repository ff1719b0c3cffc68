//! The suite on virtual cards, through `pcscd`, in as many readers as are needed at once.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kms_core::{
    KeyType, KeyUri, OpenOptions, Registry, Result, Secret, SecretPrompt, SecretRequest, SignatureAlgorithm, block_on,
};
use kms_testkit::conformance::{self, Harness};
use kms_testkit::piv::{Card, CardOptions, Inserted, PcscRig, reexec_with_pcsc};
use kms_yubikey::YubiKey;
use libtest_mimic::{Arguments, Trial};

const PIN: &str = "123456";
const MANAGEMENT_KEY: &str = "010203040506070801020304050607080102030405060708";

/// So many cards are in use at once.
const READERS: u16 = 12;

fn main() -> ExitCode {
    reexec_with_pcsc().expect("a network and a /run of one's own");
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(usize::from(READERS));
    let readers = Arc::new(if arguments.list { Readers::default() } else { Readers::start() });
    let mut trials = of_firmware("yubikey-5.7", [5, 7, 1], &readers);
    // Of older firmware, what depends on it.
    let depends = |trial: &Trial| ["keys", "deletion", "attestation", "import"].contains(&part(trial.name(), 1));
    trials.extend(of_firmware("yubikey-5.4", [5, 4, 3], &readers).into_iter().filter(depends));
    RUNS.store(true, Ordering::Relaxed);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// False while the cases are collected, which takes no card.
static RUNS: AtomicBool = AtomicBool::new(false);

/// The whole suite, in groups: a card has 24 slots, and the suite makes more keys. Each group has a card of its own, which
/// goes into a reader when the first of its cases begins, and out when the last has ended.
fn of_firmware(name: &'static str, firmware: [u8; 3], readers: &Arc<Readers>) -> Vec<Trial> {
    let place =
        || Place { name, firmware, readers: Arc::clone(readers), card: Mutex::default(), next: AtomicU64::new(0) };
    let names: Vec<String> = conformance::trials(place()).iter().map(|trial| trial.name().to_owned()).collect();
    let mut groups: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for name in &names {
        groups.entry(group(name)).or_default().push(name);
    }
    let in_group = |names: &Vec<&String>| {
        let all = conformance::trials(place());
        all.into_iter().filter(|trial| names.iter().any(|name| *name == trial.name())).collect::<Vec<_>>()
    };
    groups.values().flat_map(in_group).collect()
}

/// `yubikey-5.7::signing::rsa-4096` of `yubikey-5.7::signing::rsa-4096::rsa-pss-sha256::digest`.
fn group(name: &str) -> String {
    name.splitn(4, "::").take(3).collect::<Vec<_>>().join("::")
}

fn part(name: &str, number: usize) -> &str {
    name.split("::").nth(number).unwrap_or_default()
}

/// Cards in readers that are lent out. They stay there and become other cards: that a reader notices one takes a second.
#[derive(Default)]
struct Readers {
    free: Mutex<Vec<Inserted>>,
    freed: Condvar,
    /// Ends after the cards are out.
    _rig: Option<PcscRig>,
}

impl Readers {
    fn start() -> Self {
        let rig = PcscRig::start(READERS).expect("pcscd and vpcd");
        let insert = |reader| {
            for _ in 0..3 {
                let (card, serial) = new_card([5, 7, 1]);
                let inserted = rig.insert(card, reader).expect("a free reader");
                if is_noticed(serial, Duration::from_secs(10)) {
                    return inserted;
                }
            }
            panic!("reader {reader} notices no card");
        };
        Self { free: Mutex::new((0..READERS).map(insert).collect()), freed: Condvar::new(), _rig: Some(rig) }
    }

    fn borrow(&self) -> Inserted {
        let mut free = lock(&self.free);
        loop {
            match free.pop() {
                Some(inserted) => return inserted,
                None => free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn give_back(&self, inserted: Inserted) {
        lock(&self.free).insert(0, inserted);
        self.freed.notify_one();
    }
}

/// A card as from the factory, and its serial, which no other has.
fn new_card(firmware: [u8; 3]) -> (Card, u32) {
    static SERIAL: AtomicU32 = AtomicU32::new(5_000_000);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let options = CardOptions::default().with_firmware(firmware).with_serial(serial);
    (Card::new(&options).expect("a card"), serial)
}

/// Whether the card can be opened within that time.
fn is_noticed(serial: u32, patience: Duration) -> bool {
    let registry = Registry::new().with(YubiKey::default());
    let uri: KeyUri = format!("yubikey:serial={serial}").parse().expect("a good URI");
    let start = Instant::now();
    while start.elapsed() < patience {
        if block_on(registry.open(&uri)).is_ok() {
            return true;
        }
        sleep(Duration::from_millis(50));
    }
    false
}

/// One card, in a reader while there are cases for it.
struct Place {
    name: &'static str,
    firmware: [u8; 3],
    readers: Arc<Readers>,
    card: Mutex<Option<Placed>>,
    next: AtomicU64,
}

struct Placed {
    inserted: Inserted,
    serial: u32,
    root: Vec<u8>,
}

impl Place {
    fn with_card<T>(&self, use_it: impl FnOnce(&Placed) -> T) -> T {
        let mut card = lock(&self.card);
        let placed = card.get_or_insert_with(|| {
            let mut inserted = self.readers.borrow();
            let (card, serial) = new_card(self.firmware);
            let root = card.attestation_root().to_vec();
            inserted.replace(card);
            Placed { inserted, serial, root }
        });
        use_it(placed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(placed) = lock(&self.card).take() {
            self.readers.give_back(placed.inserted);
        }
    }
}

#[derive(Debug)]
struct Secrets;

impl SecretPrompt for Secrets {
    fn prompt(&self, request: &SecretRequest) -> Result<Secret> {
        Ok(Secret::new(if request.name == "pin" { PIN } else { MANAGEMENT_KEY }))
    }
}

impl Harness for Place {
    fn name(&self) -> &'static str {
        self.name
    }

    fn registry(&self) -> Registry {
        let root = self.with_card(|card| card.root.clone());
        // As a service would: URIs without secrets, and the secrets from elsewhere.
        let options = OpenOptions::default().with_prompt(Secrets);
        Registry::new().with(YubiKey::default().with_attestation_root(root)).with_options(options)
    }

    fn place(&self) -> KeyUri {
        let serial = self.with_card(|card| card.serial);
        format!("yubikey:serial={serial}").parse().expect("a good URI")
    }

    fn fresh_key(&self, _: &str) -> KeyUri {
        const SLOTS: [&str; 24] = [
            "82", "83", "84", "9c", "9a", "9d", "9e", "85", "86", "87", "88", "89", "8a", "8b", "8c", "8d", "8e", "8f",
            "90", "91", "92", "93", "94", "95",
        ];
        let next = usize::try_from(self.next.fetch_add(1, Ordering::Relaxed)).expect("a small number");
        let slot = SLOTS.get(next).expect("the group needs more keys than a card has slots");
        self.place().with_path("slot-id", slot).expect("a good URI")
    }

    fn capabilities(&self) -> &[&str] {
        let all = &["delete", "search", "certificates", "attestation", "decryption", "import"];
        if self.firmware >= [5, 7, 0] { all } else { &all[1..] }
    }

    fn key_type_unsupported(&self, key_type: KeyType) -> Option<String> {
        match key_type {
            KeyType::EcP256 | KeyType::EcP384 | KeyType::Rsa { bits: 2048 } => None,
            KeyType::Ed25519 | KeyType::Rsa { bits: 3072 | 4096 } if self.firmware >= [5, 7, 0] => None,
            KeyType::Ed25519 | KeyType::Rsa { .. } => Some("before firmware 5.7".into()),
            _ => Some("no YubiKey has it".into()),
        }
    }

    /// Ed25519 signs the message itself, which the card takes whole.
    fn message_lengths(&self, algorithm: SignatureAlgorithm) -> RangeInclusive<usize> {
        if algorithm == SignatureAlgorithm::Ed25519 { 0..=3000 } else { 0..=usize::MAX }
    }

    fn wrong_uris(&self) -> Vec<KeyUri> {
        [
            "yubikey:slot-id=9b",
            "yubikey:slot-id=f9",
            "yubikey:slot-id=9",
            "yubikey:serial=x;slot-id=9a",
            "yubikey:slot-id=9c;pin-value=123456",
            "yubikey:slot-id=9c;management-key=01",
            "yubikey:slot-id=9c?pin-value=123456&pin-source=env:X",
            "yubikey:slot-id=9c?pin-source=%7Ccat%20x",
            "yubikey:slot-id=9c?management-key=01&management-key-source=env:X",
            "yubikey:slot-id=9c;pin-policy=sometimes",
            "yubikey:slot-id=9c;touch-policy=2",
            "yubikey:slot-id=9c;overwrite=yes",
        ]
        .iter()
        .map(|text| text.parse().expect("well-formed"))
        .collect()
    }

    fn uris_with_secret(&self, canary: &str) -> Vec<KeyUri> {
        if !RUNS.load(Ordering::Relaxed) {
            return vec!["yubikey:".parse().expect("a good URI"); 5];
        }
        let key = || self.fresh_key("");
        let query = |name: &str| key().with_query(name, canary).expect("a good URI");
        let path = |name: &str| key().with_path(name, canary).expect("a good URI");
        vec![query("pin-value"), query("management-key"), query("password"), path("pin-value"), path("management-key")]
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
