//! Requests and answers: members, checks, errors, pages.

use std::collections::BTreeMap;
use std::time::SystemTime;

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use x509_cert::der::DateTime;

use super::enumeration::{self, Table};
use crate::material::Unfit;

pub(crate) type Answer<T = Value> = Result<T, Refusal>;

/// An error as the service words it.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) details: Value,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), details: json!([]) }
    }

    /// `google.rpc.Status` in JSON.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = json!({ "code": self.status, "message": self.message, "status": self.code });
        if self.details.as_array().is_some_and(|details| !details.is_empty()) {
            error["details"] = self.details.clone();
        }
        json!({ "error": error })
    }
}

impl From<Unfit> for Refusal {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Misfit => Self::new(400, "INVALID_ARGUMENT", "The key does not do that."),
            Unfit::Length => Self::new(400, "INVALID_ARGUMENT", "The digest is not as long as the algorithm has it."),
            Unfit::TooLong => Self::new(400, "INVALID_ARGUMENT", "The data is too long for the algorithm."),
            Unfit::Broken(what) => Self::new(500, "INTERNAL", what),
        }
    }
}

pub(crate) fn invalid<T>(message: impl Into<String>) -> Answer<T> {
    Err(Refusal::new(400, "INVALID_ARGUMENT", message))
}

pub(crate) fn missing<T>(kind: &str, name: &str) -> Answer<T> {
    Err(Refusal::new(404, "NOT_FOUND", format!("{kind} {name} not found.")))
}

pub(crate) fn exists<T>(kind: &str, name: &str) -> Answer<T> {
    Err(Refusal::new(409, "ALREADY_EXISTS", format!("{kind} {name} already exists.")))
}

/// `kind` is for programs, as `KEY_DISABLED`.
pub(crate) fn precondition<T>(kind: &str, name: &str, message: impl Into<String>) -> Answer<T> {
    let mut refusal = Refusal::new(400, "FAILED_PRECONDITION", message);
    refusal.details = json!([{
        "@type": "type.googleapis.com/google.rpc.PreconditionFailure",
        "violations": [{
            "type": kind,
            "subject": format!("https://cloudkms.googleapis.com/v1/{name}"),
            "description": refusal.message,
        }],
    }]);
    Err(refusal)
}

/// What a request has beside its name.
pub(crate) struct Input {
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) body: Value,
}

impl Input {
    /// A parameter of the query, empty when it is not there.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map(String::as_str).unwrap_or_default()
    }

    /// A parameter of the query that is an enumeration; `None` when it is not there, or 0.
    pub(crate) fn choice(&self, name: &str, table: Table) -> Answer<Option<&'static str>> {
        match self.parameter(name) {
            "" | "0" => Ok(None),
            text => one_of(&json!({ name: text }), name, table),
        }
    }

    /// An identifier that the caller chose.
    pub(crate) fn id(&self, name: &str) -> Answer<&str> {
        let id = self.parameter(name);
        let good = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
        if (1..=63).contains(&id.len()) && id.bytes().all(good) {
            return Ok(id);
        }
        invalid(format!("The {name} must match the regular expression [a-zA-Z0-9_-]{{1,63}}."))
    }

    pub(crate) fn text(&self, name: &str) -> Answer<&str> {
        text(&self.body, name)
    }

    pub(crate) fn flag(&self, name: &str) -> Answer<bool> {
        match &self.body[name] {
            Value::Null => Ok(false),
            Value::Bool(flag) => Ok(*flag),
            _ => invalid(format!("Invalid value at '{name}' (TYPE_BOOL)")),
        }
    }

    pub(crate) fn octets(&self, name: &str) -> Answer<Option<Vec<u8>>> {
        octets(&self.body, name)
    }

    /// Whether there is a checksum of these octets.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for one of others.
    pub(crate) fn verified(&self, name: &str, of: &str, octets: &[u8]) -> Answer<bool> {
        let value = &self.body[name];
        let stated = value.as_i64().or_else(|| value.as_str()?.parse().ok());
        match stated {
            None if value.is_null() => Ok(false),
            Some(stated) if stated == checksum(octets) => Ok(true),
            Some(_) => invalid(format!("The checksum in field {name} did not match the data in field {of}.")),
            None => invalid(format!("Invalid value at '{name}' (TYPE_INT64)")),
        }
    }
}

/// A member that is a string; empty when it is not there.
pub(crate) fn text<'a>(object: &'a Value, name: &str) -> Answer<&'a str> {
    match &object[name] {
        Value::Null => Ok(""),
        Value::String(text) => Ok(text),
        _ => invalid(format!("Invalid value at '{name}' (TYPE_STRING)")),
    }
}

/// A member that is an enumeration; `None` when it is not there, or 0.
pub(crate) fn one_of(object: &Value, name: &str, table: Table) -> Answer<Option<&'static str>> {
    let value = &object[name];
    if value.is_null() || value.as_i64() == Some(0) || value.as_str().is_some_and(|text| text.ends_with("UNSPECIFIED"))
    {
        return Ok(None);
    }
    enumeration::name(table, value)
        .map_or_else(|| invalid(format!("Invalid value at '{name}' (TYPE_ENUM)")), |name| Ok(Some(name)))
}

/// A member that is octets, in either alphabet of Base64, with or without padding.
pub(crate) fn octets(object: &Value, name: &str) -> Answer<Option<Vec<u8>>> {
    let text = match &object[name] {
        Value::Null => return Ok(None),
        Value::String(text) => text.trim_end_matches('=').replace('-', "+").replace('_', "/"),
        _ => return invalid(format!("Invalid value at '{name}' (TYPE_BYTES)")),
    };
    base64ct::Base64Unpadded::decode_vec(&text)
        .map(Some)
        .or_else(|_| invalid(format!("Invalid value at '{name}' (TYPE_BYTES), Base64 decoding failed")))
}

pub(crate) fn base64(octets: &[u8]) -> Value {
    Base64::encode_string(octets).into()
}

pub(crate) fn checksum(octets: &[u8]) -> i64 {
    crc32c::crc32c(octets).into()
}

/// RFC 3339.
pub(crate) fn time(time: SystemTime) -> Value {
    DateTime::from_system_time(time).map(|time| time.to_string()).unwrap_or_default().into()
}

/// One page of a list, of all entries sorted by name: `pageSize` of them, and no more than `most`.
pub(crate) fn page(input: &Input, field: &str, all: &[(String, Value)], most: usize) -> Answer {
    let size = match input.parameter("pageSize") {
        "" | "0" => most,
        text => match text.parse::<usize>() {
            Ok(size) => size.min(most),
            Err(_) => return invalid("The page size must not be negative."),
        },
    };
    let after = match input.parameter("pageToken") {
        "" => String::new(),
        token => match Base64::decode_vec(token).ok().and_then(|name| String::from_utf8(name).ok()) {
            Some(name) => name,
            None => return invalid("The page token is not one of this service."),
        },
    };
    let rest: Vec<_> = all.iter().filter(|(name, _)| *name > after).collect();
    let mut answer = json!({ "totalSize": all.len() });
    let entries: Vec<_> = rest.iter().take(size).map(|(_, entry)| entry.clone()).collect();
    if let Some((last, _)) = rest.get(size.max(1) - 1).filter(|_| rest.len() > size) {
        answer["nextPageToken"] = base64(last.as_bytes());
    }
    if !entries.is_empty() {
        answer[field] = entries.into();
    }
    Ok(answer)
}
