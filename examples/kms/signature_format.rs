//! The forms in which a signature is written and read, and how the message is given.

use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding};
use clap::ValueEnum;
use kmskit::{Error, ErrorKind, Signature, SignatureAlgorithm};

/// How octets are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// As X.509 carries it, binary: DER for ECDSA, plain octets for RSA, Ed25519 and ML-DSA
    Der,
    /// r‖s for ECDSA, plain octets for the others, binary
    Raw,
    /// The der form in base64, one line
    Base64,
    /// The der form in lower-case hex, one line
    Hex,
}

impl Format {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Der => "der",
            Self::Raw => "raw",
            Self::Base64 => "base64",
            Self::Hex => "hex",
        }
    }

    /// The octets of a signature in this form.
    pub(crate) fn encode(self, signature: &Signature) -> Result<Vec<u8>, Error> {
        Ok(match self {
            Self::Der => signature.as_bytes().to_vec(),
            Self::Raw => signature.to_raw()?,
            Self::Base64 => format!("{}\n", Base64::encode_string(signature.as_bytes())).into_bytes(),
            Self::Hex => format!("{}\n", hex::encode(signature.as_bytes())).into_bytes(),
        })
    }

    /// Reads a signature in this form.
    pub(crate) fn decode(self, algorithm: SignatureAlgorithm, octets: &[u8]) -> Result<Signature, Error> {
        match self {
            Self::Raw => Signature::from_raw(algorithm, octets)
                .map_err(|error| Error::new(ErrorKind::Integrity, "the signature does not verify").with_source(error)),
            Self::Der => Ok(Signature::from_x509(algorithm, octets)),
            Self::Base64 => Ok(Signature::from_x509(algorithm, from_base64(octets)?)),
            Self::Hex => Ok(Signature::from_x509(algorithm, from_hex(octets)?)),
        }
    }
}

/// Reads base64, with line ends or without.
pub(crate) fn from_base64(text: &[u8]) -> Result<Vec<u8>, Error> {
    Base64::decode_vec(&without_space(text)).map_err(|error| not("base64").with_source(error))
}

/// Reads hex of either case, with line ends or without.
pub(crate) fn from_hex(text: &[u8]) -> Result<Vec<u8>, Error> {
    // Its error would repeat a character of the input, which may be anything.
    hex::decode(without_space(text)).map_err(|_| not("hex"))
}

fn without_space(text: &[u8]) -> String {
    text.iter().filter(|octet| !octet.is_ascii_whitespace()).map(|octet| char::from(*octet)).collect()
}

fn not(form: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("the input is not {form}")).with_hint("state its form with --format")
}

/// What is signed.
#[derive(clap::Args)]
pub(crate) struct MessageSource {
    /// The message; stdin without this
    #[arg(long = "in", value_name = "FILE", conflicts_with = "digest")]
    pub(crate) input: Option<PathBuf>,
    /// The digest of the message by the algorithm's hash, in hex, instead of the message; ECDSA and RSA only
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,
}

/// What the signature is over.
pub(crate) enum Message {
    Whole(Vec<u8>),
    Digest(Vec<u8>),
}

impl MessageSource {
    /// Whether the message is read from stdin.
    pub(crate) fn is_stdin(&self) -> bool {
        self.digest.is_none() && self.input.as_deref().is_none_or(|path| path == Path::new(crate::file::STDIN))
    }

    /// Reads what `algorithm` signs. A message that will be hashed is hashed as it is read, whatever its size.
    pub(crate) fn read(&self, algorithm: SignatureAlgorithm) -> Result<Message, Error> {
        if let Some(digits) = &self.digest {
            return from_hex(digits.as_bytes()).map(Message::Digest).map_err(|_| {
                Error::new(ErrorKind::InvalidArgument, "--digest is not hex").with_hint("give pairs of hex digits")
            });
        }
        let path = self.input.as_deref();
        let Some(hash) = algorithm.hash() else { return crate::file::read(path).map(Message::Whole) };
        let name = path.unwrap_or("-".as_ref());
        let digest = hash.digest_reader(crate::file::open(path)?);
        let digest = digest.map_err(|error| crate::file::cannot("read", name, error))?;
        Ok(Message::Digest(digest.as_bytes().to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_from_stdin_is_known() {
        let source = |input: Option<&str>, digest: Option<&str>| MessageSource {
            input: input.map(PathBuf::from),
            digest: digest.map(str::to_owned),
        };
        assert!(source(None, None).is_stdin() && source(Some("-"), None).is_stdin());
        assert!(!source(Some("message"), None).is_stdin() && !source(None, Some("00")).is_stdin());
    }
}
