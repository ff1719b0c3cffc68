//! Finding `YubiKey`s among the readers.

use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kms_core::{Deadline, Error, ErrorKind, Result};

use crate::card::{Fault, Readers};
use crate::device::{Device, Link, Pauses, ahead_of, held};
use crate::error::{self, Remedy, Trouble};
use crate::session::{Belief, Identity, identify};

/// How long a card may be mute: it was put in just now, or another program resets it.
const SETTLES: Duration = Duration::from_secs(3);

/// Finds the one YubiKey that is meant. While another program has one for itself that might be it, waits.
///
/// # Errors
/// `NotFound`, with what was passed over; `Ambiguous`, with the serials; those of PC/SC.
pub(crate) fn open(serial: Option<u32>, reader: Option<&str>, deadline: Deadline) -> Result<Arc<Device>> {
    let deadline = ahead_of(deadline);
    let (start, mut pauses) = (Instant::now(), Pauses::default());
    loop {
        let looked = match serial {
            Some(serial) => match look_for(serial, reader) {
                Ok(Ok(device)) => return Ok(device),
                Ok(Err(looked)) => Ok(looked),
                Err(fault) => Err(fault),
            },
            None => Readers::list().and_then(|readers| look(&readers, reader, |_| true, |_| false)),
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
pub(crate) fn find_serial(serial: u32, reader: &CStr) -> Result<Link, Trouble> {
    let readers = Readers::list()?;
    let known = readers.names();
    let mut absence = Fault::NoSmartcard;
    let was = known.iter().filter(|name| name.as_c_str() == reader);
    let others = known.iter().filter(|name| name.as_c_str() != reader && is_yubikey(name));
    for name in was.chain(others) {
        match connect(&readers, name) {
            Ok(Some((identity, link))) if identity.serial == serial => return Ok(link),
            Ok(Some((_, link))) => link.card.leave(),
            Err(Trouble::Fault(Fault::SharingViolation)) => absence = Fault::SharingViolation,
            Ok(None) | Err(Trouble::Fault(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(absence.into())
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

/// Looks for one of known serial; where this process has others is not looked unless it is nowhere else.
fn look_for(serial: u32, reader: Option<&str>) -> Result<Result<Arc<Device>, Looked>, Fault> {
    let readers = Readers::list()?;
    if let Some(device) = Device::in_use(serial, readers.names()) {
        return Ok(Ok(device));
    }
    let busy = Device::readers_in_use();
    let is_it = |identity: &Identity| identity.serial == serial;
    let mut looked = look(&readers, reader, |name| !busy.contains(name), is_it)?;
    if looked.found.iter().all(|(identity, _)| !is_it(identity)) {
        let elsewhere = look(&readers, reader, |name| busy.contains(name), is_it)?;
        looked.found.extend(elsewhere.found);
        looked.held |= elsewhere.held;
        looked.mute |= elsewhere.mute;
    }
    let (found, others): (Vec<_>, Vec<_>) = looked.found.into_iter().partition(|(identity, _)| is_it(identity));
    leave(others);
    Ok(Err(Looked { found, ..looked }))
}

/// Looks into the readers that are meant and wanted, up to the one in which `is_last` is.
fn look(
    readers: &Readers,
    wanted: Option<&str>,
    looks_at: impl Fn(&CString) -> bool,
    is_last: impl Fn(&Identity) -> bool,
) -> Result<Looked, Fault> {
    let mut looked = Looked::default();
    for name in readers.names() {
        let text = name.to_string_lossy().into_owned();
        let meant = wanted.map_or_else(|| is_yubikey(name), |wanted| text.contains(wanted));
        if !meant {
            looked.passed_over.push(text);
            continue;
        }
        if !looks_at(name) {
            continue;
        }
        match connect(readers, name) {
            Ok(Some(found)) => {
                let last = is_last(&found.0);
                looked.found.push(found);
                if last {
                    break;
                }
            }
            Err(Trouble::Fault(Fault::SharingViolation)) => looked.held = true,
            Err(Trouble::Fault(fault @ (Fault::NoService | Fault::ServiceStopped | Fault::SecurityViolation))) => {
                return Err(fault);
            }
            Err(Trouble::Fault(Fault::NoSmartcard)) => tracing::debug!(reader = text, "no card in the reader"),
            Err(Trouble::Fault(fault)) => {
                looked.mute = true;
                tracing::debug!(reader = text, %fault, "no card that answers");
            }
            Ok(None) | Err(Trouble::Error(_)) => tracing::debug!(reader = text, "no YubiKey with PIV in the reader"),
        }
    }
    Ok(looked)
}

/// Whether a reader is a YubiKey, by its name: `Yubico YubiKey OTP+FIDO+CCID 00 00`.
fn is_yubikey(name: &CString) -> bool {
    name.to_string_lossy().to_ascii_lowercase().contains("yubikey")
}

fn connect(readers: &Readers, reader: &CStr) -> Result<Option<(Identity, Link)>, Trouble> {
    /// Most resets by others that are borne with: each program that gives back the card may do one.
    const MOST_RESETS: usize = 10;
    let mut card = readers.connect(reader)?;
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
