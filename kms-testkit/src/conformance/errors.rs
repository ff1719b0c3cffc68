//! What is not there is not found, by every call, and stays absent.

use std::sync::Arc;

use kms_core::{DecryptionAlgorithm, Error, ErrorKind, KeyManager, KeyType, KeyUri, SignatureAlgorithm, block_on};

use super::suite::{Cases, Outcome, Suite, capability, ensure, refused};
use crate::certificate::certificate_for;

pub(crate) fn add(cases: &mut Cases) {
    cases.add("errors::absent_key::public_key", |suite| {
        absent(suite, |manager, uri| block_on(manager.public_key(uri)).map(drop))
    });
    cases.add("errors::absent_key::signer", |suite| {
        absent(suite, |manager, uri| block_on(manager.signer(uri, None)).map(drop))?;
        absent(suite, |manager, uri| block_on(manager.signer(uri, Some(SignatureAlgorithm::MlDsa87))).map(drop))
    });
    cases.add("errors::absent_key::signer_by_registry", |suite| {
        absent(suite, |_, uri| block_on(suite.harness.registry().signer(uri)).map(drop))
    });
    cases.add("errors::absent_key::delete", |suite| {
        capability(suite.open()?.as_key_deleter().map(drop), "delete")?;
        absent(suite, |manager, uri| {
            manager.as_key_deleter().map_or_else(gone, |deleter| block_on(deleter.delete_key(uri)))
        })
    });
    cases.add("errors::absent_key::decrypt", |suite| {
        capability(suite.open()?.as_decrypter().map(drop), "decryption")?;
        absent(suite, |manager, uri| {
            let decrypter = manager.as_decrypter();
            let algorithm = DecryptionAlgorithm::RsaOaepSha256;
            decrypter.map_or_else(gone, |decrypter| block_on(decrypter.decrypt(uri, algorithm, &[1; 256])).map(drop))
        })
    });
    cases.add("errors::absent_key::load_certificates", |suite| {
        capability(suite.open()?.as_certificate_manager().map(drop), "certificates")?;
        absent(suite, |manager, uri| {
            let certificates = manager.as_certificate_manager();
            certificates.map_or_else(gone, |certificates| block_on(certificates.load_certificates(uri)).map(drop))
        })
    });
    cases.add("errors::absent_key::delete_certificates", |suite| {
        capability(suite.open()?.as_certificate_manager().map(drop), "certificates")?;
        absent(suite, |manager, uri| {
            let certificates = manager.as_certificate_manager();
            certificates.map_or_else(gone, |certificates| block_on(certificates.delete_certificates(uri)))
        })
    });
    cases.add("errors::absent_key::store_certificates", |suite| {
        capability(suite.open()?.as_certificate_manager().map(drop), "certificates")?;
        let key = suite.shared(suite.some_type()?)?.key.public_key;
        let certificate = certificate_for(key.spki_der(), "CN=of another key")?;
        absent(suite, |manager, uri| {
            let (certificates, chain) = (manager.as_certificate_manager(), [certificate.clone()]);
            certificates.map_or_else(gone, |certificates| block_on(certificates.store_certificates(uri, &chain)))
        })
    });
    cases.add("errors::absent_key::attest", |suite| {
        capability(suite.open()?.as_attester().map(drop), "attestation")?;
        absent(suite, |manager, uri| {
            manager.as_attester().map_or_else(gone, |attester| block_on(attester.attest(uri)).map(drop))
        })
    });
    cases.add("errors::say_what_and_are_not_transient", |suite| {
        let uri = suite.fresh_key("absent");
        let Err(error) = block_on(suite.open()?.public_key(&uri)) else { return Err("found".to_owned().into()) };
        ensure(!error.is_transient(), "an absent key is not a passing fault")?;
        let names_key = uri.path().filter_map(|attribute| attribute.text()).any(|text| error.chain().contains(text));
        ensure(names_key, format!("the error does not say which key: {}", error.chain()))
    });
    cases.add("errors::key_type_is_checked_before_decryption", wrong_type_for_decryption);
}

/// Calls twice: the first call must not have made what it did not find.
fn absent(suite: &Suite, call: impl Fn(&Arc<dyn KeyManager>, &KeyUri) -> kms_core::Result<()>) -> Outcome {
    let (manager, uri) = (suite.open()?, suite.fresh_key("absent"));
    refused(call(&manager, &uri), ErrorKind::NotFound, "an absent key")?;
    refused(call(&manager, &uri), ErrorKind::NotFound, "an absent key, asked for again")?;
    refused(block_on(manager.public_key(&uri)), ErrorKind::NotFound, "public_key afterwards")
}

/// The capability was there a moment ago.
fn gone() -> kms_core::Result<()> {
    Err(Error::new(ErrorKind::Other, "the manager has lost a capability"))
}

fn wrong_type_for_decryption(suite: &Suite) -> Outcome {
    let shared = suite.shared(KeyType::EcP256)?;
    let decrypter = capability(shared.manager.as_decrypter(), "decryption")?;
    let decrypted = block_on(decrypter.decrypt(&shared.key.uri, DecryptionAlgorithm::RsaOaepSha256, &[1; 256]));
    refused(decrypted, ErrorKind::Unsupported, "decryption with a key that is not RSA")
}
