//! The wrapped module.

use std::error::Error;
use std::path::Path;
use std::ptr;

use cryptoki_sys::{CK_C_GetFunctionList, CK_C_GetInterface};
use cryptoki_sys::{CK_FUNCTION_LIST, CK_FUNCTION_LIST_3_0, CK_FUNCTION_LIST_3_2, CK_INTERFACE, CKR_OK};

use crate::names;

/// A loaded module, kept for the life of the process.
pub(crate) struct Library {
    pub(crate) functions: CK_FUNCTION_LIST,
    /// The list of a newer interface, if that is what the module offers by default. Of a 3.0 list the functions that
    /// came with 3.2 are absent.
    pub(crate) newer: Option<CK_FUNCTION_LIST_3_2>,
}

impl Library {
    pub(crate) fn load(path: &Path) -> Result<Self, Box<dyn Error>> {
        // SAFETY: what runs when the library is loaded is the affair of whoever configured it.
        let library = unsafe { libloading::Library::new(path)? };
        // The functions stay callable after main returns: some modules run threads.
        let library: &'static libloading::Library = Box::leak(Box::new(library));

        // SAFETY: the symbol has this type in every PKCS #11 module.
        let list = unsafe { library.get::<CK_C_GetFunctionList>(b"C_GetFunctionList")? };
        let list = (*list).ok_or("C_GetFunctionList is null")?;
        let mut functions = ptr::null_mut::<CK_FUNCTION_LIST>();
        // SAFETY: the function wants a place for a pointer.
        let rv = unsafe { list(&raw mut functions) };
        if rv != CKR_OK || functions.is_null() {
            return Err(format!("C_GetFunctionList: {}", names::rv_name(rv)).into());
        }
        // SAFETY: the module answered with a list, which it keeps.
        let functions = unsafe { *functions };
        Ok(Self { functions, newer: newer_interface(library) })
    }
}

fn newer_interface(library: &libloading::Library) -> Option<CK_FUNCTION_LIST_3_2> {
    // SAFETY: the symbol, where it exists, has this type.
    let interface = unsafe { library.get::<CK_C_GetInterface>(b"C_GetInterface").ok()? };
    let interface = (*interface)?;
    let mut found = ptr::null_mut::<CK_INTERFACE>();
    // SAFETY: no name and no version ask for the default interface.
    let rv = unsafe { interface(ptr::null_mut(), ptr::null_mut(), &raw mut found, 0) };
    if rv != CKR_OK || found.is_null() {
        return None;
    }
    // SAFETY: the module answered with an interface, which it keeps; its list begins with the version.
    let (list, version) =
        unsafe { ((*found).pFunctionList, (*(*found).pFunctionList.cast::<CK_FUNCTION_LIST>()).version) };
    let length = match (version.major, version.minor) {
        (3, 0 | 1) => size_of::<CK_FUNCTION_LIST_3_0>(),
        (3, 2..) => size_of::<CK_FUNCTION_LIST_3_2>(),
        _ => return None,
    };
    let mut newer = CK_FUNCTION_LIST_3_2::default();
    // SAFETY: each list begins with the whole of the one before it, and `length` is that of the one that is there.
    unsafe { ptr::copy_nonoverlapping(list.cast::<u8>(), (&raw mut newer).cast::<u8>(), length) };
    Some(newer)
}
