//! What Rust's types keep cryptoki from doing, and C programs do: two threads in one session, a library finalised under
//! running calls, a buffer that is too small. Hence the `unsafe`, with the functions' own types.

use std::ptr;
use std::thread::{scope, sleep};
use std::time::Duration;

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_FUNCTION_LIST, CK_FUNCTION_LIST_3_0, CK_INTERFACE, CK_MECHANISM, CK_SESSION_HANDLE,
    CK_SESSION_INFO, CK_ULONG, CK_VERSION, CKA_MODULUS_BITS, CKF_RW_SESSION, CKF_SERIAL_SESSION, CKM_ECDSA,
    CKM_RSA_PKCS_KEY_PAIR_GEN, CKR_BUFFER_TOO_SMALL, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_FUNCTION_FAILED, CKR_OK,
    CKR_OPERATION_NOT_INITIALIZED,
};
use kms_testkit::pkcs11::FaultModule;

use crate::{Outcome, Test, Token, ready};

pub(crate) const TESTS: &[Test] = &[
    ("raw::shared_session", shared_session),
    ("raw::busy_finalize", busy_finalize),
    ("raw::der_waits_for_a_larger_buffer", der_waits_for_a_larger_buffer),
    ("raw::interfaces", interfaces),
    ("raw::newer_interface", newer_interface),
];

/// The functions of a module that is initialised, and a session.
struct Raw {
    library: libloading::Library,
    list: CK_FUNCTION_LIST,
    session: CK_SESSION_HANDLE,
}

fn raw(module: &FaultModule, token: &Token) -> Result<Raw, Box<dyn std::error::Error>> {
    let (mut list, mut session) = (ptr::null_mut::<CK_FUNCTION_LIST>(), 0);
    // SAFETY: the standard's own types and arguments.
    unsafe {
        let library = libloading::Library::new(module.path())?;
        library.get::<unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_ULONG>(b"C_GetFunctionList")?(
            &raw mut list,
        );
        let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
        let open = (*list).C_OpenSession.ok_or("no C_OpenSession")?;
        assert_eq!(open(token.slot.id(), flags, ptr::null_mut(), None, &raw mut session), CKR_OK);
        Ok(Raw { library, list: *list, session })
    }
}

fn shared_session() -> Outcome {
    let (module, token, _session, _key) = ready()?;
    let raw = raw(&module, &token)?;
    let info = |raw: &Raw| {
        let mut info = CK_SESSION_INFO::default();
        // SAFETY: a session and a place for its description.
        unsafe { raw.list.C_GetSessionInfo.unwrap()(raw.session, &raw mut info) }
    };
    assert_eq!((info(&raw), info(&raw)), (CKR_OK, CKR_OK));
    assert_eq!(module.misuse()?, []);
    module.set("fault C_GetSessionInfo at=1 slow=60")?;
    scope(|scope| {
        scope.spawn(|| info(&raw));
        sleep(Duration::from_millis(20));
        info(&raw);
    });
    assert_eq!(module.misuse()?, [("shared-session", 1)]);
    Ok(())
}

fn busy_finalize() -> Outcome {
    let (module, token, _session, _key) = ready()?;
    let raw = raw(&module, &token)?;
    let generate = || {
        let mut mechanism = CK_MECHANISM { mechanism: CKM_RSA_PKCS_KEY_PAIR_GEN, ..CK_MECHANISM::default() };
        let mut bits: CK_ULONG = 4096;
        let value = (&raw mut bits).cast();
        let mut public = [CK_ATTRIBUTE { type_: CKA_MODULUS_BITS, pValue: value, ulValueLen: 8 }];
        let (mut one, mut other) = (0, 0);
        let function = raw.list.C_GenerateKeyPair.unwrap();
        let (to, private) = (raw.session, ptr::null_mut());
        // SAFETY: a session, a mechanism, one template of one attribute and one of none, and places for two handles.
        unsafe { function(to, &raw mut mechanism, public.as_mut_ptr(), 1, private, 0, &raw mut one, &raw mut other) }
    };
    scope(|scope| -> Outcome {
        let generating = scope.spawn(generate);
        while module.calls("C_GenerateKeyPair")? == 0 {
            sleep(Duration::from_millis(1));
        }
        sleep(Duration::from_millis(5));
        // SAFETY: the one argument there may be.
        let rv = unsafe { raw.list.C_Finalize.unwrap()(ptr::null_mut()) };
        // It was noticed, and the module saved the wrapped one from it.
        assert_eq!((rv, generating.join().unwrap()), (CKR_OK, CKR_OK));
        Ok(())
    })?;
    assert_eq!(module.misuse()?, [("busy-finalize", 1)]);
    // SAFETY: as above.
    assert_eq!(unsafe { raw.list.C_Finalize.unwrap()(ptr::null_mut()) }, CKR_CRYPTOKI_NOT_INITIALIZED);
    Ok(())
}

