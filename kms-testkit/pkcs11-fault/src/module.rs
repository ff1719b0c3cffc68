//! This module within the process: what it wraps, its configuration as it stands, its state.

use std::ffi::{CStr, OsStr};
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use crate::config::Config;
use crate::counters::{Counters, Event};
use crate::events::Outage;
use crate::library::Library;
use crate::objects::Objects;
use crate::sessions::Sessions;

/// The state of the module.
pub(crate) struct Module {
    path: PathBuf,
    pub(crate) library: Library,
    pub(crate) counters: Counters,
    pub(crate) sessions: Sessions,
    pub(crate) objects: Objects,
    /// Held for reading in every call of the wrapped module, for writing where none may be under way.
    pub(crate) gate: RwLock<()>,
    pub(crate) calls_under_way: AtomicUsize,
    pub(crate) writes_under_way: AtomicUsize,
    /// How often the library was finalised.
    pub(crate) finalized: AtomicU64,
    pub(crate) logged_out: AtomicBool,
    pub(crate) outage: Mutex<Option<Outage>>,
    /// With which the user last logged in, for logins for one signature.
    pub(crate) pin: Mutex<Option<Vec<u8>>>,
    current: RwLock<Current>,
    sequence: AtomicU64,
}

/// A configuration and its log.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    log: Option<File>,
}

struct Current {
    stamp: Option<Stamp>,
    /// None: the file is there, but cannot be read as a configuration.
    loaded: Option<Arc<Loaded>>,
}

/// What changes when a file is replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    seconds: i64,
    nanoseconds: i64,
    inode: u64,
    size: u64,
}

/// The module, loaded at the first call; none if it cannot be, which has been said on stderr.
pub(crate) fn module() -> Option<&'static Module> {
    static MODULE: OnceLock<Option<Module>> = OnceLock::new();
    let load = || {
        let path = own_path()?;
        Module::load(path.clone()).inspect_err(|error| complain(&path, error.as_ref())).ok()
    };
    MODULE.get_or_init(load).as_ref()
}

fn complain(path: &Path, error: &dyn std::error::Error) {
    eprintln!("kms-pkcs11-fault: {}: {error}", path.display());
}

/// The file that holds this code.
fn own_path() -> Option<PathBuf> {
    let mut found = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: an address of this library, and a place for the answer.
    let known = unsafe { libc::dladdr(own_path as *const libc::c_void, found.as_mut_ptr()) };
    // SAFETY: all nought is a valid answer too: null pointers.
    let found = unsafe { found.assume_init() };
    if known == 0 || found.dli_fname.is_null() {
        eprintln!("kms-pkcs11-fault: own path unknown");
        return None;
    }
    // SAFETY: the loader keeps the name, ended with a nought, as long as the library is loaded.
    let name = unsafe { CStr::from_ptr(found.dli_fname) };
    std::path::absolute(OsStr::from_bytes(name.to_bytes())).ok()
}

impl Module {
    fn load(path: PathBuf) -> Result<Self, Box<dyn std::error::Error>> {
        let config = beside(&path, ".conf");
        let stamp = Stamp::of(&config);
        let loaded = Loaded::read(&path).map_err(|error| format!("{}: {error}", config.display()))?;
        let wrapped = &loaded.config.module;
        // SAFETY: this library itself, which has run what it runs when it is loaded. Never unloaded from now on: its
        // counters and the faults that have happened are to outlast a caller that lets go of it for a while.
        std::mem::forget(unsafe { libloading::Library::new(&path)? });
        let library = Library::load(wrapped).map_err(|error| format!("{}: {error}", wrapped.display()))?;
        Ok(Self {
            library,
            counters: Counters::open(&beside(&path, ".count"))?,
            sessions: Sessions::default(),
            objects: Objects::default(),
            gate: RwLock::new(()),
            calls_under_way: AtomicUsize::new(0),
            writes_under_way: AtomicUsize::new(0),
            finalized: AtomicU64::new(0),
            logged_out: AtomicBool::new(false),
            outage: Mutex::new(None),
            pin: Mutex::new(None),
            current: RwLock::new(Current { stamp, loaded: Some(Arc::new(loaded)) }),
            sequence: AtomicU64::new(0),
            path,
        })
    }

    /// The configuration as the file has it now; the last one if there is no file any more.
    pub(crate) fn loaded(&self) -> Option<Arc<Loaded>> {
        let stamp = Stamp::of(&beside(&self.path, ".conf"));
        {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            if stamp.is_none() || stamp == current.stamp {
                return current.loaded.clone();
            }
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if stamp != current.stamp {
            let loaded = Loaded::read(&self.path).inspect_err(|error| complain(&self.path, error.as_ref()));
            *current = Current { stamp, loaded: loaded.ok().map(Arc::new) };
            self.recover();
        }
        current.loaded.clone()
    }

    /// Counts and logs something that the caller must not do.
    pub(crate) fn report(&self, loaded: &Loaded, event: Event, function: &str) {
        self.counters.event(event);
        loaded.log(format_args!("! {} {function} {}\n", event.name(), thread()));
    }

    /// Logs a call.
    pub(crate) fn log(&self, loaded: &Loaded, function: &str, answer: &str, faults: &str) {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        let gap = if faults.is_empty() { "" } else { " " };
        loaded.log(format_args!("{sequence} {function} {answer} {}{gap}{faults}\n", thread()));
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn thread() -> libc::pid_t {
    // SAFETY: asks the kernel for a number, and cannot fail.
    unsafe { libc::gettid() }
}

impl Loaded {
    fn read(path: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let config: Config = fs::read_to_string(beside(path, ".conf"))?.parse()?;
        let open = || OpenOptions::new().append(true).create(true).open(beside(path, ".log"));
        let log = config.log.then(open).transpose()?;
        Ok(Self { config, log })
    }

    /// Appends a line in one write, so that lines of several threads and processes stay whole.
    fn log(&self, line: std::fmt::Arguments<'_>) {
        if let Some(mut log) = self.log.as_ref()
            && let Err(error) = log.write_all(line.to_string().as_bytes())
        {
            eprintln!("kms-pkcs11-fault: log: {error}");
        }
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        Some(Self { seconds: file.mtime(), nanoseconds: file.mtime_nsec(), inode: file.ino(), size: file.len() })
    }
}
