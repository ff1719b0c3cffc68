//! Chains that `certificate_maker` makes by the published templates, whose certificates all have one name.

use kmskit_tests::programs::Place;

use crate::authority::Server;
use crate::stamps::send;

const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/certificate_maker/templates");

#[test]
fn a_chain_by_certificate_maker_stamps_and_the_root_alone_verifies() {
    for place in Place::on_every_backend() {
        let [root, intermediate, leaf] = ["root", "intermediate", "tsa"].map(|role| place.key(role, "ec-p256"));
        let of = |role: &str, key: &str| {
            format!(" --{role}-key-id {key} --{role}-template {TEMPLATES}/timestamp-{role}-template.json")
        };
        let (above, below) = (of("root", &root), of("leaf", &leaf));
        for between in [String::new(), of("intermediate", &intermediate)] {
            place.shell("rm -f *.pem");
            place.ok(&format!("certificate_maker create tsa.example.com{above}{between}{below} --chain-cert tsa.pem"));
            let server = Server::start(&place, &leaf, &[]);
            place.write("data", "data");
            place.ok("openssl ts -query -data data -sha256 -cert -out query");
            assert_eq!(send(&place, &server, "query"), 201);
            place.ok("openssl ts -verify -queryfile query -in reply -CAfile root.pem");
            place.ok("openssl ts -query -data data -sha256 -out query");
            assert_eq!(send(&place, &server, "query"), 201);
            place.ok("openssl ts -verify -queryfile query -in reply -CAfile root.pem -untrusted tsa.pem");
        }
        place.shell("cat leaf.pem root.pem intermediate.pem >disorder");
        let line = format!("timestamp_server serve --certificate-chain-path=disorder --kms-key-resource={leaf}");
        assert!(place.fails(2, &line).contains("does not lead from the key's certificate up to a root"));
    }
}
