//! Nothing that is shown holds a secret or a piece of one.

use kms_core::Error;
use kms_core::uri::KeyUri;

use crate::{PIN, assert_round_trip};

#[test]
fn secrets_are_never_shown() {
    let secret = [
        "pkcs11:token=ca;object=root?pin-value=hunter2",
        "pkcs11:token=ca;pin-value=hunter2",
        "yubikey:slot-id=9c;PIN=hunter2;management-key=hunter2?puk=hunter2",
        "softkms:root.key?password=hunter2&x-Secret-x=hunter2",
        "awskms:region=x?secret-access-key=hunter2&session-token=hunter2",
    ];
    for text in secret {
        let uri = KeyUri::parse(text).unwrap();
        assert!(uri.has_secret());
        let attributes = uri.path().chain(uri.query()).collect::<Vec<_>>();
        let shown = format!(
            "{uri} {uri:?} {uri:#?} {attributes:?} {:?} {:?}",
            uri.attributes(),
            KeyUri::builder("x").path("pin", PIN)
        );
        assert!(!shown.contains(PIN), "{shown}");
        assert!(KeyUri::parse(&uri.to_string()).is_err(), "{uri} must not parse back");
        assert!(uri.to_exposed_string().contains(PIN));
        assert!(!uri.without_secrets().has_secret());
        assert_round_trip(&uri.without_secrets());
        assert!(!uri.without_secrets().to_exposed_string().contains(PIN));
        assert!(!uri.attributes().finish().unwrap_err().to_string().contains(PIN));
    }
    let uri = KeyUri::parse("pkcs11:token=ca?pin-value=hunter2&pin-source=file:/p").unwrap();
    assert_eq!(uri.to_string(), "pkcs11:token=ca?pin-value=<redacted>&pin-source=file:/p");
    assert_eq!(uri.without_secrets().to_string(), "pkcs11:token=ca?pin-source=file:/p");
}

#[test]
fn a_secret_behind_a_wrong_delimiter_is_not_shown_and_not_taken_for_a_part_of_a_value() {
    for text in [
        "softkms:dir=pki&password-value=hunter2",
        "softkms:pki/a&password-value=hunter2",
        "softkms:a.key%3Fpassword-value=hunter2",
        "pkcs11:token=ca&pin-value=hunter2",
        "pkcs11:token=ca?module-path=/m.so?pin-value=hunter2",
        "yubikey:slot-id=9c&pin=hunter2",
    ] {
        let uri = KeyUri::parse(text).unwrap();
        let attributes = uri.path().chain(uri.query()).collect::<Vec<_>>();
        let shown = format!("{uri} {uri:?} {attributes:?} {:?} {}", uri.attributes(), uri.without_secrets());
        assert!(!shown.contains(PIN), "{shown}");
        assert_round_trip(&uri);

        let mut taker = uri.attributes();
        for name in ["dir", "path", "token", "slot-id"] {
            taker.path(name).unwrap();
        }
        taker.query("module-path").unwrap();
        let error = taker.finish().expect_err(text).to_string();
        assert!(error.contains("after the `?`") && !error.contains(PIN), "{error}");
    }
}

#[test]
fn leftover_names_that_may_be_half_a_pin_are_not_shown() {
    let uri = KeyUri::parse("pkcs11:tokn=ca?pin-value=12&hunter2=3").unwrap();
    let mut taker = uri.attributes();
    taker.query("pin-value").unwrap();
    let error = taker.finish().unwrap_err().to_string();
    assert!(error.contains("one in the query") && !error.contains(PIN), "{error}");
}

#[test]
fn faults_repeat_nothing_of_a_pin() {
    for text in [
        "pkcs11:?pin-value=hunter2#",
        "pkcs11:?pin-value=#hunter2",
        "pkcs11:?pin-value=12&hunter2",
        "pkcs11:?pin-value=12&hunter2#=",
        "pkcs11:?pin-value=12&hunter2=#",
        "pkcs11:?pin-value=12;hunter2",
        "pkcs11:pin-value=12;hunter2",
        "pkcs11:pin-value=12/hunter2",
        "pkcs11:pin-value=%hunter2",
        "pkcs11:hunter2=a;hunter2=b",
        "pkcs11:type=hunter2",
        "pkcs11:slot-id=hunter2",
        "hunter2",
        "yubikey:hunter2",
        "awskms:hunter2",
        "softkms:?password=1&hunter2=a&hunter2=b",
        "softkms:?password=1&hunter2=é",
    ] {
        let error = KeyUri::parse(text).expect_err(text);
        for shown in [format!("{error} {error:?}"), Error::from(error.clone()).chain()] {
            assert!(!shown.contains(PIN) && !shown.contains('#'), "{shown}");
        }
    }
}
