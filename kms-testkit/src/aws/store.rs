//! The keys of each account and region, found by any of their names.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::answer::{Answer, refuse};
use super::key::Key;
use super::sigv4::Caller;

/// Longest name of a key, as the API reference has it.
const MAX_KEY_ID: usize = 2048;

#[derive(Default)]
pub(crate) struct Store {
    regions: BTreeMap<(String, String), Region>,
    /// How long what is new is not found everywhere.
    pub(crate) settles: Duration,
    asked: u64,
}

#[derive(Default)]
pub(crate) struct Region {
    pub(crate) keys: BTreeMap<String, Key>,
    pub(crate) aliases: BTreeMap<String, Alias>,
}

pub(crate) struct Alias {
    pub(crate) target: String,
    pub(crate) created: f64,
    pub(crate) updated: f64,
    pub(crate) since: Instant,
}

impl Store {
    pub(crate) fn region(&mut self, caller: &Caller) -> &mut Region {
        self.regions.entry((caller.account.clone(), caller.region.clone())).or_default()
    }

    /// The key of that identifier or ARN.
    pub(crate) fn key(&mut self, caller: &Caller, name: &str) -> Answer<&mut Key> {
        check_length(name)?;
        let id = match name.strip_prefix("arn:") {
            None => name.to_owned(),
            Some(_) => match local(caller, name)?.strip_prefix("key/") {
                Some(id) => id.to_owned(),
                None => return refuse("NotFoundException", format!("Invalid keyId {name}")),
            },
        };
        if name.starts_with("alias/") {
            return refuse("NotFoundException", format!("Invalid keyId {name}"));
        }
        let arn = arn(caller, &format!("key/{id}"));
        self.found(caller, &id, &arn)
    }

    /// The key of that identifier, alias, or ARN of either.
    pub(crate) fn key_or_alias(&mut self, caller: &Caller, name: &str) -> Answer<&mut Key> {
        check_length(name)?;
        let resource = if name.starts_with("arn:") { local(caller, name)? } else { name.to_owned() };
        if !resource.starts_with("alias/") {
            return self.key(caller, name);
        }
        let shown = arn(caller, &resource);
        let absent = || format!("Alias {shown} is not found.");
        let (settles, asked) = self.asked();
        let Some(alias) = self.region(caller).aliases.get(&resource) else {
            return refuse("NotFoundException", absent());
        };
        if is_hidden(alias.since, settles, asked) {
            return refuse("NotFoundException", absent());
        }
        let id = alias.target.clone();
        let arn = arn(caller, &format!("key/{id}"));
        self.found(caller, &id, &arn)
    }

    fn found(&mut self, caller: &Caller, id: &str, arn: &str) -> Answer<&mut Key> {
        let (settles, asked) = self.asked();
        match self.region(caller).keys.get_mut(id) {
            Some(key) if !is_hidden(key.since, settles, asked) => Ok(key),
            _ => refuse("NotFoundException", format!("Key '{arn}' does not exist")),
        }
    }

    fn asked(&mut self) -> (Duration, u64) {
        self.asked += 1;
        (self.settles, self.asked)
    }
}

/// The last part of an ARN, if that is of the caller's region and account.
fn local(caller: &Caller, name: &str) -> Answer<String> {
    let parts: Vec<_> = name.splitn(6, ':').collect();
    let [_, _, "kms", region, account, resource] = parts[..] else {
        return refuse("InvalidArnException", format!("Invalid arn {name}"));
    };
    if region != caller.region {
        return refuse("NotFoundException", format!("Invalid arn {region}"));
    }
    if account != caller.account {
        return refuse(
            "AccessDeniedException",
            "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.",
        );
    }
    Ok(resource.to_owned())
}

fn check_length(name: &str) -> Answer<()> {
    if name.is_empty() || name.len() > MAX_KEY_ID {
        return super::answer::invalid(
            "1 validation error detected: Value at 'keyId' failed to satisfy constraint: Member must have length between 1 and 2048",
        );
    }
    Ok(())
}

/// In the first half of the time not found, then found and not found in turn.
fn is_hidden(since: Instant, settles: Duration, asked: u64) -> bool {
    let age = since.elapsed();
    age < settles / 2 || (age < settles && asked.is_multiple_of(2))
}

/// The partition follows from the region.
pub(crate) fn arn(caller: &Caller, resource: &str) -> String {
    let partition = match caller.region.split('-').next().unwrap_or_default() {
        "cn" => "aws-cn",
        "eusc" => "aws-eusc",
        _ if caller.region.starts_with("us-gov-") => "aws-us-gov",
        _ if caller.region.starts_with("us-isob-") => "aws-iso-b",
        _ if caller.region.starts_with("us-iso-") => "aws-iso",
        _ => "aws",
    };
    format!("arn:{partition}:kms:{}:{}:{resource}", caller.region, caller.account)
}
