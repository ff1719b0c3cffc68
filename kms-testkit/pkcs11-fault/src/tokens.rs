//! Library, slots, sessions and logins: where the module keeps account.

use std::ffi::c_void;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use cryptoki_sys::{
    CK_BBOOL, CK_FALSE, CK_FLAGS, CK_NOTIFY, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID, CK_SLOT_INFO,
    CK_TOKEN_INFO, CK_ULONG, CK_USER_TYPE, CK_UTF8CHAR, CKF_TOKEN_PRESENT, CKR_ARGUMENTS_BAD, CKR_OK,
    CKR_OPERATION_NOT_INITIALIZED, CKR_PIN_INCORRECT, CKU_CONTEXT_SPECIFIC, CKU_USER,
};

use crate::call::{Call, Place, pass, real};
use crate::names::Function;
use crate::sessions::Step;
use crate::{octets, size};

#[allow(non_snake_case, reason = "the name is that of the standard")]
pub(crate) unsafe extern "C" fn C_Initialize(arguments: *mut c_void) -> CK_RV {
    pass(Function::C_Initialize, Place::Library, |it| {
        let rv = real!(it.C_Initialize(arguments));
        if rv == CKR_OK {
            it.module.initialized();
        }
        rv
    })
}

#[allow(non_snake_case, reason = "the name is that of the standard")]
pub(crate) unsafe extern "C" fn C_Finalize(reserved: *mut c_void) -> CK_RV {
    pass(Function::C_Finalize, Place::Library, |it| {
        let rv = real!(it.C_Finalize(reserved));
        if rv == CKR_OK {
            it.module.finalized(it.loaded);
        }
        rv
    })
}

#[allow(non_snake_case, reason = "the name is that of the standard")]
pub(crate) unsafe extern "C" fn C_GetSlotList(
    present: CK_BBOOL,
    slots: *mut CK_SLOT_ID,
    count: *mut CK_ULONG,
) -> CK_RV {
    pass(Function::C_GetSlotList, Place::Library, |it| {
        if present == CK_FALSE || !it.module.token_is_gone() {
            return real!(it.C_GetSlotList(present, slots, count));
        }
        // SAFETY: the caller's place for the number of slots, if it gave one.
        match unsafe { count.as_mut() } {
            Some(count) => *count = 0,
            None => return CKR_ARGUMENTS_BAD,
        }
        CKR_OK
    })
}

#[allow(non_snake_case, reason = "the name is that of the standard")]
pub(crate) unsafe extern "C" fn C_GetSlotInfo(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO) -> CK_RV {
    pass(Function::C_GetSlotInfo, Place::Slot, |it| {
        let rv = real!(it.C_GetSlotInfo(slot, info));
        if rv == CKR_OK && it.module.token_is_gone() {
            // SAFETY: the caller's place, which the wrapped module has just filled.
            unsafe { (*info).flags &= !CKF_TOKEN_PRESENT };
        }
        rv
    })
}

#[allow(non_snake_case, reason = "the name is that of the standard")]
pub(crate) unsafe extern "C" fn C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) -> CK_RV {
    pass(Function::C_GetTokenInfo, Place::Slot, |it| {
        let rv = real!(it.C_GetTokenInfo(slot, info));
        if rv == CKR_OK {
            // SAFETY: the caller's place, which the wrapped module has just filled.
            unsafe { (*info).flags ^= it.loaded.config.flip_token_flags };
        }
        rv
    })
}

#[allow(non_snake_case, reason = "the name is that of the standard")]
pub(crate) unsafe extern "C" fn C_OpenSession(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    application: *mut c_void,
    notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> CK_RV {
    pass(Function::C_OpenSession, Place::Slot, |it| {
        if !it.module.sessions.reserve(it.loaded.config.cap_sessions) {
            return it.loaded.config.cap_sessions_rv;
        }
        let rv = real!(it.C_OpenSession(slot, flags, application, notify, session));
        // SAFETY: the caller's place, which the wrapped module has just filled.
        let handle = (rv == CKR_OK).then(|| unsafe { *session });
        it.module.sessions.opened(slot, handle);
        rv
    })
}

#[allow(non_snake_case, reason = "the name is that of the standard")]
pub(crate) unsafe extern "C" fn C_CloseSession(session: CK_SESSION_HANDLE) -> CK_RV {
    pass(Function::C_CloseSession, Place::Session(session), |it| {
        let rv = real!(it.C_CloseSession(session));
        if rv == CKR_OK {
            it.module.sessions.closed(session);
        }
        rv
    })
}

#[allow(non_snake_case, reason = "the name is that of the standard")]
pub(crate) unsafe extern "C" fn C_CloseAllSessions(slot: CK_SLOT_ID) -> CK_RV {
    pass(Function::C_CloseAllSessions, Place::Slot, |it| {
        let rv = real!(it.C_CloseAllSessions(slot));
        if rv == CKR_OK {
            it.module.sessions.closed_all(slot);
        }
        rv
    })
}

#[allow(non_snake_case, reason = "the name is that of the standard")]
pub(crate) unsafe extern "C" fn C_Login(
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: *mut CK_UTF8CHAR,
    length: CK_ULONG,
) -> CK_RV {
    pass(Function::C_Login, Place::Session(session), |it| {
        let given = octets(pin, size(length));
        if user == CKU_CONTEXT_SPECIFIC && it.loaded.config.context_login {
            return it.log_in_for_one_signature(session, &given);
        }
        let rv = real!(it.C_Login(session, user, pin, length));
        if rv == CKR_OK && user == CKU_USER {
            it.module.logged_out.store(false, Ordering::SeqCst);
            *it.module.pin.lock().unwrap_or_else(PoisonError::into_inner) = Some(given);
        }
        rv
    })
}

impl Call<'_> {
    /// What a key that always wants a login accepts: the PIN, once a signature has begun.
    fn log_in_for_one_signature(&self, session: CK_SESSION_HANDLE, given: &[u8]) -> CK_RV {
        if self.step != Step::SignReady {
            return CKR_OPERATION_NOT_INITIALIZED;
        }
        let pin = self.module.pin.lock().unwrap_or_else(PoisonError::into_inner);
        if pin.as_deref().is_some_and(|pin| pin != given) {
            return CKR_PIN_INCORRECT;
        }
        self.module.sessions.set_step(session, Step::Authenticated);
        CKR_OK
    }
}

#[allow(non_snake_case, reason = "the name is that of the standard")]
pub(crate) unsafe extern "C" fn C_Logout(session: CK_SESSION_HANDLE) -> CK_RV {
    pass(Function::C_Logout, Place::Session(session), |it| real!(it.C_Logout(session)))
}

#[allow(non_snake_case, reason = "the name is that of the standard")]
pub(crate) unsafe extern "C" fn C_FindObjects(
    session: CK_SESSION_HANDLE,
    objects: *mut CK_OBJECT_HANDLE,
    most: CK_ULONG,
    count: *mut CK_ULONG,
) -> CK_RV {
    pass(Function::C_FindObjects, Place::Session(session), |it| {
        let rv = real!(it.C_FindObjects(session, objects, most, count));
        if rv == CKR_OK {
            // SAFETY: the caller's places: the number that was found, and as many handles.
            let found = unsafe { size(*count) };
            for index in 0..found {
                it.hand_out(objects.wrapping_add(index));
            }
        }
        rv
    })
}
