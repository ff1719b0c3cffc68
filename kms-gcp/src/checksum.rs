//! CRC32C of what is sent and what comes back, and another try where it does not fit.

use kms_core::{ErrorKind, Result};

use crate::error::integrity;

/// Requests before an answer that is not one to the question is taken for the last word.
const TRIES: usize = 3;

/// The checksum, as the service writes it.
pub(crate) fn crc32c(octets: &[u8]) -> i64 {
    i64::from(crc32c::crc32c(octets))
}

/// Whether the octets are those of the checksum.
///
/// # Errors
/// `Integrity` when they are not, or there is none.
pub(crate) fn check(what: &str, octets: &[u8], stated: Option<i64>) -> Result<()> {
    match stated {
        Some(stated) if stated == crc32c(octets) => Ok(()),
        Some(_) => Err(integrity(format!("the checksum of {what} is another one: it was damaged on the way"))),
        None => Err(integrity(format!("{what} has no checksum"))),
    }
}

/// Asks again, at most twice, while the answer is not one to the question.
///
/// # Errors
/// The last one; what is not `Integrity` at once.
pub(crate) async fn asked_again<T, A>(operation: &'static str, mut ask: impl FnMut() -> A) -> Result<T>
where
    A: Future<Output = Result<T>>,
{
    let mut tries = 1;
    loop {
        match ask().await {
            Err(error) if error.kind() == ErrorKind::Integrity && tries < TRIES => {
                tracing::warn!(operation, %error, "the answer is not one to the question, will ask again");
                tries += 1;
            }
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_castagnoli() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(b"The quick brown fox jumps over the lazy dog"), 0x2262_0404);
        assert_eq!(crc32c(b""), 0);
    }

    /// As RFC 3720 appendix B.4 has it, bit by bit.
    fn slow(octets: &[u8]) -> u32 {
        !octets.iter().fold(!0, |crc, octet| {
            (0..8).fold(crc ^ u32::from(*octet), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
        })
    }

    proptest! {
        #[test]
        fn it_is_that_of_the_definition(octets: Vec<u8>) {
            prop_assert_eq!(crc32c(&octets), i64::from(slow(&octets)));
            prop_assert!(check("it", &octets, Some(crc32c(&octets))).is_ok());
            prop_assert!(check("it", &octets, None).is_err());
        }

        #[test]
        fn each_flipped_bit_is_seen(octets in proptest::collection::vec(any::<u8>(), 1..600), at: prop::sample::Index) {
            let bit = at.index(octets.len() * 8);
            let mut damaged = octets.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = check("it", &damaged, Some(crc32c(&octets))).unwrap_err();
            prop_assert_eq!(error.kind(), ErrorKind::Integrity);
        }
    }
}
