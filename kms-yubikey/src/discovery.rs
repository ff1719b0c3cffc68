//! Finding `YubiKey`s among the readers.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use kms_core::{Deadline, Error, ErrorKind, Result};

use crate::card::{Card, Fault, readers};
use crate::device::{Device, Link, Pauses, held};
use crate::error::{self, Remedy, Trouble};
use crate::session::{Belief, Identity, identify};

/// How long a card may be mute: it was put in just now, or another program resets it.
const SETTLES: Duration = Duration::from_secs(3);

/// How many may look into one reader at once. A card that never answers must not fill the process with threads.
const MOST_PROBES: usize = 16;

/// How many do, by reader.
static PROBES: LazyLock<Mutex<BTreeMap<CString, usize>>> = LazyLock::new(Mutex::default);

/// How long the readers that come first have to answer before others are looked into.
const COURTESY: Duration = Duration::from_secs(1);

/// Finds the one YubiKey that is meant. While another program has one for itself that might be it, waits.
///
/// # Errors
/// `NotFound`, with what was passed over; `Ambiguous`, with the serials; those of PC/SC.
pub(crate) fn open(serial: Option<u32>, reader: Option<&str>, deadline: Deadline) -> Result<Arc<Device>> {
    let deadline = deadline.ahead();
    let (start, mut pauses) = (Instant::now(), Pauses::default());
    loop {
        let looked = match serial {
            Some(serial) => match look_for(serial, reader, deadline) {
                Ok(Ok(device)) => return Ok(device),
                Ok(Err(looked)) => Ok(looked),
                Err(fault) => Err(fault),
            },
            None => readers().and_then(|names| {
                let (meant, passed_over) = meant(names, reader);
                Ok(Looked { passed_over, ..look(meant, Vec::new(), |_| false, deadline)? })
            }),
        };
        let fault = match looked {
            Ok(Looked { mut found, held: others, mute, passed_over }) => {
                match (found.len(), others) {
                    (1, others) if !others || serial.is_some() => {}
                    (0, false) if mute && start.elapsed() < SETTLES && pauses.sleep(deadline) => continue,
                    (0, false) => return Err(absent(serial, reader, &passed_over)),
                    (2.., _) => return Err(ambiguous(found)),
                    _ => {
                        leave(found);
                        if pauses.sleep(deadline) {
                            continue;
                        }
                        return Err(held("yubikey", "look at a YubiKey"));
                    }
                }
                match found.pop() {
                    Some((identity, link)) => return Ok(Device::at(identity, link)),
                    None => return Err(absent(serial, reader, &passed_over)),
                }
            }
            Err(fault) => fault,
        };
        // Where `pcscd` is, it comes back at once.
        let no_service = matches!(fault, Fault::NoService | Fault::ServiceStopped) && start.elapsed() > SETTLES;
        if error::remedy(fault) == Remedy::None || no_service || !pauses.sleep(deadline) {
            return Err(error::fault("look for a YubiKey", fault));
        }
    }
}

/// Finds a YubiKey again that was lost: first in the reader where it was.
pub(crate) fn find_serial(serial: u32, reader: &CStr, deadline: Deadline) -> Result<Link, Trouble> {
    let (was, others): (Vec<_>, Vec<_>) = readers()?.into_iter().partition(|name| name.as_c_str() == reader);
    let others = others.into_iter().filter(is_yubikey).collect();
    let mut looked = look(was, others, |identity| identity.serial == serial, deadline)?;
    let found = looked.found.iter().position(|(identity, _)| identity.serial == serial);
    let link = found.map(|at| looked.found.swap_remove(at).1);
    leave(looked.found);
    link.ok_or_else(|| Trouble::Fault(if looked.held { Fault::SharingViolation } else { Fault::NoSmartcard }))
}

#[derive(Default)]
struct Looked {
    found: Vec<(Identity, Link)>,
    /// Another program has one for itself.
    held: bool,
    /// One is there and does not answer.
    mute: bool,
    passed_over: Vec<String>,
}

