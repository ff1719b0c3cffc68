//! Listing of keys.

use kms_core::{Key, KeyType, KeyUri, block_on};

use super::suite::{Cases, Outcome, Shared, Suite, capability, ensure, judged};

pub(crate) fn add(cases: &mut Cases) {
    cases.add("search::finds_every_key", finds_every_key);
    cases.add("search::finds_one_by_its_uri", finds_one);
    cases.add("search::finds_nothing_where_nothing_is", |suite| {
        let found = search(&suite.shared(suite.some_type()?)?, &suite.fresh_key("absent"))?;
        ensure(found.is_empty(), format!("found {found:?}"))
    });
    cases.add("search::what_is_found_signs", what_is_found_signs);
}

/// Others are made meanwhile by other cases: ours must be among them, each once, in order, without a secret.
fn finds_every_key(suite: &Suite) -> Outcome {
    let made = (0..3)
        .map(|number| suite.create(&format!("searched-{number}"), suite.some_type()?))
        .collect::<Outcome<Vec<_>>>()?;
    let found = search(&made[0], &suite.harness.place())?;
    for Shared { key, .. } in &made {
        let same: Vec<_> = found.iter().filter(|found| found.uri == key.uri).collect();
        ensure(same.len() == 1, format!("{} found {} times", key.uri, same.len()))?;
        ensure(same[0].public_key == key.public_key, format!("{} found with another public key", key.uri))?;
    }
    ensure(found.iter().all(|key| !key.uri.has_secret()), "a URI that was found holds a secret")?;
    let uris: Vec<_> = found.iter().map(|key| key.uri.to_string()).collect();
    ensure(uris.is_sorted(), format!("not in the order of their URIs: {uris:?}"))
}

fn finds_one(suite: &Suite) -> Outcome {
    let key_type = suite.some_type()?;
    let (one, _other) = (suite.create("one", key_type)?, suite.create("one-more", key_type)?);
    let found = search(&one, &one.key.uri)?;
    ensure(found.len() == 1, format!("{} keys found, not 1", found.len()))?;
    ensure(found[0].uri == one.key.uri && found[0].public_key == one.key.public_key, "another key found")
}

fn what_is_found_signs(suite: &Suite) -> Outcome {
    for key_type in KeyType::CREATABLE {
        if suite.harness.key_type_unsupported(key_type).is_some() {
            continue;
        }
        let shared = suite.shared(key_type)?;
        let found = search(&shared, &suite.harness.place())?;
        let same = found.iter().find(|found| found.public_key == shared.key.public_key);
        let Some(Key { uri, public_key, .. }) = same else {
            return Err(format!("the {key_type} key is not found").into());
        };
        let signer = block_on(suite.harness.registry().signer(uri))?;
        let signature = block_on(signer.sign(b"found"))?;
        judged(public_key, signer.algorithm(), b"found", &signature)?;
    }
    Ok(())
}

fn search(shared: &Shared, query: &KeyUri) -> Outcome<Vec<Key>> {
    let searcher = capability(shared.manager.as_key_searcher(), "search")?;
    Ok(block_on(searcher.search_keys(query))?)
}
