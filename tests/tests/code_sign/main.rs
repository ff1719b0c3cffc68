//! `code_sign`, judged by OpenSSL and GnuTLS, on every backend.

use kmskit_tests::programs::{Place, example};

/// Keys of three CAs in the place's backend, their certificates in `pki`.
fn pki(place: &Place) {
    let [root, intermediate, leaf] = ["root", "intermediate", "leaf"].map(|name| place.uri(name));
    if !place.path("keys").exists() {
        std::fs::create_dir(place.path("keys")).unwrap();
    }
    place.ok(&format!("pki_init --root {root} --intermediate {intermediate} --leaf {leaf}"));
}

/// Makes a key and its code-signing certificate, `NAME.pem`; gives the key's URI.
fn certified(place: &Place, name: &str, key_type: &str) -> String {
    let uri = place.key(name, key_type);
    let authority = format!("--ca-key {} --ca pki/intermediate_ca.crt", place.uri("intermediate"));
    assert_eq!(
        place.ok(&format!("code_sign certify --key {uri} --subject CN={name} {authority} --out {name}.pem")),
        ""
    );
    uri
}

const OPENSSL: &str = "openssl cms -verify -binary -inform DER -CAfile pki/root_ca.crt -purpose any -out out -in";
const GNUTLS: &str =
    "certtool --p7-verify --inder --load-ca-certificate pki/root_ca.crt --verify-purpose 1.3.6.1.5.5.7.3.3 --infile";

#[test]
fn from_a_key_to_a_signature_that_the_root_alone_verifies() {
    for place in Place::on_every_backend() {
        pki(&place);
        place.shell("head -c 100000 /dev/urandom >file");
        for key_type in ["ec-p256", "ec-p384", "rsa-2048", "ed25519"] {
            let uri = certified(&place, key_type, key_type);
            let text = place.ok(&format!("openssl x509 -in {key_type}.pem -noout -text"));
            assert!(text.contains("Code Signing") && text.contains("Digital Signature"), "{text}");
            place.ok(&format!(
                "openssl verify -x509_strict -CAfile pki/root_ca.crt -untrusted {key_type}.pem {key_type}.pem"
            ));

            place.shell("rm -f file.p7s");
            assert_eq!(place.ok(&format!("code_sign sign --key {uri} --cert {key_type}.pem file")), "");
            // OpenSSL 3.0 does not know RFC 8419.
            if key_type != "ed25519" {
                place.ok(&format!("{OPENSSL} file.p7s -content file"));
            }
            place.ok(&format!("{GNUTLS} file.p7s --load-data file"));
            let said = place.ok("code_sign verify --root pki/root_ca.crt file");
            assert_eq!(said, format!("OK: signed by CN={key_type}\n"));

            place.ok(&format!("code_sign sign --key {uri} --cert {key_type}.pem --attached --out {key_type}.p7s file"));
            place.shell("rm -f out");
            if key_type != "ed25519" {
                place.ok(&format!("{OPENSSL} {key_type}.p7s"));
                assert!(place.read("out") == place.read("file"));
            }
            place.ok(&format!("{GNUTLS} {key_type}.p7s"));
        }
    }
}

#[test]
fn a_file_that_is_larger_than_the_memory_is_signed_and_verified() {
    for place in Place::on_every_backend() {
        pki(&place);
        let uri = certified(&place, "code", "ec-p256");
        let program = example("code_sign").display().to_string();
        let limited = |line: &str| {
            let script = format!("ulimit -v 400000; {program} {line}");
            let ended = place.command("sh").args(["-ec", &script]).output().unwrap();
            assert!(ended.status.success(), "{line}: {}", String::from_utf8_lossy(&ended.stderr));
        };
        place.shell("truncate -s 1000000000 file");
        limited(&format!("sign --key '{uri}' --cert code.pem file"));
        limited("verify --root pki/root_ca.crt file");
        place.ok(&OPENSSL.replace("-out out -in", "-out /dev/null -content file -in file.p7s"));
    }
}

