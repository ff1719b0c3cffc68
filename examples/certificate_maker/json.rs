//! JSON objects whose every field must be known.

#![allow(clippy::needless_pass_by_value, reason = "all that read a field have one shape")]

use kmskit::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

/// The fields of one object. A field is taken once; what is left at the end is unknown.
pub(crate) struct Fields {
    /// Where in the template: `basicConstraints.`, empty at the top.
    path: String,
    left: Map<String, Value>,
    asked: Vec<&'static str>,
}

impl Fields {
    /// Those of `value`, which stands at `path`.
    pub(crate) fn of(path: &str, value: Value) -> Result<Self> {
        match value {
            Value::Object(left) => {
                let path = if path.is_empty() { String::new() } else { format!("{path}.") };
                Ok(Self { path, left, asked: Vec::new() })
            }
            _ => Err(bad(format!("`{path}` is not an object"))),
        }
    }

    /// A field, read by `read` from its path and value; `null` is as if it were not there.
    pub(crate) fn take<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str, Value) -> Result<T>,
    ) -> Result<Option<T>> {
        self.asked.push(name);
        match self.left.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(&format!("{}{name}", self.path), value).map(Some),
        }
    }

    /// Fails if there are fields that nobody asked for.
    pub(crate) fn finish(self) -> Result<()> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => Err(bad(format!("there is no field `{}{name}`", self.path))
                .with_hint(format!("known here: {}", self.asked.join(", ")))),
        }
    }
}

pub(crate) fn text(path: &str, value: Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(bad(format!("`{path}` is not a text"))),
    }
}

/// A list of texts, or one text alone.
pub(crate) fn texts(path: &str, value: Value) -> Result<Vec<String>> {
    match value {
        Value::String(text) => Ok(vec![text]),
        value => list(path, value)?.into_iter().map(|value| text(path, value)).collect(),
    }
}

pub(crate) fn list(path: &str, value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(values) => Ok(values),
        _ => Err(bad(format!("`{path}` is not a list"))),
    }
}

pub(crate) fn flag(path: &str, value: Value) -> Result<bool> {
    value.as_bool().ok_or_else(|| bad(format!("`{path}` is neither true nor false")))
}

pub(crate) fn number(path: &str, value: Value) -> Result<i64> {
    value.as_i64().ok_or_else(|| bad(format!("`{path}` is not a whole number")))
}

/// Puts each of `texts` through `read`, naming `path` in its errors.
pub(crate) fn each<T>(path: &str, texts: Vec<String>, read: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    texts.iter().map(|text| read(text).map_err(|error| error.in_context(format!("`{path}`")))).collect()
}

pub(crate) fn bad(context: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}
