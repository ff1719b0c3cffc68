//! Makes a certificate signing request for a key that is only a URI.

#[path = "shared/exit.rs"]
mod exit;
#[path = "shared/names.rs"]
mod names;
#[path = "shared/outputs.rs"]
mod outputs;
#[path = "shared/prompt.rs"]
mod prompt;

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use der::EncodePem;
use der::pem::LineEnding;
use kmskit::adapters::cause;
use kmskit::{Error, ErrorKind, KeyUri, OpenOptions, Result, Signature, SyncSigner};
use x509_cert::builder::Builder;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::request::RequestBuilder;

/// Make a PKCS #10 certificate signing request (RFC 2986), signed by the key at URI.
#[derive(Debug, Parser)]
#[command(version, after_help = format!("\
Example:
  csr 'softkms:name=leaf;dir=pki/keys' --subject CN=www.example.com --dns www.example.com --out leaf.csr

{}", exit::EXIT_CODES))]
struct Arguments {
    /// The key; `;alg=rsa-pss-sha256` in it states how an RSA key signs
    #[arg(value_name = "URI")]
    key: KeyUri,
    /// Distinguished name, as RFC 4514 writes it
    #[arg(long, value_name = "NAME")]
    subject: String,
    /// DNS names for the subject alternative name
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// IP addresses for it
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<IpAddr>,
    /// Mail addresses for it
    #[arg(long, value_name = "ADDRESS")]
    email: Vec<String>,
    /// URIs for it
    #[arg(long, value_name = "URI")]
    uri: Vec<String>,
    /// New file for the PEM [default: stdout]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    exit::exit(run(&exit::arguments()))
}

fn run(arguments: &Arguments) -> Result<()> {
    let mut builder = RequestBuilder::new(names::distinguished(&arguments.subject)?).map_err(failed)?;
    let mut alternative = Vec::new();
    for name in &arguments.dns {
        alternative.push(names::dns(name)?);
    }
    for address in &arguments.ip {
        alternative.push(names::ip(*address)?);
    }
    for address in &arguments.email {
        alternative.push(names::email(address)?);
    }
    for uri in &arguments.uri {
        alternative.push(names::uri(uri)?);
    }
    if !alternative.is_empty() {
        builder.add_extension(&SubjectAltName(alternative)).map_err(failed)?;
    }
    if let Some(path) = &arguments.out {
        outputs::check_absent(path)?;
    }
    let registry = kmskit::registry().with_options(prompt::ask_on_terminal(OpenOptions::default()));
    let signer = SyncSigner::new(kmskit::block_on(registry.signer(&arguments.key))?);
    let request = builder.build::<_, Signature>(&signer).map_err(|error| match cause(&error) {
        Some(beneath) => beneath.duplicate().in_context("signing the request"),
        None => failed(error),
    })?;
    outputs::write_new(arguments.out.as_deref(), request.to_pem(LineEnding::LF).map_err(failed)?.as_bytes())
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::InvalidArgument, "cannot encode the request").with_source(error)
}
