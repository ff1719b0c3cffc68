//! What `sign_csr` makes of requests by OpenSSL and certtool.

use std::collections::HashSet;

use kmskit_tests::programs::Place;

pub(crate) const ROOT: &str = "sign_csr --key softkms:name=root;dir=pki/keys --ca pki/root_ca.crt";
pub(crate) const INTERMEDIATE: &str =
    "sign_csr --key softkms:name=intermediate;dir=pki/keys --ca pki/intermediate_ca.crt";
const SAN: &str =
    "DNS:www.example.com,DNS:*.example.org,IP:192.0.2.1,IP:2001:db8::1,email:ca@example.com,URI:https://example.com/a";

/// `openssl req -new`, and a key for it.
pub(crate) fn openssl_request(place: &Place, name: &str, key: &str, more: &str) {
    place.ok(&format!("openssl req -new -newkey {key} -noenc -keyout {name}.key -out {name}.csr {more}"));
}

/// `certtool --generate-request`, and a key for it.
fn certtool_request(place: &Place, name: &str, key: &str, template: &str) {
    place.write("template", template);
    place.ok(&format!("certtool --generate-privkey {key} --outfile {name}.key"));
    place
        .ok(&format!("certtool --generate-request --load-privkey {name}.key --template template --outfile {name}.csr"));
}

#[track_caller]
fn text(place: &Place, file: &str) -> String {
    place.ok(&format!("openssl x509 -in {file} -noout -text"))
}

/// The value of an extension as OpenSSL shows it in a request or certificate.
fn extension(text: &str, name: &str) -> Option<String> {
    let (_, after) = text.split_once(&format!("X509v3 {name}:"))?;
    after.lines().nth(1).map(|line| line.trim().to_owned())
}

/// A chain that ends at the root, for a purpose and not for another.
#[track_caller]
fn accepted(place: &Place, file: &str, purpose: &str, not: &str) {
    let verify = "openssl verify -x509_strict -check_ss_sig -CAfile pki/root_ca.crt -untrusted pki/intermediate_ca.crt";
    place.ok(&format!("{verify} -purpose {purpose} {file}"));
    assert!(!place.run(&format!("{verify} -purpose {not} {file}")).succeeded(), "{file} as {not}");
}

#[test]
fn requests_by_openssl_become_servers_and_clients() {
    let place = Place::new();
    place.ok("pki_init");
    for (name, key, usage) in [
        ("rsa", "rsa:2048", "Digital Signature, Key Encipherment"),
        ("p256", "ec -pkeyopt ec_paramgen_curve:P-256", "Digital Signature"),
        ("p384", "ec -pkeyopt ec_paramgen_curve:P-384 -sha256", "Digital Signature"),
        ("ed25519", "ed25519", "Digital Signature"),
    ] {
        openssl_request(
            &place,
            name,
            key,
            &format!("-subj /C=CH/O=Example/CN=www.example.com -addext subjectAltName={SAN}"),
        );
        place.ok(&format!("{INTERMEDIATE} --profile tls-server --csr {name}.csr --out {name}-server.crt"));
        place.ok(&format!("{INTERMEDIATE} --profile tls-client --csr {name}.csr --out {name}-client.crt"));
        accepted(&place, &format!("{name}-server.crt"), "sslserver", "sslclient");
        accepted(&place, &format!("{name}-client.crt"), "sslclient", "sslserver");

        let asked = place.ok(&format!("openssl req -in {name}.csr -noout -text"));
        let given = text(&place, &format!("{name}-server.crt"));
        let names = extension(&asked, "Subject Alternative Name");
        assert!(names.as_ref().is_some_and(|names| names.contains("2001:DB8")), "{asked}");
        assert_eq!(names, extension(&given, "Subject Alternative Name"));
        assert_eq!(extension(&given, "Key Usage").as_deref(), Some(usage));
        assert_eq!(extension(&given, "Extended Key Usage").as_deref(), Some("TLS Web Server Authentication"));
        assert_eq!(extension(&given, "Basic Constraints"), None);
        for what in ["-subject", "-pubkey"] {
            let of_request = place.ok(&format!("openssl req -in {name}.csr -noout {what}"));
            assert_eq!(place.ok(&format!("openssl x509 -in {name}-server.crt -noout {what}")), of_request);
        }
    }
}

