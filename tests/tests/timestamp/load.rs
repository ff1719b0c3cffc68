//! 1,000 requests on 32 connections.

use std::collections::HashSet;
use std::thread;
use std::time::Instant;

use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use der::Decode as _;
use der::asn1::{Any, Int, OctetString};
use kmskit_tests::programs::Place;

use crate::authority::Server;
use crate::client::Connection;

const REQUESTS: usize = 1000;
const CONNECTIONS: usize = 32;

#[test]
fn a_thousand_requests_on_32_connections_all_succeed() {
    // Queries by OpenSSL, each with a nonce of its own.
    let made = Place::new();
    made.shell(&format!(
        "i=0; while [ $i -lt {REQUESTS} ]; do
           printf $i >data; openssl ts -query -data data -sha256 -cert -out $i.tsq 2>/dev/null; i=$((i+1))
         done"
    ));
    let queries: Vec<_> = (0..REQUESTS).map(|number| made.read(&format!("{number}.tsq"))).collect();

    for place in Place::on_every_backend() {
        let server = Server::with_key(&place, "ec-p256");
        let start = Instant::now();
        let answers: Vec<_> = thread::scope(|scope| {
            let ask = |from: usize| {
                let (queries, address) = (&queries, &server.address);
                move || {
                    let mut connection = Connection::open(address);
                    let mine = (from..REQUESTS).step_by(CONNECTIONS);
                    mine.map(|number| (number, connection.stamp(&queries[number]))).collect::<Vec<_>>()
                }
            };
            let threads: Vec<_> = (0..CONNECTIONS).map(|from| scope.spawn(ask(from))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let rate = f64::from(u32::try_from(REQUESTS).unwrap()) / start.elapsed().as_secs_f64();
        println!("{}: {rate:.0} time stamps a second", place.uri("tsa"));

        assert_eq!(answers.len(), REQUESTS);
        let mut serials = HashSet::new();
        for (number, answer) in &answers {
            assert_eq!(answer.status, 201, "{number}");
            place.write(&format!("{number}.tsr"), &answer.body);
            place.write(&format!("{number}.tsq"), &queries[*number]);
            assert!(serials.insert(serial_number(&answer.body)), "serial numbers are unique");
        }
        // Each against its own query, so each with its own nonce.
        let verdicts = place.shell(
            "for r in *.tsr; do
               openssl ts -verify -queryfile ${r%.tsr}.tsq -in $r -CAfile root.crt 2>/dev/null
             done",
        );
        assert_eq!(verdicts.matches("Verification: OK").count(), REQUESTS);
    }
}

/// Out of the `TSTInfo` of a `TimeStampResp`.
fn serial_number(answer: &[u8]) -> Vec<u8> {
    let token: Vec<Any> = Vec::from_der(answer).unwrap();
    let token: ContentInfo = token[1].decode_as().unwrap();
    let signed: SignedData = token.content.decode_as().unwrap();
    let info = signed.encap_content_info.econtent.unwrap().decode_as::<OctetString>().unwrap();
    // version, policy, messageImprint, serialNumber
    let info: Vec<Any> = Vec::from_der(info.as_bytes()).unwrap();
    let serial = info[3].decode_as::<Int>().unwrap().as_bytes().to_vec();
    assert_eq!((serial.len(), serial[0] & 0x80), (20, 0), "positive, of 160 bits at most");
    serial
}
