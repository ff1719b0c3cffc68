//! What a test does to a card from outside: faults to come, and what the card was asked.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A handle on a card, however it is inserted.
#[derive(Clone, Debug, Default)]
pub struct Control(Arc<(Mutex<Shared>, Condvar)>);

#[derive(Debug, Default)]
struct Shared {
    faults: Vec<(Option<u8>, Fault, usize)>,
    instructions: Vec<u8>,
    touch: Touch,
    /// How often faults were ended: who waits for that waits for the next.
    healed: u64,
    withdrawn: bool,
}

/// Something that goes wrong with one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The command is not carried out, and answered with these status words.
    Status(u16),
    /// The command is carried out after that time.
    Delay(Duration),
    /// The card leaves the reader instead of answering; the command is not carried out.
    Removed,
    /// The card leaves the reader instead of answering, but the command was carried out.
    RemovedAfter,
    /// The answer never comes, and no other, until the card is healed; then the card has left the reader.
    Silence,
    /// Before the command, selection and PIN are lost, as after another program's reset.
    SessionLost,
    /// A signature comes back with a bit turned over.
    WrongSignature,
    /// The answer has only its first octets.
    Short(usize),
}

/// Whether somebody touches the key when it blinks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Touch {
    /// At once.
    #[default]
    Given,
    /// After that time.
    GivenAfter(Duration),
    /// Not within that time, after which the card gives up.
    Missed(Duration),
}

impl Control {
    /// The next `times` commands of that instruction meet with `fault`.
    pub fn fail(&self, instruction: u8, fault: Fault, times: usize) {
        self.lock().faults.push((Some(instruction), fault, times));
    }

    /// The next `times` commands of any instruction meet with `fault`.
    pub fn fail_any(&self, fault: Fault, times: usize) {
        self.lock().faults.push((None, fault, times));
    }

    /// No more faults, and touches at once. Ends what sleeps.
    pub fn heal(&self) {
        let mut shared = self.lock();
        shared.faults.clear();
        shared.touch = Touch::Given;
        shared.healed += 1;
        self.0.1.notify_all();
    }

    /// From now on the key is touched after that time.
    pub fn touch_after(&self, time: Duration) {
        self.lock().touch = Touch::GivenAfter(time);
    }

    /// From now on nobody touches the key, and the card gives up after that time.
    pub fn miss_touch(&self, patience: Duration) {
        self.lock().touch = Touch::Missed(patience);
    }

    /// The instructions of all APDUs since the last call, in order; each piece of a chain counts.
    pub fn take_instructions(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().instructions)
    }

    pub(super) fn touch(&self) -> Touch {
        self.lock().touch
    }

    /// Notes an APDU, and gives the fault it meets with.
    pub(super) fn note(&self, instruction: u8, ends_chain: bool) -> Option<Fault> {
        let mut shared = self.lock();
        shared.instructions.push(instruction);
        if !ends_chain {
            return None;
        }
        let at =
            shared.faults.iter().position(|fault| fault.0.is_none_or(|only| only == instruction) && fault.2 > 0)?;
        shared.faults[at].2 -= 1;
        let fault = shared.faults[at].1;
        shared.faults.retain(|fault| fault.2 > 0);
        Some(fault)
    }

    /// For that time, or until the card is healed or withdrawn.
    pub(super) fn sleep(&self, time: Duration) {
        self.wait(Some(time));
    }

    /// Until the card is healed or withdrawn.
    pub(super) fn wait_for_healing(&self) {
        self.wait(None);
    }

    /// Whether the card is being taken out of its reader: nothing is waited for any more.
    pub(super) fn set_withdrawn(&self, withdrawn: bool) {
        self.lock().withdrawn = withdrawn;
        self.0.1.notify_all();
    }

    fn wait(&self, time: Option<Duration>) {
        let start = Instant::now();
        let mut shared = self.lock();
        let healed = shared.healed;
        while shared.healed == healed && !shared.withdrawn {
            let left = match time.map(|time| time.saturating_sub(start.elapsed())) {
                Some(Duration::ZERO) => return,
                Some(left) => left,
                None => Duration::from_hours(1),
            };
            shared = self.0.1.wait_timeout(shared, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
