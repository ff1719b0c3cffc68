//! Taking a URI's attributes one by one, so that none is overlooked.

use super::scheme;
use super::value::Value;
use super::{Attribute, KeyUri, Part};
use crate::{Error, ErrorKind, Result};

/// Hands out attributes by name and remembers which were asked for; what is left in the end is an error.
///
/// The path attribute `alg` counts as taken: it belongs to no backend, see [`KeyUri::alg`].
#[derive(Debug)]
#[must_use = "unknown attributes pass unseen without `finish`"]
pub struct Attributes<'a> {
    uri: &'a KeyUri,
    taken: Vec<bool>,
    asked: Vec<(Part, &'static str)>,
}

impl<'a> Attributes<'a> {
    pub(super) fn new(uri: &'a KeyUri) -> Self {
        // An `alg` that is no text is left over, and so refused.
        let alg = |attribute: Attribute<'_>| is(&attribute, Part::Path, "alg") && attribute.text().is_some();
        Self { uri, taken: uri.all().map(alg).collect(), asked: Vec::new() }
    }

    /// The attribute `name` of the path.
    ///
    /// # Errors
    /// `InvalidUri` if it is repeated.
    pub fn path(&mut self, name: &'static str) -> Result<Option<Value<'a>>> {
        self.take(Part::Path, name)
    }

    /// The attribute `name` of the query.
    ///
    /// # Errors
    /// `InvalidUri` if it is repeated.
    pub fn query(&mut self, name: &'static str) -> Result<Option<Value<'a>>> {
        self.take(Part::Query, name)
    }

    /// The attribute `name`, wherever it stands.
    ///
    /// # Errors
    /// `InvalidUri` if it is repeated, or stands in the path and in the query.
    pub fn either(&mut self, name: &'static str) -> Result<Option<Value<'a>>> {
        match (self.path(name)?, self.query(name)?) {
            (Some(_), Some(_)) => Err(self.twice(name)),
            (one, other) => Ok(one.or(other)),
        }
    }

    /// Ends the taking.
    ///
    /// # Errors
    /// `InvalidUri` naming every attribute nobody asked for, without its value, and the names that are known; for a
    /// secret in the midst of another value.
    pub fn finish(self) -> Result<()> {
        if let Some(around) = self.uri.all().find(|attribute| attribute.secret && !scheme::is_secret(attribute.name)) {
            let context = format!("{}: the value of {} holds a secret", self.uri.scheme(), self.shown(&around));
            return Err(Error::new(ErrorKind::InvalidUri, context)
                .with_hint("secrets go after the `?`, of which there is one, with `&` between them"));
        }
        let left = || self.uri.all().zip(&self.taken).filter(|(_, taken)| !**taken).map(|(attribute, _)| attribute);
        let names = left().map(|left| self.shown(&left)).collect::<Vec<_>>();
        if names.is_empty() {
            return Ok(());
        }
        let noun = if names.len() == 1 { "attribute" } else { "attributes" };
        let hints = left().filter_map(|left| self.misplaced(&left)).chain([self.known()]).collect::<Vec<_>>();
        Err(Error::new(ErrorKind::InvalidUri, format!("{}: unknown {noun} {}", self.uri.scheme(), names.join(", ")))
            .with_hint(hints.join("; ")))
    }

    fn take(&mut self, part: Part, name: &'static str) -> Result<Option<Value<'a>>> {
        if !self.asked.contains(&(part, name)) {
            self.asked.push((part, name));
        }
        let mut found = None;
        for (attribute, taken) in self.uri.all().zip(&mut self.taken) {
            if is(&attribute, part, name) {
                *taken = true;
                if found.replace(attribute).is_some() {
                    return Err(self.twice(name));
                }
            }
        }
        Ok(found.map(|attribute| Value::new(self.uri.scheme(), attribute)))
    }

    fn twice(&self, name: &str) -> Error {
        Error::new(ErrorKind::InvalidUri, format!("{}: `{name}` given a second time", self.uri.scheme()))
            .with_hint("give each attribute once")
    }

    /// Beside a secret only names that are known: half a PIN with a raw `&` in it looks like a name.
    fn shown(&self, attribute: &Attribute<'_>) -> String {
        let (name, part) = (attribute.name, attribute.part.noun());
        let asked = self.asked.iter().any(|asked| asked.1 == name);
        let known = asked || scheme::printable(name).is_some() || scheme::is_secret(name);
        if known || !self.uri.has_secret() { format!("`{name}` in the {part}") } else { format!("one in the {part}") }
    }

    /// For a known name on the wrong side of the `?`.
    fn misplaced(&self, left: &Attribute<'_>) -> Option<String> {
        let asked = |part| self.asked.contains(&(part, left.name));
        match left.part {
            Part::Path if asked(Part::Query) || scheme::is_standard_query(left.name) || left.secret => {
                Some(format!("`{}` belongs after the `?`", left.name))
            }
            Part::Query if asked(Part::Path) => Some(format!("`{}` belongs before the `?`", left.name)),
            _ => None,
        }
    }

    fn known(&self) -> String {
        let names = |part| {
            let names = self.asked.iter().filter(|asked| asked.0 == part).map(|asked| format!("`{}`", asked.1));
            names.chain((part == Part::Path).then(|| "`alg`".to_owned())).collect::<Vec<_>>().join(", ")
        };
        let (path, query) = (names(Part::Path), names(Part::Query));
        if query.is_empty() { format!("known: {path}") } else { format!("known: {path}; after the `?`: {query}") }
    }
}

fn is(attribute: &Attribute<'_>, part: Part, name: &str) -> bool {
    attribute.part == part && attribute.name == name
}

impl Part {
    fn noun(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
        }
    }
}
