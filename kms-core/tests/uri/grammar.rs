//! RFC 7512, with its corners and its bounds.

use kms_core::uri::{Attribute, KeyUri};
use serde_json::{Map, Value as Json, json};

use crate::assert_round_trip;

/// Verdicts of the RFC's grammar on URIs from the tests and manuals of other libraries.
const VECTORS: &str = include_str!("../uri_vectors.json");

#[test]
fn every_vector_is_judged_as_the_grammar_does() {
    let vectors: Vec<Json> = serde_json::from_str(VECTORS).unwrap();
    assert!(vectors.len() > 180);
    for vector in vectors {
        let text = vector["uri"].as_str().unwrap();
        match KeyUri::parse(text) {
            Ok(uri) => {
                assert_eq!(vector["rfc7512_abnf"], true, "accepted {text}");
                let attrs = json!({ "path": shape(uri.path()), "query": shape(uri.query()) });
                assert_eq!(attrs, vector["attrs"], "{text}");
                assert_round_trip(&uri);
            }
            Err(error) => {
                assert_eq!(vector["rfc7512_abnf"], false, "{text}: {error}");
                assert!(error.position().is_some_and(|at| at <= text.len()), "{text}: {error}");
            }
        }
    }
}

#[test]
fn the_grammar_of_pkcs11_has_corners() {
    for good in [
        "pkcs11:?",
        "pkcs11:type=PRIVATE",
        "PkCs11:type=Secret-Key",
        "pkcs11:library-version=300.4000",
        "pkcs11:slot-id=99999999999999999999999999",
        "pkcs11:token=a=b=c&d",
        "pkcs11:token=",
        "pkcs11:?type=key&type=x&slot-id=none",
        "pkcs11:?a=?b=/|",
        "pkcs11:TYPE=x;Type=y",
        "pkcs11:-=a;_=b;0=c",
        "pkcs11:token=:[]@!$'()*+,=&-._~",
    ] {
        assert_round_trip(&KeyUri::parse(good).unwrap_or_else(|error| panic!("{good}: {error}")));
    }
}

#[test]
fn the_longest_text_is_64_kib() {
    let fill = |length: usize| format!("softkms:path={}", "=".repeat(length - 13));
    let longest = KeyUri::parse(&fill(64 * 1024)).unwrap();
    assert_round_trip(&longest);
    assert_eq!(KeyUri::parse(&fill(64 * 1024 + 1)).unwrap_err().position(), None);
    assert!(longest.with_path("name", "x").is_err());
    // An `id` in full escapes would be too long to be read again.
    assert_round_trip(&KeyUri::parse(&format!("pkcs11:id={}", "1".repeat(60_000))).unwrap());
}

#[test]
fn many_attributes_are_searched_for_repeats() {
    let names = (0..3000).map(|n| format!("n{n}=")).collect::<Vec<_>>().join(";");
    assert_eq!(KeyUri::parse(&format!("pkcs11:{names}")).unwrap().path().count(), 3000);
    for n in [0, 15, 16, 2999] {
        let error = KeyUri::parse(&format!("pkcs11:{names};n{n}=")).unwrap_err();
        assert_eq!(error.position(), Some("pkcs11:".len() + names.len() + 1));
        assert!(KeyUri::parse(&format!("softkms:?{names};n{n}=").replace(';', "&")).is_err());
        assert!(KeyUri::parse(&format!("pkcs11:?{names};n{n}=").replace(';', "&")).is_ok());
    }
    assert!(KeyUri::parse(&format!("softkms:a.key;{names};path=b")).is_err());
    // Path and query are apart, however many there are.
    let query = names.replace(';', "&");
    assert!(KeyUri::parse(&format!("softkms:{names}?{query}")).is_ok());
}

#[test]
fn spellings_of_one_key_are_equal_and_each_is_kept() {
    let file = ["softkms:/a.key", "softkms:///a.key", "softkms:path=/a.key"].map(|text| KeyUri::parse(text).unwrap());
    assert!(file.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(file.map(|uri| uri.to_string()), ["softkms:/a.key", "softkms:/a.key", "softkms:path=/a.key"]);
    for (text, canonical) in [
        ("PKCS11:token=%63a;id=1", "pkcs11:token=ca;id=%31"),
        ("pkcs11:object=%c3%a9%2f?pin-source=file:%2fpin", "pkcs11:object=%C3%A9%2F?pin-source=file:/pin"),
        ("awskms:///alias%2fx;region=r", "awskms:///alias/x;region=r"),
        ("pkcs11:?", "pkcs11:"),
    ] {
        assert_eq!(KeyUri::parse(text).unwrap().to_string(), canonical);
    }
}

/// As in the vectors: text, `{"hex": …}` where it is none, and a list for a name that comes again.
fn shape<'a>(attributes: impl Iterator<Item = Attribute<'a>>) -> Json {
    let mut map = Map::new();
    for attribute in attributes {
        let hex = || attribute.bytes().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let value = attribute.text().map_or_else(|| json!({ "hex": hex() }), Json::from);
        match map.get_mut(attribute.name()) {
            None => {
                map.insert(attribute.name().into(), value);
            }
            Some(Json::Array(list)) => list.push(value),
            Some(one) => *one = Json::Array(vec![one.take(), value]),
        }
    }
    Json::Object(map)
}
