//! How long a URI takes to parse, by length and shape.
//!
//! `cargo bench --bench uri` prints the median of each shape at three lengths: the time must grow with the length and no
//! faster, and stay below 100 µs at 8 KiB.

use std::hint::black_box;
use std::time::{Duration, Instant};

use kmskit::KeyUri;

const LENGTHS: [usize; 3] = [2 * 1024, 8 * 1024, 32 * 1024];

fn main() {
    println!("{:<34} {:>10} {:>10} {:>10} {:>12}", "median µs at", "2 KiB", "8 KiB", "32 KiB", "32 ÷ 8 KiB");
    for (name, shape) in [
        ("one long value", one_value as fn(usize) -> String),
        ("a value of escapes", escapes),
        ("many short attributes", attributes),
        ("many query attributes", query),
        ("a long positional value", positional),
    ] {
        let [small, middle, large] = LENGTHS.map(|length| median(&shape(length)));
        println!("{name:<34} {small:>10.1} {middle:>10.1} {large:>10.1} {:>12.1}", large / middle);
    }
    println!(
        "\n{:<34} {:>10.2}",
        "an everyday URI, µs",
        median("pkcs11:token=ca;object=root;id=%01%02?pin-source=file:/run/pin")
    );
}

fn one_value(length: usize) -> String {
    format!("pkcs11:token={}", "x".repeat(length - 13))
}

fn escapes(length: usize) -> String {
    format!("pkcs11:token={}", "%C3%A9".repeat((length - 13) / 6))
}

fn attributes(length: usize) -> String {
    // `;nnnn=` with distinct names.
    let all: Vec<_> = (0..length / 6).map(|number| format!("{number:04}=")).collect();
    format!("pkcs11:{}", all.join(";"))
}

fn query(length: usize) -> String {
    let all: Vec<_> = (0..length / 6).map(|number| format!("{number:04}=")).collect();
    format!("pkcs11:?{}", all.join("&"))
}

fn positional(length: usize) -> String {
    format!("softkms:/{}", "directory/".repeat((length - 9) / 10))
}

fn median(uri: &str) -> f64 {
    assert!(KeyUri::parse(uri).is_ok());
    let mut rounds: Vec<Duration> = (0..101)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..16 {
                let _ = black_box(KeyUri::parse(black_box(uri)));
            }
            start.elapsed() / 16
        })
        .collect();
    rounds.sort();
    rounds[50].as_secs_f64() * 1e6
}
