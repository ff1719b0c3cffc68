//! The connection to one token: its login, its sessions, and building both anew.
//!
//! Everybody in the process who uses the token shares it. What was found out under it (a session, the handle of an
//! object) is good for one epoch; each rebuild begins another.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cryptoki_sys as sys;
use kms_core::{Deadline, Error, Result, Secret};

use crate::error::Remedy;
use crate::gate::Alone;
use crate::info::TokenInfo;
use crate::library::Fault;
use crate::login::{self, Pins};
use crate::module::Module;
use crate::pool::Pool;
use crate::recovery::{Depth, Pauses};
use crate::rescue::Rescue;
use crate::session::Session;
use crate::token::{Token, TokenQuery};

/// The connection to one token.
pub(crate) struct Connection {
    module: Arc<Module>,
    identity: TokenQuery,
    pool: Pool<Session>,
    state: Mutex<State>,
    /// Outlasts the connection: what the token refused stays refused.
    pins: Arc<Mutex<Pins>>,
    /// Zero until the first rebuild, which is the first connecting.
    epoch: AtomicU64,
    /// The module's at the last rebuild.
    generation: AtomicU64,
    logged_in: AtomicBool,
    /// The last rebuild failed.
    broken: AtomicBool,
}

struct State {
    token: Token,
    mechanisms: Arc<[sys::CK_MECHANISM_TYPE]>,
    fault: Option<Fault>,
}

/// What somebody may use the connection with.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// Given to the token when it asks for a login.
    pub(crate) pin: Option<Secret>,
    /// Whether to log in at all, should the token want it.
    pub(crate) login: bool,
    /// Most sessions.
    pub(crate) limit: usize,
    /// Whether nobody else may call the library meanwhile.
    pub(crate) alone: bool,
}

/// One piece of work for [`Connection::run`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    /// For people: `sign`.
    pub(crate) operation: &'static str,
    pub(crate) access: &'a Access,
    pub(crate) deadline: Deadline,
    /// Whether it needs a session that may write.
    pub(crate) read_write: bool,
    /// For work that may be done twice: how its caller is taken away from a call that hangs.
    pub(crate) rescue: Option<&'a Arc<Rescue>>,
}

/// Why work was not done.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The library says so.
    Fault(Fault),
    /// Nothing to be done about it.
    Error(Error),
    /// As `Error`, and the session is not to be used again: an operation may be active in it.
    Spoilt(Error),
    /// There is no connection yet, or no login.
    NotConnected,
}

impl Connection {
    /// The connection to that token, not yet made: no call.
    pub(crate) fn to(module: &Arc<Module>, token: Token) -> Arc<Self> {
        let identity = TokenQuery::identity(&token);
        let make = || Self {
            module: Arc::clone(module),
            identity: identity.clone(),
            pool: Pool::new(),
            state: Mutex::new(State { token, mechanisms: Arc::from([]), fault: None }),
            pins: module.pins(&identity),
            epoch: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            logged_in: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        };
        module.connection(|other| other.identity == identity, make)
    }

    pub(crate) fn module(&self) -> &Arc<Module> {
        &self.module
    }

