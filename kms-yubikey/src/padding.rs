//! RSA padding (RFC 8017), which cards leave to us: they raise a whole block to the private exponent.

use aws_lc_rs::digest::{self, Algorithm};
use kms_core::{DecryptionAlgorithm, HashAlgorithm};
use zeroize::Zeroizing;

/// EMSA-PKCS1-v1_5 (section 9.2) of a `DigestInfo`; `None` if it does not fit.
pub(crate) fn pkcs1(digest_info: &[u8], bits: u32) -> Option<Vec<u8>> {
    let length = octets(bits);
    let filling = length.checked_sub(digest_info.len() + 3).filter(|filling| *filling >= 8)?;
    Some([&[0, 1][..], &vec![0xff; filling], &[0], digest_info].concat())
}

/// EMSA-PSS (section 9.1.1) with the hash for the mask too and a salt as long as it; `None` if it does not fit.
pub(crate) fn pss(hash: HashAlgorithm, digest: &[u8], bits: u32) -> Option<Vec<u8>> {
    let mut salt = vec![0; digest.len()];
    getrandom::fill(&mut salt).ok()?;
    pss_with(native(hash), digest, &salt, bits)
}

fn pss_with(hash: &'static Algorithm, digest: &[u8], salt: &[u8], bits: u32) -> Option<Vec<u8>> {
    let (encoded_bits, length) = (bits.checked_sub(1)?, octets(bits));
    let encoded_length = octets(encoded_bits);
    let hashed = digest::digest(hash, &[&[0; 8][..], digest, salt].concat());
    let hashed = hashed.as_ref();
    let zeros = encoded_length.checked_sub(hashed.len() + salt.len() + 2)?;
    let mut block = [&vec![0; zeros][..], &[1], salt].concat();
    mask(hash, hashed, &mut block);
    // What is left of the first octet once the block must be less than the modulus.
    let spare = u32::try_from(8 * encoded_length).ok()? - encoded_bits;
    *block.first_mut()? &= 0xff_u8.checked_shr(spare)?;
    Some([&vec![0; length - encoded_length][..], &block, hashed, &[0xbc]].concat())
}

/// The message in a decrypted block, whatever was wrong with it `None`, in about the same time.
pub(crate) fn unpad(algorithm: DecryptionAlgorithm, block: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    match algorithm {
        DecryptionAlgorithm::RsaOaepSha1 => oaep(&digest::SHA1_FOR_LEGACY_USE_ONLY, block),
        DecryptionAlgorithm::RsaOaepSha256 => oaep(&digest::SHA256, block),
        DecryptionAlgorithm::RsaOaepSha384 => oaep(&digest::SHA384, block),
        DecryptionAlgorithm::RsaOaepSha512 => oaep(&digest::SHA512, block),
        DecryptionAlgorithm::RsaPkcs1 => unpad_pkcs1(block),
        _ => None,
    }
}

/// EME-OAEP (section 7.1.2) with an empty label. Does all its work on every block, and decides at the end.
fn oaep(hash: &'static Algorithm, block: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let length = hash.output_len();
    let (first, masked) = block.split_first()?;
    if masked.len() < 2 * length + 1 {
        return None;
    }
    let (masked_seed, masked_message) = masked.split_at(length);
    let mut seed = Zeroizing::new(masked_seed.to_vec());
    mask(hash, masked_message, &mut seed);
    let mut message = Zeroizing::new(masked_message.to_vec());
    mask(hash, &seed, &mut message);
    let (label, padded) = message.split_at(length);
    let expected = digest::digest(hash, &[]);
    let mut wrong = *first;
    for (one, other) in label.iter().zip(expected.as_ref()) {
        wrong |= one ^ other;
    }
    finish(wrong, padded, 1)
}

/// EME-PKCS1-v1_5 (section 7.2.2): 00 02, eight octets at least that are not zero, 00.
fn unpad_pkcs1(block: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let [zero, two, padded @ ..] = block else { return None };
    let (early, rest) = padded.split_at_checked(8)?;
    let mut wrong = zero | (two ^ 2);
    for octet in early {
        wrong |= mask_if_zero(*octet);
    }
    finish(wrong, rest, 0)
}

