//! `kms`: creates, uses and inspects keys named by a URI.
//!
//! ```text
//! cargo run --example kms -- create softkms:name=root;dir=pki
//! echo hello | cargo run --example kms -- sign 'softkms:name=root;dir=pki'
//! ```

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::context::Context;
use crate::failure::Outcome;

mod bench;
mod capabilities;
mod certificate;
mod context;
mod create;
mod decrypt;
mod delete;
mod doctor;
#[path = "../shared/exit.rs"]
mod exit;
mod failure;
mod file;
mod key;
#[path = "../shared/prompt.rs"]
mod prompt;
mod search;
mod sign;
mod signature_format;
mod uri;
mod verify;

/// Creates, uses and inspects keys named by a URI.
///
/// Quote the URI: `;`, `?` and `&` mean something to a shell.
#[derive(Parser)]
#[command(name = "kms", version, after_help = exit::EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Everywhere")]
struct Options {
    /// Print one JSON value to stdout, errors included
    #[arg(long, global = true)]
    json: bool,
    /// Give up an operation after that many milliseconds [default: 30000]
    #[arg(long, global = true, value_name = "MS", value_parser = milliseconds)]
    timeout: Option<Duration>,
}

#[derive(Subcommand)]
enum Command {
    Uri(uri::Args),
    Create(create::Args),
    Key(key::Args),
    Sign(sign::Args),
    Verify(verify::Args),
    Decrypt(decrypt::Args),
    #[command(subcommand)]
    Cert(certificate::Command),
    Search(search::Args),
    Delete(delete::Args),
    Capabilities(capabilities::Args),
    Doctor(doctor::Args),
    Bench(bench::Args),
}

fn main() -> ExitCode {
    show_warnings();
    match Cli::try_parse() {
        Ok(cli) => failure::exit(run(&cli), cli.options.json),
        Err(error) => failure::exit_usage(&error),
    }
}

/// What the library warns of (a key that a search leaves out, say) goes to stderr; `RUST_LOG=debug` shows more.
fn show_warnings() {
    let level = std::env::var("RUST_LOG").ok().and_then(|level| level.parse().ok());
    tracing_subscriber::fmt()
        .with_max_level(level.unwrap_or(tracing_subscriber::filter::LevelFilter::WARN))
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .init();
}

fn run(cli: &Cli) -> Outcome {
    let context = Context::new(cli.options.json, cli.options.timeout);
    match &cli.command {
        Command::Uri(args) => uri::run(args, &context),
        Command::Create(args) => create::run(args, &context),
        Command::Key(args) => key::run(args, &context),
        Command::Sign(args) => sign::run(args, &context),
        Command::Verify(args) => verify::run(args, &context),
        Command::Decrypt(args) => decrypt::run(args, &context),
        Command::Cert(command) => certificate::run(command, &context),
        Command::Search(args) => search::run(args, &context),
        Command::Delete(args) => delete::run(args, &context),
        Command::Capabilities(args) => capabilities::run(args, &context),
        Command::Doctor(args) => doctor::run(args, &context),
        Command::Bench(args) => bench::run(args, &context),
    }
}

fn milliseconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_millis)
}
