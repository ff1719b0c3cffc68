//! The lower of the two values of s, for secp256k1.
//!
//! With (r, s), (r, n − s) is a signature too. On secp256k1 the lower s is the rule: Bitcoin (BIP 146), Ethereum
//! (EIP-2) and the `k256` crate take no other, while tokens give either.

/// Octets of r, and of s.
const WIDTH: usize = 32;

/// The order n of the group (SEC 2 section 2.4.1).
const ORDER: [u8; WIDTH] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc,
    0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

/// n / 2, rounded down.
const HALF_ORDER: [u8; WIDTH] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e,
    0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// r‖s with the lower s. Public values only: nothing here needs constant time. An s beyond n stays as it is, and does
/// not verify.
pub(crate) fn normalized(raw: &[u8]) -> Vec<u8> {
    let mut raw = raw.to_vec();
    if let Some(s) = raw.get_mut(WIDTH..)
        && *s > HALF_ORDER[..]
        && *s < ORDER[..]
    {
        subtract_from_order(s);
    }
    raw
}

fn subtract_from_order(s: &mut [u8]) {
    let mut borrow = false;
    for (octet, order) in s.iter_mut().zip(ORDER).rev() {
        let (difference, first) = order.overflowing_sub(*octet);
        let (difference, second) = difference.overflowing_sub(u8::from(borrow));
        *octet = difference;
        borrow = first || second;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_high_s_changes_and_to_its_counterpart() {
        let mut one = [0; WIDTH];
        one[WIDTH - 1] = 1;
        let mut highest = ORDER;
        highest[WIDTH - 1] -= 1;
        let mut above_half = HALF_ORDER;
        above_half[WIDTH - 1] += 1;
        for (s, expected) in
            [(one, one), (highest, one), (HALF_ORDER, HALF_ORDER), (above_half, HALF_ORDER), (ORDER, ORDER)]
        {
            assert_eq!(normalized(&[one, s].concat()), [one, expected].concat());
        }
    }
}
