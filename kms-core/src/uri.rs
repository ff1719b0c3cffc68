//! URIs that name keys: RFC 7512 for `pkcs11:`, the same grammar for every other scheme.
//!
//! ```text
//! scheme:name=value;name=value?name=value&name=value
//!        └─ path: which key ─┘ └─ query: how to reach it
//! ```
//!
//! A value may hold any bytes, as `%` and two hex digits where the grammar wants it; a `+` is a plus. `pkcs11:` follows
//! the ABNF of RFC 7512 §2.3 to the letter. Elsewhere `/` may stand raw in the path too, no attribute may be repeated,
//! and some schemes read a value without a name in front:
//!
//! | spelling | read as |
//! |---|---|
//! | `softkms:root.key`, `softkms:/pki/root.key`, `softkms:///pki/root.key` | `path` |
//! | `awskms:///alias/root`, `awskms:///arn:aws:kms:…` | `key-id` |
//! | `cloudkms:projects/…`, `gcpkms://projects/…` | `resource` |
//! | `other:anything` (a scheme unknown here) | `path` |
//!
//! Values of secret attributes (`pin-value`, `password`, …) are wiped from memory on drop and shown as `<redacted>`;
//! [`KeyUri::to_exposed_string`] is the only way to have them in text.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use zeroize::Zeroizing;

mod attributes;
mod builder;
mod error;
mod format;
mod parse;
mod scheme;
mod value;

pub use attributes::Attributes;
pub use builder::KeyUriBuilder;
pub use error::UriError;
pub use value::Value;

/// The longest text that is parsed, in bytes.
const MAX_LENGTH: usize = 64 * 1024;

/// A parsed key URI: scheme and decoded attributes in their order.
///
/// Two are equal when scheme, attributes and their order are; the spelling does not count (`softkms:a` and
/// `softkms:path=a`). `Display` and `Debug` give the canonical text with secrets redacted, which does not parse back if
/// there are any.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyUri {
    scheme: String,
    names: String,
    values: Zeroizing<Vec<u8>>,
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    part: Part,
    /// In `KeyUri::names`.
    name: Span,
    /// In `KeyUri::values`.
    value: Span,
    secret: bool,
    /// Written without its name.
    positional: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Path,
    Query,
}

/// One attribute of a [`KeyUri`]. `Debug` redacts secrets.
#[derive(Clone, Copy)]
pub struct Attribute<'a> {
    part: Part,
    name: &'a str,
    value: &'a [u8],
    secret: bool,
    positional: bool,
}

impl KeyUri {
    /// Reads RFC 7512 §2.3 and the spellings listed [above](self). Linear in the length of `text`.
    ///
    /// # Errors
    /// The first fault, with its offset in bytes and what to write instead, but no text from `text`. Longer than 64 KiB
    /// is an error. Only syntax is checked: whether a backend knows the attributes is for [`Attributes::finish`].
    pub fn parse(text: &str) -> Result<Self, UriError> {
        parse::parse(text)
    }

    /// A URI from parts; `scheme` in either case.
    pub fn builder(scheme: &str) -> KeyUriBuilder {
        KeyUriBuilder::new(scheme)
    }

