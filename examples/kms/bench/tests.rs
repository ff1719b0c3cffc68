//! What is counted when a key misbehaves.

use std::time::Duration;

use kms_testkit::faults::{Fault, FaultyBackend};
use kmskit::soft::Soft;
use kmskit::{KeySpec, KeyType, OpenOptions, Registry};

use super::*;

#[test]
fn every_signature_is_a_good_one_of_another_message() {
    for mode in [Mode::Sync, Mode::Async] {
        let (measured, wrong) = sign_20(Fault::None, OperationPolicy::default(), mode);
        let mut indexes: Vec<_> = measured.samples.iter().map(|sample| sample.index).collect();
        indexes.sort_unstable();
        assert_eq!((indexes, wrong), ((0..20).collect(), 0));
        assert!(measured.errors.is_empty() && !measured.elapsed.is_zero());
    }
}

#[test]
fn wrong_signatures_are_counted_where_nothing_withheld_them() {
    for fault in [Fault::FlipBit(100), Fault::OtherInput, Fault::Empty, Fault::OtherForm] {
        let (measured, wrong) =
            sign_20(fault.clone(), OperationPolicy::default().dangerous_without_verification(), Mode::Sync);
        assert_eq!((measured.samples.len(), wrong), (20, 20), "{fault:?}");
        let (measured, wrong) = sign_20(fault.clone(), OperationPolicy::default(), Mode::Async);
        assert_eq!((measured.samples.len(), wrong), (0, 0), "{fault:?}");
        assert_eq!(measured.errors, [("Integrity", 20)].into(), "{fault:?}");
    }
}

#[test]
fn failures_are_counted_by_kind() {
    // Two of nine go to the signatures that each thread makes before the measurement.
    let (measured, wrong) = sign_20(Fault::Fail(ErrorKind::DeviceRemoved, 9), OperationPolicy::default(), Mode::Sync);
    assert_eq!((measured.samples.len(), wrong), (13, 0));
    assert_eq!(measured.errors, [("DeviceRemoved", 7)].into());
    let summary = Summary::new(&measured, wrong);
    assert_eq!((summary.count, summary.failed), (20, 7));
}

#[test]
fn with_nothing_but_failures_there_are_no_times() {
    let policy = OperationPolicy::default().with_timeout(Duration::from_millis(150));
    let (measured, _) = sign_20(Fault::Hang, policy, Mode::Sync);
    assert_eq!(measured.errors, [("Timeout", 20)].into());
    let summary = Summary::new(&measured, 0);
    assert_eq!((summary.p50_us, summary.p99_us, summary.cpu_us_op), (None, None, None));
    assert!(summary.ops_s.abs() < f64::EPSILON);
}

#[test]
fn percentiles_are_nearest_ranks() {
    let times: Vec<_> = (1..=200).map(Duration::from_micros).collect();
    assert_eq!((percentile(&times, 50), percentile(&times, 99)), (Some(100.0), Some(198.0)));
    assert_eq!((percentile(&times[..1], 99), percentile(&[], 50)), (Some(1.0), None));
}

/// Signs 20 messages with two workers and a key that has that fault.
fn sign_20(fault: Fault, policy: OperationPolicy, mode: Mode) -> (Measurement, u64) {
    let options = OpenOptions::default().with_policy(policy);
    let registry = Registry::new().with(FaultyBackend::new(Soft::default(), fault)).with_options(options);
    let uri = KeyUri::parse("softkms:name=key;mode=memory").unwrap();
    let manager = block_on(registry.open(&uri)).unwrap();
    block_on(manager.create_key(&uri, &KeySpec::new(KeyType::EcP256))).unwrap();
    let signer = block_on(manager.signer(&uri, None)).unwrap();
    let measured = load::run(&signer, 2, Limit::Count(20), mode).unwrap();
    let wrong = check::count_wrong(&signer, &measured.samples);
    (measured, wrong)
}
