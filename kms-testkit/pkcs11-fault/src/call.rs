//! The way of every call: counted, spoilt if a fault is due, passed on, logged.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use cryptoki_sys::{
    CK_RV, CK_SESSION_HANDLE, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_GENERAL_ERROR, CKR_OK, CKR_USER_NOT_LOGGED_IN,
};

use crate::config::{Action, Fault};
use crate::counters::Event;
use crate::module::{Loaded, Module, module};
use crate::names::{self, Function};
use crate::sessions::Step;

/// What a call concerns.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Library,
    Slot,
    Session(CK_SESSION_HANDLE),
}

/// A call under way.
pub(crate) struct Call<'a> {
    pub(crate) module: &'static Module,
    pub(crate) loaded: &'a Arc<Loaded>,
    pub(crate) function: Function,
    pub(crate) place: Place,
    /// The faults that are due, in the order of the file.
    pub(crate) due: Vec<&'a Action>,
    /// How far the session had come before.
    pub(crate) step: Step,
}

/// Calls a function of the wrapped module: `real!(it.C_Login(session, user, pin, length))`.
macro_rules! real {
    ($call:ident . $name:ident ( $($argument:expr),* )) => {
        match $call.module.library.functions.$name {
            // SAFETY: the arguments are those that this module was itself called with, or places of its own.
            Some(function) => unsafe { function($($argument),*) },
            None => cryptoki_sys::CKR_FUNCTION_NOT_SUPPORTED,
        }
    };
}
pub(crate) use real;

