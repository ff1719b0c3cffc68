//! URIs that are wrong for the backend are refused by every call, before anything is done.

use std::sync::Arc;

use kms_core::{
    DecryptionAlgorithm, ErrorKind, KeyManager, KeySpec, KeyType, KeyUri, Registry, Secret, SignatureAlgorithm,
    block_on,
};

use super::suite::{Cases, Outcome, Suite, ensure, refused};

pub(crate) fn add(cases: &mut Cases) {
    cases.add("uris::unknown_path_attribute", |suite| {
        refused_everywhere(suite, &known(suite, |uri| uri.with_path("no-such-attribute", "x"))?)
    });
    cases.add("uris::unknown_query_attribute", |suite| {
        refused_everywhere(suite, &known(suite, |uri| uri.with_query("no-such-attribute", "x"))?)
    });
    cases.add("uris::unknown_algorithm", |suite| {
        let uri = known(suite, |uri| uri.with_path("alg", "md5-rsa"))?;
        refused(block_on(suite.open()?.signer(&uri, None)), ErrorKind::InvalidUri, "`alg=md5-rsa`")
    });
    cases.add("uris::repeated_attribute", repeated);
    cases.add("uris::of_another_scheme", |suite| {
        let uri: KeyUri = "no-such-scheme:name=x".parse().map_err(kms_core::Error::from)?;
        refused_by_manager(&suite.open()?, &uri)
    });
    cases.add("uris::scheme_nobody_opens", unknown_scheme);
    cases.add("uris::scheme_in_capitals", |suite| {
        let key = suite.shared(suite.some_type()?)?.key;
        let text = key.uri.to_exposed_string();
        let (scheme, rest) = text.split_once(':').unwrap_or_default();
        let shouted: KeyUri = format!("{}:{rest}", scheme.to_uppercase()).parse().map_err(kms_core::Error::from)?;
        let signer = block_on(suite.harness.registry().signer(&shouted))?;
        ensure(*signer.public_key() == key.public_key, "another key in capitals")
    });
    let wrong = cases.harness().wrong_uris();
    for (number, uri) in wrong.into_iter().enumerate() {
        // The URI itself would make a poor name for a case: separators, secrets.
        cases.add(format!("uris::wrong-{number}"), move |suite| refused_everywhere(suite, &uri));
    }
}

/// A key that exists, so that nothing but the change can be the reason for a refusal.
fn known(suite: &Suite, change: impl FnOnce(&KeyUri) -> Result<KeyUri, kms_core::uri::UriError>) -> Outcome<KeyUri> {
    let shared = suite.shared(suite.some_type()?)?;
    Ok(change(&shared.key.uri).map_err(kms_core::Error::from)?)
}

/// Once more each attribute of a good URI: by the parser, or where its grammar allows repeats, by the backend.
fn repeated(suite: &Suite) -> Outcome {
    let shared = suite.shared(suite.some_type()?)?;
    let text = shared.key.uri.to_exposed_string();
    let (path, query) = text.split_once('?').map_or((text.as_str(), None), |(path, query)| (path, Some(query)));
    let mut count = 0;
    for attribute in shared.key.uri.path() {
        let again =
            format!("{path};{}=x{}", attribute.name(), query.map(|query| format!("?{query}")).unwrap_or_default());
        refused_as_text(suite, &again)?;
        count += 1;
    }
    for attribute in shared.key.uri.query() {
        refused_as_text(suite, &format!("{}&{}=x", *text, attribute.name()))?;
        count += 1;
    }
    ensure(count > 0, "the URI of a key has no attributes")
}

fn refused_as_text(suite: &Suite, text: &str) -> Outcome {
    match text.parse::<KeyUri>() {
        Ok(uri) => refused_everywhere(suite, &uri),
        Err(error) => refused(Err::<(), _>(error.into()), ErrorKind::InvalidUri, text),
    }
}

fn unknown_scheme(suite: &Suite) -> Outcome {
    let uri: KeyUri = "no-such-scheme:name=x".parse().map_err(kms_core::Error::from)?;
    let registry = suite.harness.registry();
    refused(block_on(registry.open(&uri)), ErrorKind::Unsupported, "open")?;
    refused(block_on(registry.signer(&uri)), ErrorKind::Unsupported, "signer")?;
    let Err(error) = block_on(registry.open(&uri)) else { return Ok(()) };
    for scheme in registry.schemes() {
        ensure(error.to_string().contains(scheme), format!("the error does not name `{scheme}`: {error}"))?;
    }
    refused(
        block_on(Registry::new().open(&suite.harness.place())),
        ErrorKind::Unsupported,
        "a registry with nothing in it",
    )
}

fn refused_everywhere(suite: &Suite, uri: &KeyUri) -> Outcome {
    refused(block_on(suite.harness.registry().signer(uri)), ErrorKind::InvalidUri, format!("opening {uri}"))?;
    refused_by_manager(&suite.open()?, uri)
}

fn refused_by_manager(manager: &Arc<dyn KeyManager>, uri: &KeyUri) -> Outcome {
    let kind = ErrorKind::InvalidUri;
    let what = |call: &str| format!("{call} with {uri}");
    refused(block_on(manager.public_key(uri)), kind, what("public_key"))?;
    refused(block_on(manager.signer(uri, None)), kind, what("signer"))?;
    let default = Some(SignatureAlgorithm::EcdsaSha256);
    refused(block_on(manager.signer(uri, default)), kind, what("signer with an algorithm"))?;
    refused(block_on(manager.create_key(uri, &KeySpec::new(KeyType::EcP256))), kind, what("create_key"))?;
    if let Some(deleter) = manager.as_key_deleter() {
        refused(block_on(deleter.delete_key(uri)), kind, what("delete_key"))?;
    }
    if let Some(searcher) = manager.as_key_searcher() {
        refused(block_on(searcher.search_keys(uri)), kind, what("search_keys"))?;
    }
    if let Some(certificates) = manager.as_certificate_manager() {
        refused(block_on(certificates.load_certificates(uri)), kind, what("load_certificates"))?;
        refused(block_on(certificates.store_certificates(uri, &[vec![0x30, 0]])), kind, what("store_certificates"))?;
        refused(block_on(certificates.delete_certificates(uri)), kind, what("delete_certificates"))?;
    }
    if let Some(decrypter) = manager.as_decrypter() {
        let decrypted = block_on(decrypter.decrypt(uri, DecryptionAlgorithm::RsaOaepSha256, &[1; 256]));
        refused(decrypted, kind, what("decrypt"))?;
    }
    if let Some(importer) = manager.as_key_importer() {
        let spec = KeySpec::new(KeyType::EcP256);
        refused(block_on(importer.import_key(uri, &Secret::new([0x30, 0]), &spec)), kind, what("import_key"))?;
    }
    if let Some(attester) = manager.as_attester() {
        refused(block_on(attester.attest(uri)), kind, what("attest"))?;
    }
    Ok(())
}
