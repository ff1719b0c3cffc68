//! Signing: every algorithm of every key type, over messages and digests.

use kms_core::{ErrorKind, KeyType, Signature, SignatureAlgorithm, block_on};

use super::suite::{Cases, Outcome, Stop, Suite, ensure, judged, refused};
use crate::judge;

/// Octets of the messages: none, one, a block more than a page, a megabyte.
const LENGTHS: [usize; 4] = [0, 1, 4097, 1 << 20];

pub(crate) fn add(cases: &mut Cases) {
    for key_type in KeyType::CREATABLE {
        for &algorithm in key_type.algorithms() {
            let name = |case: &str| format!("signing::{key_type}::{algorithm}::{case}");
            for length in LENGTHS {
                cases.add(name(&format!("message-{length}")), move |suite| message(suite, key_type, algorithm, length));
            }
            cases.add(name("digest"), move |suite| digest(suite, key_type, algorithm));
            cases.add(name("digest_of_wrong_length"), move |suite| wrong_length(suite, key_type, algorithm));
            cases.add(name("form"), move |suite| form(suite, key_type, algorithm));
            cases.add(name("named_in_uri"), move |suite| named_in_uri(suite, key_type, algorithm));
            cases.add(name("named_twice"), move |suite| named_twice(suite, key_type, algorithm));
            if cases.harness().algorithm_unsupported(key_type, algorithm).is_some() {
                cases.add(name("refused"), move |suite| unsupported_is_refused(suite, key_type, algorithm));
            }
        }
        cases.add(format!("signing::{key_type}::foreign_algorithms"), move |suite| foreign(suite, key_type));
    }
}

fn message(suite: &Suite, key_type: KeyType, algorithm: SignatureAlgorithm, length: usize) -> Outcome {
    let signer = suite.signer(key_type, algorithm)?;
    let message: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
    if algorithm.hash().is_none() && !suite.harness.message_lengths(algorithm).contains(&length) {
        return refused(block_on(signer.sign(&message)), ErrorKind::InvalidArgument, "a message of this length");
    }
    let signature = block_on(signer.sign(&message))?;
    judged(signer.public_key(), algorithm, &message, &signature)?;
    // Once more with another message, to see that the judge looks at it.
    let mut other = message;
    other.push(1);
    let judgement = judge::verify(signer.public_key().spki_der(), algorithm, &other, signature.as_bytes());
    ensure(judgement.is_err(), "the signature verifies over another message too")
}

fn digest(suite: &Suite, key_type: KeyType, algorithm: SignatureAlgorithm) -> Outcome {
    let signer = suite.signer(key_type, algorithm)?;
    if algorithm.hash().is_none() {
        return refused(block_on(signer.sign_digest(&[7; 64])), ErrorKind::Unsupported, "a digest");
    }
    let digest = judge::digest(algorithm, b"hashed elsewhere")?;
    let signature = block_on(signer.sign_digest(&digest))?;
    judged(signer.public_key(), algorithm, b"hashed elsewhere", &signature)?;
    Ok(judge::verify_digest(signer.public_key().spki_der(), algorithm, &digest, signature.as_bytes())?)
}

fn wrong_length(suite: &Suite, key_type: KeyType, algorithm: SignatureAlgorithm) -> Outcome {
    let signer = suite.signer(key_type, algorithm)?;
    let (right, kind) = match algorithm.hash() {
        Some(hash) => (hash.output_len(), ErrorKind::InvalidArgument),
        None => (usize::MAX, ErrorKind::Unsupported),
    };
    for length in [0, 1, 20, 28, 31, 32, 33, 47, 48, 49, 63, 64, 65, 128] {
        if length != right {
            refused(block_on(signer.sign_digest(&vec![7; length])), kind, format!("a digest of {length} octets"))?;
        }
    }
    Ok(())
}

