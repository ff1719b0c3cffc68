//! What may happen to sessions, logins, tokens and libraries, made to happen.

use std::process::ExitCode;

use kms_core::Execution;
use kms_testkit::pkcs11::{SoftHsm, reexec_with_softhsm};
use libtest_mimic::{Arguments, Trial};

mod gone;
mod hang;
mod killed;
mod login;
mod scene;
mod tokens;
mod wrong;

use scene::{TOKENS, policy, scene};

/// A named case.
type Case = (&'static str, fn());

fn main() -> ExitCode {
    let softhsm = reexec_with_softhsm().expect("SoftHSM can be configured");
    let softhsm: &'static SoftHsm = Box::leak(Box::new(softhsm));
    TOKENS.set(softhsm).expect("set once");
    let mut trials: Vec<_> = SURVIVED
        .iter()
        .flat_map(|(name, faults)| {
            [Execution::Guarded, Execution::Direct].map(|execution| {
                Trial::test(format!("{name}::{execution:?}").to_lowercase(), move || {
                    survives(faults, execution);
                    Ok(())
                })
            })
        })
        .collect();
    let cases = [hang::cases(), login::cases(), wrong::cases(), tokens::cases(), gone::cases()].into_iter().flatten();
    trials.extend(cases.map(|(name, case)| {
        Trial::test(name, move || {
            case();
            Ok(())
        })
    }));
    trials.push(Trial::test("killed::ten_times", move || {
        killed::ten_times(softhsm);
        Ok(())
    }));
    // One after the other: SoftHSM does not bear programs that make tokens while others read them, and times are
    // compared with deadlines.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Each happens once or more in 600 signatures on 8 threads: none may fail, none be wrong.
const SURVIVED: &[(&str, &str)] = &[
    ("survived::sessions_lost_at_init", "fault C_SignInit at=100 lose-sessions"),
    ("survived::sessions_lost_at_sign", "fault C_Sign at=100 lose-sessions"),
    ("survived::sessions_lost_often", "fault C_SignInit at=50 every=100 times=5 lose-sessions"),
    ("survived::logout_at_init", "fault C_SignInit at=100 logout"),
    ("survived::logout_at_sign", "fault C_Sign at=100 logout"),
    ("survived::finalized", "fault C_Sign at=100 not-initialized"),
    ("survived::finalized_at_init", "fault C_SignInit at=100 not-initialized"),
    ("survived::token_gone", "fault C_Sign at=100 token-gone for=300"),
    ("survived::token_gone_until_initialize", "fault C_Sign at=100 token-gone-until-initialize"),
    ("survived::device_error", "fault C_Sign at=100 rv=CKR_DEVICE_ERROR"),
    ("survived::device_error_for_a_time", "fault * at=500 for=200 rv=CKR_DEVICE_ERROR"),
    ("survived::general_error", "fault C_Sign at=100 rv=CKR_GENERAL_ERROR"),
    ("survived::function_failed", "fault C_SignInit at=100 rv=CKR_FUNCTION_FAILED"),
    ("survived::vendor_code", "fault C_Sign at=100 rv=0x8000001A"),
    ("survived::unknown_code", "fault C_Sign at=100 rv=0x7777"),
    ("survived::session_closed", "fault C_Sign at=100 rv=CKR_SESSION_CLOSED"),
    ("survived::object_handle", "fault C_SignInit at=100 rv=CKR_OBJECT_HANDLE_INVALID"),
    ("survived::key_handle", "fault C_SignInit at=100 rv=CKR_KEY_HANDLE_INVALID"),
    ("survived::operation_active", "fault C_SignInit at=100 rv=CKR_OPERATION_ACTIVE"),
    ("survived::not_logged_in", "fault C_SignInit at=100 rv=CKR_USER_NOT_LOGGED_IN"),
    ("survived::host_memory", "fault C_Sign at=100 rv=CKR_HOST_MEMORY"),
    ("survived::answer_lost", "fault C_Sign at=100 rv-after=CKR_DEVICE_ERROR"),
];

fn survives(faults: &str, execution: Execution) {
    let scene = scene("", policy(execution, 10_000));
    let signer = scene.signer();
    scene.module.set(faults).unwrap();
    let slowest = scene.sign_on(&signer, 8, 75);
    println!("{faults} ({execution:?}): slowest {slowest:?}, {} faults", scene.module.faults().unwrap());
    assert!(scene.module.faults().unwrap() > 0, "the fault never happened");
    assert_eq!(scene.module.misuse().unwrap(), []);
}
