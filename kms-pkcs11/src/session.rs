//! A session with the token.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;

use cryptoki_sys as sys;

use crate::library::{Fault, Library, SessionHandle, SlotId};
use crate::module::Module;
use crate::pool::Lendable;

/// A session, closed when it is dropped. May be sent to another thread, but never be used by two: PKCS #11 leaves
/// undefined what happens then.
#[derive(Debug)]
pub(crate) struct Session {
    module: Arc<Module>,
    /// The instance it was opened in.
    library: Library,
    handle: SessionHandle,
    generation: u64,
    /// The rebuild of the connection in which it was known to be good: handles of objects are those of one epoch.
    pub(crate) epoch: u64,
    pub(crate) read_write: bool,
    /// Through this one we logged in: while it is open, the login lasts.
    pub(crate) keeps_login: bool,
    lost: Cell<bool>,
    _not_sync: PhantomData<Cell<()>>,
}

impl Session {
    /// Opens one: one call, on most tokens a local one.
    pub(crate) fn open(module: &Arc<Module>, slot: SlotId, read_write: bool, epoch: u64) -> Result<Self, Fault> {
        let (library, generation) = (module.library(), module.generation());
        let handle = library.open_session(slot, read_write)?;
        if !module.register(handle) {
            // We hold a session of this handle. It was lost, and others may be as well.
            return Err(Fault { call: "C_OpenSession", code: sys::CKR_SESSION_HANDLE_INVALID });
        }
        Ok(Self {
            module: Arc::clone(module),
            library,
            handle,
            generation,
            epoch,
            read_write,
            keeps_login: false,
            lost: Cell::new(false),
            _not_sync: PhantomData,
        })
    }

    pub(crate) fn library(&self) -> &Library {
        &self.library
    }

    pub(crate) fn handle(&self) -> SessionHandle {
        self.handle
    }

    /// Whether the library still knows it: one call. Told that it does not, it is not closed: its handle may by then
    /// be somebody else's.
    pub(crate) fn state(&self) -> Result<sys::CK_STATE, Fault> {
        let state = self.library().session_state(self.handle);
        self.lost.set(self.lost.get() || state.is_err());
        state
    }

    /// Whether it was opened in that generation of the module.
    pub(crate) fn is_of(&self, generation: u64) -> bool {
        self.generation == generation
    }

    /// Leaves it to the library: it is gone.
    pub(crate) fn forget(&self) {
        self.lost.set(true);
    }
}

impl Lendable for Session {
    fn is_kept(&self) -> bool {
        self.keeps_login
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // One of an earlier generation is gone, and its handle may be another's now.
        if self.generation == self.module.generation() {
            self.module.unregister(self.handle);
            if !self.lost.get() {
                let _ = self.library().close_session(self.handle);
            }
        }
    }
}