    pub(crate) fn pool(&self) -> &Pool<Session> {
        &self.pool
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The token as it was when last looked at.
    pub(crate) fn token(&self) -> Token {
        self.state().token.clone()
    }

    /// The mechanisms the token lists; empty before the first connecting.
    pub(crate) fn mechanisms(&self) -> Arc<[sys::CK_MECHANISM_TYPE]> {
        Arc::clone(&self.state().mechanisms)
    }

    /// Whether this PIN may be used with the login that stands.
    ///
    /// # Errors
    /// `PinIncorrect`, without asking the token.
    pub(crate) fn check_pin(&self, pin: Option<&Secret>) -> Result<()> {
        self.pins().check(pin)
    }

    /// Whether work can begin without a rebuild.
    pub(crate) fn is_live(&self, access: &Access) -> bool {
        self.epoch() > 0
            && self.generation.load(Ordering::Acquire) == self.module.generation()
            && !self.broken.load(Ordering::Acquire)
            && (!access.login || self.logged_in.load(Ordering::Acquire))
    }

    /// Notes that the login may have gone with the session that kept it.
    pub(crate) fn doubt_login(&self) {
        self.logged_in.store(false, Ordering::Release);
    }

    /// Notes that a login was made in place of one that was given up.
    pub(crate) fn restore_login(&self, logged_in: bool) {
        self.logged_in.store(logged_in, Ordering::Release);
    }

    /// After a fork: what was lent, was lent in another process.
    pub(crate) fn forget_lent(&self) {
        self.pool.forget_lent();
    }

    /// Builds anew, as deep as `depth` and as deep as it proves necessary, trying until the deadline. One caller does
    /// it, and no call is made meanwhile; whoever waited finds it done (`seen` is the epoch his work failed in).
    pub(crate) fn rebuild(
        &self,
        job: &Job<'_>,
        mut depth: Depth,
        seen: u64,
        mut cause: Option<Fault>,
    ) -> Result<(), Trouble> {
        let Some(alone) = self.module.exclude(job.deadline) else { return Err(Trouble::Error(self.too_late(job))) };
        if self.epoch() != seen && self.is_live(job.access) {
            return Ok(());
        }
        let mut pauses = Pauses::default();
        loop {
            let fault = match self.rebuild_once(job, &alone, depth, cause) {
                Err(Trouble::Fault(fault)) => fault,
                other => return other,
            };
            self.broken.store(true, Ordering::Release);
            self.state().fault = Some(fault);
            match fault.remedy() {
                Remedy::None => return Err(Trouble::Fault(fault)),
                // Once without a pause: the next depth may be all it takes.
                Remedy::Module if depth < Depth::Library => depth = Depth::Library,
                Remedy::Session | Remedy::Login if depth < Depth::Token => depth = Depth::Token,
                _ => {
                    if !pauses.sleep(job.deadline) {
                        return Err(Trouble::Fault(fault));
                    }
                    depth = if fault.remedy() == Remedy::Wait { Depth::Token } else { Depth::Library };
                }
            }
            tracing::debug!(%fault, ?depth, "connection to the token will be rebuilt");
            cause = Some(fault);
        }
    }

    fn rebuild_once(
        &self,
        job: &Job<'_>,
        alone: &Alone<'_>,
        depth: Depth,
        cause: Option<Fault>,
    ) -> Result<(), Trouble> {
        if depth == Depth::Library {
            let uninitialized = cause.is_some_and(|fault| fault.code == sys::CKR_CRYPTOKI_NOT_INITIALIZED);
            self.module.reinitialize(alone, uninitialized)?;
        }
        let generation = self.module.generation();
        let mut sessions = self.pool.drain();
        // Those that the library does not know any more must be gone before one is opened: it may give their handles
        // to new ones.
        sessions.retain(|session| session.is_of(generation) && session.state().is_ok());
        let known = self.epoch() > 0 && self.generation.load(Ordering::Acquire) == generation;
        if depth >= Depth::Token || !known {
            self.look_for_token()?;
        }
        let epoch = self.epoch() + 1;
        if !sessions.iter().any(|session| session.keeps_login) {
            let slot = self.token().slot;
            let mut session = match sessions.pop() {
                Some(session) => session,
                None => Session::open(&self.module, slot, false, epoch)?,
            };
            session.keeps_login = true;
            sessions.push(session);
        }
        let logged_in = match sessions.iter().find(|session| session.keeps_login) {
            Some(keeper) => self.log_in(keeper, job.access)?,
            None => false,
        };
        if job.deadline.has_passed() {
            // Somebody else may be at it by now.
            return Err(Trouble::Error(self.too_late(job)));
        }
        self.generation.store(generation, Ordering::Release);
        self.logged_in.store(logged_in, Ordering::Release);
        self.broken.store(false, Ordering::Release);
        self.state().fault = None;
        self.epoch.store(epoch, Ordering::Release);
        for mut session in sessions {
            session.epoch = epoch;
            self.pool.add(session);
        }
        Ok(())
    }

    /// Logs in through `session` where it is wanted and not done; whether all sessions are logged in now.
    pub(crate) fn log_in(&self, session: &Session, access: &Access) -> Result<bool, Trouble> {
        if login::is_user(session.state()?) {
            self.check_pin(access.pin.as_ref()).map_err(Trouble::Error)?;
            return Ok(true);
        }
        let token = self.token();
        if !access.login || !token.requires_login() {
            return Ok(access.login);
        }
        let fresh = || session.library().token_info(token.slot).ok();
        if access.pin.is_some()
            && let Some(info) = fresh()
        {
            login::check_tries(&info).map_err(|error| Trouble::Error(error.in_context(token.name())))?;
        }
        self.send_pin(session, sys::CKU_USER, access, fresh).map(|()| true).map_err(|trouble| match trouble {
            Trouble::Error(error) => Trouble::Error(error.in_context(token.name())),
            other => other,
        })
    }

    /// Gives the PIN for the one operation that was begun in `session` (`CKA_ALWAYS_AUTHENTICATE`). Nothing may come
    /// between the beginning, this, and the operation.
    pub(crate) fn authenticate(&self, session: &Session, access: &Access) -> Result<(), Trouble> {
        let slot = self.token().slot;
        let fresh = || session.library().token_info(slot).ok();
        self.send_pin(session, sys::CKU_CONTEXT_SPECIFIC, access, fresh).map_err(|trouble| match trouble {
            // The operation is still active.
            Trouble::Error(error) => Trouble::Spoilt(error),
            other => other,
        })
    }

    /// One call of `C_Login`; none with a PIN that was refused. Without a PIN the token asks for it on a keypad.
    fn send_pin(
        &self,
        session: &Session,
        user: sys::CK_USER_TYPE,
        access: &Access,
        fresh: impl Fn() -> Option<TokenInfo>,
    ) -> Result<(), Trouble> {
        let pin = access.pin.as_ref();
        if let Some(pin) = pin {
            self.pins().before(pin)?;
        }
        let answer = session.library().login(session.handle(), user, pin.map(Secret::expose));
        let info = answer.err().and_then(|_| fresh());
        let allowed = match pin {
            Some(pin) => self.pins().after(pin, answer, login::tries_spent(info.as_ref())),
            None => Ok(()),
        };
        if user == sys::CKU_USER && login::stands_already(answer) {
            return Ok(());
        }
        answer.map_err(|fault| login::failure(fault, info.as_ref(), allowed.is_err()))
    }

    /// The error of work that waited until its deadline: the fault that it waited out, if there is one.
    pub(crate) fn too_late(&self, job: &Job<'_>) -> Error {
        match self.state().fault {
            Some(fault) => fault.in_context(job.operation).with_hint("the token did not come back before the deadline"),
            None => Deadline::error(job.operation),
        }
    }

    fn look_for_token(&self) -> Result<(), Trouble> {
        // One that was there and is not now may come back.
        let gone = Fault { call: "C_GetSlotList", code: sys::CKR_TOKEN_NOT_PRESENT };
        let token = self.identity.find(&self.module)?.map_err(|_| Trouble::Fault(gone))?;
        let mechanisms = self.module.library().mechanisms(token.slot)?;
        let mut state = self.state();
        state.token = token;
        state.mechanisms = mechanisms.into();
        Ok(())
    }

    fn pins(&self) -> MutexGuard<'_, Pins> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing here panics while it holds the lock, so a poisoned one is still consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("module", &self.module).field("epoch", &self.epoch()).finish_non_exhaustive()
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}
