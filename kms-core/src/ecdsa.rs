//! ECDSA signatures between DER (X.509, CMS) and fixed-width r‖s (PKCS #11, JOSE, PIV on some tokens).

use der::asn1::UintRef;
use der::{Decode, Encode, Sequence};

use crate::{Error, ErrorKind, Result};

/// `ECDSA-Sig-Value` of RFC 3279 section 2.2.3.
#[derive(Sequence)]
struct EcdsaSigValue<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// Turns r‖s, each of `width` octets with leading zeros, into DER.
///
/// # Errors
/// [`InvalidArgument`](ErrorKind::InvalidArgument) when the length is not `2 * width`, or r or s is zero.
pub fn der_from_raw(raw: &[u8], width: usize) -> Result<Vec<u8>> {
    if raw.len() != 2 * width {
        return Err(invalid(format!("raw ECDSA signature has {} octets, not {}", raw.len(), 2 * width)));
    }
    let (r, s) = raw.split_at(width);
    if is_zero(r) || is_zero(s) {
        return Err(invalid("ECDSA signature with r or s of zero"));
    }
    let encode = || EcdsaSigValue { r: UintRef::new(r)?, s: UintRef::new(s)? }.to_der();
    encode().map_err(|error| invalid("cannot encode ECDSA signature").with_source(error))
}

/// Turns DER into r‖s, each padded on the left to `width` octets.
///
/// # Errors
/// [`InvalidArgument`](ErrorKind::InvalidArgument) when it is not DER (BER is refused), r or s is negative, zero, or
/// longer than `width`.
pub fn raw_from_der(der: &[u8], width: usize) -> Result<Vec<u8>> {
    let value =
        EcdsaSigValue::from_der(der).map_err(|error| invalid("not a DER ECDSA signature").with_source(error))?;
    let mut raw = vec![0; 2 * width];
    for (half, integer) in raw.chunks_exact_mut(width).zip([value.r.as_bytes(), value.s.as_bytes()]) {
        if is_zero(integer) {
            return Err(invalid("ECDSA signature with r or s of zero"));
        }
        let start = width
            .checked_sub(integer.len())
            .ok_or_else(|| invalid(format!("ECDSA signature with r or s longer than {width} octets")))?;
        half[start..].copy_from_slice(integer);
    }
    Ok(raw)
}

fn is_zero(octets: &[u8]) -> bool {
    octets.iter().all(|octet| *octet == 0)
}

fn invalid(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn leading_zeros_are_kept_on_one_side_and_dropped_on_the_other() {
        let mut raw = [0; 64];
        raw[31] = 0x80;
        raw[63] = 0x01;
        let der = der_from_raw(&raw, 32).unwrap();
        assert_eq!(der, [0x30, 7, 2, 2, 0, 0x80, 2, 1, 1]);
        assert_eq!(raw_from_der(&der, 32).unwrap(), raw);
    }

    #[test]
    fn malformed_signatures_are_refused() {
        for (what, der) in [
            ("empty", &[][..]),
            ("negative r", &[0x30, 6, 2, 1, 0x80, 2, 1, 1]),
            ("zero s", &[0x30, 6, 2, 1, 1, 2, 1, 0]),
            ("padded r", &[0x30, 7, 2, 2, 0, 1, 2, 1, 1]),
            ("trailing octet", &[0x30, 6, 2, 1, 1, 2, 1, 1, 0]),
            ("one integer", &[0x30, 3, 2, 1, 1]),
            ("r too long", &[0x30, 7, 2, 2, 1, 0, 2, 1, 1]),
        ] {
            assert_eq!(raw_from_der(der, 1).unwrap_err().kind(), ErrorKind::InvalidArgument, "{what}");
        }
        assert!(der_from_raw(&[1; 63], 32).is_err());
        assert!(der_from_raw(&[0; 64], 32).is_err());
    }

    proptest! {
        #[test]
        fn raw_survives_der(raw in (prop::sample::select(vec![32usize, 48, 66])).prop_flat_map(|width| {
            prop::collection::vec(any::<u8>(), 2 * width)
        })) {
            let width = raw.len() / 2;
            prop_assume!(!is_zero(&raw[..width]) && !is_zero(&raw[width..]));
            prop_assert_eq!(raw_from_der(&der_from_raw(&raw, width).unwrap(), width).unwrap(), raw);
        }
    }
}
