//! A PKCS #11 library in this process: loading it, and one safe method for each of its functions we call.
//!
//! This is the only file of the crate with `unsafe`. What it relies on is what any user of PKCS #11 must rely on: the
//! library that is loaded keeps to the C interface of the standard. What it guarantees itself: every pointer it passes
//! is to memory that lives until the call returns and is as long as stated, the library is never unloaded, and lengths
//! that come back are checked before they are used.
//!
//! Each call goes through one function list, asked for once. Some libraries (p11-kit's client and proxy) hand out
//! another instance, with sessions of its own, each time the list is asked for; so a second binding to the same library
//! cannot be mixed with this one.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::fmt;
use std::path::Path;
use std::ptr::{null_mut, read_unaligned};

use cryptoki_sys as sys;
use cryptoki_sys::{CK_ATTRIBUTE, CK_FUNCTION_LIST, CK_MECHANISM, CK_RV, CK_ULONG};
use zeroize::Zeroizing;

use crate::attribute::Attribute;
use crate::info::{LibraryInfo, SlotInfo, TokenInfo};
use crate::mechanism::{Mechanism, Parameters};

/// Handle of a session; only `session.rs` owns any.
pub(crate) type SessionHandle = sys::CK_SESSION_HANDLE;
/// Handle of an object, good in sessions of one login.
pub(crate) type ObjectHandle = sys::CK_OBJECT_HANDLE;
/// Number of a slot.
pub(crate) type SlotId = sys::CK_SLOT_ID;

/// The longest value of an attribute that is read, in octets: a length beyond it is a fault of the library.
const MAX_VALUE: CK_ULONG = 1 << 20;

/// A call that the library answered with something else than `CKR_OK`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Name of the function.
    pub(crate) call: &'static str,
    /// What it returned.
    pub(crate) code: CK_RV,
}

type Called<T = ()> = Result<T, Fault>;

/// A loaded library with its functions. Never unloaded: libraries leave threads and exit handlers behind.
#[derive(Clone, Copy)]
pub(crate) struct Library {
    functions: &'static CK_FUNCTION_LIST,
    /// Where the library keeps the list.
    origin: usize,
    c_get_function_list: GetFunctionList,
}

type GetFunctionList = unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV;

/// Calls a function of the list. The arguments are made in the same statement and live until it returns.
macro_rules! call {
    ($library:ident.$name:ident($($argument:expr),* $(,)?)) => {{
        let name = stringify!($name);
        match $library.functions.$name {
            // SAFETY: the list came from the library itself, which stays loaded; each argument is a number, or points
            // to memory of the stated length that outlives the call and that nobody else uses meanwhile.
            Some(function) => checked(name, unsafe { function($($argument),*) }),
            None => Err(Fault { call: name, code: sys::CKR_FUNCTION_NOT_SUPPORTED }),
        }
    }};
}

