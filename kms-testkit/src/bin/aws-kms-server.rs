//! A stand-in for AWS KMS on this machine, for developing and testing without an account.
//!
//! ```text
//! cargo run -p kms-testkit --bin aws-kms-server [-- --port 4599 --throttle 20 --delay-ms 30 --consistency-ms 500]
//! ```
//!
//! Prints the endpoint and the variables to set; keys are gone when it ends.

use std::process::ExitCode;
use std::time::Duration;

use kms_testkit::aws::{AwsKms, Fault};

const USAGE: &str =
    "usage: aws-kms-server [--port N] [--throttle PERCENT] [--delay-ms N] [--consistency-ms N] [--quiet]";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aws-kms-server: {error}\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let (mut port, mut fault, mut consistency, mut log) = (0, Fault::None, Duration::ZERO, true);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = |most: u64| {
            let text = arguments.next().ok_or_else(|| format!("{argument} wants a number"))?;
            let number = text.parse().ok().filter(|number| *number <= most);
            number.ok_or_else(|| format!("{argument} wants a number up to {most}"))
        };
        match argument.as_str() {
            "--port" => port = u16::try_from(number(65535)?).unwrap_or_default(),
            "--throttle" => fault = Fault::Throttle { percent: u8::try_from(number(100)?).unwrap_or_default() },
            "--delay-ms" => fault = Fault::Delay(Duration::from_millis(number(600_000)?)),
            "--consistency-ms" => consistency = Duration::from_millis(number(600_000)?),
            "--quiet" => log = false,
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(());
            }
            other => return Err(format!("unknown argument {other}")),
        }
    }
    let server = AwsKms::start_on(port, log).map_err(|error| format!("cannot listen: {error}"))?;
    server.set("*", fault);
    server.set_consistency_delay(consistency);
    // The endpoint first and alone, for those who start it and read one line.
    println!("{}", server.endpoint());
    for (name, value) in server.environment() {
        println!("export {name}={value}");
    }
    server.wait();
    Ok(())
}
