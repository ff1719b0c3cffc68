//! What holds for all texts and all values.

use std::collections::BTreeSet;

use kms_core::uri::{Attribute, KeyUri};
use proptest::prelude::*;

use crate::assert_round_trip;

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_what_parses_round_trips(text in "\\PC{0,60}", scheme in scheme()) {
        let _ = KeyUri::parse(&text);
        if let Ok(uri) = KeyUri::parse(&format!("{scheme}:{text}")) {
            assert_round_trip(&uri);
        }
    }

    #[test]
    fn texts_near_the_grammar_round_trip(
        scheme in scheme(),
        lead in "/{0,4}",
        path in "([a-c=;/:&.]|%[0-9a-fA-F]{2}){0,24}",
        query in "(\\?([a-c=&/?|]|%[0-9a-fA-F]{2}){0,24})?",
    ) {
        if let Ok(uri) = KeyUri::parse(&format!("{scheme}:{lead}{path}{query}")) {
            assert_round_trip(&uri);
        }
    }

    #[test]
    fn built_uris_keep_every_byte(
        scheme in scheme(),
        positional in prop::option::of(prop::collection::vec(any::<u8>(), 1..40)),
        path in prop::collection::vec(("[A-Za-z0-9_-]{1,8}", prop::collection::vec(any::<u8>(), 0..40)), 0..24),
        query in prop::collection::vec(("[A-Za-z0-9_-]{1,8}", prop::collection::vec(any::<u8>(), 0..40)), 0..24),
    ) {
        let positional = positional.filter(|_| !matches!(scheme.as_str(), "pkcs11" | "yubikey"));
        let (path, query) = (distinct(path), distinct(query));
        let mut builder = KeyUri::builder(&scheme);
        for (name, value) in &path {
            builder = builder.path(name, value);
        }
        if let Some(value) = &positional {
            builder = builder.positional(value);
        }
        for (name, value) in &query {
            builder = builder.query(name, value);
        }
        let uri = builder.build().unwrap();
        let pair = |attribute: Attribute<'_>| (attribute.name().to_owned(), attribute.bytes().to_vec());
        let skip = usize::from(positional.is_some());
        prop_assert_eq!(uri.path().skip(skip).map(pair).collect::<Vec<_>>(), path);
        prop_assert_eq!(uri.query().map(pair).collect::<Vec<_>>(), query);
        if let Some(value) = positional {
            prop_assert_eq!(uri.path().next().unwrap().bytes(), value);
        }
        assert_round_trip(&uri);
    }
}

fn scheme() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["pkcs11", "awskms", "cloudkms", "gcpkms", "yubikey", "softkms", "x-y"])
        .prop_map(Into::into)
}

/// Without repeats, and without the names that a scheme gives a form or a positional value.
fn distinct(attributes: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let mut seen = BTreeSet::from(["type", "slot-id", "path", "resource", "key-id"].map(String::from));
    attributes.into_iter().filter(|(name, _)| seen.insert(name.clone())).collect()
}