    /// In lower case, whatever the case it was written in.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The attributes before the `?`, in their order.
    pub fn path(&self) -> impl Iterator<Item = Attribute<'_>> {
        self.all().filter(|attribute| attribute.part == Part::Path)
    }

    /// The attributes after the `?`, in their order. In `pkcs11:`, names that are not of RFC 7512 may come again.
    pub fn query(&self) -> impl Iterator<Item = Attribute<'_>> {
        self.all().filter(|attribute| attribute.part == Part::Query)
    }

    /// For a backend to take what it knows and refuse the rest.
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes::new(self)
    }

    /// The signature algorithm the URI states, in the path attribute `alg`; open to every scheme.
    ///
    /// `None` too for a value that is not text; [`Attributes::finish`] refuses that one.
    pub fn alg(&self) -> Option<&str> {
        self.path().find(|attribute| attribute.name == "alg")?.text()
    }

    /// Whether any attribute [is secret](Attribute::is_secret).
    pub fn has_secret(&self) -> bool {
        self.entries.iter().any(|entry| entry.secret)
    }

    /// A copy without the secret attributes, fit to be stored and shown.
    pub fn without_secrets(&self) -> Self {
        let kept = || self.all().filter(|attribute| !attribute.secret);
        let mut copy = Self {
            scheme: self.scheme.clone(),
            names: String::with_capacity(kept().map(|kept| kept.name.len()).sum()),
            values: Zeroizing::new(Vec::with_capacity(kept().map(|kept| kept.value.len()).sum())),
            entries: Vec::with_capacity(kept().count()),
        };
        for attribute in kept() {
            let start = copy.values.len();
            copy.values.extend_from_slice(attribute.value);
            copy.note(attribute.part, attribute.name, start, false, attribute.positional);
        }
        copy
    }

    /// The canonical text, secrets included: escapes only where the grammar wants them (a `pkcs11:` `id` is escaped
    /// whole, as RFC 7512 §2.3 advises), hex digits in upper case. It parses back to an equal URI.
    pub fn to_exposed_string(&self) -> Zeroizing<String> {
        format::exposed(&self.scheme, self.all())
    }

    /// A copy with the path attribute `name` added, or replaced where it stands. Secrets are kept.
    ///
    /// # Errors
    /// As [`KeyUriBuilder::build`].
    pub fn with_path(&self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, UriError> {
        KeyUriBuilder::from_uri(self).replace(Part::Path, name, value.as_ref()).build()
    }

    /// A copy with the query attribute `name` added, or replaced where it first stands. Secrets are kept.
    ///
    /// # Errors
    /// As [`KeyUriBuilder::build`].
    pub fn with_query(&self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, UriError> {
        KeyUriBuilder::from_uri(self).replace(Part::Query, name, value.as_ref()).build()
    }

    fn all(&self) -> impl Iterator<Item = Attribute<'_>> + Clone {
        self.entries.iter().map(|entry| Attribute {
            part: entry.part,
            name: &self.names[entry.name.start..entry.name.end],
            value: &self.values[entry.value.start..entry.value.end],
            secret: entry.secret,
            positional: entry.positional,
        })
    }

    /// Adds the attribute whose value is what `values` holds from `start`.
    fn note(&mut self, part: Part, name: &str, start: usize, secret: bool, positional: bool) {
        let name_start = self.names.len();
        self.names.push_str(name);
        self.entries.push(Entry {
            part,
            name: Span { start: name_start, end: self.names.len() },
            value: Span { start, end: self.values.len() },
            secret,
            positional,
        });
    }
}

impl<'a> Attribute<'a> {
    /// As written; names are compared with their case.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The value, decoded.
    pub fn bytes(&self) -> &'a [u8] {
        self.value
    }

    /// The value, where it is UTF-8 without control characters.
    pub fn text(&self) -> Option<&'a str> {
        str::from_utf8(self.value).ok().filter(|text| !text.contains(char::is_control))
    }

    /// Whether the value must not be shown: the name says so, or the value holds one that does, as in
    /// `softkms:dir=pki&password-value=…`, where a `?` was meant. [`Attributes::finish`] refuses the latter.
    pub fn is_secret(&self) -> bool {
        self.secret
    }
}

/// The spelling does not count.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.part, self.name, self.value) == (other.part, other.name, other.value)
    }
}

impl Eq for Entry {}

impl Hash for KeyUri {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.scheme.hash(state);
        self.names.hash(state);
        self.values.hash(state);
    }
}

impl FromStr for KeyUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(text)
    }
}

impl fmt::Display for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        format::redacted(f, &self.scheme, self.all())
    }
}

impl fmt::Debug for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyUri({self})")
    }
}

impl fmt::Debug for Attribute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            _ if self.secret => write!(f, "{}=<redacted>", self.name),
            Some(text) => write!(f, "{}={text:?}", self.name),
            None => write!(f, "{}={:02x?}", self.name, self.value),
        }
    }
}
