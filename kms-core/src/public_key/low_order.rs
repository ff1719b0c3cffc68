//! Ed25519 points of low order. For a public key that is one, a signature that verifies over any message can be written
//! down without a private key, so that a CSR would prove nothing.

/// The y of every point whose order divides 8, little-endian as in RFC 8032 section 5.1.2, those not reduced modulo p
/// included; the sign of x is left out.
const LOW_ORDER: [[u8; 32]; 7] = [
    small(0),
    small(1),
    // Order 8.
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    // p - 1, p and p + 1, with p = 2^255 - 19.
    large(0xec),
    large(0xed),
    large(0xee),
];

/// Whether the octets are the encoding of a point of low order.
pub(super) fn is_low_order(point: &[u8]) -> bool {
    let Ok(mut y) = <[u8; 32]>::try_from(point) else { return false };
    y[31] &= 0x7f;
    LOW_ORDER.contains(&y)
}

const fn small(y: u8) -> [u8; 32] {
    let mut octets = [0; 32];
    octets[0] = y;
    octets
}

const fn large(lowest: u8) -> [u8; 32] {
    let mut octets = [0xff; 32];
    octets[0] = lowest;
    octets[31] = 0x7f;
    octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, KeyType, PublicKey};

    #[test]
    fn a_key_that_anybody_can_sign_for_is_refused() {
        for sign in [0, 0x80] {
            for mut point in LOW_ORDER {
                point[31] |= sign;
                let error = PublicKey::from_raw(KeyType::Ed25519, &point).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{point:02x?}");
            }
        }
        // The base point.
        let mut base = [0x66; 32];
        base[0] = 0x58;
        PublicKey::from_raw(KeyType::Ed25519, &base).unwrap();
    }
}
