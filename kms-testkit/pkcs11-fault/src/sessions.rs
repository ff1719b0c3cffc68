//! The sessions that are open, and what was last done in each.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki_sys::{CK_MECHANISM_TYPE, CK_SESSION_HANDLE, CK_SLOT_ID};

/// How far a signature with a login of its own has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Step {
    #[default]
    Idle,
    /// `C_SignInit` has been called.
    SignReady,
    /// After it `C_Login(CKU_CONTEXT_SPECIFIC)`, and nothing since.
    Authenticated,
}

/// A mechanism whose parameter holds no pointers, or none that matter.
#[derive(Clone, Debug)]
pub(crate) struct SigningMechanism {
    pub(crate) mechanism: CK_MECHANISM_TYPE,
    pub(crate) parameter: Vec<u8>,
}

#[derive(Debug, Default)]
struct Session {
    slot: CK_SLOT_ID,
    calls: usize,
    step: Step,
    signing: Option<SigningMechanism>,
    /// A signature that did not fit into the caller's buffer.
    pending: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    open: HashMap<CK_SESSION_HANDLE, Session>,
    /// Sessions whose `C_OpenSession` is under way.
    opening: usize,
}

impl Sessions {
    /// Makes room for one more session; false if there are `cap` already. To be followed by [`Self::opened`].
    pub(crate) fn reserve(&self, cap: Option<usize>) -> bool {
        let mut table = self.table();
        if cap.is_some_and(|cap| table.open.len() + table.opening >= cap) {
            return false;
        }
        table.opening += 1;
        true
    }

    /// What came of a reservation.
    pub(crate) fn opened(&self, slot: CK_SLOT_ID, handle: Option<CK_SESSION_HANDLE>) {
        let mut table = self.table();
        table.opening -= 1;
        if let Some(handle) = handle {
            table.open.insert(handle, Session { slot, ..Session::default() });
        }
    }

    pub(crate) fn closed(&self, handle: CK_SESSION_HANDLE) {
        self.table().open.remove(&handle);
    }

    pub(crate) fn closed_all(&self, slot: CK_SLOT_ID) {
        self.table().open.retain(|_, session| session.slot != slot);
    }

    pub(crate) fn clear(&self) {
        self.table().open.clear();
    }

    /// Every slot with open sessions, and one of these.
    pub(crate) fn slots(&self) -> HashMap<CK_SLOT_ID, CK_SESSION_HANDLE> {
        self.table().open.iter().map(|(handle, session)| (session.slot, *handle)).collect()
    }

    /// A call begins: how far the session had come, and whether another call is under way in it.
    pub(crate) fn enter(&self, handle: CK_SESSION_HANDLE) -> (Step, bool) {
        let mut table = self.table();
        let Some(session) = table.open.get_mut(&handle) else { return (Step::Idle, false) };
        session.calls += 1;
        let step = session.step;
        if step == Step::Authenticated {
            session.step = Step::Idle;
        }
        (step, session.calls > 1)
    }

    /// A call ends.
    pub(crate) fn leave(&self, handle: CK_SESSION_HANDLE) {
        if let Some(session) = self.table().open.get_mut(&handle) {
            // The session may have been lost, and its number used again, since the call began.
            session.calls = session.calls.saturating_sub(1);
        }
    }

    pub(crate) fn set_step(&self, handle: CK_SESSION_HANDLE, step: Step) {
        if let Some(session) = self.table().open.get_mut(&handle) {
            session.step = step;
        }
    }

    /// A new signature begins.
    pub(crate) fn set_signing(&self, handle: CK_SESSION_HANDLE, signing: SigningMechanism) {
        if let Some(session) = self.table().open.get_mut(&handle) {
            (session.signing, session.pending) = (Some(signing), None);
        }
    }

    pub(crate) fn signing(&self, handle: CK_SESSION_HANDLE) -> Option<SigningMechanism> {
        self.table().open.get(&handle)?.signing.clone()
    }

    pub(crate) fn set_pending(&self, handle: CK_SESSION_HANDLE, signature: Vec<u8>) {
        if let Some(session) = self.table().open.get_mut(&handle) {
            session.pending = Some(signature);
        }
    }

    pub(crate) fn take_pending(&self, handle: CK_SESSION_HANDLE) -> Option<Vec<u8>> {
        self.table().open.get_mut(&handle)?.pending.take()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
