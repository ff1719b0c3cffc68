//! Key URIs: RFC 7512 to the letter, every spelling of the other schemes, and secrets that stay inside.

use kms_core::uri::KeyUri;

mod building;
mod grammar;
mod properties;
mod secrets;
mod spellings;
mod taking;

const PIN: &str = "hunter2";

fn assert_round_trip(uri: &KeyUri) {
    let text = uri.to_exposed_string();
    let again = KeyUri::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", *text));
    assert_eq!(again, *uri);
    assert_eq!(again.to_exposed_string(), text, "not canonical");
    if !uri.has_secret() {
        assert_eq!(uri.to_string(), *text);
    }
}
