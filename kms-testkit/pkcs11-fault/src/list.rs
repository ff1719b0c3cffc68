//! The lists of functions that this module hands out.

use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;

use cryptoki_sys::{
    CK_FLAGS, CK_FUNCTION_LIST, CK_FUNCTION_LIST_3_2, CK_INTERFACE, CK_RV, CK_ULONG, CK_UTF8CHAR, CK_VERSION,
    CKR_ARGUMENTS_BAD, CKR_BUFFER_TOO_SMALL, CKR_FUNCTION_FAILED, CKR_GENERAL_ERROR, CKR_OK,
};

use crate::attributes::C_GetAttributeValue;
use crate::call::{Place, pass};
use crate::forward::{
    C_CancelFunction, C_CopyObject, C_CreateObject, C_Decrypt, C_DecryptDigestUpdate, C_DecryptFinal, C_DecryptInit,
    C_DecryptUpdate, C_DecryptVerifyUpdate, C_DeriveKey, C_DestroyObject, C_Digest, C_DigestEncryptUpdate,
    C_DigestFinal, C_DigestInit, C_DigestKey, C_DigestUpdate, C_Encrypt, C_EncryptFinal, C_EncryptInit,
    C_EncryptUpdate, C_FindObjectsFinal, C_FindObjectsInit, C_GenerateKey, C_GenerateKeyPair, C_GenerateRandom,
    C_GetFunctionStatus, C_GetInfo, C_GetMechanismInfo, C_GetObjectSize, C_GetOperationState, C_GetSessionInfo,
    C_InitPIN, C_InitToken, C_SeedRandom, C_SetAttributeValue, C_SetOperationState, C_SetPIN, C_SignEncryptUpdate,
    C_SignRecover, C_SignRecoverInit, C_UnwrapKey, C_Verify, C_VerifyFinal, C_VerifyInit, C_VerifyRecover,
    C_VerifyRecoverInit, C_VerifyUpdate, C_WaitForSlotEvent, C_WrapKey,
};
use crate::mechanisms::C_GetMechanismList;
use crate::module::module;
use crate::names::Function;
use crate::signing::{C_Sign, C_SignFinal, C_SignInit, C_SignUpdate};
use crate::tokens::{
    C_CloseAllSessions, C_CloseSession, C_Finalize, C_FindObjects, C_GetSlotInfo, C_GetSlotList, C_GetTokenInfo,
    C_Initialize, C_Login, C_Logout, C_OpenSession,
};
use crate::ulong;

/// Puts this module's functions into a list of any version.
macro_rules! ours {
    ($list:expr) => {
        ours! { $list;
            C_Initialize C_Finalize C_GetInfo C_GetFunctionList C_GetSlotList C_GetSlotInfo C_GetTokenInfo
            C_GetMechanismList C_GetMechanismInfo C_InitToken C_InitPIN C_SetPIN C_OpenSession C_CloseSession
            C_CloseAllSessions C_GetSessionInfo C_GetOperationState C_SetOperationState C_Login C_Logout C_CreateObject
            C_CopyObject C_DestroyObject C_GetObjectSize C_GetAttributeValue C_SetAttributeValue C_FindObjectsInit
            C_FindObjects C_FindObjectsFinal C_EncryptInit C_Encrypt C_EncryptUpdate C_EncryptFinal C_DecryptInit
            C_Decrypt C_DecryptUpdate C_DecryptFinal C_DigestInit C_Digest C_DigestUpdate C_DigestKey C_DigestFinal
            C_SignInit C_Sign C_SignUpdate C_SignFinal C_SignRecoverInit C_SignRecover C_VerifyInit C_Verify
            C_VerifyUpdate C_VerifyFinal C_VerifyRecoverInit C_VerifyRecover C_DigestEncryptUpdate
            C_DecryptDigestUpdate C_SignEncryptUpdate C_DecryptVerifyUpdate C_GenerateKey C_GenerateKeyPair C_WrapKey
            C_UnwrapKey C_DeriveKey C_SeedRandom C_GenerateRandom C_GetFunctionStatus C_CancelFunction
            C_WaitForSlotEvent
        }
    };
    ($list:expr; $($name:ident)*) => { $($list.$name = Some($name);)* };
}

/// What is handed out, at addresses that last.
struct Lists {
    plain: Box<CK_FUNCTION_LIST>,
    /// The default first.
    interfaces: Vec<CK_INTERFACE>,
    _newer: Option<Box<CK_FUNCTION_LIST_3_2>>,
}

