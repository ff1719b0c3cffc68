//! Modulus and exponent of an RSA public key, for the encodings that carry them apart.

use spki::der::asn1::UintRef;
use spki::der::{Decode, Reader, SliceReader};

use crate::{Error, ErrorKind, PublicKey, Result};

/// Modulus and public exponent of an RSA key, big-endian, without leading zeros.
///
/// # Errors
/// [`InvalidArgument`](ErrorKind::InvalidArgument) when the key is not an RSA key.
pub(super) fn rsa_components(key: &PublicKey) -> Result<(&[u8], &[u8])> {
    let read = || {
        SliceReader::new(key.raw())?
            .sequence(|reader| Ok((UintRef::decode(reader)?.as_bytes(), UintRef::decode(reader)?.as_bytes())))
    };
    read().map_err(|error: spki::der::Error| {
        Error::new(ErrorKind::InvalidArgument, "not an RSA public key").with_source(error)
    })
}
