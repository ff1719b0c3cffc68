//! No secret in anything that is shown: a canary stands in each place for one, and all that comes back is searched.

use std::fmt::{Debug, Display};
use std::sync::Arc;

use kms_core::{DecryptionAlgorithm, Error, KeyManager, KeySpec, KeyUri, Secret, block_on};

use super::suite::{Cases, Outcome, Stop, Suite, ensure};

const CANARY: &str = "canary-5ab1e9c47d";

pub(crate) fn add(cases: &mut Cases) {
    let uris = cases.harness().uris_with_secret(CANARY);
    for number in 0..uris.len() {
        cases.add(format!("secrets::never_shown-{number}"), move |suite| {
            let uris = suite.harness.uris_with_secret(CANARY);
            uris.get(number).map_or(Ok(()), |uri| never_shown(suite, uri))
        });
    }
    cases.add("secrets::search_finds_a_canary", |_| {
        let mut search = Search::default();
        search.show(&Error::new(kms_core::ErrorKind::Other, CANARY));
        ensure(search.finish().is_err(), "the search for canaries finds none where there is one")
    });
    if uris.is_empty() {
        cases.add("secrets::never_shown", |_| Err(Stop::Ignored("the harness names no place for a secret".into())));
    }
}

fn never_shown(suite: &Suite, uri: &KeyUri) -> Outcome {
    let exposed = uri.to_exposed_string();
    ensure(exposed.contains(CANARY), "the harness left the canary out")?;
    let mut search = Search::default();
    search.show(uri);
    search.text(&format!("{:?}", uri.attributes()));
    let registry = suite.harness.registry();
    match block_on(registry.open(uri)) {
        Ok(manager) => use_it(&mut search, &manager, uri, suite),
        Err(error) => search.error(&error),
    }
    if let Err(error) = block_on(registry.signer(uri)) {
        search.error(&error);
    }
    // Wrong in other ways too: the fault of one attribute must not show another.
    for wrong in [uri.with_path("no-such-attribute", "x"), uri.with_query("no-such-attribute", "x")] {
        match wrong {
            Ok(wrong) => search.result(block_on(registry.signer(&wrong)).map(|signer| format!("{signer:?}"))),
            Err(error) => search.show(&error),
        }
    }
    // Malformed just after the secret: the parser's error must not quote what came before.
    for tail in ["%", "%zz", "&=", "&no such", "\u{7f}"] {
        if let Err(error) = format!("{}{tail}", *exposed).parse::<KeyUri>() {
            search.show(&error);
            search.error(&Error::from(error));
        }
    }
    search.finish()
}

/// All that can be done with the key, well or badly.
fn use_it(search: &mut Search, manager: &Arc<dyn KeyManager>, uri: &KeyUri, suite: &Suite) {
    search.text(&format!("{manager:?}"));
    let Ok(key_type) = suite.some_type() else { return };
    let spec = KeySpec::new(key_type);
    for _ in 0..2 {
        search.result(
            block_on(manager.create_key(uri, &spec))
                .map(|key| format!("{key:?} {} {}", key.uri, *key.uri.to_exposed_string())),
        );
    }
    search.result(block_on(manager.public_key(uri)).map(|key| format!("{key:?}")));
    for algorithm in kms_core::SignatureAlgorithm::all() {
        search.result(block_on(manager.signer(uri, Some(algorithm))).map(|signer| {
            let signed = block_on(signer.sign(b"m")).map_err(|error| format!("{error:?} {}", error.chain()));
            let refused = block_on(signer.sign_digest(b"m")).map_err(|error| format!("{error:?} {}", error.chain()));
            format!("{signer:?} {signed:?} {refused:?}")
        }));
    }
    if let Some(certificates) = manager.as_certificate_manager() {
        search.result(block_on(certificates.load_certificates(uri)).map(|chain| format!("{chain:?}")));
        search.result(block_on(certificates.store_certificates(uri, &[vec![]])).map(|()| String::new()));
    }
    if let Some(decrypter) = manager.as_decrypter() {
        let decrypted = block_on(decrypter.decrypt(uri, DecryptionAlgorithm::RsaOaepSha256, &[1; 256]));
        search.result(decrypted.map(|plain| format!("{plain:?}")));
    }
    if let Some(importer) = manager.as_key_importer() {
        let imported = block_on(importer.import_key(uri, &Secret::new(CANARY), &spec));
        search.result(imported.map(|key| format!("{key:?}")));
    }
    if let Some(searcher) = manager.as_key_searcher() {
        search.result(block_on(searcher.search_keys(uri)).map(|keys| {
            let uris: Vec<_> = keys.iter().map(|key| key.uri.to_exposed_string()).collect();
            format!("{keys:?} {uris:?}")
        }));
    }
    if let Some(deleter) = manager.as_key_deleter() {
        for _ in 0..2 {
            search.result(block_on(deleter.delete_key(uri)).map(|()| String::new()));
        }
    }
}

/// Looks for the canary in all it is shown, as text, in hex and as a list of octets.
#[derive(Default)]
struct Search {
    found: Vec<String>,
}

impl Search {
    fn result(&mut self, result: kms_core::Result<String>) {
        match result {
            Ok(text) => self.text(&text),
            Err(error) => self.error(&error),
        }
    }

    fn error(&mut self, error: &Error) {
        self.text(&format!("{error} {error:?} {error:#?} {} {}", error.chain(), error.hint().unwrap_or_default()));
    }

    fn show(&mut self, shown: &(impl Display + Debug)) {
        self.text(&format!("{shown} {shown:?} {shown:#?}"));
    }

    fn text(&mut self, text: &str) {
        let bytes = format!("{:?}", CANARY.as_bytes());
        let lower = text.to_lowercase();
        if lower.contains(CANARY) || lower.contains(&hex(CANARY)) || text.contains(bytes.trim_matches(['[', ']'])) {
            self.found.push(text.to_owned());
        }
    }

    fn finish(self) -> Outcome {
        self.found.first().map_or(Ok(()), |text| Err(Stop::Failed(format!("the secret is shown: {text}"))))
    }
}

fn hex(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut hex, octet| {
        let _ = write!(hex, "{octet:02x}");
        hex
    })
}