#[test]
fn signatures_by_openssl_verify() {
    let place = Place::new();
    pki(&place);
    certified(&place, "code", "ec-p256");
    place.write("file", "content");
    let sign =
        "openssl cms -sign -binary -in file -signer code.pem -inkey keys/code.key -certfile pki/intermediate_ca.crt";
    for (form, more) in [("DER", ""), ("PEM", ""), ("DER", " -keyid"), ("DER", " -md sha384"), ("DER", " -cades")] {
        place.ok(&format!("{sign} -outform {form} -out file.p7s{more}"));
        let said = place.run("code_sign verify --root pki/root_ca.crt file");
        assert!(said.succeeded(), "{form}{more}: {}", said.stderr());
    }
    // No signed attributes: anybody could pass them off as the content.
    place.ok(&format!("{sign} -outform DER -out file.p7s -noattr"));
    assert!(place.fails(1, "code_sign verify --root pki/root_ca.crt file").contains("no signed attributes"));
    // Without the intermediate there is no way to the root.
    place.ok(&sign.replace("-certfile pki/intermediate_ca.crt", "-outform DER -out file.p7s"));
    let said = place.fails(1, "code_sign verify --root pki/root_ca.crt file");
    assert!(said.contains("does not lead up to the root"), "{said}");
    // Two signers.
    let two = format!("{sign} -signer pki/leaf.crt -inkey keys/leaf.key -outform DER -out file.p7s");
    place.ok(&two);
    assert!(place.fails(1, "code_sign verify --root pki/root_ca.crt file").contains("exactly one signer"));
}

#[test]
fn what_was_altered_is_refused() {
    let place = Place::new();
    pki(&place);
    let uri = certified(&place, "code", "ec-p256");
    place.write("file", "content");
    place.ok(&format!("code_sign sign --key {uri} --cert code.pem file"));
    let verify = "code_sign verify --root pki/root_ca.crt file";
    place.write("file", "contents");
    assert!(place.fails(1, verify).contains("the content is not what was signed"));
    place.write("file", "content");
    place.ok(verify);
    // Whatever bit is flipped: refused, never a panic (which would be 101).
    let good = place.read("file.p7s");
    for position in (0..good.len()).step_by(3) {
        let mut altered = good.clone();
        altered[position] ^= 1 << (position % 8);
        place.write("file.p7s", &altered);
        let ended = place.run(verify);
        assert!(!ended.succeeded(), "octet {position} of {}", good.len());
        ended.ended_with_one_of(&[1, 2, 7]);
    }
    for length in [0, 1, 2, 20, good.len() / 2, good.len() - 1] {
        place.write("file.p7s", &good[..length]);
        place.run(verify).ended_with_one_of(&[1, 2]);
    }
}

#[test]
fn other_roots_and_purposes_are_refused() {
    let place = Place::new();
    pki(&place);
    let uri = certified(&place, "code", "ec-p256");
    place.write("file", "content");
    place.ok(&format!("code_sign sign --key {uri} --cert code.pem file"));
    // Of the same name, with another key.
    place.ok("pki_init --out other");
    let said = place.fails(1, "code_sign verify --root other/root_ca.crt file");
    assert!(said.contains("does not lead up to the root"), "{said}");
    // By a certificate for TLS.
    let tls = "openssl cms -sign -binary -outform DER -in file -signer pki/leaf.crt -inkey keys/leaf.key -certfile pki/intermediate_ca.crt -out tls.p7s";
    place.ok(tls);
    let said = place.fails(1, "code_sign verify --root pki/root_ca.crt --signature tls.p7s file");
    assert!(said.contains("extended key usage 1.3.6.1.5.5.7.3.3"), "{said}");
    // The intermediate as the root: it is not what the user trusts, but if it is, the chain ends there.
    place.ok("code_sign verify --root pki/intermediate_ca.crt file");
}

