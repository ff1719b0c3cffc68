//! Tags and key policies.

use serde_json::{Value, json};

use super::answer::{Answer, Page, refuse};
use super::key::Key;
use super::operation::Call;

/// Most tags of a key.
const MAX_TAGS: usize = 50;

pub(crate) fn add(call: &Call<'_>) -> Answer {
    let tags = call.input.tags()?;
    call.with_key(|key| {
        key.check_not_pending_deletion()?;
        put(key, tags)?;
        Ok(Value::Null)
    })
}

pub(crate) fn remove(call: &Call<'_>) -> Answer {
    let names = call.input.texts("TagKeys")?;
    call.with_key(|key| {
        key.check_not_pending_deletion()?;
        for name in &names {
            key.tags.remove(name);
        }
        Ok(Value::Null)
    })
}

pub(crate) fn list(call: &Call<'_>) -> Answer {
    call.with_key(|key| {
        let tag = |(name, value): (&String, &String)| (name.clone(), json!({ "TagKey": name, "TagValue": value }));
        let page = Page::of(&call.input, key.tags.iter().map(tag).collect(), 50, 50)?;
        let answer = json!({ "Tags": page.items });
        Ok(page.finish(answer))
    })
}

pub(crate) fn policy(call: &Call<'_>) -> Answer {
    call.with_key(|key| Ok(json!({ "Policy": key.policy, "PolicyName": "default" })))
}

pub(crate) fn put_policy(call: &Call<'_>) -> Answer {
    let policy = call.input.required("Policy")?.to_owned();
    if serde_json::from_str::<serde_json::Map<String, Value>>(&policy).is_err() {
        return refuse("MalformedPolicyDocumentException", "The new key policy is not valid JSON.");
    }
    call.with_key(|key| {
        key.check_not_pending_deletion()?;
        key.policy = policy;
        Ok(Value::Null)
    })
}

pub(crate) fn put(key: &mut Key, tags: Vec<(String, String)>) -> Answer<()> {
    for (name, value) in tags {
        if name.is_empty() || name.len() > 128 || value.len() > 256 || name.starts_with("aws:") {
            return refuse("TagException", "a tag's key has 1 to 128 characters, its value up to 256");
        }
        key.tags.insert(name, value);
    }
    if key.tags.len() > MAX_TAGS {
        return refuse("LimitExceededException", "a key has at most 50 tags");
    }
    Ok(())
}
