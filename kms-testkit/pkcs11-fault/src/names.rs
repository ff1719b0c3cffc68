//! Functions, return values and mechanisms by the names that the standard gives them.

use std::borrow::Cow;

use cryptoki_sys::{CK_MECHANISM_TYPE, CK_RV};

macro_rules! functions {
    ($($name:ident)*) => {
        /// A function of PKCS #11 2.40, or one of the two with which a list of functions is fetched.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(non_camel_case_types, missing_docs, reason = "the names are those of the standard")]
        #[repr(usize)]
        pub enum Function { $($name),* }

        impl Function {
            /// Every function, in the order of their counters.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// `C_Sign`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// The function of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|function| function.name() == name)
            }
        }
    };
}

functions! {
    C_Initialize C_Finalize C_GetInfo C_GetFunctionList C_GetSlotList C_GetSlotInfo C_GetTokenInfo C_GetMechanismList
    C_GetMechanismInfo C_InitToken C_InitPIN C_SetPIN C_OpenSession C_CloseSession C_CloseAllSessions C_GetSessionInfo
    C_GetOperationState C_SetOperationState C_Login C_Logout C_CreateObject C_CopyObject C_DestroyObject
    C_GetObjectSize C_GetAttributeValue C_SetAttributeValue C_FindObjectsInit C_FindObjects C_FindObjectsFinal
    C_EncryptInit C_Encrypt C_EncryptUpdate C_EncryptFinal C_DecryptInit C_Decrypt C_DecryptUpdate C_DecryptFinal
    C_DigestInit C_Digest C_DigestUpdate C_DigestKey C_DigestFinal C_SignInit C_Sign C_SignUpdate C_SignFinal
    C_SignRecoverInit C_SignRecover C_VerifyInit C_Verify C_VerifyUpdate C_VerifyFinal C_VerifyRecoverInit
    C_VerifyRecover C_DigestEncryptUpdate C_DecryptDigestUpdate C_SignEncryptUpdate C_DecryptVerifyUpdate C_GenerateKey
    C_GenerateKeyPair C_WrapKey C_UnwrapKey C_DeriveKey C_SeedRandom C_GenerateRandom C_GetFunctionStatus
    C_CancelFunction C_WaitForSlotEvent C_GetInterfaceList C_GetInterface
}

macro_rules! constants {
    ($($name:ident)*) => { &[$((stringify!($name), cryptoki_sys::$name)),*] };
}

/// `CKR_DEVICE_ERROR`, or the number in hexadecimal if the standard has no name for it.
pub fn rv_name(rv: CK_RV) -> Cow<'static, str> {
    match RETURN_VALUES.iter().find(|(_, value)| *value == rv) {
        Some((name, _)) => Cow::Borrowed(name),
        None => Cow::Owned(format!("{rv:#010X}")),
    }
}

/// The return value of that name or number (`0x8000001A`, `42`).
pub fn rv_from_name(name: &str) -> Option<CK_RV> {
    find(RETURN_VALUES, name)
}

/// The mechanism of that name or number.
pub fn mechanism_from_name(name: &str) -> Option<CK_MECHANISM_TYPE> {
    find(MECHANISMS, name)
}

fn find(table: &[(&str, cryptoki_sys::CK_ULONG)], name: &str) -> Option<cryptoki_sys::CK_ULONG> {
    let named = table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    named.or_else(|| match name.strip_prefix("0x") {
        Some(digits) => cryptoki_sys::CK_ULONG::from_str_radix(digits, 16).ok(),
        None => name.parse().ok(),
    })
}