fn form(suite: &Suite, key_type: KeyType, algorithm: SignatureAlgorithm) -> Outcome {
    let signer = suite.signer(key_type, algorithm)?;
    // A quarter of all ECDSA signatures has a half that is shorter, or longer for its sign: several are needed.
    let count = if key_type.is_ecdsa() { 24 } else { 1 };
    for number in 0..count {
        let message = [number];
        let signature = block_on(signer.sign(&message))?;
        ensure(signature.algorithm() == algorithm, format!("the signature says {}", signature.algorithm()))?;
        let raw = signature.to_raw()?;
        let expected = raw_length(key_type)?;
        ensure(raw.len() == expected, format!("{} octets in raw form, not {expected}", raw.len()))?;
        let back = Signature::from_raw(algorithm, &raw)?;
        ensure(back == signature, "not the canonical form: it changes on the way to raw and back")?;
        judged(signer.public_key(), algorithm, &message, &back)?;
    }
    Ok(())
}

fn raw_length(key_type: KeyType) -> Outcome<usize> {
    match key_type {
        KeyType::EcP256 | KeyType::EcSecp256k1 | KeyType::Ed25519 => Ok(64),
        KeyType::EcP384 => Ok(96),
        KeyType::EcP521 => Ok(132),
        KeyType::Rsa { bits } => Ok(bits.div_ceil(8) as usize),
        KeyType::MlDsa44 => Ok(2420),
        KeyType::MlDsa65 => Ok(3309),
        KeyType::MlDsa87 => Ok(4627),
        other => Err(Stop::Failed(format!("the suite does not know the length of a signature by {other}"))),
    }
}

fn named_in_uri(suite: &Suite, key_type: KeyType, algorithm: SignatureAlgorithm) -> Outcome {
    suite.signer(key_type, algorithm)?;
    let shared = suite.shared(key_type)?;
    let uri = shared.key.uri.with_path("alg", algorithm.name()).map_err(kms_core::Error::from)?;
    for caller in [None, Some(algorithm)] {
        let signer = block_on(shared.manager.signer(&uri, caller))?;
        ensure(signer.algorithm() == algorithm, format!("`alg=` says {algorithm}, the signer {}", signer.algorithm()))?;
    }
    let signer = block_on(suite.harness.registry().signer(&uri))?;
    ensure(signer.algorithm() == algorithm, "the registry does not heed `alg=`")?;
    let signature = block_on(signer.sign(b"named"))?;
    judged(&shared.key.public_key, algorithm, b"named", &signature)
}

fn named_twice(suite: &Suite, key_type: KeyType, algorithm: SignatureAlgorithm) -> Outcome {
    suite.signer(key_type, algorithm)?;
    let shared = suite.shared(key_type)?;
    let uri = shared.key.uri.with_path("alg", algorithm.name()).map_err(kms_core::Error::from)?;
    for other in SignatureAlgorithm::all().filter(|other| *other != algorithm) {
        let opened = block_on(shared.manager.signer(&uri, Some(other)));
        refused(opened, ErrorKind::InvalidUri, format!("`alg={algorithm}` and {other} by the caller"))?;
    }
    Ok(())
}

fn unsupported_is_refused(suite: &Suite, key_type: KeyType, algorithm: SignatureAlgorithm) -> Outcome {
    let shared = suite.shared(key_type)?;
    let opened = block_on(shared.manager.signer(&shared.key.uri, Some(algorithm)));
    refused(opened, ErrorKind::Unsupported, algorithm)
}

/// All that goes with other key types is refused when the signer is opened, not when it signs.
fn foreign(suite: &Suite, key_type: KeyType) -> Outcome {
    let shared = suite.shared(key_type)?;
    for algorithm in SignatureAlgorithm::all().filter(|algorithm| !key_type.algorithms().contains(algorithm)) {
        let opened = block_on(shared.manager.signer(&shared.key.uri, Some(algorithm)));
        refused(opened, ErrorKind::Unsupported, format!("{key_type} with {algorithm}"))?;
        let uri = shared.key.uri.with_path("alg", algorithm.name()).map_err(kms_core::Error::from)?;
        let opened = block_on(shared.manager.signer(&uri, None));
        refused(opened, ErrorKind::Unsupported, format!("{key_type} with `alg={algorithm}`"))?;
    }
    Ok(())
}
