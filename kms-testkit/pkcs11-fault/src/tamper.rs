//! Signatures that are wrong, in the ways in which tokens have answered wrongly.

use crate::config::Action;

/// Whether the action changes a signature.
pub(crate) fn concerns(action: &Action) -> bool {
    matches!(action, Action::FlipBit(_) | Action::Short(_) | Action::Der)
}

/// How long a signature of `length` octets may become.
pub(crate) fn longest(actions: &[&Action], length: usize) -> usize {
    // Two integers, each with a header and perhaps a leading nought, in a sequence whose length may need an octet more.
    if actions.contains(&&Action::Der) { length + 2 * 3 + 3 } else { length }
}

/// The signature after all that was asked for.
pub(crate) fn tampered(actions: &[&Action], signature: &[u8]) -> Vec<u8> {
    let mut signature = signature.to_vec();
    for action in actions {
        match action {
            Action::FlipBit(bit) if !signature.is_empty() => {
                let bit = bit.unwrap_or(signature.len() * 4) % (signature.len() * 8);
                signature[bit / 8] ^= 0x80 >> (bit % 8);
            }
            Action::Short(octets) => signature.truncate(signature.len().saturating_sub(*octets)),
            Action::Der => signature = der(&signature),
            _ => {}
        }
    }
    signature
}

/// `SEQUENCE { INTEGER r, INTEGER s }` for integers of up to 120 octets, which holds for all curves.
fn der(signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(signature.len() / 2);
    let content = [integer(r), integer(s)].concat();
    let mut der = vec![0x30];
    match u8::try_from(content.len()).unwrap_or(u8::MAX) {
        length @ ..0x80 => der.push(length),
        length => der.extend([0x81, length]),
    }
    der.extend(content);
    der
}

fn integer(octets: &[u8]) -> Vec<u8> {
    let noughts = octets.iter().take_while(|octet| **octet == 0).count().min(octets.len().saturating_sub(1));
    let mut value = octets[noughts..].to_vec();
    if value.first().is_some_and(|first| first & 0x80 != 0) {
        value.insert(0, 0);
    }
    let length = u8::try_from(value.len()).unwrap_or(u8::MAX);
    [vec![0x02, length], value].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way() {
        assert_eq!(tampered(&[&Action::FlipBit(Some(0))], &[0, 1]), [0x80, 1]);
        assert_eq!(tampered(&[&Action::FlipBit(None)], &[0, 0]), [0, 0x80]);
        assert_eq!(tampered(&[&Action::Short(1)], &[1, 2, 3]), [1, 2]);
        assert_eq!(tampered(&[&Action::Der], &[0, 1, 0x80, 2]), [0x30, 8, 2, 1, 1, 2, 3, 0, 0x80, 2]);
        let p521 = tampered(&[&Action::Der], &[0x7f; 132]);
        assert_eq!((&p521[..3], p521.len()), (&[0x30, 0x81, 136][..], 139));
        assert!(longest(&[&Action::Der], 132) >= p521.len());
    }
}
