//! Cards that leave, forget, lie or are silent.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kms_core::{ErrorKind, KeyManager, KeySpec, KeyType, KeyUri, OpenOptions, Signer, block_on};
use kms_testkit::piv::{Fault, PcscRig};
use kms_yubikey::YubiKey;

use crate::{MANAGEMENT_KEY, Outcome, PIN, Scene, Test, USE_KEY, fails, sign};

pub(crate) const TESTS: &[Test] = &[
    ("card::taken_out_while_it_signs", taken_out_while_it_signs),
    ("card::not_put_in_again", not_put_in_again),
    ("card::forgets_between_pin_and_signature", forgets_between_pin_and_signature),
    ("card::signs_wrongly", signs_wrongly),
    ("card::answers_in_part", answers_in_part),
    ("card::never_answers", never_answers),
    ("card::unknown_status", unknown_status),
    ("card::another_in_its_place", another_in_its_place),
    ("card::a_key_is_moved", a_key_is_moved),
    ("card::of_another_vendor", of_another_vendor),
];

/// For machines that have other things to do.
const LEEWAY: Duration = Duration::from_secs(4);

fn taken_out_while_it_signs(rig: &mut PcscRig) -> Outcome {
    for fault in [Fault::Removed, Fault::RemovedAfter] {
        let mut scene = Scene::new(rig);
        scene.key("9a", "")?;
        let signer = scene.signer("9a", PIN)?;
        sign(&signer)?;
        scene.control.fail(USE_KEY, fault, 1);
        let inserted = scene.inserted.take().ok_or("no card")?;
        thread::scope(|scope| {
            let signing = scope.spawn(|| sign(&signer));
            let card = inserted.wait().expect("the card leaves");
            // Into another reader: the device is looked for everywhere.
            scene.insert(rig, card, 1);
            signing.join().expect("no panic")
        })?;
        sign(&signer)?;
    }
    Ok(())
}

fn not_put_in_again(rig: &mut PcscRig) -> Outcome {
    let mut scene = Scene::new(rig);
    scene.key("9a", "")?;
    let signer = scene.signer_within("9a", PIN, Duration::from_secs(2))?;
    sign(&signer)?;
    let card = scene.take_out();
    let start = Instant::now();
    let error = sign(&signer).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::DeviceRemoved | ErrorKind::Timeout), "{}", error.chain());
    assert!(error.is_transient() && start.elapsed() < Duration::from_secs(2) + LEEWAY, "{:?}", start.elapsed());
    scene.insert(rig, card, 0);
    sign(&signer)?;
    Ok(())
}

/// As after another program's reset: the PIN is given again, and costs nothing.
fn forgets_between_pin_and_signature(rig: &mut PcscRig) -> Outcome {
    let scene = Scene::new(rig);
    for (slot, policy) in [("9a", "once"), ("9c", "always")] {
        scene.key(slot, &format!(";pin-policy={policy}"))?;
        let signer = scene.signer(slot, PIN)?;
        sign(&signer)?;
        for _ in 0..5 {
            scene.control.fail(USE_KEY, Fault::SessionLost, 1);
            sign(&signer)?;
        }
    }
    Ok(())
}

fn signs_wrongly(rig: &mut PcscRig) -> Outcome {
    let scene = Scene::new(rig);
    scene.key("9a", "")?;
    let signer = scene.signer("9a", PIN)?;
    for _ in 0..5 {
        scene.control.fail(USE_KEY, Fault::WrongSignature, 1);
        fails(sign(&signer), ErrorKind::Integrity);
    }
    sign(&signer)?;
    Ok(())
}

fn answers_in_part(rig: &mut PcscRig) -> Outcome {
    let scene = Scene::new(rig);
    scene.key("9a", "")?;
    let signer = scene.signer_within("9a", PIN, Duration::from_secs(2))?;
    sign(&signer)?;
    for length in [2, 3, 10, 40] {
        scene.control.fail(USE_KEY, Fault::Short(length), 1);
        // Never a wrong signature; where nothing was understood it may be asked again.
        if let Err(error) = sign(&signer) {
            assert!(
                !matches!(error.kind(), ErrorKind::PinIncorrect { .. } | ErrorKind::PinLocked),
                "{}",
                error.chain()
            );
        }
        scene.control.heal();
    }
    works_again(&signer);
    Ok(())
}

#[track_caller]
fn works_again(signer: &Arc<dyn Signer>) {
    let start = Instant::now();
    while let Err(error) = sign(signer) {
        assert!(start.elapsed() < Duration::from_secs(20), "{}", error.chain());
    }
}

fn never_answers(rig: &mut PcscRig) -> Outcome {
    let mut scene = Scene::new(rig);
    scene.key("9a", "")?;
    let signer = scene.signer_within("9a", PIN, Duration::from_secs(2))?;
    sign(&signer)?;
    scene.control.fail(USE_KEY, Fault::Silence, 1);
    let start = Instant::now();
    let error = sign(&signer).unwrap_err();
    assert!(error.is_transient() && start.elapsed() < Duration::from_secs(2) + LEEWAY, "{}", error.chain());
    // Nor do those hang that come behind it.
    let start = Instant::now();
    let error = sign(&signer).unwrap_err();
    assert!(error.is_transient() && start.elapsed() < Duration::from_secs(2) + LEEWAY, "{}", error.chain());
    scene.control.heal();
    let card = scene.inserted.take().ok_or("no card")?.wait()?;
    scene.insert(rig, card, 0);
    works_again(&signer);
    Ok(())
}