#[test]
fn requests_by_certtool_are_taken_for_every_profile() {
    let place = Place::new();
    place.ok("pki_init");
    let names = "cn = \"www.example.com\"\ndns_name = \"www.example.com\"\nip_address = \"192.0.2.1\"\n";
    for (name, key) in [
        ("rsa", "--key-type rsa --bits 2048"),
        ("ec", "--key-type ecdsa --curve secp256r1"),
        ("ed", "--key-type ed25519"),
    ] {
        // By default it asks for CA:FALSE and digitalSignature.
        certtool_request(&place, name, key, names);
        for profile in ["tls-server", "tls-client", "code-signer"] {
            place.ok(&format!("{INTERMEDIATE} --profile {profile} --csr {name}.csr --out {name}-{profile}.crt"));
        }
        accepted(&place, &format!("{name}-tls-server.crt"), "sslserver", "sslclient");
        accepted(&place, &format!("{name}-tls-client.crt"), "sslclient", "sslserver");
        let given = text(&place, &format!("{name}-code-signer.crt"));
        assert_eq!(extension(&given, "Extended Key Usage").as_deref(), Some("Code Signing"));
        let verify = "certtool --verify --load-ca-certificate anchors.pem --verify-purpose";
        place.write("anchors.pem", place.text("pki/root_ca.crt") + &place.text("pki/intermediate_ca.crt"));
        place.ok(&format!("{verify} 1.3.6.1.5.5.7.3.3 --infile {name}-code-signer.crt"));
        assert!(!place.run(&format!("{verify} 1.3.6.1.5.5.7.3.1 --infile {name}-code-signer.crt")).succeeded());

        // For a CA it asks for digitalSignature besides.
        certtool_request(&place, "sub", key, "cn = \"Sub CA\"\nca\ncert_signing_key\ncrl_signing_key\n");
        place.ok(&format!("{ROOT} --profile subordinate-ca --csr sub.csr --out {name}-sub.crt"));
        place.ok(&format!("openssl verify -x509_strict -CAfile pki/root_ca.crt {name}-sub.crt"));
        let given = text(&place, &format!("{name}-sub.crt"));
        assert_eq!(extension(&given, "Basic Constraints").as_deref(), Some("CA:TRUE, pathlen:0"));
        let usage = extension(&given, "Key Usage");
        assert_eq!(usage.as_deref(), Some("Digital Signature, Certificate Sign, CRL Sign"));
    }
    // What else it can ask of a server.
    let server = format!("{names}tls_www_server\nsigning_key\nencryption_key\n");
    certtool_request(&place, "server", "--key-type rsa --bits 2048", &server);
    place.ok(&format!("{INTERMEDIATE} --csr server.csr --out server.crt"));
    accepted(&place, "server.crt", "sslserver", "sslclient");
}

#[test]
fn a_portable_root_makes_a_ca_that_issues() {
    let place = Place::new();
    for root_type in ["ec-p256", "rsa-2048", "ed25519"] {
        place.shell("rm -rf pki sub.crt leaf.crt");
        place.ok(&format!("pki_init --type {root_type}"));
        // Somebody else's CA, its key in a file of OpenSSL's.
        openssl_request(&place, "sub", "ec -pkeyopt ec_paramgen_curve:P-384 -sha384", "-subj /CN=Online");
        place.ok(&format!("{ROOT} --profile subordinate-ca --path-len 1 --csr sub.csr --out sub.crt"));
        assert_eq!(extension(&text(&place, "sub.crt"), "Basic Constraints").as_deref(), Some("CA:TRUE, pathlen:1"));
        openssl_request(&place, "leaf", "rsa:2048", "-subj /CN=a -addext subjectAltName=DNS:a.example.com");
        place.ok("sign_csr --key softkms:sub.key --ca sub.crt --csr leaf.csr --out leaf.crt");
        let verify = "openssl verify -x509_strict -check_ss_sig -CAfile pki/root_ca.crt -untrusted sub.crt";
        place.ok(&format!("{verify} -purpose sslserver -verify_hostname a.example.com leaf.crt"));
        assert!(!place.run(&format!("{verify} -verify_hostname b.example.com leaf.crt")).succeeded());
        let chain = ["leaf.crt", "sub.crt", "pki/root_ca.crt"].map(|file| place.text(file)).concat();
        place.write("chain.pem", chain);
        assert!(
            place.ok("certtool --verify-chain --infile chain.pem").contains("Verified. The certificate is trusted.")
        );
    }
}