/// Answers a call, by `forward` unless a fault forbids it.
pub(crate) fn pass(function: Function, place: Place, forward: impl FnOnce(&Call<'_>) -> CK_RV) -> CK_RV {
    let Some(module) = module() else { return CKR_GENERAL_ERROR };
    module.counters.call(function);
    let Some(loaded) = module.loaded() else { return CKR_GENERAL_ERROR };
    let faults = loaded.config.faults.iter();
    let due: Vec<_> = faults.filter(|fault| fault.is_due(function)).map(Fault::action).collect();
    let (step, shared) = match place {
        Place::Session(session) => module.sessions.enter(session),
        Place::Library | Place::Slot => (Step::Idle, false),
    };
    if shared {
        module.report(&loaded, Event::SharedSession, function.name());
    }
    let call = Call { module, loaded: &loaded, function, place, due, step };
    let rv = if function.writes() { call.write(forward) } else { call.answer(forward) };
    if let Place::Session(session) = place {
        module.sessions.leave(session);
    }
    call.record(rv);
    rv
}

impl Call<'_> {
    /// A write, which some modules cannot bear beside another.
    fn write(&self, forward: impl FnOnce(&Self) -> CK_RV) -> CK_RV {
        let others = self.module.writes_under_way.fetch_add(1, Ordering::SeqCst);
        if others > 0 {
            self.module.report(self.loaded, Event::ParallelWrite, self.function.name());
        }
        let refused = others > 0 && self.loaded.config.refuse_parallel_writes;
        let rv = if refused { CKR_GENERAL_ERROR } else { self.answer(forward) };
        self.module.writes_under_way.fetch_sub(1, Ordering::SeqCst);
        rv
    }

    fn answer(&self, forward: impl FnOnce(&Self) -> CK_RV) -> CK_RV {
        if self.delay().is_err() {
            return CKR_CRYPTOKI_NOT_INITIALIZED;
        }
        for action in &self.due {
            match action {
                Action::Answer(rv) => return *rv,
                Action::LoseSessions => self.module.lose_sessions(self.loaded),
                Action::Logout => self.module.log_out(self.loaded),
                Action::NotInitialized => self.module.finalize(self.loaded),
                Action::TokenGone { lasting, until_initialize } => {
                    self.module.remove_token(self.loaded, *lasting, *until_initialize);
                }
                _ => {}
            }
        }
        if self.module.token_is_gone() {
            let rv = Module::answer_while_gone(self.function, self.place);
            if rv != CKR_OK {
                return rv;
            }
        }
        if self.function.needs_login() && self.module.logged_out.load(Ordering::SeqCst) {
            return CKR_USER_NOT_LOGGED_IN;
        }
        let rv = self.enter_library(forward);
        let lost = self.due.iter().find_map(|action| match action {
            Action::AnswerAfter(rv) => Some(*rv),
            _ => None,
        });
        lost.unwrap_or(rv)
    }

    /// Waits as long as the faults want; an error if the library was finalised meanwhile.
    fn delay(&self) -> Result<(), ()> {
        let before = self.module.finalized.load(Ordering::SeqCst);
        for action in &self.due {
            match action {
                Action::Slow(time) => sleep(*time),
                Action::Hang(limit) => self.hang(*limit),
                _ => continue,
            }
            if self.module.finalized.load(Ordering::SeqCst) != before {
                return Err(());
            }
        }
        Ok(())
    }

    fn hang(&self, limit: Option<Duration>) {
        let begin = Instant::now();
        let unchanged = || self.module.loaded().is_some_and(|now| Arc::ptr_eq(&now, self.loaded));
        while limit.is_none_or(|limit| begin.elapsed() < limit) && unchanged() {
            sleep(Duration::from_millis(2));
        }
    }

    fn enter_library(&self, forward: impl FnOnce(&Self) -> CK_RV) -> CK_RV {
        match self.function {
            Function::C_Initialize | Function::C_Finalize => {
                if self.function == Function::C_Finalize && self.module.calls_under_way.load(Ordering::SeqCst) > 0 {
                    self.module.report(self.loaded, Event::BusyFinalize, self.function.name());
                }
                let _alone = self.module.gate.write().unwrap_or_else(PoisonError::into_inner);
                forward(self)
            }
            // Blocks until something happens: it must keep nobody waiting.
            Function::C_WaitForSlotEvent => forward(self),
            _ => {
                let _among_others = self.module.gate.read().unwrap_or_else(PoisonError::into_inner);
                self.module.calls_under_way.fetch_add(1, Ordering::SeqCst);
                let rv = forward(self);
                self.module.calls_under_way.fetch_sub(1, Ordering::SeqCst);
                rv
            }
        }
    }

    fn record(&self, rv: CK_RV) {
        for _ in &self.due {
            self.module.counters.event(Event::Fault);
        }
        if self.loaded.config.log {
            let faults: Vec<_> = self.due.iter().map(ToString::to_string).collect();
            self.module.log(self.loaded, self.function.name(), &names::rv_name(rv), &faults.join(","));
        }
    }
}

impl Function {
    /// Whether it changes what the token holds.
    fn writes(self) -> bool {
        use Function::{
            C_CopyObject, C_CreateObject, C_DeriveKey, C_DestroyObject, C_GenerateKey, C_GenerateKeyPair, C_InitPIN,
            C_InitToken, C_SetAttributeValue, C_SetPIN, C_UnwrapKey,
        };
        matches!(
            self,
            C_InitToken
                | C_InitPIN
                | C_SetPIN
                | C_CreateObject
                | C_CopyObject
                | C_DestroyObject
                | C_SetAttributeValue
                | C_GenerateKey
                | C_GenerateKeyPair
                | C_UnwrapKey
                | C_DeriveKey
        )
    }

    /// Whether it uses or makes private keys.
    fn needs_login(self) -> bool {
        use Function::{
            C_Decrypt, C_DecryptInit, C_Sign, C_SignFinal, C_SignInit, C_SignRecover, C_SignRecoverInit, C_SignUpdate,
        };
        matches!(
            self,
            C_SignInit
                | C_Sign
                | C_SignUpdate
                | C_SignFinal
                | C_SignRecoverInit
                | C_SignRecover
                | C_DecryptInit
                | C_Decrypt
        ) || (self.writes() && !matches!(self, Self::C_InitToken | Self::C_InitPIN | Self::C_SetPIN))
    }
}
