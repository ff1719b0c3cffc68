//! Time stamps that OpenSSL accepts.

use kmskit_tests::programs::Place;

use crate::authority::{EXTENSIONS, Server, certify};
use crate::client::Connection;

/// Sends the query in a file, and writes the answer to `reply`.
pub(crate) fn send(place: &Place, server: &Server, query: &str) -> u16 {
    let answer = Connection::open(&server.address).stamp(&place.read(query));
    assert_eq!(answer.media_type, "application/timestamp-reply");
    place.write("reply", &answer.body);
    answer.status
}

/// What `openssl ts` shows of the reply, by name.
#[track_caller]
fn field(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().to_owned()
}

#[test]
fn every_type_of_key_stamps() {
    for place in Place::on_every_backend() {
        place.shell("head -c 10000 /dev/urandom >data; head -c 10000 /dev/urandom >other");
        for key_type in ["ec-p256", "ec-p384", "rsa-2048"] {
            super::authority::root(&place);
            let uri = place.key(key_type, key_type);
            certify(&place, "tsa", &uri, EXTENSIONS);
            let server = Server::start(&place, &uri, &[]);
            for hash in ["sha256", "sha384", "sha512"] {
                place.ok(&format!("openssl ts -query -data data -{hash} -cert -out query"));
                assert_eq!(send(&place, &server, "query"), 201);
                // The query too: its nonce must be echoed.
                place.ok("openssl ts -verify -queryfile query -in reply -CAfile root.crt");
                place.ok("openssl ts -verify -data data -in reply -CAfile root.crt");
                assert!(!place.run("openssl ts -verify -data other -in reply -CAfile root.crt").succeeded());
            }
            // Asked for without certificates, it comes without.
            place.ok("openssl ts -query -data data -sha256 -out query");
            assert_eq!(send(&place, &server, "query"), 201);
            place.ok("openssl ts -verify -queryfile query -in reply -CAfile root.crt -untrusted tsa.pem");
            assert!(!place.run("openssl ts -verify -queryfile query -in reply -CAfile root.crt").succeeded());
        }
    }
}

#[test]
fn what_is_stated_is_what_was_asked_for() {
    let place = Place::new();
    let server = Server::with_key(&place, "ec-p256");
    place.write("data", "data");
    place.ok("openssl ts -query -data data -sha256 -cert -out query");
    let query = place.ok("openssl ts -query -in query -text");
    let mut serials = Vec::new();
    for _ in 0..5 {
        send(&place, &server, "query");
        let text = place.ok("openssl ts -reply -in reply -text");
        assert_eq!(field(&text, "Status"), "Granted.");
        assert_eq!(field(&text, "Nonce"), field(&query, "Nonce"));
        assert_eq!(field(&text, "Policy OID"), "1.3.6.1.4.1.57264.2");
        assert_eq!(field(&text, "Accuracy"), "0x01 seconds, unspecified millis, unspecified micros");
        assert_eq!(field(&text, "Ordering"), "no");
        assert_eq!(field(&text, "Version"), "1");
        let stated = place.shell(&format!("date -u -d '{}' +%s", field(&text, "Time stamp"))).trim().parse::<u64>();
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        assert!(now.abs_diff(stated.unwrap()) <= 2, "{text}");
        serials.push(field(&text, "Serial number"));
    }
    serials.sort();
    serials.dedup();
    assert_eq!(serials.len(), 5, "serial numbers are unique");

    place.ok("openssl ts -query -data data -sha256 -no_nonce -out query");
    send(&place, &server, "query");
    assert_eq!(field(&place.ok("openssl ts -reply -in reply -text"), "Nonce"), "unspecified");
}

#[test]
fn policy_and_accuracy_are_chosen() {
    let place = Place::new();
    drop(Server::with_key(&place, "ec-p256"));
    let server = Server::start(&place, &place.uri("tsa"), &["--policy=1.2.3.4.5", "--accuracy=60"]);
    place.write("data", "data");
    place.ok("openssl ts -query -data data -sha256 -tspolicy 1.2.3.4.5 -out query");
    assert_eq!(send(&place, &server, "query"), 201);
    let text = place.ok("openssl ts -reply -in reply -text");
    assert_eq!(field(&text, "Policy OID"), "1.2.3.4.5");
    assert!(field(&text, "Accuracy").starts_with("0x3C seconds"), "{text}");
}

#[test]
fn certificates_for_time_stamping_made_elsewhere_serve() {
    let place = Place::new();
    super::authority::root(&place);
    let uri = place.key("tsa", "ec-p256");
    for extensions in [
        "extendedKeyUsage=critical,timeStamping",
        "keyUsage=nonRepudiation\nextendedKeyUsage=critical,timeStamping",
        "basicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\nkeyUsage=digitalSignature,nonRepudiation\nextendedKeyUsage=critical,timeStamping",
    ] {
        certify(&place, "tsa", &uri, extensions);
        let server = Server::start(&place, &uri, &[]);
        place.ok("openssl ts -query -digest 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 -sha256 -cert -out query");
        send(&place, &server, "query");
        place.ok("openssl ts -verify -queryfile query -in reply -CAfile root.crt");
    }
}

#[test]
fn the_chain_and_a_sign_of_life_are_served() {
    let place = Place::new();
    let server = Server::with_key(&place, "ec-p256");
    let mut connection = Connection::open(&server.address);
    let answer = connection.request("GET", "/api/v1/timestamp/certchain");
    assert_eq!((answer.status, &*answer.media_type), (200, "application/pem-certificate-chain"));
    assert_eq!(String::from_utf8(answer.body).unwrap(), place.text("tsa.pem"));
    assert_eq!(connection.request("GET", "/ping").status, 200);
    for (method, path, status) in [
        ("GET", "/api/v1/timestamp", 405),
        ("DELETE", "/ping", 405),
        ("GET", "/", 404),
        ("GET", "/api/v1/timestamp/", 404),
        ("GET", "/../etc/passwd", 404),
    ] {
        assert_eq!(connection.request(method, path).status, status, "{method} {path}");
    }
}

#[test]
fn it_ends_when_told_to() {
    let place = Place::new();
    drop(Server::with_key(&place, "ec-p256"));
    for signal in ["INT", "TERM"] {
        let mut server = Server::start(&place, &place.uri("tsa"), &[]);
        // One connection that waits, and one whose request is under way.
        let mut idle = Connection::open(&server.address);
        assert_eq!(idle.request("GET", "/ping").status, 200);
        place.write("data", "data");
        place.ok("openssl ts -query -data data -sha256 -out query");
        let query = place.read("query");
        let mut busy = Connection::open(&server.address);
        let head = "POST /api/v1/timestamp HTTP/1.1\r\nHost: tsa\r\nContent-Type: application/timestamp-query\r\n";
        busy.send(format!("{head}Content-Length: {}\r\n\r\n", query.len()).as_bytes());
        std::thread::sleep(std::time::Duration::from_millis(200));
        server.signal(&place, signal);
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(server.is_running(), "{signal}: it waits for the request");
        busy.send(&query);
        assert_eq!(busy.answer().status, 201, "{signal}");
        assert_eq!(server.wait().code(), Some(0), "{signal}");
    }
}
