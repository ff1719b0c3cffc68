//! From attributes to typed values, with nothing left over.

use std::path::Path;

use kms_core::uri::KeyUri;
use kms_core::{Error, ErrorKind};

use crate::PIN;

#[test]
fn what_is_not_taken_is_refused() {
    let uri = KeyUri::parse("pkcs11:token=ca;alg=ed25519?pin-source=file:/p&module-name=x").unwrap();
    let mut taker = uri.attributes();
    assert_eq!(taker.path("token").unwrap().unwrap().text().unwrap(), "ca");
    assert!(taker.path("object").unwrap().is_none());
    assert_eq!(taker.either("module-name").unwrap().unwrap().bytes(), b"x");
    assert_eq!(taker.query("pin-source").unwrap().unwrap().name(), "pin-source");
    taker.finish().unwrap();
    assert_eq!(uri.alg(), Some("ed25519"));

    let refused = [
        ("pkcs11:tokn=ca;x=1?x=2", "attributes `tokn` in the path, `x` in the path, `x` in the query; known: `token`"),
        ("pkcs11:pin-value=1", "`pin-value` belongs after the `?`"),
        ("pkcs11:pin-source=1", "`pin-source` belongs after the `?`"),
        ("pkcs11:my-password=1", "`my-password` belongs after the `?`"),
        ("pkcs11:profile=1", "`profile` belongs after the `?`"),
        ("pkcs11:?token=1", "`token` belongs before the `?`"),
        ("pkcs11:?alg=1", "`alg` in the query"),
        ("pkcs11:alg=%FF", "`alg` in the path"),
        ("pkcs11:?profile=1&profile=2", "`profile` given a second time"),
        ("pkcs11:region=1?region=2", "`region` given a second time"),
    ];
    for (text, says) in refused {
        let uri = KeyUri::parse(text).unwrap();
        let mut taker = uri.attributes();
        let taken = taker.path("token").and_then(|_| taker.query("profile")).and_then(|_| taker.either("region"));
        let error = taken.and_then(|_| taker.finish()).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::InvalidUri);
        assert!(error.to_string().contains(says), "{text}: {error}");
    }
}

#[test]
fn values_become_types_or_errors_that_say_what_is_expected() {
    let uri = "softkms:n=255;big=256;neg=-1;plus=+1;none=;hex=0aFF;odd=0af;nohex=zz;yes=true;no=false;si=True;\
               bin=%FF;ctl=a%0Ab;nul=a%00;file=/etc/a%20b?pin=hunter2";
    let uri = KeyUri::parse(uri).unwrap();
    let value = |name| uri.attributes().either(name).unwrap().unwrap();

    assert_eq!(value("n").number::<u8>().unwrap(), 255);
    assert_eq!(value("big").number::<u16>().unwrap(), 256);
    assert_eq!(value("hex").hex().unwrap(), [0x0a, 0xff]);
    assert!(value("yes").flag().unwrap() && !value("no").flag().unwrap());
    assert_eq!(value("none").text().unwrap(), "");
    assert_eq!(value("file").file().unwrap(), Path::new("/etc/a b"));
    assert_eq!(*value("pin").secret(), *b"hunter2");

    let bad: [(Option<Error>, &str); 15] = [
        (value("big").number::<u8>().err(), "`big` takes a smaller number"),
        (value("neg").number::<u8>().err(), "decimal digits"),
        (value("plus").number::<u8>().err(), "decimal digits"),
        (value("none").number::<u8>().err(), "decimal digits"),
        (value("odd").hex().err(), "pairs of hex digits"),
        (value("nohex").hex().err(), "pairs of hex digits"),
        (value("none").hex().err(), "pairs of hex digits"),
        (value("si").flag().err(), "`true` or `false`"),
        (value("bin").text().err(), "UTF-8"),
        (value("ctl").text().err(), "control characters"),
        (value("nul").file().err(), "path of a file"),
        (value("ctl").file().err(), "path of a file"),
        (value("none").file().err(), "path of a file"),
        (value("pin").number::<u32>().err(), "softkms: the value of `pin`"),
        (value("pin").hex().err(), "`pin` takes"),
    ];
    for (error, says) in bad {
        let error = error.expect(says);
        assert_eq!(error.kind(), ErrorKind::InvalidUri);
        assert!(error.to_string().contains(says), "{error}");
        assert!(!format!("{error} {error:?}").contains(PIN), "{error}");
    }
}
