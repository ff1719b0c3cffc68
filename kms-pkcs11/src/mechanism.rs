//! A mechanism with its parameters, as plain numbers.

use cryptoki_sys as sys;

/// What a call is to do, in the words of PKCS #11.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mechanism {
    /// One of `CKM_…`.
    pub(crate) kind: sys::CK_MECHANISM_TYPE,
    pub(crate) parameters: Parameters,
}

/// Parameters of a mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parameters {
    None,
    /// RSASSA-PSS: `salt` in octets.
    Pss {
        hash: sys::CK_MECHANISM_TYPE,
        mask: sys::CK_RSA_PKCS_MGF_TYPE,
        salt: sys::CK_ULONG,
    },
    /// RSAES-OAEP with an empty label.
    Oaep {
        hash: sys::CK_MECHANISM_TYPE,
        mask: sys::CK_RSA_PKCS_MGF_TYPE,
    },
    /// Plain Ed25519, spelt out: some tokens want it so.
    Ed25519,
}

impl Mechanism {
    pub(crate) const fn plain(kind: sys::CK_MECHANISM_TYPE) -> Self {
        Self { kind, parameters: Parameters::None }
    }
}
