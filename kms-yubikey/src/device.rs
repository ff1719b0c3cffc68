//! One YubiKey, by its serial: the connection that everybody in the process shares, and its recovery.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use kms_core::worker::Workers;
use kms_core::{Deadline, Error, ErrorKind, PublicKey, Result};

use crate::card::{Card, Fault};
use crate::discovery;
use crate::error::{self, Remedy, Trouble};
use crate::firmware::Firmware;
use crate::holder;
use crate::login::Pins;
use crate::session::{Belief, Identity, Session};
use crate::slot::Slot;

/// One YubiKey. Calls run one after the other on a thread of its own.
pub(crate) struct Device {
    identity: Identity,
    workers: Workers,
    /// Taken out while in use. A call that hangs keeps it, and the next makes another.
    link: Mutex<Option<Link>>,
    /// Where it was seen last.
    reader: Mutex<CString>,
    /// Calls that have the card at the moment; more than one when some hang.
    inside: AtomicUsize,
    /// Outlasts the device: what was refused stays refused.
    pins: Arc<Mutex<Pins>>,
    /// Public keys of keys made by this process, for devices that do not tell.
    made: Mutex<BTreeMap<Slot, PublicKey>>,
}

/// A connection, and what we believe of the card at its end.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) card: Card,
    pub(crate) belief: Belief,
}

/// How far a call has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stage(Arc<Progress>);

#[derive(Debug, Default)]
struct Progress {
    stage: AtomicU8,
    /// When the call began to wait for a touch.
    waiting: Mutex<Option<Instant>>,
    /// How long it may.
    patience: Option<Duration>,
}

/// How often somebody who waits for a touch looks at the clock.
const GLANCE: Duration = Duration::from_millis(100);

/// The devices in use, by serial.
static DEVICES: LazyLock<Mutex<BTreeMap<u32, Weak<Device>>>> = LazyLock::new(Mutex::default);

/// What is known of PINs, by serial, as long as the process lives.
static PINS: LazyLock<Mutex<BTreeMap<u32, Arc<Mutex<Pins>>>>> = LazyLock::new(Mutex::default);

impl Device {
    /// The device that was found at the end of that link. If somebody in the process has it already, it is his.
    pub(crate) fn at(identity: Identity, link: Link) -> Arc<Self> {
        let mut devices = lock(&DEVICES);
        if let Some(device) = devices.get(&identity.serial).and_then(Weak::upgrade)
            && device.identity == identity
        {
            device.note_reader(&link);
            let mut own = lock(&device.link);
            if own.is_none() && device.inside.load(Ordering::Acquire) == 0 {
                *own = Some(link);
            } else {
                link.card.leave();
            }
            drop(own);
            return device;
        }
        devices.retain(|_, device| device.strong_count() > 0);
        let pins = Arc::clone(lock(&PINS).entry(identity.serial).or_default());
        let device = Arc::new(Self {
            identity,
            workers: Workers::new("kms-yubikey", 1),
            reader: Mutex::new(link.card.reader().to_owned()),
            link: Mutex::new(Some(link)),
            inside: AtomicUsize::new(0),
            pins,
            made: Mutex::default(),
        });
        devices.insert(identity.serial, Arc::downgrade(&device));
        device
    }

    /// The device of that serial, if somebody in the process has it and its reader is still there.
    pub(crate) fn in_use(serial: u32, readers: &[CString]) -> Option<Arc<Self>> {
        let device = lock(&DEVICES).get(&serial).and_then(Weak::upgrade)?;
        let there = readers.contains(&lock(&device.reader));
        there.then_some(device)
    }

    /// The readers in which this process has devices.
    pub(crate) fn readers_in_use() -> Vec<CString> {
        let devices: Vec<_> = lock(&DEVICES).values().filter_map(Weak::upgrade).collect();
        devices.iter().map(|device| lock(&device.reader).clone()).collect()
    }

    pub(crate) fn serial(&self) -> u32 {
        self.identity.serial
    }

    pub(crate) fn firmware(&self) -> Firmware {
        self.identity.firmware
    }

