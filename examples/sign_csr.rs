//! Signs somebody else's certificate signing request with a CA key at a URI.

#[path = "shared/authority.rs"]
mod authority;
#[path = "shared/exit.rs"]
mod exit;
#[path = "shared/input.rs"]
mod input;
#[path = "shared/names.rs"]
mod names;
#[path = "shared/outputs.rs"]
mod outputs;
#[path = "shared/profile.rs"]
mod profile;
#[path = "shared/prompt.rs"]
mod prompt;
#[path = "shared/requested.rs"]
mod requested;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use der::EncodePem;
use der::pem::LineEnding;
use kmskit::{Error, ErrorKind, KeyUri, OpenOptions, Result};

use crate::authority::Authority;
use crate::profile::{Purpose, Request};
use crate::requested::Requested;

/// Sign a PKCS #10 request (PEM or DER) as a subordinate CA, TLS server, TLS client or code signer.
///
/// The request's own signature is checked first. Subject, public key and subject alternative names are the request's;
/// serial number, validity and all other extensions are the CA's. What the request asks for beyond its profile is
/// refused, not dropped. The certificate never outlives the CA's.
#[derive(Debug, Parser)]
#[command(version, after_help = format!("\
Example:
  sign_csr --key 'softkms:name=root;dir=pki/keys' --ca pki/root_ca.crt --profile subordinate-ca --csr sub.csr --out sub.crt

{}", exit::EXIT_CODES))]
struct Arguments {
    /// The CA's key
    #[arg(long, visible_alias = "ca-key", value_name = "URI")]
    key: KeyUri,
    /// The CA's certificate, PEM or DER
    #[arg(long, visible_alias = "ca-cert", value_name = "FILE")]
    ca: PathBuf,
    /// The request, PEM or DER
    #[arg(long, value_name = "FILE")]
    csr: PathBuf,
    /// What the certificate is for
    #[arg(long, value_enum, default_value_t = Profile::TlsServer)]
    profile: Profile,
    /// How many CAs may be below a subordinate CA
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    path_len: u8,
    /// Lifetime in days [default: 1825 for a CA, 365 for others]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36500))]
    days: Option<u32>,
    /// New file for the certificate [default: stdout]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Profile {
    #[value(alias = "subca", alias = "sub-ca", alias = "ca", alias = "intermediate")]
    SubordinateCa,
    #[value(alias = "server")]
    TlsServer,
    #[value(alias = "client")]
    TlsClient,
    #[value(alias = "code", alias = "code-signing")]
    CodeSigner,
}

fn main() -> ExitCode {
    exit::exit(run(&exit::arguments()))
}

fn run(arguments: &Arguments) -> Result<()> {
    let purpose = match arguments.profile {
        Profile::SubordinateCa => Purpose::SubordinateCa { path_len: arguments.path_len },
        Profile::TlsServer => Purpose::TlsServer,
        Profile::TlsClient => Purpose::TlsClient,
        Profile::CodeSigner => Purpose::CodeSigner,
    };
    if let Some(path) = &arguments.out {
        outputs::check_absent(path)?;
    }
    let requested = Requested::read(&arguments.csr, purpose)?;
    let authority = Authority::read(&arguments.ca)?;
    authority.may_issue(purpose)?;

    let registry = kmskit::registry().with_options(prompt::ask_on_terminal(OpenOptions::default()));
    let signer = kmskit::block_on(registry.signer(&arguments.key))?;
    let issuer = authority.issuer(signer)?;
    let days = arguments.days.unwrap_or(if purpose.is_ca() { 1825 } else { 365 });
    let certificate = profile::issue(
        Request {
            purpose,
            subject: requested.subject,
            alternative_names: requested.alternative_names,
            key_usage: requested.key_usage,
            key: &requested.public_key,
            lifetime: Duration::from_hours(24 * u64::from(days)),
        },
        &issuer,
    )?;
    let pem = certificate
        .to_pem(LineEnding::LF)
        .map_err(|error| Error::new(ErrorKind::Other, "cannot write the certificate as PEM").with_source(error))?;
    outputs::write_new(arguments.out.as_deref(), pem.as_bytes())
}
