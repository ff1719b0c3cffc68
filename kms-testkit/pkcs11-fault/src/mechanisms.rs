//! Mechanisms that the token is to seem not to have.

use cryptoki_sys::{
    CK_MECHANISM, CK_MECHANISM_TYPE, CK_RV, CK_SLOT_ID, CK_ULONG, CKR_ARGUMENTS_BAD, CKR_BUFFER_TOO_SMALL, CKR_OK,
};

use crate::call::{Call, Place, pass, real};
use crate::names::Function;
use crate::{size, ulong};

#[allow(non_snake_case, reason = "the name is that of the standard")]
pub(crate) unsafe extern "C" fn C_GetMechanismList(
    slot: CK_SLOT_ID,
    list: *mut CK_MECHANISM_TYPE,
    count: *mut CK_ULONG,
) -> CK_RV {
    pass(Function::C_GetMechanismList, Place::Slot, |it| {
        let hidden = &it.loaded.config.hidden_mechanisms;
        if hidden.is_empty() {
            return real!(it.C_GetMechanismList(slot, list, count));
        }
        // SAFETY: the caller's place for the number, which holds that of its places for mechanisms.
        let Some(count) = (unsafe { count.as_mut() }) else { return CKR_ARGUMENTS_BAD };
        let shown = match it.mechanisms(slot) {
            Ok(all) => all.into_iter().filter(|mechanism| !hidden.contains(mechanism)).collect::<Vec<_>>(),
            Err(rv) => return rv,
        };
        let room = size(std::mem::replace(count, ulong(shown.len())));
        if list.is_null() {
            return CKR_OK;
        }
        if room < shown.len() {
            return CKR_BUFFER_TOO_SMALL;
        }
        for (index, mechanism) in shown.into_iter().enumerate() {
            // SAFETY: the caller has room for that many.
            unsafe { *list.add(index) = mechanism };
        }
        CKR_OK
    })
}

impl Call<'_> {
    fn mechanisms(&self, slot: CK_SLOT_ID) -> Result<Vec<CK_MECHANISM_TYPE>, CK_RV> {
        let mut count = 1024;
        let mut all = vec![0; size(count)];
        match real!(self.C_GetMechanismList(slot, all.as_mut_ptr(), &raw mut count)) {
            CKR_OK => all.truncate(size(count)),
            rv => return Err(rv),
        }
        Ok(all)
    }

    /// Whether the token is to seem not to have it.
    pub(crate) fn hides(&self, mechanism: impl Named) -> bool {
        mechanism.name().is_some_and(|name| self.loaded.config.hidden_mechanisms.contains(&name))
    }
}

/// A mechanism as functions are given it: with its parameter or by its name alone.
pub(crate) trait Named {
    fn name(self) -> Option<CK_MECHANISM_TYPE>;
}

impl Named for CK_MECHANISM_TYPE {
    fn name(self) -> Option<CK_MECHANISM_TYPE> {
        Some(self)
    }
}

impl Named for *mut CK_MECHANISM {
    fn name(self) -> Option<CK_MECHANISM_TYPE> {
        // SAFETY: the caller's mechanism, or null.
        unsafe { self.as_ref() }.map(|mechanism| mechanism.mechanism)
    }
}
