//! The operations of the service by name, and those that make, describe, list and switch keys.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::answer::{Answer, Input, Page, invalid, refuse};
use super::key::{Key, SPECS, State, seconds};
use super::sigv4::Caller;
use super::store::{Store, arn};
use super::{algorithm, alias, import, tag, usage};

/// A request that is known to be the caller's.
pub(crate) struct Call<'a> {
    pub(crate) store: &'a Mutex<Store>,
    pub(crate) caller: &'a Caller,
    pub(crate) input: Input,
}

impl Call<'_> {
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the key that `KeyId` names, which must not be an alias.
    pub(crate) fn with_key<T>(&self, work: impl FnOnce(&mut Key) -> Answer<T>) -> Answer<T> {
        work(self.store().key(self.caller, self.input.required("KeyId")?)?)
    }

    /// Does something with the key that `KeyId` names in any way.
    pub(crate) fn with_key_or_alias<T>(&self, work: impl FnOnce(&mut Key) -> Answer<T>) -> Answer<T> {
        work(self.store().key_or_alias(self.caller, self.input.required("KeyId")?)?)
    }
}

/// Carries out one operation.
pub(crate) fn carry_out(operation: &str, call: &Call<'_>) -> Answer {
    match operation {
        "CreateKey" => create_key(call),
        "DescribeKey" => call.with_key_or_alias(|key| Ok(json!({ "KeyMetadata": key.metadata() }))),
        "ListKeys" => list_keys(call),
        "EnableKey" => switch(call, State::Enabled),
        "DisableKey" => switch(call, State::Disabled),
        "UpdateKeyDescription" => update_description(call),
        "ScheduleKeyDeletion" => schedule_deletion(call),
        "CancelKeyDeletion" => cancel_deletion(call),
        "GetPublicKey" => usage::get_public_key(call),
        "Sign" => usage::sign(call),
        "Verify" => usage::verify(call),
        "Encrypt" => usage::encrypt(call),
        "Decrypt" => usage::decrypt(call),
        "CreateAlias" => alias::create(call),
        "UpdateAlias" => alias::update(call),
        "DeleteAlias" => alias::delete(call),
        "ListAliases" => alias::list(call),
        "TagResource" => tag::add(call),
        "UntagResource" => tag::remove(call),
        "ListResourceTags" => tag::list(call),
        "GetKeyPolicy" => tag::policy(call),
        "PutKeyPolicy" => tag::put_policy(call),
        "GetParametersForImport" => import::parameters(call),
        "ImportKeyMaterial" => import::import(call),
        "DeleteImportedKeyMaterial" => import::delete(call),
        other => refuse("UnknownOperationException", format!("the stand-in does not have {other}")),
    }
}

