//! The part of a step-ca `ca.json` that concerns keys. Errors repeat no values: a PIN may be among them.

use std::path::PathBuf;

use kmskit::{Error, ErrorKind, Result, Secret};
use serde_json::{Map, Value};

/// What `ca.json` says of keys and certificates.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) keys: Vec<Key>,
    pub(crate) kms: Kms,
}

/// One key that it names.
#[derive(Debug)]
pub(crate) struct Key {
    /// `key`, `ssh.hostKey`, `ssh.userKey`.
    pub(crate) field: &'static str,
    /// As it is written there.
    pub(crate) name: String,
    /// Whether `crt` must be its certificate; else it is a key of an SSH CA.
    pub(crate) certified: bool,
}

/// The object `kms`.
#[derive(Debug, Default)]
pub(crate) struct Kms {
    pub(crate) kind: Option<String>,
    pub(crate) uri: Option<Secret>,
    pub(crate) region: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) credentials_file: Option<String>,
    pub(crate) pin: Option<Secret>,
    pub(crate) management_key: Option<Secret>,
}

impl Config {
    /// Reads the JSON. Fields that do not concern keys are passed over; within `kms` all must be known.
    pub(crate) fn read(json: &str) -> Result<Self> {
        // Its error has line and column, and quotes nothing.
        let value: Value = serde_json::from_str(json).map_err(|error| bad("not JSON").with_source(error))?;
        let Value::Object(mut fields) = value else { return Err(bad("not a JSON object")) };
        let roots = match fields.remove("root") {
            Some(Value::Array(values)) => values
                .into_iter()
                .map(|value| value.as_str().map(PathBuf::from).ok_or_else(|| bad("`root` is not a list of files")))
                .collect::<Result<_>>()?,
            Some(value) => text(Some(value), "root")?.into_iter().map(PathBuf::from).collect(),
            None => Vec::new(),
        };
        let certificate = text(fields.remove("crt"), "crt")?.map(PathBuf::from);
        let mut keys = Vec::new();
        let mut note = |field, name: Option<String>, certified| {
            keys.extend(name.map(|name| Key { field, name, certified }));
        };
        note("key", text(fields.remove("key"), "key")?, true);
        let mut ssh = object(fields.remove("ssh"), "ssh")?;
        note("ssh.hostKey", text(ssh.remove("hostKey"), "ssh.hostKey")?, false);
        note("ssh.userKey", text(ssh.remove("userKey"), "ssh.userKey")?, false);
        if keys.is_empty() {
            return Err(bad("names no key").with_hint("looked for `key`, `ssh.hostKey` and `ssh.userKey`"));
        }
        Ok(Self { roots, certificate, keys, kms: Kms::read(object(fields.remove("kms"), "kms")?)? })
    }
}

impl Kms {
    fn read(mut fields: Map<String, Value>) -> Result<Self> {
        let secret = |text: Option<String>| text.map(Secret::new);
        let kms = Self {
            kind: text(fields.remove("type"), "kms.type")?.map(|kind| kind.to_ascii_lowercase()),
            uri: secret(text(fields.remove("uri"), "kms.uri")?),
            region: text(fields.remove("region"), "kms.region")?,
            profile: text(fields.remove("profile"), "kms.profile")?,
            credentials_file: text(fields.remove("credentialsFile"), "kms.credentialsFile")?,
            pin: secret(text(fields.remove("pin"), "kms.pin")?),
            management_key: secret(text(fields.remove("managementKey"), "kms.managementKey")?),
        };
        // Of TPMs, which have no backend here.
        fields.remove("storageDirectory");
        match fields.keys().next() {
            None => Ok(kms),
            Some(name) => Err(bad(format!("there is no field `kms.{name}`"))
                .with_hint("known: type, uri, region, profile, credentialsFile, pin, managementKey, storageDirectory")),
        }
    }
}

/// A text that is not empty.
fn text(value: Option<Value>, field: &str) -> Result<Option<String>> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(_) => Err(bad(format!("`{field}` is not a text"))),
    }
}

fn object(value: Option<Value>, field: &str) -> Result<Map<String, Value>> {
    match value {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(fields)) => Ok(fields),
        Some(_) => Err(bad(format!("`{field}` is not an object"))),
    }
}

fn bad(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}
