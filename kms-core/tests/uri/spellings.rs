//! What each scheme accepts and refuses, side by side.

use kms_core::uri::{Attribute, KeyUri};
use kms_core::{Error, ErrorKind};

use crate::assert_round_trip;

#[test]
#[expect(clippy::too_many_lines, reason = "two tables side by side")]
fn each_scheme_has_its_spellings() {
    let arn = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let resource = "projects/p/locations/global/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1";
    let version = "projects/p/locations/global/keyRings/r/cryptoKeys/k/versions/1";
    let good: [(&str, &[(&str, &str)]); 42] = [
        ("awskms:key-id=1234abcd-12ab-34cd-56ef-1234567890ab", &[("key-id", "1234abcd-12ab-34cd-56ef-1234567890ab")]),
        ("awskms:key-id=mrk-1234abcd12ab34cd56ef1234567890ab", &[("key-id", "mrk-1234abcd12ab34cd56ef1234567890ab")]),
        ("awskms:key-id=alias/Root-CA", &[("key-id", "alias/Root-CA")]),
        ("awskms:key-id=alias%2FRoot-CA", &[("key-id", "alias/Root-CA")]),
        (&format!("awskms:key-id={arn}"), &[("key-id", arn)]),
        (&format!("awskms:///{arn}"), &[("key-id", arn)]),
        ("awskms:///alias/Root-CA", &[("key-id", "alias/Root-CA")]),
        (
            "awskms:///alias/x;region=eu-west-1?profile=ca",
            &[("key-id", "alias/x"), ("region", "eu-west-1"), ("?profile", "ca")],
        ),
        ("awskms:///1234abcd-12ab-34cd-56ef-1234567890ab", &[("key-id", "1234abcd-12ab-34cd-56ef-1234567890ab")]),
        ("awskms:name=root;region=eu-west-1", &[("name", "root"), ("region", "eu-west-1")]),
        (
            "awskms:region=eu-west-1?credentials-file=/etc/aws/credentials&role-arn=arn:aws:iam::1:role/ca",
            &[
                ("region", "eu-west-1"),
                ("?credentials-file", "/etc/aws/credentials"),
                ("?role-arn", "arn:aws:iam::1:role/ca"),
            ],
        ),
        ("awskms:endpoint-url=http://127.0.0.1:4566", &[("endpoint-url", "http://127.0.0.1:4566")]),
        ("awskms:", &[]),
        ("AwsKms:region=x", &[("region", "x")]),
        (&format!("cloudkms:{resource}"), &[("resource", resource)]),
        (
            &format!("cloudkms:{resource}?credentials-file=/k.json"),
            &[("resource", resource), ("?credentials-file", "/k.json")],
        ),
        (&format!("cloudkms:resource={resource}"), &[("resource", resource)]),
        ("cloudkms:projects/p/locations/global/keyRings/r", &[("resource", "projects/p/locations/global/keyRings/r")]),
        ("cloudkms:projects/p;alg=ed25519", &[("resource", "projects/p"), ("alg", "ed25519")]),
        ("cloudkms:", &[]),
        (&format!("gcpkms://{resource}"), &[("resource", resource)]),
        (&format!("gcpkms://{version}"), &[("resource", version)]),
        (&format!("gcpkms:resource={version}"), &[("resource", version)]),
        ("yubikey:slot-id=9c", &[("slot-id", "9c")]),
        (
            "yubikey:slot-id=82;serial=12345678?pin-source=env:PIN",
            &[("slot-id", "82"), ("serial", "12345678"), ("?pin-source", "env:PIN")],
        ),
        (
            "yubikey:slot-id=9a;touch-policy=always;pin-policy=once",
            &[("slot-id", "9a"), ("touch-policy", "always"), ("pin-policy", "once")],
        ),
        ("yubikey:", &[]),
        ("softkms:path=root.key", &[("path", "root.key")]),
        ("softkms:name=root;dir=pki", &[("name", "root"), ("dir", "pki")]),
        ("softkms:root.key", &[("path", "root.key")]),
        ("softkms:pki/root.key", &[("path", "pki/root.key")]),
        ("softkms:./a=b.key", &[("path", "./a=b.key")]),
        ("softkms:a%3Db.key", &[("path", "a=b.key")]),
        ("softkms:my%20key+1.pem", &[("path", "my key+1.pem")]),
        ("softkms:/pki/root.key", &[("path", "/pki/root.key")]),
        ("softkms:///pki/root.key", &[("path", "/pki/root.key")]),
        (
            "softkms:root.key;alg=rsa-pss-sha256?password-source=file:/etc/pw",
            &[("path", "root.key"), ("alg", "rsa-pss-sha256"), ("?password-source", "file:/etc/pw")],
        ),
        ("softkms:?password-source=env:PW", &[("?password-source", "env:PW")]),
        ("vaultkms:transit/keys/root", &[("path", "transit/keys/root")]),
        ("vaultkms:/transit", &[("path", "/transit")]),
        ("x-hsm.v2:key=a/b;slot=1?z=?|/", &[("key", "a/b"), ("slot", "1"), ("?z", "?|/")]),
        ("softkms:path=a?path=b", &[("path", "a"), ("?path", "b")]),
    ];
    for (text, want) in good {
        let uri = KeyUri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(flat(&uri), want.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect::<Vec<(String, String)>>());
        assert_round_trip(&uri);
    }

    // Text, offset of the fault, and what the error must say.
    let bad = [
        ("awskms://arn:aws:kms:eu-west-1:1:key/2", 7, "awskms:///arn:…"),
        ("awskms://localhost:4566/alias/x", 7, "endpoint-url="),
        ("awskms://eu-west-1/alias/x", 7, "awskms:///alias/…"),
        ("awskms:alias/x", 7, "awskms:key-id=…"),
        ("awskms:arn:aws:kms:eu-west-1:1:key/2", 7, "awskms:///arn:…"),
        ("awskms:1234abcd-12ab-34cd-56ef-1234567890ab", 7, "awskms:key-id=…"),
        ("awskms:/alias/x", 7, "awskms:///alias/…"),
        ("awskms:////alias/x", 7, "awskms:///alias/…"),
        ("awskms:///", 7, "awskms:///alias/…"),
        ("awskms:///;region=x", 7, "empty value"),
        ("awskms:///key-id=x", 7, "attribute after slashes"),
        ("awskms:///alias/x;key-id=alias/x", 18, "`key-id` given a second time"),
        ("awskms:region=a;region=b", 16, "`region` given a second time"),
        ("awskms:?profile=a&profile=b", 18, "`profile` given a second time"),
        ("cloudkms://projects/p", 9, "cloudkms:projects/…"),
        ("cloudkms:/projects/p", 9, "cloudkms:projects/…"),
        ("cloudkms:///projects/p", 9, "cloudkms:projects/…"),
        ("cloudkms:projects/p;resource=projects/q", 20, "`resource` given a second time"),
        ("gcpkms:projects/p", 7, "gcpkms://projects/…"),
        ("gcpkms:/projects/p", 7, "gcpkms://projects/…"),
        ("gcpkms:///projects/p", 7, "gcpkms://projects/…"),
        ("gcpkms://resource=projects/p", 7, "attribute after slashes"),
        ("yubikey:9c", 8, "yubikey:slot-id=9c"),
        ("yubikey://slot-id=9c", 8, "yubikey:slot-id=9c"),
        ("yubikey:slot-id", 8, "yubikey:slot-id=9c"),
        ("yubikey:slot-id=9c;9d", 19, "without `=`"),
        ("softkms://host/root.key", 8, "softkms:/etc/root.key"),
        ("softkms:root.key;path=b", 17, "`path` given a second time"),
        ("softkms:root.key;", 17, "empty attribute"),
        ("softkms:;path=a", 8, "empty attribute"),
        ("softkms:=a", 8, "without a name"),
        ("softkms:my key.pem", 10, "`%20`"),
        ("softkms:C:\\root.key", 10, "a raw `\\`"),
        ("softkms:clé.pem", 10, "not ASCII"),
        ("softkms:root.key\n", 16, "line break at the end"),
        ("vaultkms://host/key", 9, "without `//`"),
        ("", 0, "empty text"),
        ("root.key", 0, "write `softkms:`"),
        ("/etc/pki/root.key", 0, "write `softkms:`"),
        ("./root", 0, "write `softkms:`"),
        ("token=ca;object=root", 0, "pkcs11:token=…;object=…"),
        ("pkcs11", 0, "no scheme"),
        (":object=root", 0, "no scheme"),
        ("1kms:key=a", 0, "no scheme"),
        (" pkcs11:object=root", 0, "white space before the scheme"),
        ("pkcs11://token=ca", 7, "`%2F`"),
        ("pkcs11:/token=ca", 7, "`%2F`"),
        ("pkcs11:root", 7, "without `=`"),
        ("pkcs11:module-path=/usr/lib/x.so;token=ca", 19, "go after the `?`"),
        ("pkcs11:token=a/b", 14, "`%2F`"),
        ("pkcs11:token=a;;object=b", 15, "empty attribute"),
        ("pkcs11:token=a;?x=y", 15, "empty attribute"),
        ("pkcs11:?x=y&", 12, "empty attribute"),
        ("pkcs11:?&x=y", 8, "empty attribute"),
        ("pkcs11:=a", 7, "without a name"),
        ("pkcs11:to ken=a", 9, "white space in an attribute name"),
        ("pkcs11:tok.en=a", 10, "no attribute name has"),
        ("pkcs11:token=a b", 14, "white space"),
        ("pkcs11:token=a%2", 14, "`%25`"),
        ("pkcs11:token=a%zz", 14, "`%25`"),
        ("pkcs11:token=%é", 13, "`%25`"),
        ("pkcs11:token=a#b", 14, "a raw `#`"),
        ("pkcs11:token=a\u{7f}", 14, "control character"),
        ("pkcs11:?module-path=/a;x=y", 22, "`&` separates"),
        ("pkcs11:object=é", 14, "not ASCII"),
        ("pkcs11:type=key", 12, "`secret-key`"),
        ("pkcs11:type=%63ert", 12, "`secret-key`"),
        ("pkcs11:slot-id=", 15, "decimal"),
        ("pkcs11:slot-id=%31", 15, "decimal"),
        ("pkcs11:library-version=1.2.3", 23, "library-version"),
        ("pkcs11:x=1;x=2", 11, "an attribute given a second time"),
        ("pkcs11:?pin-source=a&pin-source=b", 21, "`pin-source` given a second time"),
    ];
    for (text, position, says) in bad {
        let error = KeyUri::parse(text).expect_err(text);
        assert_eq!(error.position(), Some(position), "{text}: {error}");
        assert!(error.to_string().contains(says), "{text}: {error}");
        let wrapped = Error::from(error);
        assert_eq!(wrapped.kind(), ErrorKind::InvalidUri);
        assert!(wrapped.context().ends_with(&format!("at byte {position}")), "{wrapped}");
    }
}

/// Names and values as text in their order, `?` before those of the query.
fn flat(uri: &KeyUri) -> Vec<(String, String)> {
    let text = |attribute: &Attribute<'_>| attribute.text().expect("text").to_owned();
    let path = uri.path().map(|attribute| (attribute.name().to_owned(), text(&attribute)));
    let query = uri.query().map(|attribute| (format!("?{}", attribute.name()), text(&attribute)));
    path.chain(query).collect()
}
