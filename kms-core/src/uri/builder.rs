//! Key URIs from their parts.

use std::fmt;

use zeroize::Zeroizing;

use super::scheme::{self, Class};
use super::{Attribute, KeyUri, Part, UriError, format};

/// A key URI in the making: values are given as they are, escapes are added where needed.
///
/// Nothing is checked before [`build`](Self::build). `Debug` shows no values.
#[derive(Clone)]
#[must_use]
pub struct KeyUriBuilder {
    scheme: String,
    items: Vec<Item>,
}

#[derive(Clone)]
struct Item {
    part: Part,
    name: String,
    value: Zeroizing<Vec<u8>>,
    positional: bool,
}

impl KeyUriBuilder {
    pub(super) fn new(scheme: &str) -> Self {
        Self { scheme: scheme.to_ascii_lowercase(), items: Vec::new() }
    }

    pub(super) fn from_uri(uri: &KeyUri) -> Self {
        let item = |attribute: Attribute<'_>| Item {
            part: attribute.part,
            name: attribute.name.to_owned(),
            value: Zeroizing::new(attribute.value.to_vec()),
            positional: attribute.positional,
        };
        Self { scheme: uri.scheme().to_owned(), items: uri.all().map(item).collect() }
    }

    /// Appends an attribute to the path.
    pub fn path(self, name: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        self.push(Part::Path, name.into(), value.as_ref(), false)
    }

    /// Appends an attribute to the query.
    pub fn query(self, name: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        self.push(Part::Query, name.into(), value.as_ref(), false)
    }

    /// The value that is written without a name: `softkms:root.key`, `cloudkms:projects/…`, `awskms:///alias/…`.
    ///
    /// Readers find it in the path under the name the scheme gives it: `path`, `resource`, `key-id`.
    pub fn positional(self, value: impl AsRef<[u8]>) -> Self {
        self.push(Part::Path, String::new(), value.as_ref(), true)
    }

    /// The URI; it parses back to the same attributes, byte for byte, whatever the values.
    ///
    /// # Errors
    /// A scheme or name outside RFC 7512, a repeated attribute, a positional value that is empty, given twice or not
    /// read by the scheme, a `pkcs11:` `type`, `slot-id` or `library-version` not of its form, or more than 64 KiB.
    pub fn build(mut self) -> Result<KeyUri, UriError> {
        if !scheme::is_scheme(&self.scheme) {
            return Err(UriError::new("not the name of a scheme"));
        }
        let positional = scheme::rules(&self.scheme).positional.as_ref();
        for item in &mut self.items {
            if item.positional {
                let hint = scheme::rules(&self.scheme).hint;
                let Some(positional) = positional.filter(|_| !item.value.is_empty()) else {
                    return Err(UriError::new("a value without a name that this scheme cannot write").hint_with(hint));
                };
                positional.attribute.clone_into(&mut item.name);
            }
            if item.name.is_empty() || Class::Name.run(item.name.as_bytes()) < item.name.len() {
                return Err(UriError::new("an attribute name outside the grammar")
                    .hint_with("names are of letters, digits, `-` and `_`"));
            }
        }
        // Stable: the order in which attributes were given is kept, the positional value first.
        self.items.sort_by_key(|item| (item.part, !item.positional));
        if self.items.iter().filter(|item| item.positional).count() > 1 {
            return Err(
                UriError::new("two values without a name").hint_with("give one, and the others with their names")
            );
        }
        let text = format::exposed(&self.scheme, self.items.iter().map(Item::attribute));
        // The same checks as for a text from outside, in the same words. The caller never saw this text.
        KeyUri::parse(&text).map_err(UriError::without_position)
    }

    pub(super) fn replace(mut self, part: Part, name: &str, value: &[u8]) -> Self {
        let mut places =
            (0..self.items.len()).filter(|at| self.items[*at].part == part && self.items[*at].name == name);
        let Some(first) = places.next() else {
            return self.push(part, name.to_owned(), value, false);
        };
        let item = &mut self.items[first];
        item.value = Zeroizing::new(value.to_vec());
        item.positional &= !value.is_empty();
        let mut at = 0;
        self.items.retain(|item| {
            at += 1;
            at <= first + 1 || item.part != part || item.name != name
        });
        self
    }

    fn push(mut self, part: Part, name: String, value: &[u8], positional: bool) -> Self {
        self.items.push(Item { part, name, value: Zeroizing::new(value.to_vec()), positional });
        self
    }
}

impl Item {
    fn attribute(&self) -> Attribute<'_> {
        Attribute {
            part: self.part,
            name: &self.name,
            value: &self.value,
            secret: scheme::is_secret(&self.name),
            positional: self.positional,
        }
    }
}

impl fmt::Debug for KeyUriBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.items.iter().map(|item| &item.name).collect::<Vec<_>>();
        f.debug_struct("KeyUriBuilder").field("scheme", &self.scheme).field("names", &names).finish_non_exhaustive()
    }
}
