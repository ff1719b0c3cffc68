//! Doing work on the token in spite of what may happen to sessions, login, token and library.

use std::time::{Duration, Instant};

use cryptoki_sys as sys;
use kms_core::{Deadline, Error, ErrorKind, Result};

use crate::connection::{Connection, Job, Trouble};
use crate::error::Remedy;
use crate::gate::{Alone, Together};
use crate::library::Fault;
use crate::login::is_user;
use crate::session::Session;

/// How deep to build anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// The sessions that the library does not know any more.
    Sessions,
    /// Also the login.
    Login,
    /// Also the place of the token.
    Token,
    /// The library is initialised anew.
    Library,
}

/// What is left of the deadline when a fault is reported rather than waited out, so that the caller learns more than
/// that time is up.
const MARGIN: Duration = Duration::from_millis(10);

/// Most faults in a row that say nothing of a token that is away: by then building anew has not helped.
const MOST_FAULTS: u32 = 6;

/// A deadline a little before `deadline`; see [`MARGIN`].
pub(crate) fn ahead_of(deadline: Deadline) -> Deadline {
    let remaining = deadline.remaining();
    if remaining > 5 * MARGIN { Deadline::after(remaining.saturating_sub(MARGIN)) } else { deadline }
}

impl Connection {
    /// Does `work` with a session that nobody else has. When the library answers with a fault that building anew may
    /// cure, it is built anew and `work` is done again, until the deadline.
    ///
    /// `work` must find handles of objects itself, or make sure that they are of the session's epoch.
    ///
    /// # Errors
    /// Those of `work`; the fault that nothing cured; `Timeout`.
    pub(crate) fn run<T>(&self, job: &Job<'_>, mut work: impl FnMut(&Session) -> Result<T, Trouble>) -> Result<T> {
        let mut course = Course::default();
        loop {
            let epoch = self.epoch();
            let trouble = match self.attempt(job, &mut work) {
                Ok(done) => return Ok(done),
                Err(trouble) => trouble,
            };
            let fault = if let Trouble::Fault(fault) = trouble { Some(fault) } else { None };
            let depth = course.next(job, trouble)?;
            match self.rebuild(job, depth, epoch, fault) {
                Ok(()) => {}
                Err(Trouble::Fault(fault)) => return Err(fault.in_context(job.operation)),
                Err(Trouble::Error(error) | Trouble::Spoilt(error)) => return Err(error),
                Err(Trouble::NotConnected) => return Err(self.too_late(job)),
            }
        }
    }

    fn attempt<T>(&self, job: &Job<'_>, work: &mut impl FnMut(&Session) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let mut pauses = Pauses::default();
        loop {
            if !self.is_live(job.access) {
                return Err(Trouble::NotConnected);
            }
            // Waited for outside, so that a rebuild need not wait for the whole line.
            let Some(grant) = self.pool().acquire(job.access.limit, job.deadline) else {
                return Err(Trouble::Error(Deadline::error(job.operation).with_hint("no session became free")));
            };
            let ticket = grant.ticket;
            if let Some(rescue) = job.rescue {
                rescue.hold(ticket);
            }
            let inside = if job.access.alone {
                self.module().exclude(job.deadline).map(Inside::Alone)
            } else {
                self.module().enter(job.deadline, job.rescue).map(Inside::Together)
            };
            let Some(_inside) = inside else {
                self.put_back(ticket, grant.thing);
                return Err(Trouble::Error(self.too_late(job)));
            };
            if !self.is_live(job.access) {
                self.put_back(ticket, grant.thing);
                return Err(Trouble::NotConnected);
            }
            match self.session(job, grant.thing) {
                Ok(session) => {
                    let result = work(&session).map_err(|trouble| hidden(job, &session, trouble));
                    if is_given_up(job) {
                        // All this is over. A session that the library still has is closed: nobody else will.
                        let _ = session.state();
                        drop(session);
                        self.pool().write_off(ticket);
                        return Err(Trouble::Error(Deadline::error(job.operation)));
                    }
                    self.hand_in(ticket, session, result.as_ref().err());
                    return result;
                }
                Err(Trouble::Fault(fault)) if fault.remedy() == Remedy::Wait => {
                    // The token has no more. Ours come free; others' we can only ask for again.
                    if !self.pool().refused(ticket) && !pauses.sleep(job.deadline) {
                        return Err(Trouble::Error(fault.in_context(job.operation)));
                    }
                }
                Err(trouble) => {
                    self.pool().write_off(ticket);
                    return Err(trouble);
                }
            }
        }
    }

