//! Other programs, several devices, and a `pcscd` that goes.

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use kms_core::{ErrorKind, OperationPolicy, Registry, block_on};
use kms_testkit::piv::{Card, CardOptions, PcscRig};
use kms_yubikey::YubiKey;
use pcsc::{Context, Disposition, Protocols, Scope, ShareMode};

use crate::{NOTICES, Outcome, PIN, Scene, Test, sign};

pub(crate) const TESTS: &[Test] = &[
    ("sharing::two_processes", two_processes),
    ("sharing::two_devices_need_a_serial", two_devices_need_a_serial),
    ("sharing::one_card_is_held", one_card_is_held),
    ("sharing::a_held_card_costs_few_threads", a_held_card_costs_few_threads),
    ("sharing::other_readers_are_passed_over", other_readers_are_passed_over),
    ("sharing::pcscd_is_killed_and_starts_again", pcscd_is_killed_and_starts_again),
];

/// Tells a process that it is the other one; its value is the URI of the key.
pub(crate) const OTHER_PROCESS: &str = "KMS_YUBIKEY_OTHER_PROCESS";

/// By each process.
const SIGNATURES: usize = 500;

/// Signs, and says so when it begins.
pub(crate) fn other_process(uri: &str) -> ExitCode {
    let signer = match block_on(Registry::new().with(YubiKey::default()).signer(&uri.parse().expect("a good URI"))) {
        Ok(signer) => signer,
        Err(error) => {
            eprintln!("{}", error.chain());
            return ExitCode::FAILURE;
        }
    };
    for number in 0..SIGNATURES {
        if let Err(error) = sign(&signer) {
            eprintln!("{number}: {}", error.chain());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Each has its turn; none fails, none is wrong.
fn two_processes(rig: &mut PcscRig) -> Outcome {
    let scene = Scene::new(rig);
    scene.key("9a", "")?;
    let uri = format!("yubikey:serial={};slot-id=9a?pin-value={PIN}", scene.serial);
    let start = Instant::now();
    let others: Vec<_> = (0..2)
        .map(|_| {
            let mut command = Command::new(std::env::current_exe().expect("this program"));
            command.env(OTHER_PROCESS, &uri).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
        })
        .collect::<Result<_, _>>()?;
    for other in others {
        let output = other.wait_with_output()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    println!("2 processes, {SIGNATURES} signatures each: {:?}", start.elapsed());
    Ok(())
}

fn two_devices_need_a_serial(rig: &mut PcscRig) -> Outcome {
    let (first, second) = (Scene::in_reader(rig, 0), Scene::in_reader(rig, 2));
    let registry = Registry::new().with(YubiKey::default());
    let error = block_on(registry.open(&"yubikey:".parse()?)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ambiguous, "{}", error.chain());
    for serial in [first.serial, second.serial] {
        assert!(error.to_string().contains(&serial.to_string()), "{error}");
    }
    // Each by its serial, at the same time.
    first.key("9a", "")?;
    second.key("9a", "")?;
    let signers = [first.signer("9a", PIN)?, second.signer("9a", PIN)?];
    assert_ne!(signers[0].public_key(), signers[1].public_key());
    std::thread::scope(|scope| {
        let signing = signers.each_ref().map(|signer| scope.spawn(|| (0..20).try_for_each(|_| sign(signer))));
        signing.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })?;
    let error = block_on(registry.open(&"yubikey:serial=4711".parse()?)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{}", error.chain());
    Ok(())
}

/// Another program has one card, for a while or for itself. The other card opens at once; who wants the first waits, is told
/// why in the end, and gets it when it is free.
fn one_card_is_held(rig: &mut PcscRig) -> Outcome {
    let (held, free) = (Scene::in_reader(rig, 0), Scene::in_reader(rig, 2));
    let context = Context::establish(Scope::User)?;
    for mode in [ShareMode::Shared, ShareMode::Exclusive] {
        let start = Instant::now();
        let mut card = loop {
            // Connections of ours may be on their way out.
            match context.connect(&context.list_readers_owned()?[0], mode, Protocols::ANY) {
                Err(pcsc::Error::SharingViolation) if start.elapsed() < Duration::from_secs(10) => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                card => break card?,
            }
        };
        let transaction = card.transaction()?;
        let start = Instant::now();
        free.open("", OperationPolicy::default())?;
        assert!(start.elapsed() < Duration::from_secs(10), "{mode:?}: {:?}", start.elapsed());
        let start = Instant::now();
        let error = held.open("", OperationPolicy::default().with_timeout(Duration::from_secs(2))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{mode:?}: {}", error.chain());
        assert!(error.to_string().contains("another program has it"), "{mode:?}: {error}");
        assert!(start.elapsed() < Duration::from_secs(5), "{mode:?}: {:?}", start.elapsed());
        transaction.end(Disposition::LeaveCard).map_err(|(_, error)| error)?;
        card.disconnect(Disposition::LeaveCard).map_err(|(_, error)| error)?;
        held.open("", OperationPolicy::default())?;
    }
    Ok(())
}

/// However often it is tried, what hangs in the wait for a card is bounded.
fn a_held_card_costs_few_threads(rig: &mut PcscRig) -> Outcome {
    const TRIES: usize = 60;
    let held = Scene::in_reader(rig, 0);
    let context = Context::establish(Scope::User)?;
    let mut card = context.connect(&context.list_readers_owned()?[0], ShareMode::Shared, Protocols::ANY)?;
    let transaction = card.transaction()?;
    std::thread::scope(|scope| {
        for _ in 0..TRIES {
            scope.spawn(|| {
                let error = held.open("", OperationPolicy::default().with_timeout(Duration::from_secs(2))).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
            });
        }
    });
    let names = std::fs::read_dir("/proc/self/task")?.flatten();
    let names = names.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    let waiting = names.filter(|name| name.trim() == "kms-yubikey").count();
    assert!((1..TRIES / 2).contains(&waiting), "{waiting} threads wait for the card after {TRIES} tries");
    transaction.end(Disposition::LeaveCard).map_err(|(_, error)| error)?;
    card.disconnect(Disposition::LeaveCard).map_err(|(_, error)| error)?;
    held.open("", OperationPolicy::default())?;
    Ok(())
}

/// A card in a reader that is not called YubiKey is not even asked, unless the URI names the reader.
fn other_readers_are_passed_over(rig: &mut PcscRig) -> Outcome {
    const OTHER: u16 = 4;
    let card = Card::new(&CardOptions::default().with_serial(7_999_999))?;
    let inserted = rig.insert(card, OTHER)?;
    std::thread::sleep(2 * NOTICES);
    inserted.control().take_instructions();
    let registry = Registry::new().with(YubiKey::default());
    let error = block_on(registry.open(&"yubikey:".parse()?)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{}", error.chain());
    assert!(error.to_string().contains("Virtual PCD") && error.to_string().contains("reader="), "{error}");
    assert_eq!(inserted.control().take_instructions(), Vec::<u8>::new());
    block_on(registry.open(&"yubikey:?reader=Virtual".parse()?))?;
    drop(inserted);
    std::thread::sleep(NOTICES);
    Ok(())
}

fn pcscd_is_killed_and_starts_again(rig: &mut PcscRig) -> Outcome {
    let mut scene = Scene::new(rig);
    scene.key("9a", "")?;
    let signer = scene.signer_within("9a", PIN, Duration::from_secs(3))?;
    sign(&signer)?;
    rig.kill()?;
    let card = scene.take_out();
    let start = Instant::now();
    let error = sign(&signer).unwrap_err();
    assert!(error.is_transient() && start.elapsed() < Duration::from_secs(7), "{}", error.chain());
    rig.restart()?;
    scene.insert(rig, card, 0);
    sign(&signer)?;
    Ok(())
}
