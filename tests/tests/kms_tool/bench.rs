//! `kms bench`.

use crate::tool::{Place, kms};

#[test]
fn every_way_of_calling_gives_the_same_fields() {
    let place = Place::new();
    let uri = place.key("root", "ec-p256");
    for more in [
        &["--threads", "2"][..],
        &["--threads", "2", "--sync", "--direct", "--no-verify"],
        &["--threads", "3", "--async"],
        &["--threads", "60", "--deadline", "10000"],
    ] {
        let arguments = [&["bench", &uri, "--count", "50", "--json"], more].concat();
        let result = kms(&arguments).succeeded().json();
        for name in ["ops_s", "p50_us", "p99_us", "cpu_us_op"] {
            assert!(result[name].as_f64().is_some_and(|number| number > 0.0), "{name}: {result}");
        }
        assert!(result["p50_us"].as_f64() <= result["p99_us"].as_f64(), "{result}");
        for (name, number) in [("count", 50), ("failed", 0), ("wrong", 0)] {
            assert_eq!(result[name], number, "{name}: {result}");
        }
        assert_eq!(result["errors"], serde_json::json!({}));
    }
}

#[test]
fn failures_are_counted_by_kind() {
    let place = Place::new();
    let uri = place.key("root", "rsa-4096");
    let opened = kms(&["bench", &place.uri("absent"), "--count", "5", "--json"]).ended_with(3);
    assert_eq!(opened.json()["kind"], "NotFound");
    let result = kms(&["bench", &uri, "--seconds", "0.2", "--json"]).succeeded().json();
    assert!(result["seconds"].as_f64().unwrap() >= 0.2 && result["count"].as_u64().unwrap() > 0, "{result}");
    for wrong in [&["--seconds", "0"][..], &["--count", "0"], &["--threads", "0"], &["--sync", "--async"]] {
        kms(&[&["bench", &uri], wrong].concat()).ended_with(2);
    }
}