/// The message behind padding that ends with the first octet `end`: zeros before a 1, anything but zero before a 0.
fn finish(wrong: u8, padded: &[u8], end: u8) -> Option<Zeroizing<Vec<u8>>> {
    let (mut wrong, mut found, mut at) = (wrong, 0_u8, 0_usize);
    for octet in padded {
        let is_end = mask_if_zero(octet ^ end) & !found;
        // Before a 1 stand zeros only.
        wrong |= octet & !found & !is_end & mask_if_zero(end ^ 1);
        found |= is_end;
        at += usize::from(!found & 1);
    }
    wrong |= !found;
    if wrong != 0 {
        return None;
    }
    Some(Zeroizing::new(padded.get(at + 1..)?.to_vec()))
}

/// FF for zero, else 00, without a branch.
fn mask_if_zero(octet: u8) -> u8 {
    let wide = u16::from(octet);
    // Zero alone borrows from the upper half.
    wide.wrapping_sub(1).to_be_bytes()[0]
}

/// MGF1 (appendix B.2.1), over `block`.
fn mask(hash: &'static Algorithm, seed: &[u8], block: &mut [u8]) {
    for (counter, chunk) in (0_u32..).zip(block.chunks_mut(hash.output_len())) {
        let mut context = digest::Context::new(hash);
        context.update(seed);
        context.update(&counter.to_be_bytes());
        for (octet, mask) in chunk.iter_mut().zip(context.finish().as_ref()) {
            *octet ^= mask;
        }
    }
}

fn native(hash: HashAlgorithm) -> &'static Algorithm {
    match hash {
        HashAlgorithm::Sha384 => &digest::SHA384,
        HashAlgorithm::Sha512 => &digest::SHA512,
        _ => &digest::SHA256,
    }
}

fn octets(bits: u32) -> usize {
    bits.div_ceil(8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_as_long_as_the_modulus_and_less_than_it() {
        for bits in [2048, 2049, 3072, 4096] {
            let block = pkcs1(&[7; 51], bits).unwrap();
            assert_eq!((block.len(), block[..3].to_vec()), (octets(bits), vec![0, 1, 0xff]));
            let block = pss(HashAlgorithm::Sha512, &[7; 64], bits).unwrap();
            assert_eq!((block.len(), block.last()), (octets(bits), Some(&0xbc)));
            assert!(bits % 8 == 1 || block[0] < 0x80, "{bits}");
        }
        assert_eq!((pkcs1(&[7; 51], 480), pss(HashAlgorithm::Sha512, &[7; 64], 1024)), (None, None));
    }

    #[test]
    fn padding_comes_off_and_nothing_else_does() {
        let algorithm = DecryptionAlgorithm::RsaPkcs1;
        let padded = |front: &[u8], message: &[u8]| [front, message].concat();
        let good = padded(&[0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 0], b"m\0");
        assert_eq!(unpad(algorithm, &good).unwrap()[..], b"m\0"[..]);
        assert_eq!(unpad(algorithm, &good[..11]).unwrap()[..], []);
        for bad in [
            &[][..],
            &[0, 2],
            &good[..10],
            &padded(&[1, 2, 1, 2, 3, 4, 5, 6, 7, 8, 0], b"m"),
            &padded(&[0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0], b"m"),
            &padded(&[0, 2, 1, 2, 3, 4, 5, 6, 7, 0, 8], b"m\0"),
        ] {
            assert!(unpad(algorithm, bad).is_none(), "{bad:?}");
        }
        let made = |label: &[u8], rest: &[u8]| {
            let hash = &digest::SHA256;
            let mut message = [digest::digest(hash, label).as_ref(), rest].concat();
            let mut seed = vec![9; 32];
            mask(hash, &seed.clone(), &mut message);
            mask(hash, &message, &mut seed);
            [&[0], &seed[..], &message].concat()
        };
        let algorithm = DecryptionAlgorithm::RsaOaepSha256;
        assert_eq!(unpad(algorithm, &made(b"", b"\0\0\x01m\0")).unwrap()[..], b"m\0"[..]);
        assert_eq!(unpad(algorithm, &made(b"", b"\x01")).unwrap()[..], []);
        for bad in
            [made(b"x", b"\0\x01m"), made(b"", b"\0\x02\x01m"), made(b"", b"\0\0\0"), made(b"", b""), vec![0; 40]]
        {
            assert!(unpad(algorithm, &bad).is_none(), "{bad:?}");
        }
        let mut first = made(b"", b"\0\x01m");
        first[0] = 1;
        assert!(unpad(algorithm, &first).is_none());
    }
}
