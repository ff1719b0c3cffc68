//! The backend on SoftHSM, with tokens made for the occasion.
//!
//! Each case is a process of its own, with tokens of its own. SoftHSM reads its configuration when it is first initialised
//! in a process, and some cases run another program on their token: one that opens any token rewrites files of all of
//! them, and a thread of ours that reads one at that moment takes the token for broken.

use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

mod certificates;
mod errors;
mod keys;
mod objects;
mod place;
mod pool;
mod spy;

/// Names the case in the environment of its process.
const CASE: &str = "KMS_TEST_CASE";

fn main() -> ExitCode {
    let cases = [keys::cases(), certificates::cases(), errors::cases(), objects::cases(), pool::cases(), spy::cases()];
    let mut cases = cases.into_iter().flatten();
    if let Ok(name) = std::env::var(CASE) {
        let (_, case) = cases.find(|(known, _)| *known == name).expect("a case of that name");
        case();
        return ExitCode::SUCCESS;
    }
    let trials = cases.map(|(name, _)| Trial::test(name, move || in_a_process(name)));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn in_a_process(name: &str) -> Result<(), Failed> {
    let place = place::Place::new();
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program).env(CASE, name).envs(place.environment()).output().expect("this program starts");
    print!("{}", String::from_utf8_lossy(&output.stdout));
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}

/// A named case.
type Case = (&'static str, fn());