    /// The session that was lent if it is good for the job, or another in its place.
    fn session(&self, job: &Job<'_>, lent: Option<Session>) -> Result<Session, Trouble> {
        match lent {
            Some(session) if session.epoch == self.epoch() && (session.read_write || !job.read_write) => {
                return Ok(session);
            }
            Some(session) if session.epoch == self.epoch() && session.keeps_login => {
                return self.replace_keeper(job, session);
            }
            other => drop(other),
        }
        Ok(Session::open(self.module(), self.token().slot, job.read_write, self.epoch())?)
    }

    /// Takes a session back after work, unless something is wrong with it.
    fn hand_in(&self, ticket: u64, session: Session, trouble: Option<&Trouble>) {
        let fault = if let Some(Trouble::Fault(fault)) = trouble { Some(*fault) } else { None };
        if fault.is_some_and(is_loss) {
            session.forget();
        }
        let spent = session.read_write && !session.keeps_login;
        // After a fault the operation may still be active in it, so it is not used again.
        let spoilt = matches!(trouble, Some(Trouble::Fault(_) | Trouble::Spoilt(_)));
        if !spoilt && !spent && session.epoch == self.epoch() {
            drop(self.pool().give_back(ticket, session));
            return;
        }
        if session.keeps_login {
            self.doubt_login();
        }
        drop(session);
        self.pool().write_off(ticket);
    }

    /// Takes back what was not used. No call is made: whether the session is still good, the next one sees.
    fn put_back(&self, ticket: u64, lent: Option<Session>) {
        match lent {
            Some(session) => {
                if let Some(session) = self.pool().give_back(ticket, session) {
                    self.pool().add(session);
                }
            }
            None => self.pool().write_off(ticket),
        }
    }

    /// A session that may write, where the one that keeps the login is the only one to be had: beside it if the token
    /// allows one more, else in its place, which takes another login.
    fn replace_keeper(&self, job: &Job<'_>, keeper: Session) -> Result<Session, Trouble> {
        let (slot, epoch) = (self.token().slot, self.epoch());
        let open = || Session::open(self.module(), slot, true, epoch);
        match open() {
            Err(fault) if fault.remedy() == Remedy::Wait => {
                drop(keeper);
                self.doubt_login();
                let mut session = open()?;
                session.keeps_login = true;
                let logged_in = self.log_in(&session, job.access)?;
                self.restore_login(logged_in);
                Ok(session)
            }
            other => {
                self.pool().add(keeper);
                Ok(other?)
            }
        }
    }
}

/// What was met so far, and so how deep to go next.
#[derive(Default)]
struct Course {
    faults: u32,
    pauses: Pauses,
}

