//! Object handles that grow old: on many tokens a handle kept over a loss means nothing afterwards, or another key.

use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_OBJECT_CLASS, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_ULONG, CKA_CLASS, CKA_LABEL,
    CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKR_OK,
};

use crate::call::{Call, Place};
use crate::config::Config;
use crate::names::Function;
use crate::ulong;

/// What is added to the wrapped module's handles before they are handed out.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    offset: AtomicU64,
}

/// More than a token has objects.
const STEP: CK_ULONG = 1 << 20;

impl Objects {
    /// From now on the handles handed out so far are out of date.
    pub(crate) fn outdate(&self, config: &Config) {
        if config.stale_handles.is_some() {
            self.offset.fetch_add(STEP, Ordering::SeqCst);
        }
    }
}

impl Call<'_> {
    /// The wrapped module's handle for one that the caller has.
    pub(crate) fn real_object(&self, handle: CK_OBJECT_HANDLE) -> CK_OBJECT_HANDLE {
        let offset = self.module.objects.offset.load(Ordering::SeqCst);
        if handle == 0 || handle > offset {
            return handle.saturating_sub(offset);
        }
        let (Some(label), Place::Session(session)) = (&self.loaded.config.stale_handles, self.place) else { return 0 };
        let class = match self.function {
            Function::C_VerifyInit | Function::C_EncryptInit | Function::C_WrapKey => CKO_PUBLIC_KEY,
            _ => CKO_PRIVATE_KEY,
        };
        self.find(session, class, label).unwrap_or(0)
    }

    /// The same for one place of a pair of optional results, which the wrapped module has just filled.
    pub(crate) fn hand_out(&self, object: *mut CK_OBJECT_HANDLE) {
        // SAFETY: a place for a handle that the caller gave, and that the wrapped module has written to.
        if let Some(object) = unsafe { object.as_mut() } {
            *object = object.saturating_add(self.module.objects.offset.load(Ordering::SeqCst));
        }
    }

    /// The first key of that class and label. No other search may be active in the session.
    pub(crate) fn find(
        &self,
        session: CK_SESSION_HANDLE,
        class: CK_OBJECT_CLASS,
        label: &str,
    ) -> Option<CK_OBJECT_HANDLE> {
        let functions = &self.module.library.functions;
        let (start, next, finish) =
            (functions.C_FindObjectsInit?, functions.C_FindObjects?, functions.C_FindObjectsFinal?);
        let mut template = [
            attribute(CKA_CLASS, ptr::from_ref(&class).cast(), size_of_val(&class)),
            attribute(CKA_LABEL, label.as_ptr().cast(), label.len()),
        ];
        // SAFETY: a template of two attributes whose values outlive the call, and are not written to.
        if unsafe { start(session, template.as_mut_ptr(), 2) } != CKR_OK {
            return None;
        }
        let (mut handle, mut count) = (0, 0);
        // SAFETY: places for one handle and for a number.
        let rv = unsafe { next(session, &raw mut handle, 1, &raw mut count) };
        // SAFETY: ends the search begun above.
        unsafe { finish(session) };
        (rv == CKR_OK && count == 1).then_some(handle)
    }
}

fn attribute(name: CK_ULONG, value: *const std::ffi::c_void, length: usize) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE { type_: name, pValue: value.cast_mut(), ulValueLen: ulong(length) }
}