#[test]
fn requests_are_read_in_all_their_forms() {
    let place = Place::new();
    place.ok("pki_init");
    let more = "-subj /CN=a -addext subjectAltName=DNS:a.example.com";
    openssl_request(&place, "plain", "ec -pkeyopt ec_paramgen_curve:P-256", more);
    place.ok("openssl req -in plain.csr -outform DER -out der.csr");
    place.ok("openssl req -in plain.csr -text -out text.csr");
    let pem = place.text("plain.csr");
    place.write("new.csr", pem.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"));
    place.write("crlf.csr", pem.replace('\n', "\r\n"));
    place.write("after.csr", format!("{pem}\n-- \nregards\n"));
    place.ok("openssl x509 -in pki/intermediate_ca.crt -outform DER -out ca.der");
    for form in ["plain", "der", "text", "new", "crlf", "after"] {
        place.ok(&format!("{INTERMEDIATE} --csr {form}.csr --out {form}.crt"));
        accepted(&place, &format!("{form}.crt"), "sslserver", "sslclient");
    }
    let der_ca = INTERMEDIATE.replace("pki/intermediate_ca.crt", "ca.der");
    place.write("stdout.crt", place.ok(&format!("{der_ca} --csr plain.csr")));
    accepted(&place, "stdout.crt", "sslserver", "sslclient");
    // The first certificate of a chain is the CA's.
    place.write("ca-chain.pem", place.text("pki/intermediate_ca.crt") + &place.text("pki/root_ca.crt"));
    let chain_ca = INTERMEDIATE.replace("pki/intermediate_ca.crt", "ca-chain.pem");
    place.ok(&format!("{chain_ca} --csr plain.csr --out chain.crt"));
}

#[test]
fn every_certificate_follows_rfc_5280() {
    let place = Place::new();
    place.ok("pki_init");
    let more = "-subj /CN=a -addext subjectAltName=DNS:a.example.com";
    openssl_request(&place, "a", "ec -pkeyopt ec_paramgen_curve:P-256", more);
    let mut serials = HashSet::new();
    for number in 0..8 {
        place.ok(&format!("{INTERMEDIATE} --csr a.csr --out {number}.crt"));
        let serial = place.ok(&format!("openssl x509 -in {number}.crt -noout -serial"));
        let hex = serial.trim().strip_prefix("serial=").unwrap().to_owned();
        assert_eq!(hex.len(), 40, "20 octets: {hex}");
        assert!(!hex.starts_with('-') && hex.as_bytes()[0] < b'8', "positive in 20 octets: {hex}");
        assert!(serials.insert(hex));
    }
    let identifier =
        |file: &str, name: &str| extension(&text(&place, file), name).unwrap_or_else(|| panic!("{file}: no {name}"));
    let (subject, authority) = ("Subject Key Identifier", "Authority Key Identifier");
    assert_eq!(identifier("0.crt", authority), identifier("pki/intermediate_ca.crt", subject));
    // RFC 7093 section 2 method 1, of the point that ends the SubjectPublicKeyInfo.
    place.shell("openssl x509 -in 0.crt -noout -pubkey | openssl pkey -pubin -outform DER | tail -c 65 >point");
    let hash = place.ok("openssl dgst -sha256 -c point");
    let colons = hash.trim().rsplit(' ').next().unwrap()[..59].to_uppercase();
    assert_eq!(identifier("0.crt", subject), colons);

    let dates = |file: &str| place.ok(&format!("openssl x509 -in {file} -noout -enddate"));
    place.ok(&format!("{INTERMEDIATE} --days 36500 --csr a.csr --out long.crt"));
    assert_eq!(dates("long.crt"), dates("pki/intermediate_ca.crt"), "no longer than its CA");
    place.ok(&format!("{INTERMEDIATE} --days 2 --csr a.csr --out short.crt"));
    place.ok("openssl x509 -in short.crt -noout -checkend 100000");
    assert!(!place.run("openssl x509 -in short.crt -noout -checkend 180000").succeeded());
    // An empty subject makes the alternative name critical.
    openssl_request(
        &place,
        "empty",
        "ec -pkeyopt ec_paramgen_curve:P-256",
        "-subj / -addext subjectAltName=DNS:a.example.com",
    );
    place.ok(&format!("{INTERMEDIATE} --csr empty.csr --out empty.crt"));
    assert!(text(&place, "empty.crt").contains("X509v3 Subject Alternative Name: critical"));
    accepted(&place, "empty.crt", "sslserver", "sslclient");
}
