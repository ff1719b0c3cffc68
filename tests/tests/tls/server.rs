//! Our server, judged by others' clients: every type of key, both versions, every scheme of RSA.

use crate::backend::Backend;
use crate::pki::Pki;
use crate::process::{converse, judge};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// How OpenSSL, GnuTLS and curl are told the version, and how our page tells it.
const VERSIONS: [[&str; 4]; 2] = [
    ["-tls1_2", "NORMAL:-VERS-ALL:+VERS-TLS1.2", "--tlsv1.2 --tls-max 1.2", "version: TLSv1_2"],
    ["-tls1_3", "NORMAL:-VERS-ALL:+VERS-TLS1.3", "--tlsv1.3 --tls-max 1.3", "version: TLSv1_3"],
];

#[test]
fn openssl_gnutls_and_curl_accept_every_type_of_key() {
    let pki = Pki::new();
    let ca = pki.path("ca.crt");
    for backend in Backend::all() {
        for key_type in backend.key_types {
            let server = pki.serve(&backend, key_type, &[]);
            let port = server.port;
            for [openssl, gnutls, curl, version] in VERSIONS {
                println!("{} {key_type} {version}", backend.name);
                let line = format!("openssl s_client -connect localhost:{port} -CAfile {ca} {openssl}");
                judge(&format!("{line} -verify_return_error -verify_hostname localhost -ign_eof"), REQUEST)
                    .ended_with(0)
                    .says("Verify return code: 0 (ok)")
                    .says(version);
                converse(&format!("gnutls-cli --x509cafile {ca} --priority {gnutls} --port {port} localhost"), REQUEST)
                    .ended_with(0)
                    .says("Status: The certificate is trusted.")
                    .says(version);
                judge(&format!("curl -sS --noproxy * --cacert {ca} {curl} https://localhost:{port}/"), b"")
                    .ended_with(0)
                    .says(version);
            }
            assert_eq!(server.stop(), "", "{} {key_type}", backend.name);
        }
    }
}

#[test]
fn an_rsa_key_signs_by_every_scheme_that_the_client_asks_for() {
    let pki = Pki::new();
    let ca = pki.path("ca.crt");
    for backend in Backend::all() {
        let server = pki.serve(&backend, "rsa-2048", &[]);
        let client = format!("openssl s_client -connect localhost:{} -CAfile {ca} -verify_return_error", server.port);
        let mut refused = 1;
        for (version, scheme, padding, digest) in [
            ("-tls1_2", "rsa_pkcs1_sha256", "RSA", "SHA256"),
            ("-tls1_2", "rsa_pkcs1_sha384", "RSA", "SHA384"),
            ("-tls1_2", "rsa_pkcs1_sha512", "RSA", "SHA512"),
            ("-tls1_2", "rsa_pss_rsae_sha256", "RSA-PSS", "SHA256"),
            ("-tls1_2", "rsa_pss_rsae_sha512", "RSA-PSS", "SHA512"),
            ("-tls1_3", "rsa_pss_rsae_sha256", "RSA-PSS", "SHA256"),
            ("-tls1_3", "rsa_pss_rsae_sha384", "RSA-PSS", "SHA384"),
            ("-tls1_3", "rsa_pss_rsae_sha512", "RSA-PSS", "SHA512"),
        ] {
            // ECDSA for the CA's signature in the certificate.
            let ended = judge(&format!("{client} {version} -sigalgs {scheme}:ecdsa_secp256r1_sha256"), b"");
            if !backend.signs_by(scheme) {
                ended.ended_with(1);
                // For 1.2, rustls has other words.
                refused += usize::from(version == "-tls1_3");
                continue;
            }
            ended
                .ended_with(0)
                .says(&format!("Peer signature type: {padding}\n"))
                .says(&format!("Peer signing digest: {digest}\n"));
        }
        // PKCS #1 is not for TLS 1.3, so there nothing is in common.
        judge(&format!("{client} -tls1_3 -sigalgs rsa_pkcs1_sha256:ecdsa_secp256r1_sha256"), b"").ended_with(1);
        server.tells("NoSignatureSchemesInCommon", refused);
    }
}

#[test]
fn an_algorithm_in_the_uri_is_the_only_one_used() {
    let (pki, backend) = (Pki::new(), Backend::soft());
    let uri = backend.key("key", "rsa-2048");
    let chain = pki.certify(&backend, &uri, "ca", "key");
    let stated = format!("{uri};alg=rsa-pss-sha384");
    let server = backend.serve(&stated, &chain, &[]);
    let client = format!("openssl s_client -connect localhost:{} -CAfile {}", server.port, pki.path("ca.crt"));
    judge(&client, b"").ended_with(0).says("Peer signing digest: SHA384\n").says("Peer signature type: RSA-PSS\n");
    judge(&format!("{client} -sigalgs rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256"), b"").ended_with(1);
}

#[test]
fn the_version_stated_is_the_only_one_spoken() {
    let (pki, backend) = (Pki::new(), Backend::soft());
    let server = pki.serve(&backend, "ec-p256", &["--tls", "1.2"]);
    let client = format!("openssl s_client -connect localhost:{}", server.port);
    judge(&format!("{client} -tls1_2"), b"").ended_with(0);
    judge(&format!("{client} -tls1_3"), b"").ended_with(1);
    // What is no TLS at all disturbs nobody.
    judge(&format!("curl -sS --noproxy * http://localhost:{}/", server.port), b"");
    judge(&format!("{client} -tls1_2"), b"").ended_with(0);
}
