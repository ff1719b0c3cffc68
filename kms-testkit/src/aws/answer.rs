//! What operations are given and give: JSON with the names of the API reference, and its errors.

use base64ct::{Base64, Encoding};
use serde_json::{Map, Value};

/// An operation's answer.
pub(crate) type Answer<T = Value> = Result<T, Refusal>;

/// An error, as the service words it.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// An error with status 400, which most have.
pub(crate) fn refuse<T>(code: &'static str, message: impl Into<String>) -> Answer<T> {
    Err(Refusal { status: 400, code, message: message.into() })
}

pub(crate) fn invalid<T>(message: impl Into<String>) -> Answer<T> {
    refuse("ValidationException", message)
}

/// A request's body.
pub(crate) struct Input(Map<String, Value>);

impl Input {
    pub(crate) fn parse(body: &[u8]) -> Answer<Self> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            _ => refuse("SerializationException", "the request body is not a JSON object"),
        }
    }

    pub(crate) fn text(&self, name: &str) -> Answer<Option<&str>> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => refuse("SerializationException", format!("{name} is not a string")),
        }
    }

    pub(crate) fn required(&self, name: &str) -> Answer<&str> {
        self.text(name)?.map_or_else(|| missing(name), Ok)
    }

    pub(crate) fn flag(&self, name: &str) -> Answer<bool> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => refuse("SerializationException", format!("{name} is not a boolean")),
        }
    }

    pub(crate) fn number(&self, name: &str) -> Answer<Option<i64>> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_i64() {
                Some(number) => Ok(Some(number)),
                None => refuse("SerializationException", format!("{name} is not an integer")),
            },
        }
    }

    /// Octets of a length within `1..=most`.
    pub(crate) fn octets(&self, name: &str, most: usize) -> Answer<Vec<u8>> {
        let Ok(octets) = Base64::decode_vec(self.required(name)?) else {
            return refuse("SerializationException", format!("{name} is not base64"));
        };
        if octets.is_empty() || octets.len() > most {
            return invalid(format!(
                "1 validation error detected: Value at '{name}' failed to satisfy constraint: Member must have length \
                 between 1 and {most}"
            ));
        }
        Ok(octets)
    }

    /// `TagKey` and `TagValue` of each member.
    pub(crate) fn tags(&self) -> Answer<Vec<(String, String)>> {
        let Some(tags) = self.0.get("Tags").filter(|tags| !tags.is_null()) else { return Ok(Vec::new()) };
        let pair =
            |tag: &Value| Some((tag.get("TagKey")?.as_str()?.to_owned(), tag.get("TagValue")?.as_str()?.to_owned()));
        let pairs = tags.as_array().and_then(|tags| tags.iter().map(pair).collect::<Option<Vec<_>>>());
        match pairs {
            Some(pairs) => Ok(pairs),
            None => refuse("SerializationException", "Tags is not a list of tags"),
        }
    }

    pub(crate) fn texts(&self, name: &str) -> Answer<Vec<String>> {
        let texts = self.0.get(name).and_then(Value::as_array);
        let texts = texts.map(|texts| texts.iter().map(|text| text.as_str().map(str::to_owned)).collect());
        match texts {
            Some(Some(texts)) => Ok(texts),
            Some(None) => refuse("SerializationException", format!("{name} is not a list of strings")),
            None => missing(name),
        }
    }
}

/// One page of a list: at most `Limit` items, from the one that `Marker` names on.
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    next: Option<String>,
}

impl<T> Page<T> {
    /// `all` is sorted by name.
    pub(crate) fn of(input: &Input, all: Vec<(String, T)>, usual: usize, most: usize) -> Answer<Self> {
        let limit = match input.number("Limit")? {
            None => usual,
            Some(limit) => match usize::try_from(limit) {
                Ok(limit) if (1..=most).contains(&limit) => limit,
                _ => return invalid(format!("Limit must be between 1 and {most}")),
            },
        };
        let from = match input.text("Marker")? {
            None => None,
            Some(marker) => match Base64::decode_vec(marker).ok().and_then(|name| String::from_utf8(name).ok()) {
                Some(name) => Some(name),
                None => return refuse("InvalidMarkerException", "the marker is not one of ours"),
            },
        };
        let mut items: Vec<_> =
            all.into_iter().filter(|(name, _)| from.as_ref().is_none_or(|from| name > from)).collect();
        let next = (items.len() > limit).then(|| Base64::encode_string(items[limit - 1].0.as_bytes()));
        items.truncate(limit);
        Ok(Self { items: items.into_iter().map(|(_, item)| item).collect(), next })
    }

    /// The members that tell whether there is more.
    pub(crate) fn finish(&self, mut answer: Value) -> Value {
        answer["Truncated"] = self.next.is_some().into();
        if let Some(next) = &self.next {
            answer["NextMarker"] = next.as_str().into();
        }
        answer
    }
}

pub(crate) fn base64(octets: &[u8]) -> Value {
    Base64::encode_string(octets).into()
}

fn missing<T>(name: &str) -> Answer<T> {
    invalid(format!(
        "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
    ))
}
