//! The one instance of each PKCS #11 library in the process.
//!
//! A library is loaded and initialised once, by its canonical path, and never finalised because one user is done with
//! it: others, here or elsewhere in the process, may be using it, and finalising at exit crashes several libraries. It
//! is finalised only as the deepest step of a recovery, when nothing else has helped and no call is going on.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use cryptoki_sys as sys;
use kms_core::{Deadline, Error, ErrorKind, Result};

use crate::connection::Connection;
use crate::gate::{Alone, Gate, Together};
use crate::info::LibraryInfo;
use crate::library::{Fault, Library, SessionHandle};
use crate::login::Pins;
use crate::rescue::Rescue;
use crate::token::TokenQuery;

/// A library that is loaded and initialised.
pub(crate) struct Module {
    path: PathBuf,
    library: RwLock<Library>,
    /// Calls go on together; a rebuild is alone.
    calls: Gate,
    /// Searches go on together; a write is alone. Several libraries corrupt or hang on writes at the same time, and some
    /// show half-written objects to a search.
    objects: Gate,
    /// Counts initialisations: what was opened in an earlier one is gone.
    generation: AtomicU64,
    /// The process that initialised it.
    process: AtomicU32,
    initialized: Mutex<bool>,
    /// The last attempt to initialise it failed: there is nothing to finalise.
    down: AtomicBool,
    /// Whether it was we who initialised it, and not somebody else in the process.
    ours: AtomicBool,
    /// The handles of our sessions.
    sessions: Mutex<Vec<SessionHandle>>,
    connections: Mutex<Vec<Weak<Connection>>>,
    pins: Mutex<Vec<(TokenQuery, Arc<Mutex<Pins>>)>>,
}

impl Module {
    /// The instance for the library at `path`, loaded and initialised if this is the first use.
    ///
    /// # Errors
    /// `NotFound` when there is no such file, `InvalidArgument` when it is not a PKCS #11 library, with what the loader
    /// says; `Unavailable` when it does not initialise.
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>> {
        let slot = slot(path)?;
        let mut slot = lock(&slot);
        let module = if let Some(module) = &*slot {
            Arc::clone(module)
        } else {
            let module = Arc::new(Self::load(path)?);
            *slot = Some(Arc::clone(&module));
            module
        };
        drop(slot);
        module.initialize_once().map_err(|fault| fault.in_context(format!("initialise {}", path.display())))?;
        Ok(module)
    }

