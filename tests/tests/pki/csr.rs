//! What `csr` makes, judged by OpenSSL.

use kmskit_tests::programs::Place;

/// OpenSSL's verdict, which it tells on stderr and not by its exit code alone.
fn verifies(place: &Place, file: &str) -> bool {
    place.run(&format!("openssl req -in {file} -verify -noout")).stderr().contains("self-signature verify OK")
}

#[test]
fn requests_for_every_type_of_key_verify() {
    let place = Place::new();
    for (name, key_type, alg, shown) in [
        ("p256", "ec-p256", "", "ecdsa-with-SHA256"),
        ("p384", "ec-p384", "", "ecdsa-with-SHA384"),
        ("p521", "ec-p521", "", "ecdsa-with-SHA512"),
        ("k256", "ec-secp256k1", "", "ecdsa-with-SHA256"),
        ("rsa", "rsa-2048", "", "sha256WithRSAEncryption"),
        ("rsa", "", ";alg=rsa-pkcs1-sha512", "sha512WithRSAEncryption"),
        ("rsa", "", ";alg=rsa-pss-sha256", "rsassaPss"),
        ("rsa", "", ";alg=PS512", "rsassaPss"),
        ("ed", "ed25519", "", "ED25519"),
    ] {
        if !key_type.is_empty() {
            place.ok(&format!("kms create softkms:name={name};dir=keys --type {key_type}"));
        }
        let uri = format!("softkms:name={name};dir=keys{alg}");
        place.shell("rm -f out.csr");
        assert_eq!(
            place.ok(&format!("csr {uri} --subject CN=www.example.com --dns www.example.com --out out.csr")),
            ""
        );
        assert!(verifies(&place, "out.csr"), "{uri}");
        let text = place.ok("openssl req -in out.csr -noout -text");
        assert!(text.contains(&format!("Signature Algorithm: {shown}")), "{uri}: {text}");
        assert_eq!(place.ok("openssl req -in out.csr -noout -pubkey"), place.ok(&format!("kms key {uri}")));

        place.ok("openssl req -in out.csr -outform DER -out der");
        let mut altered = place.read("der");
        *altered.last_mut().unwrap() ^= 1;
        place.write("der", altered);
        assert!(!verifies(&place, "der -inform DER"), "{uri}: with its last octet altered");
    }
}

#[test]
fn names_are_those_given() {
    let place = Place::new();
    place.ok("kms create softkms:name=k;dir=keys");
    let names = "--dns www.example.com --dns *.example.org --ip 192.0.2.1 --ip 2001:db8::1 --email a@example.com --uri https://example.com/";
    place.write(
        "a.csr",
        place.ok(&format!("csr softkms:name=k;dir=keys --subject CN=www.example.com,O=Example,C=CH {names}")),
    );
    assert!(verifies(&place, "a.csr"));
    let subject = place.ok("openssl req -in a.csr -noout -subject -nameopt RFC2253");
    assert_eq!(subject, "subject=CN=www.example.com,O=Example,C=CH\n");
    let text = place.ok("openssl req -in a.csr -noout -text");
    let expected = "DNS:www.example.com, DNS:*.example.org, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1, \
                    email:a@example.com, URI:https://example.com/\n";
    assert!(text.contains(expected), "{text}");

    place.write("bare.csr", place.ok("csr softkms:name=k;dir=keys --subject CN=only"));
    assert!(verifies(&place, "bare.csr"));
    assert!(!place.ok("openssl req -in bare.csr -noout -text").contains("Alternative"));
}

#[test]
fn what_it_makes_can_be_signed() {
    let place = Place::new();
    place.ok("pki_init");
    place.ok("csr softkms:name=leaf;dir=pki/keys --subject CN=a --dns a.example.com --out a.csr");
    place.ok(
        "sign_csr --key softkms:name=intermediate;dir=pki/keys --ca pki/intermediate_ca.crt --csr a.csr --out a.crt",
    );
    let verify = "openssl verify -x509_strict -CAfile pki/root_ca.crt -untrusted pki/intermediate_ca.crt";
    place.ok(&format!("{verify} -purpose sslserver -verify_hostname a.example.com a.crt"));
}

#[test]
fn bad_input_is_refused() {
    let place = Place::new();
    place.ok("kms create softkms:name=k;dir=keys");
    place.write("there.csr", "mine");
    let before = place.snapshot();
    for (code, uri, arguments, says) in [
        (2, "softkms:name=k;dir=keys", "--subject nonsense", "`nonsense` is not a distinguished name"),
        (2, "softkms:name=k;dir=keys", "--subject XX=a", "is not a distinguished name"),
        (2, "softkms:name=k;dir=keys", "--subject CN=a --dns a..b", "`a..b` is not a DNS name"),
        (2, "softkms:name=k;dir=keys", "--subject CN=a --dns=-a", "`-a` is not a DNS name"),
        (2, "softkms:name=k;dir=keys", "--subject CN=a --dns a_b!", "is not a DNS name"),
        (2, "softkms:name=k;dir=keys", "--subject CN=a --ip 1.2.3", "--ip"),
        (2, "softkms:name=k;dir=keys", "--subject CN=a --email nobody", "is not a mail address"),
        (2, "softkms:name=k;dir=keys", "--subject CN=a --uri nothing", "is not an absolute URI"),
        (2, "softkms:name=k;dir=keys;colour=red", "--subject CN=a", "colour"),
        (2, "softkms:name=k;dir=keys", "", "--subject"),
        (3, "softkms:name=absent;dir=keys", "--subject CN=a", "absent"),
        (4, "softkms:name=k;dir=keys", "--subject CN=a --out there.csr", "there.csr"),
        (3, "softkms:name=k;dir=keys", "--subject CN=a --out absent/a.csr", "absent/a.csr"),
        (7, "softkms:name=k;dir=keys;alg=rsa-pss-sha256", "--subject CN=a", "rsa-pss-sha256"),
        (7, "nokms:x", "--subject CN=a", "nokms"),
    ] {
        let line = format!("csr {uri} {arguments}");
        let said = place.fails(code, line.trim_end());
        assert!(said.contains(says), "{line}: {said}");
        assert!(place.snapshot() == before, "{line}");
    }
}