impl Course {
    fn next(&mut self, job: &Job<'_>, trouble: Trouble) -> Result<Depth> {
        let fault = match trouble {
            Trouble::Error(error) | Trouble::Spoilt(error) => return Err(error),
            Trouble::NotConnected => return Ok(Depth::Sessions),
            Trouble::Fault(fault) => fault,
        };
        let remedy = fault.remedy();
        if remedy == Remedy::None || may_have_happened(fault) || job.deadline.has_passed() {
            return Err(failed(job, fault));
        }
        self.faults += 1;
        if self.faults > MOST_FAULTS && !is_away(fault) {
            return Err(failed(job, fault).with_hint("building the connection anew did not help"));
        }
        if self.faults > 2 && !self.pauses.sleep(job.deadline) {
            return Err(failed(job, fault));
        }
        Ok(match (remedy, self.faults) {
            _ if fault.code == sys::CKR_CRYPTOKI_NOT_INITIALIZED => Depth::Library,
            (Remedy::Session | Remedy::Wait, 1) => Depth::Sessions,
            (Remedy::Session | Remedy::Wait | Remedy::Login, 1 | 2) => Depth::Login,
            (Remedy::Module, 1) => Depth::Token,
            // Initialising anew disturbs all who use the library: rarely.
            (_, faults) if faults == 2 || faults % 8 == 3 => Depth::Library,
            _ => Depth::Token,
        })
    }
}

/// Pauses between attempts: from 10 ms to 30 ms, so that a token that is back is used well within 100 ms while one that
/// is away is asked some thirty times a second at most, by one caller.
#[derive(Default)]
pub(crate) struct Pauses(u32);

impl Pauses {
    /// False, at once, when the deadline comes first.
    pub(crate) fn sleep(&mut self, deadline: Deadline) -> bool {
        self.0 += 1;
        let pause = Duration::from_millis(10) * self.0.min(3);
        let (start, remaining) = (Instant::now(), deadline.remaining());
        if remaining <= pause {
            return false;
        }
        std::thread::sleep(pause);
        start.elapsed() < remaining
    }
}

/// Being let in; see [`Module::enter`](crate::module::Module::enter).
enum Inside<'a> {
    Together(#[expect(dead_code, reason = "held")] Together<'a>),
    Alone(#[expect(dead_code, reason = "held")] Alone<'a>),
}

/// Whether the caller has gone on without this thread.
pub(crate) fn is_given_up(job: &Job<'_>) -> bool {
    job.rescue.is_some_and(|rescue| rescue.is_given_up())
}

/// What cannot be found may only be hidden: somebody in the process may have logged the token out.
fn hidden(job: &Job<'_>, session: &Session, trouble: Trouble) -> Trouble {
    match &trouble {
        Trouble::Error(error) if error.kind() == ErrorKind::NotFound && job.access.login && !is_given_up(job) => {
            match session.state() {
                Ok(state) if is_user(state) => trouble,
                Ok(_) => Trouble::Fault(Fault { call: "C_FindObjects", code: sys::CKR_USER_NOT_LOGGED_IN }),
                Err(fault) => Trouble::Fault(fault),
            }
        }
        _ => trouble,
    }
}

/// The library says that it does not know the session.
fn is_loss(fault: Fault) -> bool {
    matches!(fault.code, sys::CKR_SESSION_HANDLE_INVALID | sys::CKR_SESSION_CLOSED | sys::CKR_CRYPTOKI_NOT_INITIALIZED)
}

/// The token or the library is away, and may come back.
fn is_away(fault: Fault) -> bool {
    matches!(
        fault.code,
        sys::CKR_DEVICE_ERROR
            | sys::CKR_DEVICE_REMOVED
            | sys::CKR_TOKEN_NOT_PRESENT
            | sys::CKR_TOKEN_NOT_RECOGNIZED
            | sys::CKR_SLOT_ID_INVALID
            | sys::CKR_CRYPTOKI_NOT_INITIALIZED
    )
}

/// A call that creates or destroys, and failed in a way that does not say whether it did: never done twice.
fn may_have_happened(fault: Fault) -> bool {
    matches!(fault.call, "C_GenerateKeyPair" | "C_CreateObject" | "C_DestroyObject")
        && fault.remedy() == Remedy::Module
        && fault.code != sys::CKR_CRYPTOKI_NOT_INITIALIZED
}

fn failed(job: &Job<'_>, fault: Fault) -> Error {
    fault.in_context(job.operation)
}
