//! BER-TLV, as PIV uses it: one- and two-octet tags, definite lengths.

/// The objects in `octets`, one after the other; `None` if they are malformed.
pub(super) fn parse(mut octets: &[u8]) -> Option<Vec<(u32, &[u8])>> {
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

/// The first object with that tag.
pub(super) fn find<'a>(objects: &[(u32, &'a [u8])], tag: u32) -> Option<&'a [u8]> {
    objects.iter().find(|object| object.0 == tag).map(|object| object.1)
}

/// One object.
pub(super) fn object(tag: u32, value: &[u8]) -> Vec<u8> {
    let mut octets: Vec<u8> = tag.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
    // Nothing here comes near 64 KiB.
    let [.., high, low] = value.len().to_be_bytes();
    match (high, low) {
        (0, low @ ..=0x7f) => octets.push(low),
        (0, low) => octets.extend([0x81, low]),
        (high, low) => octets.extend([0x82, high, low]),
    }
    octets.extend_from_slice(value);
    octets
}

fn take_tag(octets: &[u8]) -> Option<(u32, &[u8])> {
    let (&first, rest) = octets.split_first()?;
    if first & 0x1f != 0x1f {
        return Some((first.into(), rest));
    }
    let (&second, rest) = rest.split_first()?;
    Some((u32::from(first) << 8 | u32::from(second), rest))
}

fn take_length(octets: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = octets.split_first()?;
    match first {
        0..=0x7f => Some((first.into(), rest)),
        0x81 => rest.split_first().map(|(&length, rest)| (length.into(), rest)),
        0x82 => {
            rest.split_at_checked(2).map(|(length, rest)| (usize::from(length[0]) << 8 | usize::from(length[1]), rest))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x1000] {
            for tag in [0x53, 0x7f49] {
                let value = vec![7; length];
                assert_eq!(parse(&object(tag, &value)).unwrap(), [(tag, &value[..])]);
            }
        }
        for bad in [&[0x53][..], &[0x53, 1], &[0x53, 0x82, 1], &[0x7f], &[0x53, 0x80]] {
            assert_eq!(parse(bad), None);
        }
    }
}