fn der_waits_for_a_larger_buffer() -> Outcome {
    let (module, token, _session, key) = ready()?;
    let raw = raw(&module, &token)?;
    module.set("fault C_Sign at=1 der")?;
    let mut digest = crate::DIGEST;
    let mut sign = |buffer: &mut [u8]| {
        let mut length = buffer.len() as CK_ULONG;
        let (data, out) = (digest.as_mut_ptr(), buffer.as_mut_ptr());
        // SAFETY: octets with their lengths.
        let rv = unsafe { raw.list.C_Sign.unwrap()(raw.session, data, 32, out, &raw mut length) };
        (rv, usize::try_from(length).unwrap())
    };
    let mut mechanism = CK_MECHANISM { mechanism: CKM_ECDSA, ..CK_MECHANISM::default() };
    // SAFETY: a session, a mechanism without parameter, and a key.
    unsafe { assert_eq!(raw.list.C_SignInit.unwrap()(raw.session, &raw mut mechanism, key.handle()), CKR_OK) };
    let (rv, needed) = sign(&mut [0; 64]);
    assert_eq!(rv, CKR_BUFFER_TOO_SMALL);
    assert!((66..=72).contains(&needed), "{needed}");
    let mut der = [0; 72];
    assert_eq!(sign(&mut der), (CKR_OK, needed));
    assert_eq!((der[0], usize::from(der[1])), (0x30, needed - 2));
    assert_eq!(sign(&mut der).0, CKR_OPERATION_NOT_INITIALIZED);
    Ok(())
}

type Interface = unsafe extern "C" fn(*mut u8, *mut CK_VERSION, *mut *mut CK_INTERFACE, CK_ULONG) -> CK_ULONG;
type List = unsafe extern "C" fn(*mut CK_INTERFACE, *mut CK_ULONG) -> CK_ULONG;

/// SoftHSM has only the old list; it is offered in the new way as well, as cryptoki insists once the symbol is there.
fn interfaces() -> Outcome {
    let (module, token, _session, _key) = ready()?;
    let raw = raw(&module, &token)?;
    let (mut found, mut count) = (ptr::null_mut::<CK_INTERFACE>(), 0);
    let (mut v2, mut v3) = (CK_VERSION { major: 2, minor: 40 }, CK_VERSION { major: 3, minor: 0 });
    // SAFETY: the standard's own types and arguments.
    unsafe {
        let list = raw.library.get::<List>(b"C_GetInterfaceList")?;
        assert_eq!((list(ptr::null_mut(), &raw mut count), count), (CKR_OK, 1));
        let get = raw.library.get::<Interface>(b"C_GetInterface")?;
        assert_eq!(get(c"PKCS 11".as_ptr().cast_mut().cast(), &raw mut v3, &raw mut found, 0), CKR_FUNCTION_FAILED);
        assert_eq!(get(c"Vendor".as_ptr().cast_mut().cast(), ptr::null_mut(), &raw mut found, 0), CKR_FUNCTION_FAILED);
        assert_eq!(get(ptr::null_mut(), &raw mut v2, &raw mut found, 0), CKR_OK);
        let version = (*(*found).pFunctionList.cast::<CK_FUNCTION_LIST>()).version;
        assert_eq!((version.major, version.minor), (2, 40));
    }
    Ok(())
}

/// `OpenSC`'s module has the list of 3.0: it is the default, and the functions of 2.40 in it are intercepted.
fn newer_interface() -> Outcome {
    let wrapped = format!("/usr/lib/{}-linux-gnu/opensc-pkcs11.so", std::env::consts::ARCH);
    let module = FaultModule::wrap(wrapped.as_ref())?;
    module.set("fault C_GetInfo rv=0x8000001A")?;
    let (mut found, mut both, mut count) = (ptr::null_mut::<CK_INTERFACE>(), [CK_INTERFACE::default(); 2], 2);
    // SAFETY: the standard's own types and arguments.
    unsafe {
        let library = libloading::Library::new(module.path())?;
        let get = library.get::<Interface>(b"C_GetInterface")?;
        assert_eq!(get(ptr::null_mut(), ptr::null_mut(), &raw mut found, 0), CKR_OK);
        let list = &*(*found).pFunctionList.cast::<CK_FUNCTION_LIST_3_0>();
        assert_eq!((list.version.major, list.version.minor), (3, 0));
        assert_eq!(list.C_GetInfo.unwrap()(ptr::null_mut()), 0x8000_001a);
        // Not intercepted: OpenSC's own answer to a library that was not initialised.
        assert_eq!(list.C_SessionCancel.unwrap()(1, 0), CKR_CRYPTOKI_NOT_INITIALIZED);
        assert_eq!(list.C_GetInterface.unwrap()(ptr::null_mut(), ptr::null_mut(), &raw mut found, 0), CKR_OK);
        let all = library.get::<List>(b"C_GetInterfaceList")?;
        assert_eq!((all(both.as_mut_ptr(), &raw mut count), count), (CKR_OK, 2));
        let plain = (*both[1].pFunctionList.cast::<CK_FUNCTION_LIST>()).version;
        assert_eq!((plain.major, plain.minor), (2, 40));
    }
    assert_eq!((module.calls("C_GetInterface")?, module.calls("C_GetInfo")?), (2, 1));
    Ok(())
}
