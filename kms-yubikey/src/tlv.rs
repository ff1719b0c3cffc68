//! BER-TLV as cards use it: tags of one or two octets, definite lengths.

use zeroize::Zeroizing;

/// The objects in `octets`, one after the other; `None` if they are malformed.
pub(crate) fn parse(mut octets: &[u8]) -> Option<Vec<(u32, &[u8])>> {
    let mut found = Vec::new();
    while !octets.is_empty() {
        let (tag, rest) = take_tag(octets)?;
        let (length, rest) = take_length(rest)?;
        let (value, rest) = rest.split_at_checked(length)?;
        found.push((tag, value));
        octets = rest;
    }
    Some(found)
}

/// The value of the first object with that tag.
pub(crate) fn find(octets: &[u8], tag: u32) -> Option<&[u8]> {
    parse(octets)?.into_iter().find(|object| object.0 == tag).map(|object| object.1)
}

/// One object. It may hold a secret, so it is wiped.
pub(crate) fn object(tag: u32, value: &[u8]) -> Zeroizing<Vec<u8>> {
    // Room for all of it at once: a buffer that grows would leave copies behind.
    let mut octets = Zeroizing::new(Vec::with_capacity(value.len() + 7));
    octets.extend(tag.to_be_bytes().into_iter().skip_while(|octet| *octet == 0));
    // No card takes anywhere near 64 KiB.
    let [.., high, low] = value.len().to_be_bytes();
    match (high, low) {
        (0, ..=0x7f) => octets.push(low),
        (0, _) => octets.extend([0x81, low]),
        _ => octets.extend([0x82, high, low]),
    }
    octets.extend_from_slice(value);
    octets
}

fn take_tag(octets: &[u8]) -> Option<(u32, &[u8])> {
    match *octets {
        [first, second, ref rest @ ..] if first & 0x1f == 0x1f => {
            Some((u32::from_be_bytes([0, 0, first, second]), rest))
        }
        [first, ref rest @ ..] if first & 0x1f != 0x1f => Some((first.into(), rest)),
        _ => None,
    }
}

fn take_length(octets: &[u8]) -> Option<(usize, &[u8])> {
    match *octets {
        [length @ ..=0x7f, ref rest @ ..] | [0x81, length, ref rest @ ..] => Some((length.into(), rest)),
        [0x82, high, low, ref rest @ ..] => Some((u16::from_be_bytes([high, low]).into(), rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_what_is_malformed_does_not() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 3000] {
            for tag in [0x53, 0x7f49] {
                let value = vec![7; length];
                let written = object(tag, &value);
                assert_eq!(parse(&written).unwrap(), [(tag, &value[..])]);
                for cut in 1..written.len() {
                    assert_eq!(parse(&written[..cut]), None);
                }
            }
        }
        for bad in [&[0x53][..], &[0x53, 1], &[0x53, 0x82, 1], &[0x7f], &[0x53, 0x80], &[0x53, 0x83, 0, 0, 0]] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
