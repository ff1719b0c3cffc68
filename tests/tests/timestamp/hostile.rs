//! Requests that get no time stamp: each is answered with a `PKIStatus`, and the server goes on.

use std::time::Duration;

use kmskit_tests::programs::Place;

use crate::authority::Server;
use crate::client::{Answer, Connection};

/// Checks that the answer is a rejection for that reason, as OpenSSL words it, and with that HTTP status.
#[track_caller]
fn rejected(place: &Place, answer: &Answer, status: u16, reason: &str) {
    assert_eq!((answer.status, &*answer.media_type), (status, "application/timestamp-reply"));
    place.write("reply", &answer.body);
    let text = place.ok("openssl ts -reply -in reply -text");
    assert!(text.contains("Status: Rejected.") && text.contains(reason), "{text}");
    assert!(text.contains("TST info:\nNot included."), "{text}");
}

#[test]
fn unwanted_requests_are_rejected_with_their_reason() {
    let place = Place::new();
    let server = Server::with_key(&place, "ec-p256");
    let mut connection = Connection::open(&server.address);
    place.write("data", "data");
    let query = |options: &str| {
        place.ok(&format!("openssl ts -query -data data -out query {options}"));
        place.read("query")
    };
    for (options, reason) in [
        ("-sha1", "unrecognized or unsupported algorithm identifier"),
        ("-md5", "unrecognized or unsupported algorithm identifier"),
        ("-sha3-256", "unrecognized or unsupported algorithm identifier"),
        ("-sha256 -tspolicy 1.2.3.4", "the requested TSA policy is not supported by the TSA"),
    ] {
        rejected(&place, &connection.stamp(&query(options)), 400, reason);
    }
    let good = query("-sha256 -no_nonce");
    let altered = |from: &[u8], to: &[u8]| {
        let at = good.windows(from.len()).position(|window| window == from).unwrap();
        [&good[..at], to, &good[at + from.len()..]].concat()
    };
    // The version.
    rejected(&place, &connection.stamp(&altered(&[2, 1, 1], &[2, 1, 2])), 400, "transaction not permitted");
    // The digest cut by an octet, and the three lengths around it.
    let mut short = altered(&[4, 32], &[4, 31]);
    (short[1], short[6]) = (short[1] - 1, short[6] - 1);
    short.pop();
    rejected(&place, &connection.stamp(&short), 400, "data submitted has the wrong format");
    // An extension, [0] with one whose value is a NULL.
    let extension = [0xa0, 12, 0x30, 10, 6, 3, 0x2a, 3, 4, 1, 1, 0xff, 4, 0];
    let mut extended = [&good[..], &extension].concat();
    extended[1] += 14;
    extended[good.len() + 1] = 12;
    rejected(&place, &connection.stamp(&extended), 400, "the requested extension is not supported by the TSA");

    let answer = connection.post("application/json", &good);
    rejected(&place, &answer, 415, "transaction not permitted");
    let answer = connection.post("Application/Timestamp-Query; charset=x", &good);
    assert_eq!(answer.status, 201);
}

#[test]
fn malformed_requests_are_rejected_and_nothing_breaks() {
    const WRONG: &str = "data submitted has the wrong format";
    let place = Place::new();
    let mut server = Server::with_key(&place, "ec-p256");
    let mut connection = Connection::open(&server.address);
    place.write("data", "data");
    place.ok("openssl ts -query -data data -sha256 -cert -out query");
    let good = place.read("query");
    for octets in [
        &b""[..],
        b"\0",
        b"hello",
        b"\x30",
        b"\x30\x00",
        b"\x30\x80\x00\x00",
        b"\x30\x84\xff\xff\xff\xff",
        &[0x30; 10_000],
        &[&good[..], b"x"].concat(),
        &good[..good.len() - 1],
    ] {
        rejected(&place, &connection.stamp(octets), 400, WRONG);
    }
    // Each octet altered: a stamp where what is altered is the digest or the nonce, else a rejection.
    let (mut granted, mut refused) = (0, 0);
    for (position, bit) in (0..good.len()).flat_map(|position| [(position, 1_u8), (position, 0x80)]) {
        let mut altered = good.clone();
        altered[position] ^= bit;
        let answer = connection.stamp(&altered);
        assert_eq!(answer.media_type, "application/timestamp-reply", "{position}");
        match (answer.status, &answer.body[..]) {
            (201, [0x30, 0x82, _, _, 0x30, 3, 2, 1, 0, ..]) => granted += 1,
            (400, [0x30, _, 0x30, _, 2, 1, 2, ..]) => refused += 1,
            other => panic!("octet {position}: {other:?}"),
        }
    }
    assert!(granted >= 64 && refused >= 20, "{granted} granted, {refused} refused");
    assert!(server.is_running());
}

#[test]
fn oversized_requests_are_rejected() {
    let place = Place::new();
    let mut server = Server::with_key(&place, "ec-p256");
    for length in [16 * 1024 + 1, 100_000, 4_000_000] {
        let answer = Connection::open(&server.address).stamp(&vec![0x30; length]);
        rejected(&place, &answer, 413, "data submitted has the wrong format");
    }
    // In chunks, with no length stated beforehand.
    let mut connection = Connection::open(&server.address);
    connection.send(b"POST /api/v1/timestamp HTTP/1.1\r\nHost: tsa\r\nContent-Type: application/timestamp-query\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..40 {
        connection.send(b"400\r\n");
        connection.send(&[b"0".repeat(0x400), b"\r\n".to_vec()].concat());
    }
    connection.send(b"0\r\n\r\n");
    rejected(&place, &connection.answer(), 413, "data submitted has the wrong format");
    assert_eq!(connection.request("GET", "/ping").status, 200, "the connection is still good");
    // One that never ends is cut off, and the server goes on.
    let mut connection = Connection::open(&server.address);
    connection.send(b"POST /api/v1/timestamp HTTP/1.1\r\nHost: tsa\r\nContent-Length: 100000000000\r\n\r\n");
    connection.send(&vec![0; 8 * 1024 * 1024 + 1]);
    assert_eq!(connection.answer().status, 413);
    assert!(server.is_running());
}

#[test]
fn clients_that_dawdle_or_babble_stop_nobody() {
    let place = Place::new();
    let mut server = Server::with_key(&place, "ec-p256");
    let mut idle: Vec<_> = (0..64).map(|_| Connection::open(&server.address)).collect();
    for (number, connection) in idle.iter_mut().enumerate() {
        connection.send(if number % 2 == 0 { b"POST /api/v1/timest" } else { b"\x16\x03\x01\x00\xff\x01\x00" });
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(Connection::open(&server.address).request("GET", "/ping").status, 200);
    assert!(server.is_running());
}
