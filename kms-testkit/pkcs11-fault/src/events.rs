//! What happens to a token and its library: for real, in the wrapped module, while no other call is under way in it.

use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cryptoki_sys::{CK_RV, CKR_DEVICE_REMOVED, CKR_OK, CKR_TOKEN_NOT_PRESENT};

use crate::call::Place;
use crate::module::{Loaded, Module};
use crate::names::Function;

/// A token that is not there.
#[derive(Debug)]
pub(crate) struct Outage {
    /// Without an end: until the configuration changes.
    end: Option<Instant>,
    until_initialize: bool,
}

impl Outage {
    fn has_ended(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }
}

impl Module {
    pub(crate) fn lose_sessions(&self, loaded: &Loaded) {
        let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        for slot in self.sessions.slots().into_keys() {
            if let Some(close_all) = self.library.functions.C_CloseAllSessions {
                // SAFETY: a function of the wrapped module with a slot that it knows.
                unsafe { close_all(slot) };
            }
        }
        self.sessions.clear();
        self.objects.outdate(&loaded.config);
    }

    pub(crate) fn log_out(&self, loaded: &Loaded) {
        let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        for session in self.sessions.slots().into_values() {
            if let Some(logout) = self.library.functions.C_Logout {
                // SAFETY: a function of the wrapped module with a session that it opened.
                unsafe { logout(session) };
            }
        }
        self.logged_out.store(true, Ordering::SeqCst);
        self.objects.outdate(&loaded.config);
    }

    pub(crate) fn finalize(&self, loaded: &Loaded) {
        let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(finalize) = self.library.functions.C_Finalize {
            // SAFETY: the standard's one way to call it, and no other call is under way.
            unsafe { finalize(ptr::null_mut()) };
        }
        self.finalized(loaded);
    }

    /// What is no more once the library has been finalised, by whomever.
    pub(crate) fn finalized(&self, loaded: &Loaded) {
        self.finalized.fetch_add(1, Ordering::SeqCst);
        self.logged_out.store(false, Ordering::SeqCst);
        self.sessions.clear();
        self.objects.outdate(&loaded.config);
    }

    pub(crate) fn remove_token(&self, loaded: &Loaded, lasting: Option<Duration>, until_initialize: bool) {
        self.lose_sessions(loaded);
        let lasting = lasting.or(until_initialize.then_some(Duration::ZERO));
        let end = lasting.map(|lasting| Instant::now() + lasting);
        *self.outage() = Some(Outage { end, until_initialize });
    }

    /// The library has been initialised.
    pub(crate) fn initialized(&self) {
        let mut outage = self.outage();
        if outage.as_ref().is_some_and(Outage::has_ended) {
            *outage = None;
        }
    }

    /// Whether the token is away.
    pub(crate) fn token_is_gone(&self) -> bool {
        let mut outage = self.outage();
        if outage.as_ref().is_some_and(|outage| outage.has_ended() && !outage.until_initialize) {
            *outage = None;
        }
        outage.is_some()
    }

    /// How a token that is away answers; `CKR_OK` where the wrapped module is to be asked nevertheless.
    pub(crate) fn answer_while_gone(function: Function, place: Place) -> CK_RV {
        match place {
            Place::Session(_) => CKR_DEVICE_REMOVED,
            Place::Slot if function != Function::C_GetSlotInfo => CKR_TOKEN_NOT_PRESENT,
            Place::Slot | Place::Library => CKR_OK,
        }
    }

    /// Undoes what lasts, when the configuration changes.
    pub(crate) fn recover(&self) {
        *self.outage() = None;
        self.logged_out.store(false, Ordering::SeqCst);
    }

    fn outage(&self) -> MutexGuard<'_, Option<Outage>> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
