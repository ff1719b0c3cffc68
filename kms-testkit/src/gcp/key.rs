//! A key's record: what its versions are for, and what new ones will be.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::algorithm::Algorithm;
use super::answer::{Answer, Input, invalid, text, time};
use super::version::Version;

const DAY: Duration = Duration::from_hours(24);

pub(crate) struct CryptoKey {
    pub(crate) name: String,
    pub(crate) purpose: &'static str,
    /// Of new versions.
    pub(crate) algorithm: &'static Algorithm,
    pub(crate) protection_level: &'static str,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) import_only: bool,
    pub(crate) destroy_after: Duration,
    pub(crate) created: SystemTime,
    /// Version 1 is the first.
    pub(crate) versions: Vec<Version>,
}

impl CryptoKey {
    /// Adds a version; its name, and what it is to be.
    pub(crate) fn add(&mut self, make: impl FnOnce(Version) -> Version) -> &Version {
        let name = format!("{}/cryptoKeyVersions/{}", self.name, self.versions.len() + 1);
        self.versions.push(make(Version::new(name, self.algorithm, self.protection_level)));
        &self.versions[self.versions.len() - 1]
    }

    pub(crate) fn describe(&self) -> Value {
        let mut answer = json!({
            "name": self.name,
            "purpose": self.purpose,
            "createTime": time(self.created),
            "versionTemplate": { "protectionLevel": self.protection_level, "algorithm": self.algorithm.name },
            "destroyScheduledDuration": format!("{}s", self.destroy_after.as_secs()),
        });
        if !self.labels.is_empty() {
            answer["labels"] = json!(self.labels);
        }
        if self.import_only {
            answer["importOnly"] = true.into();
        }
        if let (Some(first), "ENCRYPT_DECRYPT") = (self.versions.first(), self.purpose) {
            answer["primary"] = first.describe();
        }
        answer
    }
}

/// The labels of a new key, as <https://cloud.google.com/kms/docs/labeling-keys> has them.
pub(crate) fn labels(input: &Input) -> Answer<BTreeMap<String, String>> {
    const MOST: usize = 64;
    const LONGEST: usize = 63;
    let labels = match &input.body["labels"] {
        Value::Null => return Ok(BTreeMap::new()),
        Value::Object(labels) if labels.len() <= MOST => labels,
        _ => return invalid(format!("A key may have at most {MOST} labels.")),
    };
    let good =
        |char: char| matches!(char, '-' | '_') || char.is_numeric() || char.is_alphabetic() && !char.is_uppercase();
    let fits = |text: &str| text.chars().count() <= LONGEST && text.chars().all(good);
    let mut read = BTreeMap::new();
    for (name, value) in labels {
        let value = value.as_str().unwrap_or("?");
        if !name.starts_with(|first: char| first.is_alphabetic() && good(first)) || !fits(name) || !fits(value) {
            return invalid(format!("The label {name}={value} is not of lowercase letters, digits, - and _."));
        }
        read.insert(name.clone(), value.to_owned());
    }
    Ok(read)
}

/// How long destroyed versions of a new key can be restored.
pub(crate) fn destroy_after(input: &Input, import_only: bool) -> Answer<Duration> {
    let stated = text(&input.body, "destroyScheduledDuration")?;
    if stated.is_empty() {
        return Ok(30 * DAY);
    }
    let seconds = stated.strip_suffix('s').and_then(|number| number.parse::<f64>().ok());
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let least = if import_only { Duration::ZERO } else { DAY };
    match duration {
        Some(duration) if (least..=120 * DAY).contains(&duration) => Ok(duration),
        Some(_) => invalid("The destroy_scheduled_duration must be between 24 hours (0 for import only) and 120 days."),
        None => invalid(
            "Invalid value at 'crypto_key.destroy_scheduled_duration' (type.googleapis.com/google.protobuf.Duration)",
        ),
    }
}
