//! Finding objects on the token: exactly one, or an error that says what is there.

use cryptoki_sys as sys;
use kms_core::{Error, ErrorKind};

use crate::attribute::Attribute;
use crate::connection::Trouble;
use crate::library::ObjectHandle;
use crate::options::{KeyQuery, describe, percent};
use crate::session::Session;

/// Most objects looked at in one search.
const MOST: usize = 10_000;

/// Most objects named in an error.
const NAMED: usize = 8;

/// An object with its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) handle: ObjectHandle,
    pub(crate) id: Vec<u8>,
    /// Without padding.
    pub(crate) label: Vec<u8>,
}

/// The objects of a class that match: three calls, two more for each object. If none has just the label, those are
/// taken whose label differs in padding only, at the price of looking at all.
pub(crate) fn find(session: &Session, class: sys::CK_OBJECT_CLASS, query: &KeyQuery) -> Result<Vec<Object>, Trouble> {
    let mut template = vec![Attribute::class(class)];
    template.extend(query.id.as_ref().map(|id| Attribute::octets(sys::CKA_ID, id)));
    let without_label = template.clone();
    template.extend(query.label.as_ref().map(|label| Attribute::octets(sys::CKA_LABEL, label.as_bytes())));
    let found = find_by(session, &template, query)?.complete()?;
    if found.is_empty() && query.label.is_some() {
        let padded = find_by(session, &without_label, query)?;
        return if padded.objects.is_empty() { Ok(Vec::new()) } else { padded.complete() };
    }
    Ok(found)
}

/// Every object of a class.
pub(crate) fn all(session: &Session, class: sys::CK_OBJECT_CLASS) -> Result<Vec<Object>, Trouble> {
    find_by(session, &[Attribute::class(class)], &KeyQuery::default())?.complete()
}

/// The one object of a class that matches.
///
/// # Errors
/// `NotFound`, which says what is there; `Ambiguous` with the candidates.
pub(crate) fn one(session: &Session, class: sys::CK_OBJECT_CLASS, query: &KeyQuery) -> Result<Object, Trouble> {
    let mut found = find(session, class, query)?;
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Trouble::Error(absent(session, class, query)?)),
        count => {
            let context = format!("{count} {}s match {}", noun(class), query.describe());
            let hint = format!("state both `id` and `object`, or delete what is too many; there is {}", list(&found));
            Err(Trouble::Error(Error::new(ErrorKind::Ambiguous, context).with_hint(hint)))
        }
    }
}

/// The error for an object that is not there, with those that are.
pub(crate) fn absent(session: &Session, class: sys::CK_OBJECT_CLASS, query: &KeyQuery) -> Result<Error, Trouble> {
    let there = find_by(session, &[Attribute::class(class)], &KeyQuery::default())?.objects;
    let mut hints = Vec::new();
    if let Some(meant) = query.id.as_deref().and_then(from_hex) {
        let whether = if there.iter().any(|object| object.id == meant) { ", which is there" } else { "" };
        hints.push(format!("`id` is text unless escaped: for hex write `id={}`{whether}", percent(&meant)));
    }
    hints.push(if there.is_empty() {
        format!("no {} at all can be seen", noun(class))
    } else {
        format!("there is {}", list(&there))
    });
    let context = format!("no {} matches {}", noun(class), query.describe());
    Ok(Error::new(ErrorKind::NotFound, context).with_hint(hints.join("; ")))
}

/// A name for people.
pub(crate) fn noun(class: sys::CK_OBJECT_CLASS) -> &'static str {
    match class {
        sys::CKO_PRIVATE_KEY => "private key",
        sys::CKO_PUBLIC_KEY => "public key",
        sys::CKO_CERTIFICATE => "certificate",
        _ => "object",
    }
}

/// What a search found before it was given up.
struct Found {
    objects: Vec<Object>,
    more: bool,
}

impl Found {
    /// All there is: of less it could be told neither that a key is the only one, nor that a list is whole.
    fn complete(self) -> Result<Vec<Object>, Trouble> {
        if !self.more {
            return Ok(self.objects);
        }
        let context = format!("more than {MOST} objects match");
        Err(Trouble::Error(Error::new(ErrorKind::Unsupported, context).with_hint("state `id` or `object`")))
    }
}

fn find_by(session: &Session, template: &[Attribute], query: &KeyQuery) -> Result<Found, Trouble> {
    let (library, handle) = (session.library(), session.handle());
    let mut found = Vec::new();
    let mut handles = library.find(handle, template, MOST + 1)?;
    let more = handles.len() > MOST;
    handles.truncate(MOST);
    for object in handles {
        let names = match library.attributes(handle, object, [sys::CKA_ID, sys::CKA_LABEL]) {
            Ok(names) => names,
            // Deleted meanwhile by somebody else.
            Err(fault) if fault.code == sys::CKR_OBJECT_HANDLE_INVALID => continue,
            Err(fault) => return Err(fault.into()),
        };
        let [id, label] = names.map(Option::unwrap_or_default);
        let object = Object { handle: object, id, label: trimmed(&label).to_vec() };
        // Some tokens show others' objects while those are written.
        if object.matches(query) {
            found.push(object);
        }
    }
    Ok(Found { objects: found, more })
}

impl Object {
    fn matches(&self, query: &KeyQuery) -> bool {
        query.id.as_ref().is_none_or(|id| *id == self.id)
            && query.label.as_ref().is_none_or(|label| trimmed(label.as_bytes()) == self.label)
    }

    /// Its label, where it is text.
    pub(crate) fn text(&self) -> Option<&str> {
        str::from_utf8(&self.label).ok().filter(|text| !text.is_empty() && !text.contains(char::is_control))
    }

    /// What names it again.
    pub(crate) fn query(&self) -> KeyQuery {
        KeyQuery {
            id: Some(self.id.clone()).filter(|id| !id.is_empty()),
            label: self.text().map(str::to_owned),
            class: None,
        }
    }

    pub(crate) fn describe(&self) -> String {
        let id = Some(&self.id[..]).filter(|id| !id.is_empty());
        let text = describe(id, self.text());
        if text.is_empty() { "one without names".into() } else { format!("`{text}`") }
    }
}

fn list(objects: &[Object]) -> String {
    let mut lines: Vec<_> = objects.iter().take(NAMED).map(Object::describe).collect();
    if objects.len() > NAMED {
        lines.push(format!("{} more", objects.len() - NAMED));
    }
    lines.join(", ")
}

/// The octets, if the text looks like hex digits.
fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    if pairs.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

fn trimmed(label: &[u8]) -> &[u8] {
    let end = label.iter().rposition(|octet| !matches!(octet, 0 | b' ')).map_or(0, |last| last + 1);
    &label[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_recognised_and_padding_is_cut() {
        assert_eq!(from_hex(b"7371"), Some(b"sq".to_vec()));
        assert_eq!(from_hex(b"0A"), Some(vec![10]));
        for text in [&b""[..], b"1", b"zz", b"737"] {
            assert_eq!(from_hex(text), None);
        }
        assert_eq!(trimmed(b"root\0 \0"), b"root");
        assert_eq!(trimmed(b"  "), b"");
    }
}
