//! Proof of where a key was made.

use kms_core::block_on;

use super::suite::{Cases, Outcome, Suite, capability, ensure};

pub(crate) fn add(cases: &mut Cases) {
    cases.add("attestation::speaks_of_the_key", speaks_of_the_key);
}

fn speaks_of_the_key(suite: &Suite) -> Outcome {
    let shared = suite.shared(suite.some_type()?)?;
    let attester = capability(shared.manager.as_attester(), "attestation")?;
    let attestation = block_on(attester.attest(&shared.key.uri))?;
    ensure(attestation.public_key == shared.key.public_key, "the statement is about another key")?;
    ensure(!attestation.statement.is_empty(), "the statement is empty")
}