fn unknown_status(rig: &mut PcscRig) -> Outcome {
    let scene = Scene::new(rig);
    scene.key("9a", "")?;
    let signer = scene.signer_within("9a", PIN, Duration::from_secs(3))?;
    sign(&signer)?;
    for status in [0x6f00, 0x6581, 0x6400, 0x1234] {
        scene.control.fail(USE_KEY, Fault::Status(status), 50);
        let error = sign(&signer).unwrap_err();
        assert!(error.chain().contains(&format!("{status:04X}")), "{status:04X}: {}", error.chain());
        scene.control.heal();
        sign(&signer)?;
    }
    Ok(())
}

/// A device is known by its serial, and a key by its public key.
fn another_in_its_place(rig: &mut PcscRig) -> Outcome {
    let mut scene = Scene::new(rig);
    let key = scene.key("9a", "")?;
    let signer = scene.signer_within("9a", PIN, Duration::from_secs(2))?;
    sign(&signer)?;
    let card = scene.take_out();
    let mut other = Scene::in_reader(rig, 0);
    let theirs = other.key("9a", "")?;
    assert_ne!(key.public_key, theirs.public_key);
    let error = sign(&signer).unwrap_err();
    assert!(error.is_transient(), "{}", error.chain());
    drop(other.take_out());
    thread::sleep(Duration::from_secs(1));
    scene.insert(rig, card, 0);
    sign(&signer)?;
    // The key was replaced behind our back.
    scene.key("9a", ";overwrite=true")?;
    let error = block_on(signer.sign(b"message")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Integrity | ErrorKind::KeyMismatch), "{}", error.chain());
    Ok(())
}

fn a_key_is_moved(rig: &mut PcscRig) -> Outcome {
    let scene = Scene::new(rig);
    let key = scene.key("9a", "")?;
    scene.key("82", "")?;
    let place = scene.uri(&format!("?management-key={MANAGEMENT_KEY}&pin-value={PIN}"));
    let manager = block_on(YubiKey::default().manager(&place, &OpenOptions::default()))?;
    let uri = |slot: &str| scene.uri(&format!(";slot-id={slot}"));
    for (from, to, kind) in
        [("9a", "82", ErrorKind::AlreadyExists), ("9c", "83", ErrorKind::NotFound), ("9a", "9a", ErrorKind::InvalidUri)]
    {
        let error = block_on(manager.move_key(&uri(from), &uri(to))).unwrap_err();
        assert_eq!(error.kind(), kind, "{}", error.chain());
    }
    let moved = block_on(manager.move_key(&uri("9a"), &uri("83")))?;
    assert_eq!(moved.public_key, key.public_key);
    let signer = scene.signer("83", PIN)?;
    assert_eq!(*signer.public_key(), key.public_key);
    sign(&signer)?;
    assert_eq!(scene.signer("9a", PIN).unwrap_err().kind(), ErrorKind::NotFound);
    Ok(())
}

/// A card that knows nothing of Yubico's: no version, serial, metadata, attestation or moving.
fn of_another_vendor(rig: &mut PcscRig) -> Outcome {
    const PLAIN: Fault = Fault::Status(0x6d00);
    let scene = Scene::new(rig);
    for instruction in [0xf6, 0xf7, 0xf8, 0xf9, 0xfd] {
        scene.control.fail(instruction, PLAIN, usize::MAX);
    }
    let place = format!("yubikey:?management-key={MANAGEMENT_KEY}&pin-value={PIN}");
    let place: KeyUri = place.parse()?;
    let manager = block_on(YubiKey::default().manager(&place, &OpenOptions::default()))?;
    let spec = KeySpec::new(KeyType::EcP256);
    // There might be a key: it cannot be seen.
    let uri: KeyUri = "yubikey:slot-id=9a".parse()?;
    assert_eq!(block_on(manager.create_key(&uri, &spec)).unwrap_err().kind(), ErrorKind::AlreadyExists);
    let key = block_on(manager.create_key(&"yubikey:slot-id=9a;overwrite=true".parse()?, &spec))?;
    let signer = block_on(manager.signer(&uri, None))?;
    assert_eq!(*signer.public_key(), key.public_key);
    for _ in 0..3 {
        sign(&signer)?;
        // What another program's reset ends is begun again.
        scene.control.fail(USE_KEY, Fault::SessionLost, 1);
        sign(&signer)?;
    }
    let ed25519 = block_on(manager.create_key(&uri, &KeySpec::new(KeyType::Ed25519))).unwrap_err();
    assert_eq!(ed25519.kind(), ErrorKind::Unsupported, "{}", ed25519.chain());
    assert!(manager.as_key_deleter().is_none(), "it cannot delete");
    Ok(())
}