impl Library {
    /// Loads the library and asks for its functions; nothing is initialised.
    ///
    /// # Errors
    /// What the loader says, or that this is no PKCS #11 library; without the path.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        // SAFETY: this runs the library's initialisers. The application named the library, or allowed its directory.
        let library = unsafe { sys::Pkcs11::new(path) }.map_err(|error| error.to_string())?;
        let c_get_function_list =
            *library.C_GetFunctionList.as_ref().map_err(|_| "it has no C_GetFunctionList".to_owned())?;
        // The functions are used for as long as the process lives.
        std::mem::forget(library);
        let list = function_list(c_get_function_list).map_err(|fault| fault.to_string())?;
        Ok(Self::from_list(list, c_get_function_list))
    }

    /// Another instance of the library, if it hands out one each time it is asked: with state and sessions of its own,
    /// whatever happens in this one.
    pub(crate) fn another(&self) -> Option<Self> {
        let list = function_list(self.c_get_function_list).ok().filter(|list| list.addr() != self.origin)?;
        Some(Self::from_list(list, self.c_get_function_list))
    }

    fn from_list(list: *mut CK_FUNCTION_LIST, c_get_function_list: GetFunctionList) -> Self {
        // SAFETY: not null, and by the standard a list that stays as long as the library is loaded.
        let functions = unsafe { read_unaligned(list) };
        // A few hundred octets for each time a library is loaded or replaced, used as long as the process lives.
        Self { functions: Box::leak(Box::new(functions)), origin: list.addr(), c_get_function_list }
    }

    pub(crate) fn initialize(&self) -> Called {
        let mut arguments = sys::CK_C_INITIALIZE_ARGS { flags: sys::CKF_OS_LOCKING_OK, ..Default::default() };
        call!(self.C_Initialize((&raw mut arguments).cast::<c_void>()))
    }

    pub(crate) fn finalize(&self) -> Called {
        call!(self.C_Finalize(null_mut()))
    }

    pub(crate) fn info(&self) -> Called<LibraryInfo> {
        let mut info = sys::CK_INFO::default();
        call!(self.C_GetInfo(&raw mut info))?;
        Ok(LibraryInfo {
            manufacturer: text(&info.manufacturerID),
            description: text(&info.libraryDescription),
            version: (info.libraryVersion.major, info.libraryVersion.minor),
        })
    }

    /// The slots that hold a token.
    pub(crate) fn slots(&self) -> Called<Vec<SlotId>> {
        // A slot may come between the two calls; the second then says that the room is too small.
        for _ in 0..8 {
            let mut count = 0;
            call!(self.C_GetSlotList(sys::CK_TRUE, null_mut(), &raw mut count))?;
            let mut slots = vec![0; length(count)?];
            match call!(self.C_GetSlotList(sys::CK_TRUE, slots.as_mut_ptr(), &raw mut count)) {
                Err(Fault { code: sys::CKR_BUFFER_TOO_SMALL, .. }) => {}
                Err(fault) => return Err(fault),
                Ok(()) => {
                    slots.truncate(length(count)?);
                    return Ok(slots);
                }
            }
        }
        Err(Fault { call: "C_GetSlotList", code: sys::CKR_BUFFER_TOO_SMALL })
    }

    pub(crate) fn slot_info(&self, slot: SlotId) -> Called<SlotInfo> {
        let mut info = sys::CK_SLOT_INFO::default();
        call!(self.C_GetSlotInfo(slot, &raw mut info))?;
        Ok(SlotInfo { description: text(&info.slotDescription), manufacturer: text(&info.manufacturerID) })
    }

    pub(crate) fn token_info(&self, slot: SlotId) -> Called<TokenInfo> {
        let mut info = sys::CK_TOKEN_INFO::default();
        call!(self.C_GetTokenInfo(slot, &raw mut info))?;
        let unlimited = [0, sys::CK_UNAVAILABLE_INFORMATION];
        Ok(TokenInfo {
            label: text(&info.label),
            manufacturer: text(&info.manufacturerID),
            model: text(&info.model),
            serial: text(&info.serialNumber),
            flags: info.flags,
            max_sessions: usize::try_from(info.ulMaxSessionCount)
                .ok()
                .filter(|_| !unlimited.contains(&info.ulMaxSessionCount)),
        })
    }

    pub(crate) fn mechanisms(&self, slot: SlotId) -> Called<Vec<sys::CK_MECHANISM_TYPE>> {
        let mut count = 0;
        call!(self.C_GetMechanismList(slot, null_mut(), &raw mut count))?;
        let mut mechanisms = vec![0; length(count)?];
        call!(self.C_GetMechanismList(slot, mechanisms.as_mut_ptr(), &raw mut count))?;
        mechanisms.truncate(length(count)?);
        Ok(mechanisms)
    }

    pub(crate) fn open_session(&self, slot: SlotId, read_write: bool) -> Called<SessionHandle> {
        let flags = sys::CKF_SERIAL_SESSION | if read_write { sys::CKF_RW_SESSION } else { 0 };
        let mut session = 0;
        call!(self.C_OpenSession(slot, flags, null_mut(), None, &raw mut session))?;
        Ok(session)
    }

    pub(crate) fn close_session(&self, session: SessionHandle) -> Called {
        call!(self.C_CloseSession(session))
    }

    /// The state of a session: one of `CKS_…`.
    pub(crate) fn session_state(&self, session: SessionHandle) -> Called<sys::CK_STATE> {
        let mut info = sys::CK_SESSION_INFO::default();
        call!(self.C_GetSessionInfo(session, &raw mut info))?;
        Ok(info.state)
    }

    /// Without a PIN, the token asks for it on a keypad of its own.
    pub(crate) fn login(&self, session: SessionHandle, user: sys::CK_USER_TYPE, pin: Option<&[u8]>) -> Called {
        let (pointer, count) = pin.map_or((null_mut(), 0), |pin| (pin.as_ptr().cast_mut(), count(pin)));
        call!(self.C_Login(session, user, pointer, count))
    }

    /// The objects that match the template, at most `limit` of them.
    pub(crate) fn find(
        &self,
        session: SessionHandle,
        template: &[Attribute],
        limit: usize,
    ) -> Called<Vec<ObjectHandle>> {
        let mut raw = raw_template(template);
        call!(self.C_FindObjectsInit(session, raw.as_mut_ptr(), count(&raw)))?;
        let found = self.find_all(session, limit);
        let ended = call!(self.C_FindObjectsFinal(session));
        let found = found?;
        ended.map(|()| found)
    }

    fn find_all(&self, session: SessionHandle, limit: usize) -> Called<Vec<ObjectHandle>> {
        let (mut found, mut block) = (Vec::new(), [0; 32]);
        while found.len() < limit {
            let mut number = 0;
            call!(self.C_FindObjects(session, block.as_mut_ptr(), count(&block), &raw mut number))?;
            match block.get(..length(number)?) {
                // More than there is room for.
                None => return Err(Fault { call: "C_FindObjects", code: sys::CKR_GENERAL_ERROR }),
                Some([]) => break,
                Some(some) => found.extend_from_slice(some),
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// The values of attributes, in order; `None` for one that the object has not, or keeps to itself. Two calls; those
    /// that are missing are asked for once more, each alone, since some libraries answer none when they lack one.
    pub(crate) fn attributes<const N: usize>(
        &self,
        session: SessionHandle,
        object: ObjectHandle,
        kinds: [sys::CK_ATTRIBUTE_TYPE; N],
    ) -> Called<[Option<Vec<u8>>; N]> {
        let (mut values, complete) = self.attributes_together(session, object, kinds)?;
        if !complete && N > 1 {
            for (kind, value) in kinds.into_iter().zip(&mut values) {
                if value.is_none() {
                    let ([alone], _) = self.attributes_together(session, object, [kind])?;
                    *value = alone;
                }
            }
        }
        Ok(values)
    }

    /// Also whether the library answered for all of them.
    fn attributes_together<const N: usize>(
        &self,
        session: SessionHandle,
        object: ObjectHandle,
        kinds: [sys::CK_ATTRIBUTE_TYPE; N],
    ) -> Called<([Option<Vec<u8>>; N], bool)> {
        // A length that is left as it was is none.
        let mut raw =
            kinds.map(|type_| CK_ATTRIBUTE { type_, pValue: null_mut(), ulValueLen: sys::CK_UNAVAILABLE_INFORMATION });
        let complete = tolerant(call!(self.C_GetAttributeValue(session, object, raw.as_mut_ptr(), count(&raw))))?;
        let mut values = raw.map(|raw| match raw.ulValueLen {
            size if size <= MAX_VALUE => usize::try_from(size).ok().map(|size| vec![0; size]),
            _ => None,
        });
        let mut present = Vec::with_capacity(N);
        for (type_, value) in kinds.into_iter().zip(&mut values) {
            // Some libraries take neither an empty place nor an empty template.
            if let Some(value) = value.as_mut().filter(|value| !value.is_empty()) {
                let length = count(value);
                present.push(CK_ATTRIBUTE { type_, pValue: value.as_mut_ptr().cast(), ulValueLen: length });
            }
        }
        if present.is_empty() {
            return Ok((values, complete));
        }
        tolerant(call!(self.C_GetAttributeValue(session, object, present.as_mut_ptr(), count(&present))))?;
        let mut lengths = present.iter().map(|raw| usize::try_from(raw.ulValueLen).unwrap_or(usize::MAX));
        for value in &mut values {
            let Some(octets) = value.as_mut().filter(|octets| !octets.is_empty()) else { continue };
            match lengths.next() {
                Some(length) if length <= octets.len() => octets.truncate(length),
                _ => *value = None,
            }
        }
        Ok((values, complete))
    }

    pub(crate) fn create_object(&self, session: SessionHandle, template: &[Attribute]) -> Called<ObjectHandle> {
        let (mut raw, mut object) = (raw_template(template), 0);
        call!(self.C_CreateObject(session, raw.as_mut_ptr(), count(&raw), &raw mut object))?;
        Ok(object)
    }

    pub(crate) fn destroy_object(&self, session: SessionHandle, object: ObjectHandle) -> Called {
        call!(self.C_DestroyObject(session, object))
    }

    /// Public and private key, in this order.
    pub(crate) fn generate_key_pair(
        &self,
        session: SessionHandle,
        mechanism: &Mechanism,
        public: &[Attribute],
        private: &[Attribute],
    ) -> Called<(ObjectHandle, ObjectHandle)> {
        let (mut public, mut private) = (raw_template(public), raw_template(private));
        let (mut public_key, mut private_key) = (0, 0);
        with_mechanism(mechanism, |mechanism| {
            call!(self.C_GenerateKeyPair(
                session,
                mechanism,
                public.as_mut_ptr(),
                count(&public),
                private.as_mut_ptr(),
                count(&private),
                &raw mut public_key,
                &raw mut private_key,
            ))
        })?;
        Ok((public_key, private_key))
    }

    pub(crate) fn sign_init(&self, session: SessionHandle, mechanism: &Mechanism, key: ObjectHandle) -> Called {
        with_mechanism(mechanism, |mechanism| call!(self.C_SignInit(session, mechanism, key)))
    }

    /// One call when the signature fits `size`, which it must where the algorithm is known.
    pub(crate) fn sign(&self, session: SessionHandle, data: &[u8], size: usize) -> Called<Vec<u8>> {
        let mut signature = vec![0; size];
        let mut length = count(&signature);
        let data_pointer = data.as_ptr().cast_mut();
        let mut result =
            call!(self.C_Sign(session, data_pointer, count(data), signature.as_mut_ptr(), &raw mut length));
        if matches!(result, Err(Fault { code: sys::CKR_BUFFER_TOO_SMALL, .. })) && length <= MAX_VALUE {
            signature = vec![0; self::length(length)?];
            result = call!(self.C_Sign(session, data_pointer, count(data), signature.as_mut_ptr(), &raw mut length));
        }
        result?;
        signature.truncate(self::length(length)?);
        Ok(signature)
    }

    pub(crate) fn decrypt_init(&self, session: SessionHandle, mechanism: &Mechanism, key: ObjectHandle) -> Called {
        with_mechanism(mechanism, |mechanism| call!(self.C_DecryptInit(session, mechanism, key)))
    }

    /// `size` is that of the modulus, so the plain text always fits.
    pub(crate) fn decrypt(&self, session: SessionHandle, data: &[u8], size: usize) -> Called<Zeroizing<Vec<u8>>> {
        let mut plain = Zeroizing::new(vec![0; size]);
        let mut length = count(&plain);
        call!(self.C_Decrypt(session, data.as_ptr().cast_mut(), count(data), plain.as_mut_ptr(), &raw mut length))?;
        plain.truncate(self::length(length)?);
        Ok(plain)
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library").finish_non_exhaustive()
    }
}

/// Where the library has its functions.
fn function_list(c_get_function_list: GetFunctionList) -> Called<*mut CK_FUNCTION_LIST> {
    let mut list = null_mut();
    // SAFETY: `list` is a place for one pointer, and the function is that of a library which stays loaded.
    checked("C_GetFunctionList", unsafe { c_get_function_list(&raw mut list) })?;
    if list.is_null() {
        return Err(Fault { call: "C_GetFunctionList", code: sys::CKR_GENERAL_ERROR });
    }
    Ok(list)
}

fn checked(call: &'static str, code: CK_RV) -> Called {
    if code == sys::CKR_OK { Ok(()) } else { Err(Fault { call, code }) }
}

/// An attribute that is not there, or not for us, leaves the others readable. Whether all are there.
fn tolerant(result: Called) -> Called<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(Fault {
            code: sys::CKR_ATTRIBUTE_SENSITIVE | sys::CKR_ATTRIBUTE_TYPE_INVALID | sys::CKR_BUFFER_TOO_SMALL,
            ..
        }) => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// Builds the mechanism on the stack, its parameters beside it, for the time of one call.
fn with_mechanism(mechanism: &Mechanism, call: impl FnOnce(*mut CK_MECHANISM) -> Called) -> Called {
    let mut pss = sys::CK_RSA_PKCS_PSS_PARAMS::default();
    let mut oaep = sys::CK_RSA_PKCS_OAEP_PARAMS::default();
    let mut eddsa = sys::CK_EDDSA_PARAMS::default();
    let (pointer, size) = match mechanism.parameters {
        Parameters::None => (null_mut(), 0),
        Parameters::Pss { hash, mask, salt } => {
            (pss.hashAlg, pss.mgf, pss.sLen) = (hash, mask, salt);
            ((&raw mut pss).cast::<c_void>(), size_of_val(&pss))
        }
        Parameters::Oaep { hash, mask } => {
            (oaep.hashAlg, oaep.mgf, oaep.source) = (hash, mask, sys::CKZ_DATA_SPECIFIED);
            ((&raw mut oaep).cast::<c_void>(), size_of_val(&oaep))
        }
        Parameters::Ed25519 => ((&raw mut eddsa).cast::<c_void>(), size_of_val(&eddsa)),
    };
    let mut raw = CK_MECHANISM {
        mechanism: mechanism.kind,
        pParameter: pointer,
        ulParameterLen: CK_ULONG::try_from(size).unwrap_or_default(),
    };
    call(&raw mut raw)
}

/// Points into `template`; the functions only read what the pointers lead to.
fn raw_template(template: &[Attribute]) -> Vec<CK_ATTRIBUTE> {
    let raw = |attribute: &Attribute| CK_ATTRIBUTE {
        type_: attribute.kind,
        pValue: attribute.value.as_ptr().cast_mut().cast(),
        ulValueLen: count(&attribute.value),
    };
    template.iter().map(raw).collect()
}

fn count<T>(items: &[T]) -> CK_ULONG {
    // `unsigned long` is as wide as a pointer, or (Windows) wider than any template or message we pass.
    CK_ULONG::try_from(items.len()).unwrap_or(CK_ULONG::MAX)
}

fn length(count: CK_ULONG) -> Called<usize> {
    match usize::try_from(count) {
        Ok(length) if count <= MAX_VALUE => Ok(length),
        _ => Err(Fault { call: "length", code: sys::CKR_GENERAL_ERROR }),
    }
}

/// Text of fixed width, padded with spaces or NULs.
fn text(padded: &[u8]) -> String {
    String::from_utf8_lossy(padded).trim_end_matches(['\0', ' ']).to_owned()
}
