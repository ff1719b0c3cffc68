//! The blocks of a PEM text (RFC 7468), one after the other.

use der::pem::Decoder;
use kms_core::{Result, Secret};
use zeroize::Zeroizing;

use crate::error;

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// One block, not yet decoded. Text around blocks is skipped.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    /// What it says to be: `PRIVATE KEY`.
    pub(crate) label: &'a str,
    text: &'a str,
}

/// The blocks of `text`, in their order.
///
/// # Errors
/// `InvalidArgument` for a block without end.
pub(crate) fn blocks(text: &str) -> Result<Vec<Block<'_>>> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(BEGIN) {
        let block = &rest[start..];
        let label = block[BEGIN.len()..].split_once(DASHES).map_or("", |(label, _)| label);
        if label.is_empty() || label.contains(['\n', '\r']) {
            return Err(error::invalid("a PEM block whose first line is broken"));
        }
        let end = format!("-----END {label}{DASHES}");
        let Some(at) = block.find(&end) else {
            return Err(error::invalid(format!("the PEM block {label} has no end: the file is cut off")));
        };
        let (text, after) = block.split_at(at + end.len());
        blocks.push(Block { label, text });
        rest = after;
    }
    Ok(blocks)
}

impl Block<'_> {
    /// Whether it is encrypted in the way OpenSSL did before PKCS #8 (RFC 1421 headers).
    pub(crate) fn has_headers(&self) -> bool {
        self.text.contains("Proc-Type:") || self.text.contains("DEK-Info:")
    }

    /// The octets in it.
    ///
    /// # Errors
    /// `InvalidArgument` when they are not base64 as RFC 7468 has it.
    pub(crate) fn decode(&self) -> Result<Secret> {
        let decode = || -> Result<Zeroizing<Vec<u8>>, der::pem::Error> {
            let mut decoder = Decoder::new_detect_wrap(self.text.as_bytes())?;
            let mut octets = Zeroizing::new(vec![0; decoder.remaining_len()]);
            decoder.decode(&mut octets)?;
            Ok(octets)
        };
        let mut octets = decode()
            .map_err(|fault| error::invalid(format!("the PEM block {} is damaged", self.label)).with_source(fault))?;
        Ok(Secret::new(std::mem::take(&mut *octets)))
    }
}
