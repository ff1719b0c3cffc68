//! Aliases.

use std::time::{Instant, SystemTime};

use serde_json::{Value, json};

use super::answer::{Answer, Page, refuse};
use super::key::seconds;
use super::operation::Call;
use super::store::{Alias, arn};

pub(crate) fn create(call: &Call<'_>) -> Answer {
    let name = name(call)?;
    let mut store = call.store();
    let key = store.key(call.caller, call.input.required("TargetKeyId")?)?;
    key.check_not_pending_deletion()?;
    let target = key.id.clone();
    let aliases = &mut store.region(call.caller).aliases;
    if aliases.contains_key(&name) {
        let shown = arn(call.caller, &name);
        return refuse("AlreadyExistsException", format!("An alias with the name {shown} already exists"));
    }
    let now = seconds(SystemTime::now());
    aliases.insert(name, Alias { target, created: now, updated: now, since: Instant::now() });
    Ok(Value::Null)
}

pub(crate) fn update(call: &Call<'_>) -> Answer {
    let name = name(call)?;
    let mut store = call.store();
    let key = store.key(call.caller, call.input.required("TargetKeyId")?)?;
    key.check_not_pending_deletion()?;
    let (target, usage, asymmetric) = (key.id.clone(), key.usage.clone(), key.spec.name != "SYMMETRIC_DEFAULT");
    let region = store.region(call.caller);
    let Some(alias) = region.aliases.get_mut(&name) else { return absent(call, &name) };
    if let Some(current) = region.keys.get(&alias.target)
        && (current.usage != usage || (current.spec.name != "SYMMETRIC_DEFAULT") != asymmetric)
    {
        return refuse("ValidationException", "the current and the new key must be of the same type and usage");
    }
    alias.target = target;
    alias.updated = seconds(SystemTime::now());
    Ok(Value::Null)
}

pub(crate) fn delete(call: &Call<'_>) -> Answer {
    let name = name(call)?;
    match call.store().region(call.caller).aliases.remove(&name) {
        Some(_) => Ok(Value::Null),
        None => absent(call, &name),
    }
}

pub(crate) fn list(call: &Call<'_>) -> Answer {
    let mut store = call.store();
    let wanted = match call.input.text("KeyId")? {
        Some(key) => Some(store.key(call.caller, key)?.id.clone()),
        None => None,
    };
    let aliases = store.region(call.caller).aliases.iter();
    let all = aliases.filter(|(_, alias)| wanted.as_ref().is_none_or(|wanted| alias.target == *wanted));
    let all = all.map(|(name, alias)| {
        let entry = json!({
            "AliasName": name,
            "AliasArn": arn(call.caller, name),
            "TargetKeyId": alias.target,
            "CreationDate": alias.created,
            "LastUpdatedDate": alias.updated,
        });
        (name.clone(), entry)
    });
    let page = Page::of(&call.input, all.collect(), 50, 100)?;
    let answer = json!({ "Aliases": page.items });
    Ok(page.finish(answer))
}

fn name(call: &Call<'_>) -> Answer<String> {
    let name = call.input.required("AliasName")?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-');
    match name.strip_prefix("alias/") {
        Some(rest) if rest.starts_with("aws/") => {
            refuse("NotAuthorizedException", "Alias must not begin with the reserved prefix alias/aws/")
        }
        Some(rest) if !rest.is_empty() && name.len() <= 256 && rest.bytes().all(good) => Ok(name.to_owned()),
        _ => refuse(
            "InvalidAliasNameException",
            "Alias must start with 'alias/' and have letters, digits, /, _ and - only",
        ),
    }
}

fn absent<T>(call: &Call<'_>, name: &str) -> Answer<T> {
    refuse("NotFoundException", format!("Alias {} is not found.", arn(call.caller, name)))
}
