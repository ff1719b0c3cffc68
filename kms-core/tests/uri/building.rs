//! URIs from parts, and copies with one part changed.

use kms_core::uri::KeyUri;

use crate::assert_round_trip;

#[test]
fn the_builder_escapes_values_and_refuses_the_rest() {
    let uri = KeyUri::builder("PKCS11")
        .query("pin-value", "a&b?c#d")
        .path("token", "a;b/c d")
        .path("id", [0, 255])
        .build()
        .unwrap();
    assert_eq!(*uri.to_exposed_string(), "pkcs11:token=a%3Bb%2Fc%20d;id=%00%FF?pin-value=a%26b?c%23d");
    let positional = [
        ("softkms", "root.key", "softkms:root.key"),
        ("softkms", "/a/b", "softkms:/a/b"),
        ("softkms", "//a", "softkms:%2F/a"),
        ("softkms", "a=b.key", "softkms:a%3Db.key"),
        ("softkms", "=", "softkms:%3D"),
        ("awskms", "alias/x", "awskms:///alias/x"),
        ("awskms", "/x", "awskms:///%2Fx"),
        ("awskms", "a=b", "awskms:///a%3Db"),
        ("cloudkms", "projects/p", "cloudkms:projects/p"),
        ("cloudkms", "//p", "cloudkms:%2F/p"),
        ("gcpkms", "projects/p", "gcpkms://projects/p"),
        ("other", "a?b;c", "other:a%3Fb%3Bc"),
    ];
    for (scheme, value, text) in positional {
        let uri = KeyUri::builder(scheme).path("alg", "x").positional(value).build().unwrap();
        assert_eq!(uri.to_string(), format!("{text};alg=x"));
        assert_eq!(uri.path().next().unwrap().bytes(), value.as_bytes());
        assert_round_trip(&uri);
    }
    let bad = [
        KeyUri::builder(""),
        KeyUri::builder("pk cs"),
        KeyUri::builder("pkcs11:token=a"),
        KeyUri::builder("pkcs11").path("", "x"),
        KeyUri::builder("pkcs11").path("a;b", "x"),
        KeyUri::builder("pkcs11").path("a=b", "x"),
        KeyUri::builder("pkcs11").path("token", "x").path("token", "y"),
        KeyUri::builder("pkcs11").path("type", "key"),
        KeyUri::builder("pkcs11").path("slot-id", "-1"),
        KeyUri::builder("pkcs11").positional("x"),
        KeyUri::builder("yubikey").positional("9c"),
        KeyUri::builder("softkms").positional(""),
        KeyUri::builder("softkms").positional("a").positional("b"),
        KeyUri::builder("softkms").positional("a").path("path", "b"),
        KeyUri::builder("softkms").query("a", "1").query("a", "2"),
        KeyUri::builder("softkms").path("path", "x".repeat(70_000)),
    ];
    for builder in bad {
        let error = builder.clone().build().expect_err(&format!("{builder:?}"));
        assert_eq!(error.position(), None, "{error}");
    }
}

#[test]
fn copies_differ_in_one_attribute() {
    let uri = KeyUri::parse("softkms:root.key?password=hunter2&x=1").unwrap();
    for (copy, text) in [
        (uri.with_path("alg", "ed25519"), "softkms:root.key;alg=ed25519?password=hunter2&x=1"),
        (uri.with_path("path", "b c"), "softkms:b%20c?password=hunter2&x=1"),
        (uri.with_path("path", ""), "softkms:path=?password=hunter2&x=1"),
        (uri.with_query("password", "new"), "softkms:root.key?password=new&x=1"),
        (uri.with_query("y", "2"), "softkms:root.key?password=hunter2&x=1&y=2"),
    ] {
        assert_eq!(*copy.unwrap().to_exposed_string(), text);
    }
    let repeated = KeyUri::parse("pkcs11:?v=1&w=2&v=3&x=4").unwrap();
    assert_eq!(repeated.with_query("v", "5").unwrap().to_string(), "pkcs11:?v=5&w=2&x=4");
    assert!(uri.with_path("a b", "x").is_err());
}
