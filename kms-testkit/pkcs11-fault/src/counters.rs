//! How often each function was called, in a file that both the module and the test see.
//!
//! `<own path>.count` holds a native 64-bit number for every function, in the order of [`Function::ALL`], and after
//! them one for every [`Event`]. The module maps it, so counting costs one addition and reading needs no call into the
//! module.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::MmapRaw;

use crate::names::Function;

/// What is counted besides calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Event {
    /// A call for which a fault was due.
    Fault,
    /// A write began while another was under way in the same module.
    ParallelWrite,
    /// Two threads were in calls with one session at a time.
    SharedSession,
    /// The library was finalised while other calls were under way.
    BusyFinalize,
}

impl Event {
    /// Every event, in the order of their counters.
    pub const ALL: &[Self] = &[Self::Fault, Self::ParallelWrite, Self::SharedSession, Self::BusyFinalize];

    /// As in the log: `parallel-write`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::ParallelWrite => "parallel-write",
            Self::SharedSession => "shared-session",
            Self::BusyFinalize => "busy-finalize",
        }
    }
}

/// Calls of `function` since the count file was made.
///
/// # Errors
///
/// If the file is not there: the module was never loaded.
pub fn calls(file: &Path, function: Function) -> io::Result<u64> {
    read(file, function as usize)
}

/// Occurrences of `event` since the count file was made.
///
/// # Errors
///
/// If the file is not there: the module was never loaded.
pub fn events(file: &Path, event: Event) -> io::Result<u64> {
    read(file, Function::ALL.len() + event as usize)
}

fn read(file: &Path, index: usize) -> io::Result<u64> {
    let octets = fs::read(file)?;
    let number = octets.get(index * 8..index * 8 + 8).and_then(|number| number.try_into().ok());
    number.map(u64::from_ne_bytes).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// The module's side of the file.
pub(crate) struct Counters {
    map: MmapRaw,
}

impl Counters {
    /// Opens the file, or makes it with all numbers nought.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.set_len(8 * (Function::ALL.len() + Event::ALL.len()) as u64)?;
        Ok(Self { map: MmapRaw::map_raw(&file)? })
    }

    pub(crate) fn call(&self, function: Function) {
        self.number(function as usize).fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn event(&self, event: Event) {
        self.number(Function::ALL.len() + event as usize).fetch_add(1, Ordering::Relaxed);
    }

    fn number(&self, index: usize) -> &AtomicU64 {
        let number = self.map.as_mut_ptr().cast::<[u8; 8]>().wrapping_add(index);
        // SAFETY: inside the map, which was made as long as there are functions and events, and lives as long as
        // `self`; aligned, since a map begins on a page; changed in no other way than atomically.
        #[allow(clippy::cast_ptr_alignment, reason = "a multiple of eight octets from the beginning of a page")]
        unsafe {
            AtomicU64::from_ptr(number.cast())
        }
    }
}