#[test]
fn bad_input_is_refused_and_nothing_is_written() {
    let place = Place::new();
    pki(&place);
    let uri = certified(&place, "code", "ec-p256");
    let other = place.key("other", "ec-p256");
    place.write("file", "content");
    place.write("empty.pem", "");
    place.write("cut.pem", &place.text("code.pem")[..900]);
    place.shell(
        "openssl req -new -key keys/code.key -subj /CN=old >old.csr
         printf 'extendedKeyUsage=codeSigning' >ext
         printf 'basicConstraints=critical,CA:TRUE' >ca
         openssl x509 -req -in old.csr -signkey keys/code.key -days 0 -extfile ca -out old.crt
         openssl x509 -req -in old.csr -CA pki/intermediate_ca.crt -CAkey keys/intermediate.key -days 0 -extfile ext -out expired.pem
         sleep 2",
    );
    let before = place.snapshot();
    let ca = "--ca-key softkms:name=intermediate;dir=keys --ca pki/intermediate_ca.crt";
    for (code, line, says) in [
        (2, format!("code_sign certify --key {uri} --subject nonsense {ca}"), "distinguished name"),
        (2, format!("code_sign certify --key keys/code.key --subject CN=a {ca}"), "--key"),
        (4, format!("code_sign certify --key {uri} --subject CN=a {ca} --out code.pem"), "code.pem"),
        (
            1,
            format!(
                "code_sign certify --key {uri} --subject CN=a {} --out new",
                ca.replace("name=intermediate", "name=root")
            ),
            "not that of the key",
        ),
        (
            2,
            format!("code_sign certify --key {uri} --subject CN=a {} --out new", ca.replace("intermediate_ca", "leaf")),
            "not one of a CA",
        ),
        (
            2,
            format!(
                "code_sign certify --key {uri} --subject CN=a {} --out new",
                ca.replace("pki/intermediate_ca", "old")
            ),
            "not in force",
        ),
        (
            3,
            format!(
                "code_sign certify --key {uri} --subject CN=a {} --out new",
                ca.replace("pki/intermediate_ca.crt", "softkms:a")
            ),
            "softkms:a",
        ),
        (1, format!("code_sign sign --key {other} --cert code.pem file"), "not that of the key"),
        (2, format!("code_sign sign --key {uri} --cert pki/leaf.crt file"), "not one for signing code"),
        (2, format!("code_sign sign --key {uri} --cert empty.pem file"), "empty.pem holds no certificate"),
        (2, format!("code_sign sign --key {uri} --cert cut.pem file"), "cut.pem"),
        (2, format!("code_sign sign --key {uri} --cert keys/code.key file"), "holds no certificate"),
        (2, format!("code_sign sign --key {uri} --cert expired.pem file"), "not in force"),
        (3, format!("code_sign sign --key {uri} --cert code.pem absent"), "absent"),
        (2, format!("code_sign sign --key {uri} --cert code.pem pki"), "is a directory"),
        (4, format!("code_sign sign --key {uri} --cert code.pem --out code.pem file"), "code.pem"),
        (3, "code_sign verify --root pki/root_ca.crt file".to_owned(), "file.p7s"),
        (2, "code_sign verify --root empty.pem --signature code.pem file".to_owned(), "empty.pem"),
        (2, "code_sign verify --root code.pem --signature code.pem file".to_owned(), "not one root"),
        (2, "code_sign verify --root pki/root_ca.crt --signature code.pem file".to_owned(), "holds no CMS"),
    ] {
        let said = place.fails(code, &line);
        assert!(said.contains(says), "{line}: {said}");
        assert!(place.snapshot() == before, "{line}");
    }
}

#[test]
fn a_chain_of_one_name_goes_along_whole() {
    let place = Place::new();
    let keys = ["root", "intermediate", "leaf"].map(|role| format!(" --{role}-key-id {}", place.key(role, "ec-p256")));
    place.ok(&format!("certificate_maker create fulcio.example.com{} --chain-cert chain.pem", keys.concat()));
    place.write("file", "content");
    place.ok(&format!("code_sign sign --key {} --cert chain.pem file", place.uri("leaf")));
    place.ok("code_sign verify --root root.pem file");
    place.ok(
        "openssl cms -verify -binary -inform DER -CAfile root.pem -purpose any -out out -in file.p7s -content file",
    );
}
