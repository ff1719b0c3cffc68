//! Bad input of the two examples: a clear error, the right exit code, and no port opened.

use crate::backend::Backend;
use crate::pki::Pki;

#[test]
fn bad_input_is_refused_with_a_clear_error() {
    for backend in Backend::all() {
        let pki = Pki::new();
        let [key, other] = ["key", "other"].map(|name| backend.key(name, "ec-p256"));
        let chain = pki.certify(&backend, &key, "ca", "chain");
        let place = pki.place();
        let ca = pki.path("ca.crt");
        place.shell("openssl ec -in ca.key -out private.key 2>&1; : > empty.crt; echo nonsense > text.crt");
        place.shell("cp chain-*.leaf chain.leaf; cp chain-*.crt chain.crt");
        place.shell("cat ca.crt chain.leaf > reversed.crt; head -c 300 chain.crt > cut.crt");
        place.shell("openssl x509 -in chain.leaf -outform DER -out chain.der; (cat chain.der; echo) > trailing.der");
        let file = |name: &str| pki.path(name);
        let absent = backend.uri("absent");
        for (code, key, cert, says) in [
            (1, &other, &chain, "the certificate is for another key"),
            (1, &key, &ca, "the certificate is for another key"),
            (1, &key, &file("reversed.crt"), "but not in the first place"),
            (2, &key, &file("empty.crt"), "no certificate in it"),
            (2, &key, &file("text.crt"), "no certificate in it"),
            (2, &key, &file("cut.crt"), "damaged"),
            (2, &key, &file("trailing.der"), "cannot be read"),
            (2, &key, &file("private.key"), "this is a private key, where a certificate is meant"),
            (2, &key, &other, "this is the URI of a key, where a file of certificates is meant"),
            (3, &key, &file("absent.crt"), "absent.crt"),
            (2, &file("private.key"), &chain, "for a key in a file write `softkms:` before its path"),
            (3, &absent, &chain, "absent"),
        ] {
            for example in ["tls_server", "tls_client"] {
                let arguments: &[&str] = if example == "tls_server" {
                    &[key, "--cert", cert, "--listen", "127.0.0.1:0"]
                } else {
                    &["localhost:1", "--ca", &ca, "--key", key, "--cert", cert]
                };
                let ended = backend.run(example, arguments).ended_with(code).says(says);
                assert_eq!(ended.stdout(), "", "{example} {cert}");
                assert!(!ended.stderr().contains("1234"), "the PIN is shown: {ended}");
            }
        }
        let der = file("chain.der");
        drop(backend.serve(&key, &der, &[]));
    }
}

#[test]
fn what_cannot_serve_is_refused() {
    let (pki, backend) = (Pki::new(), Backend::soft());
    let key = backend.key("key", "ec-p256");
    let chain = pki.certify(&backend, &key, "ca", "chain");
    pki.place().write("empty.crt", "");
    let [ca, empty] = ["ca.crt", "empty.crt"].map(|name| pki.path(name));
    let k256 = backend.key("k256", "ec-secp256k1");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for (code, arguments, says) in [
        (7, [k256.as_str(), "--cert", &chain, "--listen", "127.0.0.1:0"].as_slice(), "TLS has no signature scheme"),
        (7, &["nokms:x", "--cert", &chain], "no backend for scheme `nokms`"),
        (2, &[&key, "--cert", &chain, "--client-ca", &empty], "no certificate in it"),
        (2, &[&key, "--cert", &chain, "--client-ca", &key], "this is the URI of a key"),
        (2, &[&key, "--cert", &chain, "--tls", "1.1"], "1.1"),
        (2, &[&key], "--cert"),
        (6, &[&key, "--cert", &chain, "--listen", &taken], "cannot listen on"),
    ] {
        backend.run("tls_server", arguments).ended_with(code).says(says);
    }
    for (arguments, says) in [
        (["https://localhost:1", "--ca", &ca].as_slice(), "not a DNS name or IP address"),
        (&["localhost", "--ca", &ca], "expected HOST:PORT"),
        (&["localhost:99999", "--ca", &ca], "not a port"),
        (&["localhost:1", "--ca", &ca, "--path", "a b"], "expected `/`"),
        (&["localhost:1", "--ca", &ca, "--key", &key], "--cert"),
        (&["localhost:1"], "--ca"),
    ] {
        backend.run("tls_client", arguments).ended_with(2).says(says);
    }
    for example in ["tls_server", "tls_client"] {
        backend.run(example, &["--help"]).ended_with(0).says("Exit codes:").says("Example");
    }
}
