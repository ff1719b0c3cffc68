//! The functions that are passed on as they are, but for object handles and hidden mechanisms.

use std::ffi::c_void;

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_BYTE, CK_INFO, CK_MECHANISM, CK_MECHANISM_INFO, CK_MECHANISM_TYPE, CK_OBJECT_HANDLE, CK_RV,
    CK_SESSION_HANDLE, CK_SESSION_INFO, CK_SLOT_ID, CK_ULONG, CK_UTF8CHAR, CKR_MECHANISM_INVALID, CKR_OK,
};

use crate::call::{Place, pass, real};
use crate::names::Function;

/// `PLACE C_Name(arguments after the first) hidden(MECHANISM) objects(HANDLES) made(PLACES FOR HANDLES);`
///
/// The first argument is what PLACE says: a session, a slot, or (`library`) nothing.
macro_rules! forward {
    ($($place:ident $name:ident ( $($argument:ident : $type:ty),* )
        $(hidden($mechanism:ident))? $(objects($($object:ident),+))? $(made($($made:ident),+))?;)*) => {
        $(forward! { @$place $name [$($argument: $type),*] [$($mechanism)?] [$($($object)+)?] [$($($made)+)?] })*
    };
    (@session $name:ident [$($argument:ident : $type:ty),*] $($rest:tt)*) => {
        forward! { @one $name Place::Session(session); [session: CK_SESSION_HANDLE $(, $argument: $type)*] $($rest)* }
    };
    (@slot $name:ident [$($argument:ident : $type:ty),*] $($rest:tt)*) => {
        forward! { @one $name Place::Slot; [slot: CK_SLOT_ID $(, $argument: $type)*] $($rest)* }
    };
    (@library $name:ident [$($argument:ident : $type:ty),*] $($rest:tt)*) => {
        forward! { @one $name Place::Library; [$($argument: $type),*] $($rest)* }
    };
    (@one $name:ident $place:expr; [$($argument:ident : $type:ty),*]
        [$($mechanism:ident)?] [$($object:ident)*] [$($made:ident)*]) => {
        #[allow(non_snake_case, reason = "the names are those of the standard")]
        pub(crate) unsafe extern "C" fn $name($($argument: $type),*) -> CK_RV {
            pass(Function::$name, $place, |it| {
                $(if it.hides($mechanism) { return CKR_MECHANISM_INVALID; })?
                $(let $object = it.real_object($object);)*
                let rv = real!(it.$name($($argument),*));
                if rv == CKR_OK { $(it.hand_out($made);)* }
                rv
            })
        }
    };
}