    fn load(path: &Path) -> Result<Self> {
        let library = Library::load(path).map_err(|reason| {
            Error::new(ErrorKind::InvalidArgument, format!("{} is not a PKCS #11 module", path.display()))
                .with_hint(format!("the loader says: {reason}"))
        })?;
        Ok(Self {
            path: path.to_owned(),
            library: RwLock::new(library),
            calls: Gate::default(),
            objects: Gate::default(),
            generation: AtomicU64::new(0),
            process: AtomicU32::new(std::process::id()),
            initialized: Mutex::new(false),
            down: AtomicBool::new(false),
            ours: AtomicBool::new(false),
            sessions: Mutex::default(),
            connections: Mutex::default(),
            pins: Mutex::default(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn library(&self) -> Library {
        *self.library.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the library says of itself; nothing, if it does not.
    pub(crate) fn info(&self) -> LibraryInfo {
        self.library().info().unwrap_or_default()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Waits to make calls; a fork is noticed here. `None` at the deadline.
    ///
    /// With a rescue, a call that hangs is waited for a moment only by those who want to be alone.
    pub(crate) fn enter(&self, deadline: Deadline, rescue: Option<&Arc<Rescue>>) -> Option<Together<'_>> {
        self.notice_fork();
        self.calls.together(deadline, rescue)
    }

    /// Waits until no call is going on but those that hang. `None` at the deadline.
    pub(crate) fn exclude(&self, deadline: Deadline) -> Option<Alone<'_>> {
        self.notice_fork();
        self.calls.alone(deadline)
    }

    /// Waits to search, or just to read objects. `None` at the deadline.
    pub(crate) fn search(&self, deadline: Deadline) -> Option<Together<'_>> {
        self.objects.together(deadline, None)
    }

    /// Waits to write. `None` at the deadline.
    pub(crate) fn write(&self, deadline: Deadline) -> Option<Alone<'_>> {
        self.objects.alone(deadline)
    }

    /// Initialises the library anew. `alone` shows that no call is going on. While one hangs, the library is not
    /// finalised, since that would pull the ground from under that call; another instance of it is taken, if it makes
    /// more than one, and else it is left as it is. So is one that somebody else in the process initialised.
    ///
    /// `uninitialized` says that the library itself claims not to be initialised: then it is not finalised first.
    pub(crate) fn reinitialize(&self, alone: &Alone<'_>, uninitialized: bool) -> std::result::Result<(), Fault> {
        if alone.with_hung() && !uninitialized {
            let Some(other) = self.library().another() else { return Ok(()) };
            tracing::warn!(module = %self.path.display(), "calls hang in the PKCS #11 module: using another instance");
            self.next_generation();
            *self.library.write().unwrap_or_else(PoisonError::into_inner) = other;
            alone.leave_hung_behind();
            return self.initialize();
        }
        if !self.ours.load(Ordering::Acquire) && !uninitialized {
            return Ok(());
        }
        tracing::warn!(module = %self.path.display(), "initialising the PKCS #11 module anew");
        if !uninitialized && !self.down.load(Ordering::Acquire) {
            // Should it refuse, initialising tells.
            let _ = self.library().finalize();
        }
        self.next_generation();
        self.initialize()
    }

    /// Notes a new session. False when we hold one of that handle: it must have been lost, since the library gave its
    /// handle away.
    pub(crate) fn register(&self, session: SessionHandle) -> bool {
        let mut sessions = lock(&self.sessions);
        let known = sessions.contains(&session);
        if !known {
            sessions.push(session);
        }
        !known
    }

    pub(crate) fn unregister(&self, session: SessionHandle) {
        lock(&self.sessions).retain(|other| *other != session);
    }

    /// The connection that `same` recognises, or else the one that `make` makes: everybody in the process who uses a
    /// token shares its login and its sessions.
    pub(crate) fn connection(
        &self,
        same: impl Fn(&Connection) -> bool,
        make: impl FnOnce() -> Connection,
    ) -> Arc<Connection> {
        let mut connections = lock(&self.connections);
        connections.retain(|connection| connection.strong_count() > 0);
        if let Some(found) = connections.iter().filter_map(Weak::upgrade).find(|connection| same(connection)) {
            return found;
        }
        let made = Arc::new(make());
        connections.push(Arc::downgrade(&made));
        made
    }

    /// Whether nobody in the process would notice if it were initialised anew.
    pub(crate) fn is_unused(&self) -> bool {
        let used = |connection: &Weak<Connection>| connection.strong_count() > 0;
        self.ours.load(Ordering::Acquire) && !lock(&self.connections).iter().any(used)
    }

    /// What is known of a token's PINs, for as long as the process lives.
    pub(crate) fn pins(&self, token: &TokenQuery) -> Arc<Mutex<Pins>> {
        let mut known = lock(&self.pins);
        if let Some((_, pins)) = known.iter().find(|(other, _)| other == token) {
            return Arc::clone(pins);
        }
        let pins = Arc::default();
        known.push((token.clone(), Arc::clone(&pins)));
        pins
    }

    fn initialize_once(&self) -> std::result::Result<(), Fault> {
        let mut initialized = lock(&self.initialized);
        if !*initialized {
            let first = self.library().initialize();
            self.ours.store(first.is_ok(), Ordering::Release);
            already(first)?;
            *initialized = true;
        }
        Ok(())
    }

    fn initialize(&self) -> std::result::Result<(), Fault> {
        let first = self.library().initialize();
        if first.is_ok() {
            self.ours.store(true, Ordering::Release);
        }
        let result = already(first);
        self.down.store(result.is_err(), Ordering::Release);
        result
    }

    fn next_generation(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        lock(&self.sessions).clear();
    }

    /// A child must initialise the library for itself, without finalising what it inherited (PKCS #11 3.1 section 2.6).
    fn notice_fork(&self) {
        let process = std::process::id();
        if self.process.load(Ordering::Acquire) == process {
            return;
        }
        let initialized = lock(&self.initialized);
        if self.process.load(Ordering::Acquire) != process {
            self.calls.forget_all();
            self.objects.forget_all();
            self.next_generation();
            // A fault shows in the first call, which then rebuilds.
            let _ = self.library().initialize();
            for connection in lock(&self.connections).iter().filter_map(Weak::upgrade) {
                connection.forget_lent();
            }
            self.process.store(process, Ordering::Release);
        }
        drop(initialized);
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("path", &self.path).finish_non_exhaustive()
    }
}

type Slot = Arc<Mutex<Option<Arc<Module>>>>;

/// The place of one library. Each has its own lock, so that one that hangs as it is loaded holds up no other.
fn slot(path: &Path) -> Result<Slot> {
    static MODULES: Mutex<BTreeMap<PathBuf, Slot>> = Mutex::new(BTreeMap::new());
    if !path.is_absolute() {
        return Err(Error::new(ErrorKind::InvalidArgument, "the path of a module must be absolute"));
    }
    Ok(Arc::clone(lock(&MODULES).entry(path.to_owned()).or_default()))
}

fn already(result: std::result::Result<(), Fault>) -> std::result::Result<(), Fault> {
    match result {
        Err(Fault { code: sys::CKR_CRYPTOKI_ALREADY_INITIALIZED, .. }) => Ok(()),
        other => other,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here panics while it holds a lock, so a poisoned one is still consistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
