//! The backend on SoftHSM, with a token made for the occasion.
//!
//! SoftHSM reads its configuration when it is first initialised in a process, so this program starts itself again with
//! the environment set.

use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Trial};

mod certificates;
mod errors;
mod keys;
mod objects;
mod place;
mod pool;
mod spy;

fn main() -> ExitCode {
    if std::env::var_os(place::MARK).is_none() {
        return start_again();
    }
    let cases = [keys::cases(), certificates::cases(), errors::cases(), objects::cases(), pool::cases(), spy::cases()]
        .into_iter()
        .flatten();
    let trials = cases.map(|(name, case)| {
        Trial::test(name, move || {
            case();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn start_again() -> ExitCode {
    let place = place::Place::new();
    let program = std::env::current_exe().expect("this program has a path");
    let mut child = Command::new(program);
    child.args(std::env::args_os().skip(1)).envs(place.environment());
    let status = child.status().expect("this program starts");
    drop(place);
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(101))
}

/// A named case.
type Case = (&'static str, fn());