/// What a reader has.
type Seen = Result<Option<(Identity, Link)>, Trouble>;

/// Looks for one of known serial; where this process has others is not looked unless it is nowhere else.
fn look_for(serial: u32, reader: Option<&str>, deadline: Deadline) -> Result<Result<Arc<Device>, Looked>, Fault> {
    let names = readers()?;
    if let Some(device) = Device::in_use(serial, &names) {
        return Ok(Ok(device));
    }
    let (meant, passed_over) = meant(names, reader);
    let busy = Device::readers_in_use();
    let (later, first): (Vec<_>, Vec<_>) = meant.into_iter().partition(|name| busy.contains(name));
    let is_it = |identity: &Identity| identity.serial == serial;
    let looked = look(first, later, is_it, deadline)?;
    let (found, others): (Vec<_>, Vec<_>) = looked.found.into_iter().partition(|(identity, _)| is_it(identity));
    leave(others);
    Ok(Err(Looked { found, passed_over, ..looked }))
}

/// Looks into readers until the one is found that is the last to look for, or the deadline comes: first into some, then
/// into the others. Into many at once, and no longer than the deadline: that one is another program's, for a while or
/// for ever, must not keep us from the others. (`pcscd` lets those who wait ask ten times a second whether a card is
/// free, so that one of a busy program may not be got for long.)
fn look(
    first: Vec<CString>,
    later: Vec<CString>,
    is_last: impl Fn(&Identity) -> bool,
    deadline: Deadline,
) -> Result<Looked, Fault> {
    let (tell, told) = mpsc::channel();
    let (mut looked, mut later) = (Looked::default(), Some(later).filter(|later| !later.is_empty()));
    let (start, mut open) = (Instant::now(), 0);
    let probe_all = |names: Vec<CString>, open: &mut usize| {
        for name in names {
            *open += 1;
            probe(name, tell.clone())?;
        }
        Ok::<_, Fault>(())
    };
    probe_all(first, &mut open)?;
    loop {
        if open == 0 || start.elapsed() > COURTESY {
            if let Some(names) = later.take() {
                probe_all(names, &mut open)?;
            } else if open == 0 {
                return Ok(looked);
            }
        }
        let patience = deadline.remaining();
        let patience = if later.is_some() { patience.min(COURTESY) } else { patience };
        match told.recv_timeout(patience) {
            Ok((name, seen)) => {
                open -= 1;
                if looked.note(&name, seen, &is_last)? {
                    return Ok(looked);
                }
            }
            Err(_) if deadline.has_passed() => {
                looked.held = true;
                return Ok(looked);
            }
            Err(_) => {}
        }
    }
}

/// Looks into one reader, on a thread of its own, which may be held up there for as long as another program likes. While
/// too many are, the reader is taken for held.
fn probe(name: CString, tell: mpsc::Sender<(CString, Seen)>) -> Result<(), Fault> {
    let Some(probing) = Probing::begin(&name) else {
        // He who is told is the one who asks.
        let _ = tell.send((name, Err(Trouble::Fault(Fault::SharingViolation))));
        return Ok(());
    };
    let look = move || {
        let seen = connect(&name);
        drop(probing);
        // If nobody listens any more, what was found is left as it was.
        let _ = tell.send((name, seen));
    };
    let started = thread::Builder::new().name("kms-yubikey".to_owned()).spawn(look);
    started.map(drop).map_err(|_| Fault::NoMemory)
}

/// One of those who look into a reader.
struct Probing(CString);

impl Probing {
    fn begin(reader: &CStr) -> Option<Self> {
        let mut probes = PROBES.lock().unwrap_or_else(PoisonError::into_inner);
        let count = probes.entry(reader.to_owned()).or_default();
        (*count < MOST_PROBES).then(|| {
            *count += 1;
            Self(reader.to_owned())
        })
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        let mut probes = PROBES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = probes.get_mut(&self.0) {
            *count -= 1;
        }
    }
}