const RETURN_VALUES: &[(&str, CK_RV)] = constants! {
    CKR_OK CKR_CANCEL CKR_HOST_MEMORY CKR_SLOT_ID_INVALID CKR_GENERAL_ERROR CKR_FUNCTION_FAILED CKR_ARGUMENTS_BAD
    CKR_NO_EVENT CKR_NEED_TO_CREATE_THREADS CKR_CANT_LOCK CKR_ATTRIBUTE_READ_ONLY CKR_ATTRIBUTE_SENSITIVE
    CKR_ATTRIBUTE_TYPE_INVALID CKR_ATTRIBUTE_VALUE_INVALID CKR_ACTION_PROHIBITED CKR_DATA_INVALID CKR_DATA_LEN_RANGE
    CKR_DEVICE_ERROR CKR_DEVICE_MEMORY CKR_DEVICE_REMOVED CKR_ENCRYPTED_DATA_INVALID CKR_ENCRYPTED_DATA_LEN_RANGE
    CKR_AEAD_DECRYPT_FAILED CKR_FUNCTION_CANCELED CKR_FUNCTION_NOT_PARALLEL CKR_FUNCTION_NOT_SUPPORTED
    CKR_KEY_HANDLE_INVALID CKR_KEY_SIZE_RANGE CKR_KEY_TYPE_INCONSISTENT CKR_KEY_NOT_NEEDED CKR_KEY_CHANGED
    CKR_KEY_NEEDED CKR_KEY_INDIGESTIBLE CKR_KEY_FUNCTION_NOT_PERMITTED CKR_KEY_NOT_WRAPPABLE CKR_KEY_UNEXTRACTABLE
    CKR_MECHANISM_INVALID CKR_MECHANISM_PARAM_INVALID CKR_OBJECT_HANDLE_INVALID CKR_OPERATION_ACTIVE
    CKR_OPERATION_NOT_INITIALIZED CKR_PIN_INCORRECT CKR_PIN_INVALID CKR_PIN_LEN_RANGE CKR_PIN_EXPIRED CKR_PIN_LOCKED
    CKR_SESSION_CLOSED CKR_SESSION_COUNT CKR_SESSION_HANDLE_INVALID CKR_SESSION_PARALLEL_NOT_SUPPORTED
    CKR_SESSION_READ_ONLY CKR_SESSION_EXISTS CKR_SESSION_READ_ONLY_EXISTS CKR_SESSION_READ_WRITE_SO_EXISTS
    CKR_SIGNATURE_INVALID CKR_SIGNATURE_LEN_RANGE CKR_TEMPLATE_INCOMPLETE CKR_TEMPLATE_INCONSISTENT
    CKR_TOKEN_NOT_PRESENT CKR_TOKEN_NOT_RECOGNIZED CKR_TOKEN_WRITE_PROTECTED CKR_UNWRAPPING_KEY_HANDLE_INVALID
    CKR_UNWRAPPING_KEY_SIZE_RANGE CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT CKR_USER_ALREADY_LOGGED_IN
    CKR_USER_NOT_LOGGED_IN CKR_USER_PIN_NOT_INITIALIZED CKR_USER_TYPE_INVALID CKR_USER_ANOTHER_ALREADY_LOGGED_IN
    CKR_USER_TOO_MANY_TYPES CKR_WRAPPED_KEY_INVALID CKR_WRAPPED_KEY_LEN_RANGE CKR_WRAPPING_KEY_HANDLE_INVALID
    CKR_WRAPPING_KEY_SIZE_RANGE CKR_WRAPPING_KEY_TYPE_INCONSISTENT CKR_RANDOM_SEED_NOT_SUPPORTED CKR_RANDOM_NO_RNG
    CKR_DOMAIN_PARAMS_INVALID CKR_CURVE_NOT_SUPPORTED CKR_BUFFER_TOO_SMALL CKR_SAVED_STATE_INVALID
    CKR_INFORMATION_SENSITIVE CKR_STATE_UNSAVEABLE CKR_CRYPTOKI_NOT_INITIALIZED CKR_CRYPTOKI_ALREADY_INITIALIZED
    CKR_MUTEX_BAD CKR_MUTEX_NOT_LOCKED CKR_NEW_PIN_MODE CKR_NEXT_OTP CKR_EXCEEDED_MAX_ITERATIONS
    CKR_FIPS_SELF_TEST_FAILED CKR_LIBRARY_LOAD_FAILED CKR_PIN_TOO_WEAK CKR_PUBLIC_KEY_INVALID CKR_FUNCTION_REJECTED
    CKR_TOKEN_RESOURCE_EXCEEDED CKR_OPERATION_CANCEL_FAILED CKR_KEY_EXHAUSTED CKR_PENDING
    CKR_SESSION_ASYNC_NOT_SUPPORTED CKR_SEED_RANDOM_REQUIRED CKR_OPERATION_NOT_VALIDATED CKR_TOKEN_NOT_INITIALIZED
    CKR_PARAMETER_SET_NOT_SUPPORTED CKR_VENDOR_DEFINED
};

const MECHANISMS: &[(&str, CK_MECHANISM_TYPE)] = constants! {
    CKM_RSA_PKCS_KEY_PAIR_GEN CKM_RSA_PKCS CKM_RSA_X_509 CKM_RSA_PKCS_OAEP CKM_RSA_PKCS_PSS CKM_SHA1_RSA_PKCS
    CKM_SHA224_RSA_PKCS CKM_SHA256_RSA_PKCS CKM_SHA384_RSA_PKCS CKM_SHA512_RSA_PKCS CKM_SHA1_RSA_PKCS_PSS
    CKM_SHA224_RSA_PKCS_PSS CKM_SHA256_RSA_PKCS_PSS CKM_SHA384_RSA_PKCS_PSS CKM_SHA512_RSA_PKCS_PSS
    CKM_EC_KEY_PAIR_GEN CKM_EC_EDWARDS_KEY_PAIR_GEN CKM_ECDSA CKM_ECDSA_SHA1 CKM_ECDSA_SHA224 CKM_ECDSA_SHA256
    CKM_ECDSA_SHA384 CKM_ECDSA_SHA512 CKM_ECDH1_DERIVE CKM_EDDSA CKM_ML_DSA_KEY_PAIR_GEN CKM_ML_DSA CKM_HASH_ML_DSA
    CKM_SLH_DSA_KEY_PAIR_GEN CKM_SLH_DSA CKM_ML_KEM_KEY_PAIR_GEN CKM_ML_KEM CKM_SHA_1 CKM_SHA224 CKM_SHA256 CKM_SHA384
    CKM_SHA512 CKM_AES_KEY_GEN CKM_AES_GCM CKM_AES_KEY_WRAP CKM_GENERIC_SECRET_KEY_GEN
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(rv_from_name("CKR_PIN_LOCKED"), Some(0xA4));
        assert_eq!(rv_from_name("0x8000001A"), Some(0x8000_001A));
        assert_eq!(rv_from_name("CKR_PIN_LOKED"), None);
        assert_eq!(rv_name(0x30), "CKR_DEVICE_ERROR");
        assert_eq!(rv_name(0x8000_001A), "0x8000001A");
        assert_eq!(mechanism_from_name("CKM_ECDSA"), Some(0x1041));
        assert_eq!(Function::from_name("C_Sign").map(Function::name), Some("C_Sign"));
    }
}
