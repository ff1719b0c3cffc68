//! Signs code: a key and a CA at URIs, a CMS signature beside a file of any size, checked with the root alone.

#[path = "../shared/authority.rs"]
mod authority;
mod certify;
#[path = "../shared/chain.rs"]
mod chain;
#[path = "../shared/exit.rs"]
mod exit;
#[path = "../shared/input.rs"]
mod input;
#[path = "../shared/names.rs"]
mod names;
#[path = "../shared/outputs.rs"]
mod outputs;
#[path = "../shared/profile.rs"]
mod profile;
#[path = "../shared/prompt.rs"]
mod prompt;
#[path = "../shared/requested.rs"]
mod requested;
mod sign;
#[path = "../shared/signed_data.rs"]
mod signed_data;
mod verify;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use kmskit::{KeyUri, OpenOptions, Result, Signer};

/// Sign code: certify a key, sign files with it, verify them with the root alone.
#[derive(Debug, Parser)]
#[command(version, after_help = format!("\
Example, with a PKI by pki_init and a key by `kms create 'softkms:name=code;dir=pki/keys'`:
  code_sign certify --key 'softkms:name=code;dir=pki/keys' --subject 'CN=Example Releases' \\
      --ca-key 'softkms:name=intermediate;dir=pki/keys' --ca pki/intermediate_ca.crt --out code.pem
  code_sign sign --key 'softkms:name=code;dir=pki/keys' --cert code.pem firmware.bin
  code_sign verify --root pki/root_ca.crt firmware.bin

{}", exit::EXIT_CODES))]
enum Arguments {
    Certify(certify::Args),
    Sign(sign::Args),
    Verify(verify::Args),
}

fn main() -> ExitCode {
    exit::exit(match exit::arguments() {
        Arguments::Certify(args) => certify::run(&args),
        Arguments::Sign(args) => sign::run(&args),
        Arguments::Verify(args) => verify::run(&args),
    })
}

/// Opens the key a URI names; a PIN that is missing is asked for.
fn open(uri: &KeyUri) -> Result<Arc<dyn Signer>> {
    let registry = kmskit::registry().with_options(prompt::ask_on_terminal(OpenOptions::default()));
    kmskit::block_on(registry.signer(uri))
}