    pub(crate) fn pins(&self) -> MutexGuard<'_, Pins> {
        lock(&self.pins)
    }

    pub(crate) fn made(&self) -> MutexGuard<'_, BTreeMap<Slot, PublicKey>> {
        lock(&self.made)
    }

    /// Does work with the card, on its thread, until the deadline. When the card was reset, taken away or held by others,
    /// or the service restarted, it is found again and `work` is done again, unless something was sent that must not be
    /// sent twice.
    ///
    /// # Errors
    /// Those of `work`; `DeviceRemoved` or `Unavailable` for what lasted until the deadline; `Timeout`.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        deadline: Deadline,
        stage: &Stage,
        work: impl FnMut(&mut Session<'_>) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T> {
        let (device, inside) = (Arc::clone(self), stage.clone());
        let call = move || {
            // The last to have the device may be this thread: what the device ends with, ends here.
            device.attempt_until(operation, deadline.ahead(), &inside, work)
        };
        let result = stage.watch(operation, deadline, self.workers.run(operation, deadline, call)).await;
        result.map_err(|error| match error.kind() {
            ErrorKind::Timeout if stage.is(Stage::TOUCH) => missed_touch(),
            ErrorKind::Timeout if stage.is(Stage::WAITING) && self.inside.load(Ordering::Acquire) == 0 => {
                self.held(operation)
            }
            ErrorKind::Timeout => error.in_context(self),
            _ => error,
        })
    }

    fn attempt_until<T>(
        &self,
        operation: &'static str,
        deadline: Deadline,
        stage: &Stage,
        mut work: impl FnMut(&mut Session<'_>) -> Result<T, Trouble>,
    ) -> Result<T> {
        let (mut pauses, mut wrote, mut last) = (Pauses::default(), false, None);
        loop {
            let fault = match self.attempt(operation, deadline, stage, &mut wrote, &mut work) {
                Ok(done) => return Ok(done),
                Err(Trouble::Error(error)) => return Err(error),
                Err(Trouble::Fault(fault)) => fault,
            };
            tracing::debug!(serial = self.identity.serial, %fault, "the connection with the YubiKey will be rebuilt");
            if wrote {
                return Err(error::fault(operation, fault)
                    .in_context(self)
                    .with_hint("it may have been done all the same: look before trying again"));
            }
            match error::remedy(fault) {
                Remedy::None => return Err(error::fault(operation, fault).in_context(self)),
                // Once at once: it is over already.
                Remedy::Reconnect if last != Some(fault) => {}
                _ => {
                    if !pauses.sleep(deadline) {
                        return Err(match fault {
                            Fault::SharingViolation => self.held(operation),
                            _ => error::fault(operation, fault).in_context(self),
                        });
                    }
                }
            }
            last = Some(fault);
        }
    }

    fn attempt<T>(
        &self,
        operation: &'static str,
        deadline: Deadline,
        stage: &Stage,
        wrote: &mut bool,
        work: &mut impl FnMut(&mut Session<'_>) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        stage.set(Stage::WAITING);
        let own = lock(&self.link).take();
        let mut link = match own {
            Some(link) => link,
            None => self.find_again(deadline)?,
        };
        let mut result = self.exchange(operation, deadline, stage, wrote, &mut link, &mut *work);
        if let Err(Trouble::Fault(Fault::ResetCard)) = result {
            link.belief = Belief::default();
            link.card.reconnect()?;
            if !*wrote {
                result = self.exchange(operation, deadline, stage, wrote, &mut link, work);
            }
        }
        let lost = matches!(&result, Err(Trouble::Fault(fault)) if error::remedy(*fault) != Remedy::Reconnect);
        if lost {
            link.card.leave();
        } else {
            let mut own = lock(&self.link);
            match &*own {
                // Ours hung meanwhile, and somebody made another.
                Some(_) => link.card.leave(),
                None => *own = Some(link),
            }
        }
        result
    }

    fn exchange<T>(
        &self,
        operation: &'static str,
        deadline: Deadline,
        stage: &Stage,
        wrote: &mut bool,
        link: &mut Link,
        work: &mut impl FnMut(&mut Session<'_>) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let exchange = link.card.exchange()?;
        if deadline.has_passed() {
            // Nobody waits for it any more.
            return Err(Deadline::error(operation).into());
        }
        let _inside = Inside::enter(&self.inside);
        stage.set(Stage::INSIDE);
        let mut session =
            Session { exchange, belief: &mut link.belief, firmware: self.identity.firmware, device: self, wrote };
        work(&mut session)
    }

    /// Looks for the device where it was, then everywhere.
    fn find_again(&self, deadline: Deadline) -> Result<Link, Trouble> {
        let reader = lock(&self.reader).clone();
        let link = discovery::find_serial(self.identity.serial, &reader, deadline)?;
        self.note_reader(&link);
        Ok(link)
    }

    fn note_reader(&self, link: &Link) {
        link.card.reader().clone_into(&mut lock(&self.reader));
    }

    /// The error of a call that waited for another program until its deadline.
    fn held(&self, operation: &str) -> Error {
        held(&self.to_string(), operation)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let Some(link) = lock(&self.link).take() else { return };
        // Leaving a card may take as long as another program has it; nobody should wait for that.
        let _ = std::thread::Builder::new().name("kms-yubikey".to_owned()).spawn(move || drop(link));
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "YubiKey {}", self.identity.serial)
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("serial", &self.identity.serial).finish_non_exhaustive()
    }
}

impl Stage {
    const WAITING: u8 = 0;
    const INSIDE: u8 = 1;
    pub(crate) const TOUCH: u8 = 2;

    /// Of a call that may wait for a touch, that long.
    pub(crate) fn with_touch_timeout(patience: Duration) -> Self {
        Self(Arc::new(Progress { patience: Some(patience), ..Progress::default() }))
    }

    pub(crate) fn set(&self, stage: u8) {
        *lock(&self.0.waiting) = (stage == Self::TOUCH).then(Instant::now);
        self.0.stage.store(stage, Ordering::Release);
    }

    fn is(&self, stage: u8) -> bool {
        self.0.stage.load(Ordering::Acquire) == stage
    }

    /// Waits for the call, but not past the time for a touch.
    async fn watch<T>(
        &self,
        operation: &'static str,
        deadline: Deadline,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Some(patience) = self.0.patience else { return call.await };
        let mut call = pin!(call);
        loop {
            let glance = Deadline::after(GLANCE);
            if glance >= deadline {
                return call.await;
            }
            match glance.run(operation, async { Ok(call.as_mut().await) }).await {
                Ok(result) => return result,
                Err(_) if lock(&self.0.waiting).is_some_and(|since| since.elapsed() > patience) => {
                    return Err(missed_touch());
                }
                Err(_) => {}
            }
        }
    }

    /// Within the card, and no touch is awaited.
    pub(crate) fn touched(&self) {
        self.set(Self::INSIDE);
    }
}

/// The error of a call that another program kept from the card.
pub(crate) fn held(target: &str, operation: &str) -> Error {
    let error = Error::new(ErrorKind::Unavailable, format!("{target}: cannot {operation}: another program has it"));
    match holder::likely() {
        Some(holder) => error.with_hint(format!("probably {holder}; end it, or let it give the card back")),
        None => error.with_hint("end the program that uses it: gpg's scdaemon, ykman, a browser"),
    }
}

/// The error of a key that was not touched.
pub(crate) fn missed_touch() -> Error {
    Error::new(ErrorKind::TouchRequired, "yubikey: nobody touched the key in time")
        .with_hint("touch it when it blinks, and try again")
}

/// Pauses between attempts: from 10 ms to 100 ms.
#[derive(Default)]
pub(crate) struct Pauses(u32);

impl Pauses {
    /// False, at once, when the deadline comes first.
    pub(crate) fn sleep(&mut self, deadline: Deadline) -> bool {
        self.0 += 1;
        let pause = Duration::from_millis(10) * self.0.min(10);
        let (start, remaining) = (Instant::now(), deadline.remaining());
        if remaining <= pause {
            return false;
        }
        std::thread::sleep(pause);
        start.elapsed() < remaining
    }
}

/// Being counted among those that have the card.
struct Inside<'a>(&'a AtomicUsize);

impl<'a> Inside<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here panics while it holds a lock, so a poisoned one is still consistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
