//! One attribute's value, as the types backends ask for.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::Attribute;
use crate::{Error, ErrorKind, Result};

/// A value on its way to a typed option. Errors name the scheme and the attribute and say what is expected; they repeat
/// nothing of the value.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    scheme: &'a str,
    attribute: Attribute<'a>,
}

impl<'a> Value<'a> {
    pub(super) fn new(scheme: &'a str, attribute: Attribute<'a>) -> Self {
        Self { scheme, attribute }
    }

    /// As it stands in the URI.
    pub fn name(&self) -> &'a str {
        self.attribute.name
    }

    /// Decoded, as they are.
    pub fn bytes(&self) -> &'a [u8] {
        self.attribute.value
    }

    /// UTF-8 without control characters.
    ///
    /// # Errors
    /// `InvalidUri` for anything else.
    pub fn text(&self) -> Result<&'a str> {
        self.attribute.text().ok_or_else(|| self.misfit("text in UTF-8 without control characters"))
    }

    /// An unsigned number in decimal digits and nothing else: no sign, no space.
    ///
    /// # Errors
    /// `InvalidUri` for anything else, and for a number beyond `T`.
    pub fn number<T: FromStr>(&self) -> Result<T> {
        let digits = str::from_utf8(self.attribute.value).unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.misfit("a number in decimal digits"));
        }
        digits.parse().map_err(|_| self.misfit("a smaller number"))
    }

    /// Bytes written as pairs of hex digits of either case, at least one pair.
    ///
    /// # Errors
    /// `InvalidUri` for anything else.
    pub fn hex(&self) -> Result<Vec<u8>> {
        Ok(self.hex_zeroizing()?.to_vec())
    }

    /// As [`hex`](Self::hex), for keys.
    ///
    /// # Errors
    /// `InvalidUri` for anything else.
    pub fn secret_hex(&self) -> Result<Zeroizing<Vec<u8>>> {
        self.hex_zeroizing()
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// `InvalidUri` for anything else.
    pub fn flag(&self) -> Result<bool> {
        match self.attribute.value {
            b"true" => Ok(true),
            b"false" => Ok(false),
            _ => Err(self.misfit("`true` or `false`")),
        }
    }

    /// The path of a file, not empty and without control characters; on Unix it need not be UTF-8. Whether there is
    /// such a file is not looked at.
    ///
    /// # Errors
    /// `InvalidUri` for anything else.
    pub fn file(&self) -> Result<&'a Path> {
        let bytes = self.attribute.value;
        if bytes.is_empty() || bytes.iter().any(u8::is_ascii_control) {
            return Err(self.misfit("the path of a file"));
        }
        #[cfg(unix)]
        return Ok(Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes)));
        #[cfg(not(unix))]
        return self.text().map(Path::new);
    }

    /// A copy that is wiped when dropped.
    pub fn secret(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.attribute.value.to_vec())
    }

    /// The error for a value that reads well but means nothing: kind `InvalidUri`, `expected` as the hint.
    pub fn misfit(&self, expected: impl fmt::Display) -> Error {
        let (scheme, name) = (self.scheme, self.attribute.name);
        Error::new(ErrorKind::InvalidUri, format!("{scheme}: the value of `{name}` is not understood"))
            .with_hint(format!("`{name}` takes {expected}"))
    }

    fn hex_zeroizing(&self) -> Result<Zeroizing<Vec<u8>>> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, odd) = self.attribute.value.as_chunks::<2>();
        let mut bytes = Zeroizing::new(Vec::with_capacity(pairs.len()));
        for [high, low] in pairs {
            let (Some(high), Some(low)) = (digit(*high), digit(*low)) else { break };
            bytes.push(high << 4 | low);
        }
        if pairs.is_empty() || !odd.is_empty() || bytes.len() < pairs.len() {
            return Err(self.misfit("pairs of hex digits"));
        }
        Ok(bytes)
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.attribute.fmt(f)
    }
}
