//! Keys that want to be touched.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kms_core::{ErrorKind, Registry, block_on};
use kms_testkit::piv::PcscRig;
use kms_yubikey::{TouchPrompt, TouchRequest, YubiKey};

use crate::{Outcome, PIN, Scene, Test, fails, sign};

pub(crate) const TESTS: &[Test] = &[("touch::given_late_or_not_at_all", given_late_or_not_at_all)];

#[derive(Clone, Debug, Default)]
struct Blinks(Arc<AtomicUsize>);

impl TouchPrompt for Blinks {
    fn touch(&self, request: &TouchRequest) {
        assert_eq!(request.slot, "9a");
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn given_late_or_not_at_all(rig: &mut PcscRig) -> Outcome {
    let scene = Scene::new(rig);
    scene.key("9a", ";touch-policy=always")?;
    let blinks = Blinks::default();
    let yubikey = YubiKey::default().with_touch_prompt(blinks.clone()).with_touch_timeout(Duration::from_secs(4));
    let signer = block_on(Registry::new().with(yubikey).signer(&scene.uri(&format!(";slot-id=9a?pin-value={PIN}"))))?;
    sign(&signer)?;
    assert_eq!(blinks.0.load(Ordering::Relaxed), 1, "told once");
    scene.control.touch_after(Duration::from_millis(1500));
    sign(&signer)?;
    assert_eq!(blinks.0.load(Ordering::Relaxed), 2);

    // The device gives up.
    scene.control.miss_touch(Duration::from_secs(1));
    let error = fails(sign(&signer), ErrorKind::TouchRequired);
    assert!(error.is_transient() && error.to_string().contains("touch"), "{error}");
    // It does not: we do.
    scene.control.miss_touch(Duration::from_mins(1));
    let start = Instant::now();
    fails(sign(&signer), ErrorKind::TouchRequired);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    scene.control.heal();
    let start = Instant::now();
    while let Err(error) = sign(&signer) {
        assert!(start.elapsed() < Duration::from_secs(20), "{}", error.chain());
    }
    Ok(())
}
