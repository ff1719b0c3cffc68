//! Attributes of objects, as templates state them.

use std::fmt;

use cryptoki_sys as sys;
use zeroize::Zeroizing;

/// One attribute with its value as octets; wiped on drop, since it may be a part of a private key.
#[derive(Clone)]
pub(crate) struct Attribute {
    /// One of `CKA_…`.
    pub(crate) kind: sys::CK_ATTRIBUTE_TYPE,
    pub(crate) value: Zeroizing<Vec<u8>>,
}

impl Attribute {
    pub(crate) fn octets(kind: sys::CK_ATTRIBUTE_TYPE, value: &[u8]) -> Self {
        Self { kind, value: Zeroizing::new(value.to_vec()) }
    }

    pub(crate) fn flag(kind: sys::CK_ATTRIBUTE_TYPE, value: bool) -> Self {
        Self::octets(kind, &[if value { sys::CK_TRUE } else { sys::CK_FALSE }])
    }

    pub(crate) fn number(kind: sys::CK_ATTRIBUTE_TYPE, value: sys::CK_ULONG) -> Self {
        Self::octets(kind, &value.to_ne_bytes())
    }

    pub(crate) fn class(class: sys::CK_OBJECT_CLASS) -> Self {
        Self::number(sys::CKA_CLASS, class)
    }
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attribute({:#x}, {} octets)", self.kind, self.value.len())
    }
}

/// The value of an attribute that is a number.
pub(crate) fn number_from(value: &[u8]) -> Option<sys::CK_ULONG> {
    value.try_into().ok().map(sys::CK_ULONG::from_ne_bytes)
}

/// The value of an attribute that is true or false; absent is false.
pub(crate) fn flag_from(value: Option<&Vec<u8>>) -> bool {
    value.is_some_and(|value| value.first().is_some_and(|octet| *octet != sys::CK_FALSE))
}
