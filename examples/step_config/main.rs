//! Whether the keys of a step-ca can be used: opens them as its `ca.json` names them.

#[path = "../shared/authority.rs"]
mod authority;
mod config;
mod dialect;
#[path = "../shared/exit.rs"]
mod exit;
#[path = "../shared/input.rs"]
mod input;
mod key_name;
mod pkcs11;
#[path = "../shared/profile.rs"]
mod profile;
#[path = "../shared/prompt.rs"]
mod prompt;
mod report;
#[path = "../shared/text_file.rs"]
mod text_file;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use kmskit::{Error, OpenOptions, Result};

use crate::config::Config;
use crate::report::Report;

/// Open the KMS and keys that a step-ca `ca.json` names, and say of each whether it works.
///
/// Each key signs a short text, to see that it can; nothing is changed or written. A key must be that of `crt`. For each
/// the URI is printed that names it here, also where step's own spelling of `pkcs11:` had to be converted. Paths are
/// relative to the current directory, as for step-ca.
#[derive(Debug, Parser)]
#[command(version, after_help = format!("\
Example:
  step_config /etc/step-ca/config/ca.json

{}", exit::EXIT_CODES))]
struct Arguments {
    /// The configuration
    #[arg(value_name = "CA.JSON")]
    config: OsString,
    /// Password of encrypted key files, as for step-ca
    #[arg(long, value_name = "FILE")]
    password_file: Option<OsString>,
}

fn main() -> ExitCode {
    exit::exit(run(&exit::arguments()))
}

fn run(arguments: &Arguments) -> Result<()> {
    let path = text_file::path("CA.JSON", &arguments.config)?;
    let password_file =
        arguments.password_file.as_deref().map(|file| text_file::path("--password-file", file)).transpose()?;
    let config = Config::read(&text_file::read(path)?).map_err(|error| error.in_context(path.display()))?;
    let registry = kmskit::registry().with_options(prompt::ask_on_terminal(OpenOptions::default()));

    let mut report = Report::default();
    report.check_certificates(&config)?;
    for key in &config.keys {
        report.check_key(key, &config, &registry, password_file)?;
    }
    match report.into_failure() {
        None => Ok(()),
        // The faults themselves are in the report.
        Some((kind, count)) => {
            Err(Error::new(kind, format!("{count} of the checks failed")).with_hint("see the lines that begin with ✘"))
        }
    }
}
