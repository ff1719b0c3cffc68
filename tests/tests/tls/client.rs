//! Our client, judged by OpenSSL's server.

use std::process::Command;

use crate::backend::Backend;
use crate::pki::Pki;
use crate::process::Server;

fn s_server(pki: &Pki, more: &str) -> Server {
    let [ca, cert, key] = ["ca.crt", "server.crt", "server.key"].map(|name| pki.path(name));
    let line = format!("s_server -accept 0 -www -cert {cert} -key {key} -CAfile {ca} {more}");
    Server::start(Command::new("openssl").args(line.trim_end().split(' ')), "ACCEPT ")
}

#[test]
fn openssl_verifies_every_type_of_key() {
    let pki = Pki::new();
    let ca = pki.path("ca.crt");
    pki.identity("ca", "server");
    let server = s_server(&pki, "-Verify 2 -verify_return_error");
    let address = format!("localhost:{}", server.port);
    for backend in Backend::all() {
        for key_type in backend.key_types {
            let name = format!("client-{key_type}");
            let key = backend.key(&name, key_type);
            let cert = pki.certify(&backend, &key, "ca", &name);
            // As OpenSSL signed it, and as its page shows it.
            let shown_certificate = std::fs::read_to_string(cert.replace(".crt", ".leaf")).unwrap();
            for (version, shown) in [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")] {
                // rustls does not offer P-521 for the key exchange, and so, by TLS 1.2, not for certificates either.
                if (*key_type, version) == ("ec-p521", "1.2") {
                    continue;
                }
                println!("{} {key_type} {shown}", backend.name);
                let arguments = [&address, "--ca", &ca, "--key", &key, "--cert", &cert, "--tls", version];
                backend
                    .run("tls_client", &arguments)
                    .ended_with(0)
                    .says("200 ok")
                    .says(&format!("Protocol  : {shown}"))
                    .says("Verify return code: 0 (ok)")
                    .says(&shown_certificate);
            }
        }
        let key = backend.key("stranger", "ec-p256");
        let cert = pki.certify(&backend, &key, "other_ca", "stranger");
        let stranger = [&address, "--ca", &ca, "--key", &key, "--cert", &cert];
        backend.run("tls_client", &stranger).ended_with(1).says("received fatal alert");
        backend.run("tls_client", &[&address, "--ca", &ca]).ended_with(1).says("received fatal alert");
    }
}

#[test]
fn a_client_certificate_is_shown_only_where_it_is_asked_for() {
    let (pki, backend) = (Pki::new(), Backend::soft());
    pki.identity("ca", "server");
    let server = s_server(&pki, "");
    let key = backend.key("client", "ec-p256");
    let cert = pki.certify(&backend, &key, "ca", "client");
    let address = format!("localhost:{}", server.port);
    backend
        .run("tls_client", &[&address, "--ca", &pki.path("ca.crt"), "--key", &key, "--cert", &cert])
        .ended_with(0)
        .says("no client certificate available");
}

#[test]
fn the_server_must_be_who_it_should_be() {
    let (pki, backend) = (Pki::new(), Backend::soft());
    pki.identity("ca", "server");
    let server = s_server(&pki, "");
    let [localhost, address, unnamed] =
        ["localhost", "127.0.0.1", "127.0.0.2"].map(|host| format!("{host}:{}", server.port));
    let [ca, other] = ["ca.crt", "other_ca.crt"].map(|name| pki.path(name));
    for host in [&localhost, &address] {
        backend.run("tls_client", &[host, "--ca", &ca]).ended_with(0);
        backend.run("tls_client", &[host, "--ca", &other]).ended_with(1).says("UnknownIssuer");
    }
    backend.run("tls_client", &[&unnamed, "--ca", &ca]).ended_with(1).says("not valid for name");
    drop(server);
    backend.run("tls_client", &[&localhost, "--ca", &ca]).ended_with(6).says(&format!("cannot reach {localhost}"));
}
