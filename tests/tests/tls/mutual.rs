//! Our server when it demands a client certificate: others' clients, ours, and those it must refuse.

use crate::backend::Backend;
use crate::pki::Pki;
use crate::process::judge;

#[test]
fn both_keys_are_at_uris() {
    let pki = Pki::new();
    let ca = pki.path("ca.crt");
    let backends = Backend::all();
    for servers in &backends {
        let server = pki.serve(servers, "ec-p256", &["--client-ca", &ca]);
        let address = format!("localhost:{}", server.port);
        for clients in &backends {
            for key_type in clients.key_types {
                let name = format!("client-{key_type}-of-{}", servers.name);
                let key = clients.key(&name, key_type);
                let cert = pki.certify(clients, &key, "ca", &name);
                for (version, shown) in [("1.2", "TLSv1_2"), ("1.3", "TLSv1_3")] {
                    let arguments = [&address, "--ca", &ca, "--key", &key, "--cert", &cert, "--tls", version];
                    clients
                        .run("tls_client", &arguments)
                        .ended_with(0)
                        .says(&format!("version: {shown}\n"))
                        .says("client: with a certificate\n");
                }
            }
        }
        assert_eq!(server.stop(), "");
    }
}

#[test]
fn the_wrong_client_certificate_is_refused_and_so_is_none() {
    let (pki, backend) = (Pki::new(), Backend::soft());
    let ca = pki.path("ca.crt");
    let server = pki.serve(&backend, "ec-p256", &["--client-ca", &ca]);
    let [right, wrong] = [("ca", "right"), ("other_ca", "wrong")].map(|(ca, name)| pki.identity(ca, name));
    let key = backend.key("client", "ec-p256");
    let cert = pki.certify(&backend, &key, "other_ca", "client");

    for version in ["1.2", "1.3"] {
        let curl = format!(
            "curl -sS --noproxy * --cacert {ca} --tlsv{version} --tls-max {version} https://localhost:{}/",
            server.port
        );
        let with = |cert: &str| format!("{curl} --cert {cert} --key {}", cert.replace(".crt", ".key"));
        judge(&with(&right), b"").ended_with(0).says("client: with a certificate");
        assert!(!judge(&with(&wrong), b"").succeeded(), "{version}");
        assert!(!judge(&curl, b"").succeeded(), "{version}");

        let ours = [&format!("localhost:{}", server.port), "--ca", &ca, "--tls", version];
        let with_key = [&ours[..], &["--key", &key, "--cert", &cert]].concat();
        backend.run("tls_client", &with_key).ended_with(1).says("received fatal alert: UnknownCA");
        backend.run("tls_client", &ours).ended_with(1).says("received fatal alert");
    }
    server.tells("invalid peer certificate: UnknownIssuer", 4);
    server.tells("peer sent no certificates", 4);
}