forward! {
    library C_GetInfo(info: *mut CK_INFO);
    slot C_GetMechanismInfo(mechanism: CK_MECHANISM_TYPE, info: *mut CK_MECHANISM_INFO) hidden(mechanism);
    slot C_InitToken(pin: *mut CK_UTF8CHAR, pin_len: CK_ULONG, label: *mut CK_UTF8CHAR);
    session C_InitPIN(pin: *mut CK_UTF8CHAR, pin_len: CK_ULONG);
    session C_SetPIN(old: *mut CK_UTF8CHAR, old_len: CK_ULONG, new: *mut CK_UTF8CHAR, new_len: CK_ULONG);
    session C_GetSessionInfo(info: *mut CK_SESSION_INFO);
    session C_GetOperationState(state: *mut CK_BYTE, len: *mut CK_ULONG);
    session C_SetOperationState(
        state: *mut CK_BYTE, len: CK_ULONG, encryption: CK_OBJECT_HANDLE, authentication: CK_OBJECT_HANDLE
    ) objects(encryption, authentication);
    session C_CreateObject(template: *mut CK_ATTRIBUTE, count: CK_ULONG, object: *mut CK_OBJECT_HANDLE) made(object);
    session C_CopyObject(
        object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG, new: *mut CK_OBJECT_HANDLE
    ) objects(object) made(new);
    session C_DestroyObject(object: CK_OBJECT_HANDLE) objects(object);
    session C_GetObjectSize(object: CK_OBJECT_HANDLE, size: *mut CK_ULONG) objects(object);
    session C_SetAttributeValue(object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG) objects(object);
    session C_FindObjectsInit(template: *mut CK_ATTRIBUTE, count: CK_ULONG);
    session C_FindObjectsFinal();
    session C_EncryptInit(mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) hidden(mechanism) objects(key);
    session C_Encrypt(data: *mut CK_BYTE, data_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG);
    session C_EncryptUpdate(data: *mut CK_BYTE, data_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG);
    session C_EncryptFinal(out: *mut CK_BYTE, out_len: *mut CK_ULONG);
    session C_DecryptInit(mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) hidden(mechanism) objects(key);
    session C_Decrypt(data: *mut CK_BYTE, data_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG);
    session C_DecryptUpdate(data: *mut CK_BYTE, data_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG);
    session C_DecryptFinal(out: *mut CK_BYTE, out_len: *mut CK_ULONG);
    session C_DigestInit(mechanism: *mut CK_MECHANISM) hidden(mechanism);
    session C_Digest(data: *mut CK_BYTE, data_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG);
    session C_DigestUpdate(data: *mut CK_BYTE, data_len: CK_ULONG);
    session C_DigestKey(key: CK_OBJECT_HANDLE) objects(key);
    session C_DigestFinal(out: *mut CK_BYTE, out_len: *mut CK_ULONG);
    session C_SignRecoverInit(mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) hidden(mechanism) objects(key);
    session C_SignRecover(data: *mut CK_BYTE, data_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG);
    session C_VerifyInit(mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) hidden(mechanism) objects(key);
    session C_Verify(data: *mut CK_BYTE, data_len: CK_ULONG, signature: *mut CK_BYTE, signature_len: CK_ULONG);
    session C_VerifyUpdate(data: *mut CK_BYTE, data_len: CK_ULONG);
    session C_VerifyFinal(signature: *mut CK_BYTE, signature_len: CK_ULONG);
    session C_VerifyRecoverInit(mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) hidden(mechanism) objects(key);
    session C_VerifyRecover(data: *mut CK_BYTE, data_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG);
    session C_DigestEncryptUpdate(data: *mut CK_BYTE, data_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG);
    session C_DecryptDigestUpdate(data: *mut CK_BYTE, data_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG);
    session C_SignEncryptUpdate(data: *mut CK_BYTE, data_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG);
    session C_DecryptVerifyUpdate(data: *mut CK_BYTE, data_len: CK_ULONG, out: *mut CK_BYTE, out_len: *mut CK_ULONG);
    session C_GenerateKey(
        mechanism: *mut CK_MECHANISM, template: *mut CK_ATTRIBUTE, count: CK_ULONG, key: *mut CK_OBJECT_HANDLE
    ) hidden(mechanism) made(key);
    session C_GenerateKeyPair(
        mechanism: *mut CK_MECHANISM, public_template: *mut CK_ATTRIBUTE, public_count: CK_ULONG,
        private_template: *mut CK_ATTRIBUTE, private_count: CK_ULONG,
        public: *mut CK_OBJECT_HANDLE, private: *mut CK_OBJECT_HANDLE
    ) hidden(mechanism) made(public, private);
    session C_WrapKey(
        mechanism: *mut CK_MECHANISM, wrapping: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE, out: *mut CK_BYTE,
        out_len: *mut CK_ULONG
    ) hidden(mechanism) objects(wrapping, key);
    session C_UnwrapKey(
        mechanism: *mut CK_MECHANISM, unwrapping: CK_OBJECT_HANDLE, wrapped: *mut CK_BYTE, wrapped_len: CK_ULONG,
        template: *mut CK_ATTRIBUTE, count: CK_ULONG, key: *mut CK_OBJECT_HANDLE
    ) hidden(mechanism) objects(unwrapping) made(key);
    session C_DeriveKey(
        mechanism: *mut CK_MECHANISM, base: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG,
        key: *mut CK_OBJECT_HANDLE
    ) hidden(mechanism) objects(base) made(key);
    session C_SeedRandom(seed: *mut CK_BYTE, len: CK_ULONG);
    session C_GenerateRandom(out: *mut CK_BYTE, len: CK_ULONG);
    session C_GetFunctionStatus();
    session C_CancelFunction();
    library C_WaitForSlotEvent(flags: CK_ULONG, slot: *mut CK_SLOT_ID, reserved: *mut c_void);
}
