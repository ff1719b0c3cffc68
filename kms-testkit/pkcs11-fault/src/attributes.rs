//! Attributes that are answered otherwise than the wrapped module would.

use std::ptr;

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_TRUE, CK_ULONG, CK_UNAVAILABLE_INFORMATION,
    CKA_ALWAYS_AUTHENTICATE, CKA_EC_POINT, CKR_BUFFER_TOO_SMALL, CKR_OK,
};

use crate::call::{Call, Place, pass, real};
use crate::config::EcPoint;
use crate::names::Function;
use crate::{size, ulong};

#[allow(non_snake_case, reason = "the name is that of the standard")]
pub(crate) unsafe extern "C" fn C_GetAttributeValue(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    pass(Function::C_GetAttributeValue, Place::Session(session), |it| {
        let object = it.real_object(object);
        let config = &it.loaded.config;
        if template.is_null() || config.ec_point.is_none() && !config.context_login {
            return real!(it.C_GetAttributeValue(session, object, template, count));
        }
        // SAFETY: the caller's template, with its length.
        let template = unsafe { std::slice::from_raw_parts_mut(template, size(count)) };
        it.attributes(session, object, template)
    })
}

impl Call<'_> {
    /// Asks the wrapped module for what is its own, and answers the rest.
    fn attributes(&self, session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: &mut [CK_ATTRIBUTE]) -> CK_RV {
        let ours: Vec<_> = template.iter().map(|wanted| self.own_value(session, object, wanted)).collect();
        let mut theirs: Vec<CK_ATTRIBUTE> =
            template.iter().zip(&ours).filter(|(_, own)| own.is_none()).map(|(wanted, _)| *wanted).collect();
        let mut rv = CKR_OK;
        if !theirs.is_empty() {
            rv = real!(self.C_GetAttributeValue(session, object, theirs.as_mut_ptr(), ulong(theirs.len())));
        }
        let mut theirs = theirs.into_iter();
        for (wanted, own) in template.iter_mut().zip(ours) {
            match own {
                None => wanted.ulValueLen = theirs.next().map_or(CK_UNAVAILABLE_INFORMATION, |their| their.ulValueLen),
                Some(value) => {
                    if !fill(wanted, &value) && rv == CKR_OK {
                        rv = CKR_BUFFER_TOO_SMALL;
                    }
                }
            }
        }
        rv
    }

    fn own_value(
        &self,
        session: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        wanted: &CK_ATTRIBUTE,
    ) -> Option<Vec<u8>> {
        match wanted.type_ {
            CKA_ALWAYS_AUTHENTICATE if self.loaded.config.context_login => Some(vec![CK_TRUE]),
            CKA_EC_POINT => {
                let form = self.loaded.config.ec_point?;
                let point = self.read(session, object, CKA_EC_POINT)?;
                Some(encoded(form, bare(&point)))
            }
            _ => None,
        }
    }

    fn read(&self, session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, name: CK_ULONG) -> Option<Vec<u8>> {
        let mut value = vec![0; 1024];
        let mut wanted =
            CK_ATTRIBUTE { type_: name, pValue: value.as_mut_ptr().cast(), ulValueLen: ulong(value.len()) };
        if real!(self.C_GetAttributeValue(session, object, &raw mut wanted, 1)) != CKR_OK {
            return None;
        }
        value.truncate(size(wanted.ulValueLen));
        Some(value)
    }
}

/// Answers one attribute as the standard wants it; false if the caller's buffer is too small.
fn fill(wanted: &mut CK_ATTRIBUTE, value: &[u8]) -> bool {
    let fits = wanted.pValue.is_null() || size(wanted.ulValueLen) >= value.len();
    if fits && !wanted.pValue.is_null() {
        // SAFETY: the caller's buffer has room for it.
        unsafe { ptr::copy_nonoverlapping(value.as_ptr(), wanted.pValue.cast(), value.len()) };
    }
    wanted.ulValueLen = if fits { ulong(value.len()) } else { CK_UNAVAILABLE_INFORMATION };
    fits
}

/// The point without its OCTET STRING. A bare point of a Weierstrass curve begins with 4 too, but not with its length.
fn bare(point: &[u8]) -> &[u8] {
    match point {
        [4, 0x81, length, rest @ ..] if usize::from(*length) == rest.len() => rest,
        [4, length, rest @ ..] if usize::from(*length) == rest.len() => rest,
        _ => point,
    }
}

fn encoded(form: EcPoint, point: &[u8]) -> Vec<u8> {
    match form {
        EcPoint::Raw => point.to_vec(),
        EcPoint::Xy => point.strip_prefix(&[4]).unwrap_or(point).to_vec(),
        EcPoint::OctetString => tagged(4, point),
        EcPoint::BitString => tagged(3, &[&[0], point].concat()),
    }
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
    let header = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
    [&header, content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_point() {
        let point = [&[4_u8][..], &[7; 64]].concat();
        let octets = tagged(4, &point);
        assert_eq!((bare(&octets), bare(&point)), (&point[..], &point[..]));
        assert_eq!(encoded(EcPoint::Raw, &point), point);
        assert_eq!(encoded(EcPoint::Xy, &point), [7; 64]);
        assert_eq!(encoded(EcPoint::BitString, &point)[..4], [3, 66, 0, 4]);
        let p521 = [&[4_u8][..], &[7; 132]].concat();
        assert_eq!(tagged(4, &p521)[..4], [4, 0x81, 133, 4]);
        assert_eq!(bare(&tagged(4, &p521)), p521);
    }
}