impl Looked {
    /// Whether that was the last.
    fn note(&mut self, name: &CStr, seen: Seen, is_last: impl Fn(&Identity) -> bool) -> Result<bool, Fault> {
        let reader = name.to_string_lossy();
        match seen {
            Ok(Some(found)) => {
                let last = is_last(&found.0);
                self.found.push(found);
                return Ok(last);
            }
            Err(Trouble::Fault(Fault::SharingViolation)) => self.held = true,
            Err(Trouble::Fault(fault @ (Fault::NoService | Fault::ServiceStopped | Fault::SecurityViolation))) => {
                return Err(fault);
            }
            Err(Trouble::Fault(Fault::NoSmartcard)) => tracing::debug!(%reader, "no card in the reader"),
            Err(Trouble::Fault(fault)) => {
                self.mute = true;
                tracing::debug!(%reader, %fault, "no card that answers");
            }
            Ok(None) | Err(Trouble::Error(_)) => tracing::debug!(%reader, "no YubiKey with PIV in the reader"),
        }
        Ok(false)
    }
}

/// The readers that are meant, and the others: of that name or, where none is wanted, those that are called YubiKey.
fn meant(names: Vec<CString>, wanted: Option<&str>) -> (Vec<CString>, Vec<String>) {
    let is_meant = |name: &CString| match wanted {
        Some(wanted) => name.to_string_lossy().contains(wanted),
        None => is_yubikey(name),
    };
    let (meant, others): (Vec<_>, Vec<_>) = names.into_iter().partition(is_meant);
    (meant, others.iter().map(|name| name.to_string_lossy().into_owned()).collect())
}

/// Whether a reader is a YubiKey, by its name: `Yubico YubiKey OTP+FIDO+CCID 00 00`.
fn is_yubikey(name: &CString) -> bool {
    name.to_string_lossy().to_ascii_lowercase().contains("yubikey")
}

fn connect(reader: &CStr) -> Seen {
    /// Most resets by others that are borne with: each program that gives back the card may do one.
    const MOST_RESETS: usize = 10;
    let mut card = Card::connect(reader)?;
    let mut resets = 0;
    let identity = loop {
        match card.exchange().map_err(Trouble::Fault).and_then(|mut exchange| identify(&mut exchange)) {
            // The one before had nothing of ours.
            Err(Trouble::Fault(Fault::ResetCard)) if resets < MOST_RESETS => {
                resets += 1;
                card.reconnect()?;
            }
            identity => break identity?,
        }
    };
    let belief = Belief { selected: true, pin: None };
    Ok(identity.map(|identity| (identity, Link { card, belief })))
}

fn leave(found: Vec<(Identity, Link)>) {
    for (_, link) in found {
        link.card.leave();
    }
}

fn absent(serial: Option<u32>, reader: Option<&str>, passed_over: &[String]) -> Error {
    let context = match (serial, reader) {
        (Some(serial), _) => format!("no YubiKey with serial {serial}"),
        (None, Some(reader)) => format!("no YubiKey in a reader called `{reader}`"),
        (None, None) => "no YubiKey".to_owned(),
    };
    let error = Error::new(ErrorKind::NotFound, format!("yubikey: {context}"));
    if passed_over.is_empty() {
        return error.with_hint("is it plugged in, and its application CCID switched on?");
    }
    error.with_hint(format!("passed over, since not called YubiKey: {}; `reader=` names one", passed_over.join(", ")))
}

fn ambiguous(found: Vec<(Identity, Link)>) -> Error {
    let mut serials: Vec<_> = found.iter().map(|(identity, _)| identity.serial).collect();
    serials.sort_unstable();
    let listed: Vec<_> = serials.iter().map(u32::to_string).collect();
    leave(found);
    Error::new(ErrorKind::Ambiguous, format!("yubikey: {} YubiKeys are plugged in", serials.len()))
        .with_hint(format!("add `serial=` (found {})", listed.join(", ")))
}
