//! Certificates and chains kept with keys.

use kms_core::{CertificateManager, ErrorKind, block_on};

use super::suite::{Cases, Outcome, Shared, Suite, capability, ensure, refused};
use crate::certificate::certificate_for;

pub(crate) fn add(cases: &mut Cases) {
    cases.add("certificates::none", |suite| {
        with_key(suite, |store, shared| {
            refused(block_on(store.load_certificates(&shared.key.uri)), ErrorKind::NotFound, "load_certificates")?;
            refused(block_on(store.delete_certificates(&shared.key.uri)), ErrorKind::NotFound, "delete_certificates")
        })
    });
    cases.add("certificates::one", |suite| with_key(suite, |store, shared| kept(suite, store, shared, 1)));
    cases.add("certificates::chain", |suite| with_key(suite, |store, shared| kept(suite, store, shared, 3)));
    cases.add("certificates::never_overwritten", |suite| with_key(suite, never_overwritten));
    cases.add("certificates::of_another_key", |suite| with_key(suite, of_another_key));
    cases.add("certificates::not_a_certificate", |suite| with_key(suite, not_a_certificate));
    cases.add("certificates::deleted", |suite| with_key(suite, deleted));
    cases.add("certificates::stay_when_the_key_goes", |suite| with_key(suite, stay_when_the_key_goes));
}

fn with_key(suite: &Suite, case: impl FnOnce(&dyn CertificateManager, &Shared) -> Outcome) -> Outcome {
    let shared = suite.create("certified", suite.some_type()?)?;
    case(capability(shared.manager.as_certificate_manager(), "certificates")?, &shared)
}

/// What was stored comes back, octet by octet and in order, to those who open the place anew too.
fn kept(suite: &Suite, store: &dyn CertificateManager, shared: &Shared, length: usize) -> Outcome {
    let chain = chain(shared, length)?;
    block_on(store.store_certificates(&shared.key.uri, &chain))?;
    ensure(block_on(store.load_certificates(&shared.key.uri))? == chain, "another chain than was stored")?;
    let manager = suite.open()?;
    let store = capability(manager.as_certificate_manager(), "certificates")?;
    ensure(block_on(store.load_certificates(&shared.key.uri))? == chain, "another chain after opening anew")?;
    shared.still_signs()
}

fn never_overwritten(store: &dyn CertificateManager, shared: &Shared) -> Outcome {
    let (first, second) = (chain(shared, 2)?, chain(shared, 1)?);
    block_on(store.store_certificates(&shared.key.uri, &first))?;
    for again in [&first, &second] {
        let stored = block_on(store.store_certificates(&shared.key.uri, again));
        refused(stored, ErrorKind::AlreadyExists, "store_certificates again")?;
    }
    ensure(block_on(store.load_certificates(&shared.key.uri))? == first, "the first chain was touched")
}

fn of_another_key(store: &dyn CertificateManager, shared: &Shared) -> Outcome {
    // A key of the judge's own making: the same type, and nothing but the key differs.
    let other = p256::ecdsa::VerifyingKey::from_sec1_bytes(&OTHER_POINT).map_err(|error| error.to_string())?;
    let other = spki::EncodePublicKey::to_public_key_der(&other).map_err(|error| error.to_string())?;
    let foreign = certificate_for(other.as_bytes(), "CN=of another key")?;
    // Its own certificate further up the chain does not help.
    for chain in [vec![foreign.clone()], [vec![foreign], chain(shared, 1)?].concat()] {
        let stored = block_on(store.store_certificates(&shared.key.uri, &chain));
        refused(stored, ErrorKind::KeyMismatch, "the certificate of another key")?;
    }
    refused(block_on(store.load_certificates(&shared.key.uri)), ErrorKind::NotFound, "load_certificates afterwards")
}

fn not_a_certificate(store: &dyn CertificateManager, shared: &Shared) -> Outcome {
    let good = certificate_for(shared.key.public_key.spki_der(), "CN=good")?;
    let mut trailing = good.clone();
    trailing.push(0);
    for (what, chain) in [
        ("nothing", vec![]),
        ("no octets", vec![vec![]]),
        ("a public key", vec![shared.key.public_key.spki_der().to_vec()]),
        ("half a certificate", vec![good[..good.len() / 2].to_vec()]),
        ("a certificate and an octet", vec![trailing]),
        ("a good one and garbage", vec![good, vec![0x30, 1]]),
    ] {
        let stored = block_on(store.store_certificates(&shared.key.uri, &chain));
        refused(stored, ErrorKind::InvalidArgument, what)?;
        let loaded = block_on(store.load_certificates(&shared.key.uri));
        refused(loaded, ErrorKind::NotFound, format!("load_certificates after {what}"))?;
    }
    Ok(())
}

fn deleted(store: &dyn CertificateManager, shared: &Shared) -> Outcome {
    let (first, second) = (chain(shared, 3)?, chain(shared, 1)?);
    block_on(store.store_certificates(&shared.key.uri, &first))?;
    block_on(store.delete_certificates(&shared.key.uri))?;
    refused(block_on(store.load_certificates(&shared.key.uri)), ErrorKind::NotFound, "load_certificates")?;
    refused(block_on(store.delete_certificates(&shared.key.uri)), ErrorKind::NotFound, "delete_certificates again")?;
    shared.still_signs()?;
    block_on(store.store_certificates(&shared.key.uri, &second))?;
    // Nothing of the longer chain may be left behind the shorter one.
    ensure(block_on(store.load_certificates(&shared.key.uri))? == second, "another chain than was stored second")
}

fn stay_when_the_key_goes(store: &dyn CertificateManager, shared: &Shared) -> Outcome {
    let deleter = capability(shared.manager.as_key_deleter(), "delete")?;
    let chain = chain(shared, 2)?;
    block_on(store.store_certificates(&shared.key.uri, &chain))?;
    block_on(deleter.delete_key(&shared.key.uri))?;
    ensure(block_on(store.load_certificates(&shared.key.uri))? == chain, "certificates went with the key")
}

/// The certificate of the key first, then others as of its issuers.
fn chain(shared: &Shared, length: usize) -> Outcome<Vec<Vec<u8>>> {
    let spki_der = shared.key.public_key.spki_der();
    Ok((0..length).map(|number| certificate_for(spki_der, &format!("CN=number {number}"))).collect::<Result<_, _>>()?)
}

/// The generator of P-256 (SEC 2 section 2.4.2): a public key that nobody chose.
const OTHER_POINT: [u8; 65] = [
    0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03,
    0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe,
    0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce,
    0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
];
