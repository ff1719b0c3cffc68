//! A stand-in for Google Cloud KMS on this machine, for developing and testing without an account.
//!
//! ```text
//! cargo run -p kms-testkit --bin gcp-kms-server [-- --port 4598 --throttle 20 --delay-ms 30 --pending 3]
//! ```
//!
//! Prints the endpoint and the variables to set; keys are gone when it ends.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use kms_testkit::gcp::{Fault, GcpKms};

const USAGE: &str = "usage: gcp-kms-server [--port N] [--throttle PERCENT] [--delay-ms N] [--pending LOOKS] [--quiet]";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gcp-kms-server: {error}\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let (mut port, mut fault, mut pending, mut log) = (0, Fault::None, 1, true);
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
            "--pending" => pending = usize::try_from(number(1_000_000)?).unwrap_or_default(),
            "--quiet" => log = false,
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(());
            }
            other => return Err(format!("unknown argument {other}")),
        }
    }
    let server = GcpKms::start_on(port, log).map_err(|error| format!("cannot listen: {error}"))?;
    server.set("*", fault);
    server.set_pending(pending);
    let endpoint = server.endpoint();
    let variable = format!("export CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS={endpoint}");
    // The endpoint first and alone, and all at once, for those who start it and read one line.
    let lines = format!("{endpoint}\n{variable}\n# a key ring to begin with: {}\n", server.uri(""));
    std::io::stdout().write_all(lines.as_bytes()).map_err(|error| error.to_string())?;
    server.wait();
    Ok(())
}