// SAFETY: the pointers are to memory that the value itself holds, and nothing is changed after it is made.
unsafe impl Send for Lists {}
// SAFETY: as above.
unsafe impl Sync for Lists {}

fn lists() -> Option<&'static Lists> {
    static LISTS: OnceLock<Lists> = OnceLock::new();
    let wrapped = &module()?.library;
    Some(LISTS.get_or_init(|| {
        let mut plain = Box::new(wrapped.functions);
        plain.version = CK_VERSION { major: 2, minor: 40 };
        ours!(plain);
        let newer = wrapped.newer.map(|list| {
            let mut list = Box::new(list);
            ours!(list);
            list.C_GetInterfaceList = Some(C_GetInterfaceList);
            list.C_GetInterface = Some(C_GetInterface);
            list
        });
        let newest = newer.as_deref().map(|list| interface(ptr::from_ref(list).cast()));
        let interfaces = newest.into_iter().chain([interface(ptr::from_ref(&*plain).cast())]).collect();
        Lists { plain, interfaces, _newer: newer }
    }))
}

const NAME: &std::ffi::CStr = c"PKCS 11";

fn interface(list: *const c_void) -> CK_INTERFACE {
    CK_INTERFACE { pInterfaceName: NAME.as_ptr().cast_mut().cast(), pFunctionList: list.cast_mut(), flags: 0 }
}

/// The standard's entry point.
///
/// # Safety
///
/// `list` is null or a place for a pointer.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    pass(Function::C_GetFunctionList, Place::Library, |_| {
        let Some(lists) = lists() else { return CKR_GENERAL_ERROR };
        // SAFETY: the caller's place, or null.
        match unsafe { list.as_mut() } {
            Some(list) => *list = ptr::from_ref(&*lists.plain).cast_mut(),
            None => return CKR_ARGUMENTS_BAD,
        }
        CKR_OK
    })
}

/// The entry point of PKCS #11 3.0.
///
/// # Safety
///
/// Each pointer is null or points to what the standard says.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn C_GetInterface(
    name: *mut CK_UTF8CHAR,
    version: *mut CK_VERSION,
    found: *mut *mut CK_INTERFACE,
    flags: CK_FLAGS,
) -> CK_RV {
    pass(Function::C_GetInterface, Place::Library, |_| {
        let Some(lists) = lists() else { return CKR_GENERAL_ERROR };
        // SAFETY: the caller's place, or null.
        let Some(found) = (unsafe { found.as_mut() }) else { return CKR_ARGUMENTS_BAD };
        // SAFETY: the caller's name, ended with a nought, if it gave one.
        let named = name.is_null() || unsafe { std::ffi::CStr::from_ptr(name.cast()) } == NAME;
        // SAFETY: the caller's version, if it gave one.
        let version = unsafe { version.as_ref() };
        let fits = |interface: &&CK_INTERFACE| {
            // SAFETY: each of our interfaces has a list, which begins with its version.
            let own = unsafe { &(*interface.pFunctionList.cast::<CK_FUNCTION_LIST>()).version };
            version.is_none_or(|version| (version.major, version.minor) == (own.major, own.minor))
        };
        match lists.interfaces.iter().find(fits) {
            Some(interface) if named && flags == 0 => *found = ptr::from_ref(interface).cast_mut(),
            _ => return CKR_FUNCTION_FAILED,
        }
        CKR_OK
    })
}

/// All interfaces, as PKCS #11 3.0 lists them.
///
/// # Safety
///
/// Each pointer is null or points to what the standard says.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn C_GetInterfaceList(list: *mut CK_INTERFACE, count: *mut CK_ULONG) -> CK_RV {
    pass(Function::C_GetInterfaceList, Place::Library, |_| {
        let Some(lists) = lists() else { return CKR_GENERAL_ERROR };
        // SAFETY: the caller's place for the number, which holds that of its places for interfaces.
        let Some(count) = (unsafe { count.as_mut() }) else { return CKR_ARGUMENTS_BAD };
        let room = std::mem::replace(count, ulong(lists.interfaces.len()));
        if list.is_null() {
            return CKR_OK;
        }
        if room < ulong(lists.interfaces.len()) {
            return CKR_BUFFER_TOO_SMALL;
        }
        // SAFETY: the caller has room for them.
        unsafe { ptr::copy_nonoverlapping(lists.interfaces.as_ptr(), list, lists.interfaces.len()) };
        CKR_OK
    })
}
