//! Deletion of keys: that one, no other, and once.

use kms_core::block_on;

use super::suite::{Cases, Outcome, Suite, capability, refused};

pub(crate) fn add(cases: &mut Cases) {
    cases.add("deletion::deleted_is_gone", deleted_is_gone);
    cases.add("deletion::others_stay", others_stay);
}

fn deleted_is_gone(suite: &Suite) -> Outcome {
    let doomed = suite.create("doomed", suite.some_type()?)?;
    let uri = &doomed.key.uri;
    let deleter = capability(doomed.manager.as_key_deleter(), "delete")?;
    let gone = suite.harness.deleted_is();
    block_on(deleter.delete_key(uri))?;
    refused(block_on(deleter.delete_key(uri)), gone, "delete_key again")?;
    for manager in [&doomed.manager, &suite.open()?] {
        refused(block_on(manager.public_key(uri)), gone, "public_key of a deleted key")?;
        refused(block_on(manager.signer(uri, None)), gone, "signer of a deleted key")?;
    }
    if let Some(searcher) = doomed.manager.as_key_searcher() {
        let found = block_on(searcher.search_keys(&suite.harness.place()))?;
        super::suite::ensure(found.iter().all(|key| key.uri != *uri), "a search finds the deleted key")?;
    }
    Ok(())
}

fn others_stay(suite: &Suite) -> Outcome {
    let key_type = suite.some_type()?;
    let (stays, doomed) = (suite.create("stays", key_type)?, suite.create("stays-not", key_type)?);
    block_on(capability(doomed.manager.as_key_deleter(), "delete")?.delete_key(&doomed.key.uri))?;
    stays.still_signs()
}
