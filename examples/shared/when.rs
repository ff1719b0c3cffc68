//! Times and lengths of time as people write them.

#![allow(dead_code, reason = "shared: each example uses its own part")]

use std::time::{Duration, SystemTime};

use der::DateTime;
use kmskit::{Error, ErrorKind, Result};

/// A point in time: `2030-01-31T12:00:00Z` (RFC 3339, UTC, whole seconds).
pub(crate) fn instant(text: &str) -> Result<SystemTime> {
    let date: DateTime = text.parse().map_err(|error: der::Error| {
        bad(format!("`{text}` is not a date that exists, in the form that is read"), "write `2030-01-31T12:00:00Z`")
            .with_source(error)
    })?;
    Ok(date.to_system_time())
}

/// The text of a point in time, in the form that [`instant`] reads.
pub(crate) fn text(time: SystemTime) -> Result<String> {
    let date = DateTime::from_system_time(time)
        .map_err(|error| bad("a time beyond the year 9999".to_owned(), "choose an earlier one").with_source(error))?;
    Ok(date.to_string())
}

/// A length of time as Go writes it: `8760h`, `1h30m`, `1.5h`, `90s`. Not zero.
pub(crate) fn length(text: &str) -> Result<Duration> {
    let wrong = || bad(format!("`{text}` is not a length of time"), "write hours, minutes, seconds: `8760h`, `1h30m`");
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        let seconds = match rest.as_bytes()[digits] {
            b'h' => 3600.0,
            b'm' => 60.0,
            b's' => 1.0,
            _ => return Err(wrong()),
        };
        total += number * seconds;
        rest = &rest[digits + 1..];
    }
    match Duration::try_from_secs_f64(total) {
        Ok(length) if length >= Duration::from_secs(1) => Ok(length),
        _ => Err(wrong()),
    }
}

fn bad(context: String, hint: &'static str) -> Error {
    Error::new(ErrorKind::InvalidArgument, context).with_hint(hint)
}