fn create_key(call: &Call<'_>) -> Answer {
    let input = &call.input;
    let name = input.text("KeySpec")?.or(input.text("CustomerMasterKeySpec")?).unwrap_or("SYMMETRIC_DEFAULT");
    let Some(spec) = SPECS.iter().find(|spec| spec.name == name) else {
        return invalid(format!(
            "1 validation error detected: Value '{name}' at 'keySpec' failed to satisfy constraint"
        ));
    };
    let usage = match input.text("KeyUsage")? {
        Some(usage) => usage,
        None if spec.name == "SYMMETRIC_DEFAULT" => spec.usages[0],
        None => {
            return invalid("You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.");
        }
    };
    if !spec.usages.contains(&usage) {
        return invalid(format!("KeyUsage {usage} is not compatible with KeySpec {name}"));
    }
    let external = match input.text("Origin")? {
        None | Some("AWS_KMS") => false,
        Some("EXTERNAL") => true,
        Some(other) => {
            return refuse("UnsupportedOperationException", format!("the stand-in has no keys of origin {other}"));
        }
    };
    let policy = input.text("Policy")?.unwrap_or(r#"{"Version":"2012-10-17","Statement":[]}"#);
    if serde_json::from_str::<serde_json::Map<String, Value>>(policy).is_err() {
        return refuse("MalformedPolicyDocumentException", "The new key policy is not valid JSON.");
    }
    let multi_region = input.flag("MultiRegion")?;
    let id = key_id(multi_region)?;
    let (state, material) = if external {
        (State::PendingImport, None)
    } else {
        // Not under the lock: an RSA key takes its time.
        (State::Enabled, Some(Arc::new(algorithm::generate(spec.name)?)))
    };
    let mut key = Key {
        arn: arn(call.caller, &format!("key/{id}")),
        id: id.clone(),
        account: call.caller.account.clone(),
        spec,
        usage: usage.to_owned(),
        description: input.text("Description")?.unwrap_or_default().to_owned(),
        policy: policy.to_owned(),
        multi_region,
        external,
        state,
        created: SystemTime::now(),
        since: Instant::now(),
        tags: std::collections::BTreeMap::new(),
        material,
        import: None,
    };
    tag::put(&mut key, input.tags()?)?;
    let metadata = key.metadata();
    call.store().region(call.caller).keys.insert(id, key);
    Ok(json!({ "KeyMetadata": metadata }))
}

fn list_keys(call: &Call<'_>) -> Answer {
    let mut store = call.store();
    let keys = &store.region(call.caller).keys;
    let all = keys.values().map(|key| (key.id.clone(), json!({ "KeyId": key.id, "KeyArn": key.arn }))).collect();
    let page = Page::of(&call.input, all, 100, 1000)?;
    let answer = json!({ "Keys": page.items });
    Ok(page.finish(answer))
}

fn switch(call: &Call<'_>, to: State) -> Answer {
    call.with_key(|key| {
        key.check_not_pending_deletion()?;
        if key.state == State::PendingImport {
            return refuse("KMSInvalidStateException", format!("{} is pending import.", key.arn));
        }
        key.state = to;
        Ok(Value::Null)
    })
}

fn update_description(call: &Call<'_>) -> Answer {
    let description = call.input.required("Description")?.to_owned();
    call.with_key(|key| {
        key.check_not_pending_deletion()?;
        key.description = description;
        Ok(Value::Null)
    })
}

fn schedule_deletion(call: &Call<'_>) -> Answer {
    let days = call.input.number("PendingWindowInDays")?.unwrap_or(30);
    let Some(days) = u64::try_from(days).ok().filter(|days| (7..=30).contains(days)) else {
        return invalid("PendingWindowInDays must be between 7 and 30");
    };
    call.with_key(|key| {
        key.check_not_pending_deletion()?;
        let date = seconds(SystemTime::now() + Duration::from_secs(days * 24 * 60 * 60));
        key.state = State::PendingDeletion(date);
        Ok(json!({
            "KeyId": key.arn,
            "DeletionDate": date,
            "KeyState": "PendingDeletion",
            "PendingWindowInDays": days,
        }))
    })
}

fn cancel_deletion(call: &Call<'_>) -> Answer {
    call.with_key(|key| {
        let State::PendingDeletion(_) = key.state else {
            return refuse("KMSInvalidStateException", format!("{} is not pending deletion.", key.arn));
        };
        key.state = if key.material.is_some() { State::Disabled } else { State::PendingImport };
        Ok(json!({ "KeyId": key.arn }))
    })
}

/// A random UUID (RFC 9562, version 4), or the form of a multi-Region key.
fn key_id(multi_region: bool) -> Answer<String> {
    let mut octets = [0; 16];
    if getrandom::fill(&mut octets).is_err() {
        return refuse("KMSInternalException", "no randomness");
    }
    octets[6] = octets[6] & 0x0f | 0x40;
    octets[8] = octets[8] & 0x3f | 0x80;
    let hex = super::sigv4::hex(&octets);
    if multi_region {
        return Ok(format!("mrk-{hex}"));
    }
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}
