//! Signatures: with a login of their own, by another key, or spoilt.

use std::ptr;

use cryptoki_sys::{
    CK_BYTE, CK_MECHANISM, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_ULONG, CKO_PRIVATE_KEY, CKR_ARGUMENTS_BAD,
    CKR_BUFFER_TOO_SMALL, CKR_KEY_HANDLE_INVALID, CKR_MECHANISM_INVALID, CKR_OK, CKR_OPERATION_NOT_INITIALIZED,
    CKR_USER_NOT_LOGGED_IN,
};

use crate::call::{Call, Place, pass, real};
use crate::config::Action;
use crate::names::Function;
use crate::sessions::{SigningMechanism, Step};
use crate::{octets, size, tamper, ulong};

#[allow(non_snake_case, reason = "the name is that of the standard")]
pub(crate) unsafe extern "C" fn C_SignInit(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    pass(Function::C_SignInit, Place::Session(session), |it| {
        if it.hides(mechanism) {
            return CKR_MECHANISM_INVALID;
        }
        let key = it.real_object(key);
        let rv = real!(it.C_SignInit(session, mechanism, key));
        if rv == CKR_OK {
            it.module.sessions.set_step(session, Step::SignReady);
            // SAFETY: the caller's mechanism, which the wrapped module has just accepted.
            if let Some(mechanism) = unsafe { mechanism.as_ref() } {
                it.module.sessions.set_signing(session, copy(mechanism));
            }
        }
        rv
    })
}

fn copy(mechanism: &CK_MECHANISM) -> SigningMechanism {
    let (parameter, length) = (mechanism.pParameter.cast::<u8>(), size(mechanism.ulParameterLen));
    SigningMechanism { mechanism: mechanism.mechanism, parameter: octets(parameter, length) }
}

#[allow(non_snake_case, reason = "the name is that of the standard")]
pub(crate) unsafe extern "C" fn C_Sign(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> CK_RV {
    pass(Function::C_Sign, Place::Session(session), |it| {
        if it.lacks_login() && !out.is_null() {
            // The operation ends all the same.
            let (mut lost, mut length) = ([0; 1024], 1024);
            real!(it.C_Sign(session, data, data_len, lost.as_mut_ptr(), &raw mut length));
            it.module.sessions.set_step(session, Step::Idle);
            return CKR_USER_NOT_LOGGED_IN;
        }
        let rv = it.sign(session, out, out_len, |it, out, out_len| {
            let room = *out_len;
            let rv = real!(it.C_Sign(session, data, data_len, out, out_len));
            match it.due.iter().find_map(|action| if let Action::OtherKey(label) = action { Some(label) } else { None })
            {
                Some(label) if rv == CKR_OK && !out.is_null() => {
                    let rv = it.begin_with_other_key(session, label);
                    *out_len = room;
                    if rv == CKR_OK { real!(it.C_Sign(session, data, data_len, out, out_len)) } else { rv }
                }
                _ => rv,
            }
        });
        it.keep_login_for_signature(session, out, rv);
        rv
    })
}

#[allow(non_snake_case, reason = "the name is that of the standard")]
pub(crate) unsafe extern "C" fn C_SignUpdate(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
) -> CK_RV {
    pass(Function::C_SignUpdate, Place::Session(session), |it| {
        // A login holds until the signature is finished.
        it.module.sessions.set_step(session, it.step);
        real!(it.C_SignUpdate(session, data, data_len))
    })
}

#[allow(non_snake_case, reason = "the name is that of the standard")]
pub(crate) unsafe extern "C" fn C_SignFinal(
    session: CK_SESSION_HANDLE,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> CK_RV {
    pass(Function::C_SignFinal, Place::Session(session), |it| {
        if it.lacks_login() && !out.is_null() {
            let (mut lost, mut length) = ([0; 1024], 1024);
            real!(it.C_SignFinal(session, lost.as_mut_ptr(), &raw mut length));
            it.module.sessions.set_step(session, Step::Idle);
            return CKR_USER_NOT_LOGGED_IN;
        }
        let rv = it.sign(session, out, out_len, |it, out, out_len| real!(it.C_SignFinal(session, out, out_len)));
        it.keep_login_for_signature(session, out, rv);
        rv
    })
}

impl Call<'_> {
    /// Whether the key wants a login for each signature, and this one has none.
    fn lacks_login(&self) -> bool {
        self.loaded.config.context_login && self.step != Step::Authenticated
    }

    /// If the call only asked for the length, the signature is still to come, and its login holds.
    fn keep_login_for_signature(&self, session: CK_SESSION_HANDLE, out: *mut CK_BYTE, rv: CK_RV) {
        let to_come = rv == CKR_BUFFER_TOO_SMALL || out.is_null();
        self.module.sessions.set_step(session, if to_come { self.step } else { Step::Idle });
    }

    /// Lets `real` sign and spoils what comes of it. Keeps a signature that has become too long for the caller's
    /// buffer, as a token does, for the next call.
    fn sign(
        &self,
        session: CK_SESSION_HANDLE,
        out: *mut CK_BYTE,
        out_len: *mut CK_ULONG,
        real: impl FnOnce(&Self, *mut CK_BYTE, &mut CK_ULONG) -> CK_RV,
    ) -> CK_RV {
        // SAFETY: the caller's place for the length, which holds that of its buffer.
        let Some(out_len) = (unsafe { out_len.as_mut() }) else { return CKR_ARGUMENTS_BAD };
        let room = size(*out_len);
        let sessions = &self.module.sessions;
        let signature = if let Some(pending) = sessions.take_pending(session) {
            pending
        } else {
            let rv = real(self, out, out_len);
            if rv != CKR_OK || !self.due.iter().any(|action| tamper::concerns(action)) {
                return rv;
            }
            if out.is_null() {
                *out_len = ulong(tamper::longest(&self.due, size(*out_len)));
                return CKR_OK;
            }
            tamper::tampered(&self.due, &octets(out, size(*out_len)))
        };
        *out_len = ulong(signature.len());
        if out.is_null() || signature.len() > room {
            sessions.set_pending(session, signature);
            return if out.is_null() { CKR_OK } else { CKR_BUFFER_TOO_SMALL };
        }
        // SAFETY: the caller's buffer has room for it, and is not the vector's.
        unsafe { ptr::copy_nonoverlapping(signature.as_ptr(), out, signature.len()) };
        CKR_OK
    }

    fn begin_with_other_key(&self, session: CK_SESSION_HANDLE, label: &str) -> CK_RV {
        let Some(key) = self.find(session, CKO_PRIVATE_KEY, label) else { return CKR_KEY_HANDLE_INVALID };
        let Some(mut signing) = self.module.sessions.signing(session) else { return CKR_OPERATION_NOT_INITIALIZED };
        let empty = signing.parameter.is_empty();
        let parameter = if empty { ptr::null_mut() } else { signing.parameter.as_mut_ptr().cast() };
        let mut mechanism = CK_MECHANISM {
            mechanism: signing.mechanism,
            pParameter: parameter,
            ulParameterLen: ulong(signing.parameter.len()),
        };
        real!(self.C_SignInit(session, &raw mut mechanism, key))
    }
}
