//! Hashing: the three hashes that signatures use, in one piece or streamed.

use std::fmt;
use std::io::{self, Read};

use aws_lc_rs::digest;

use crate::{Error, ErrorKind, Result};

/// A hash function that goes with a signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum HashAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// Hashes `message`. Computes in place; no allocation.
    pub fn digest(self, message: &[u8]) -> Digest {
        Digest(digest::digest(self.native(), message))
    }

    /// Takes octets that are already a digest of this hash.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when the length is not that of the hash.
    pub fn digest_from(self, octets: &[u8]) -> Result<Digest> {
        digest::Digest::import_less_safe(octets, self.native()).map(Digest).map_err(|_| {
            Error::new(
                ErrorKind::InvalidArgument,
                format!("a {self} digest has {} octets, not {}", self.output_len(), octets.len()),
            )
        })
    }

    /// Hashes all of `reader`, in pieces of 64 KiB.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn digest_reader(self, mut reader: impl Read) -> io::Result<Digest> {
        let mut context = digest::Context::new(self.native());
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(Digest(context.finish())),
                Ok(count) => context.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Octets of a digest.
    pub fn output_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn native(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        })
    }
}

/// A digest together with the hash that made it, so that its length cannot be wrong.
#[derive(Clone, Copy)]
pub struct Digest(digest::Digest);

impl Digest {
    /// The octets: 32, 48 or 64 of them.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    /// The hash that made it.
    pub fn algorithm(&self) -> HashAlgorithm {
        match self.as_bytes().len() {
            32 => HashAlgorithm::Sha256,
            48 => HashAlgorithm::Sha384,
            _ => HashAlgorithm::Sha512,
        }
    }

    pub(crate) fn native(&self) -> &digest::Digest {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.algorithm())
    }
}
