//! A time-stamping authority (RFC 3161) whose key is at a URI, with the paths and flags of Sigstore's timestamp-server.

#[path = "../shared/chain.rs"]
mod chain;
#[path = "../shared/exit.rs"]
mod exit;
mod http;
#[path = "../shared/input.rs"]
mod input;
mod message;
#[path = "../shared/outputs.rs"]
mod outputs;
#[path = "../shared/prompt.rs"]
mod prompt;
mod signals;
mod tsa;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use der::EncodePem;
use der::asn1::ObjectIdentifier;
use der::pem::LineEnding;
use kmskit::{AsyncSigner, Error, ErrorKind, KeyUri, OpenOptions, Result};
use tokio::net::TcpListener;

use crate::http::Service;
use crate::tsa::TimeStampAuthority;

/// Serve time stamps (RFC 3161) signed by a key at a URI.
#[derive(Debug, Parser)]
#[command(version, after_help = format!("\
Example:
  timestamp_server serve --timestamp-signer=kms --certificate-chain-path=chain.pem \\
      --kms-key-resource=awskms:///arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab
  openssl ts -query -data file -sha256 -cert | curl -sS -H 'Content-Type: application/timestamp-query' \\
      --data-binary @- http://localhost:3004/api/v1/timestamp >file.tsr
  openssl ts -verify -in file.tsr -data file -CAfile root.pem

{}", exit::EXIT_CODES))]
enum Arguments {
    Serve(Serve),
}

/// Serve POST /api/v1/timestamp, GET /api/v1/timestamp/certchain and GET /ping
///
/// Does not start when chain and key do not match, when the certificate is not one for time stamping, or when the chain
/// does not lead up to its root. Ends on ctrl-c or SIGTERM, after the requests that are under way.
#[derive(Debug, clap::Args)]
struct Serve {
    /// Where to listen
    #[arg(long, value_name = "HOST", default_value = "0.0.0.0")]
    host: String,
    /// On which port; 0 for any that is free
    #[arg(long, value_name = "PORT", default_value_t = 3004)]
    port: u16,
    /// What signs
    #[arg(long, value_enum, default_value_t = TimestampSigner::Kms)]
    timestamp_signer: TimestampSigner,
    /// The certificate chain in PEM: the key's first, the root last
    #[arg(long, value_name = "FILE")]
    certificate_chain_path: PathBuf,
    /// The key
    #[arg(long, value_name = "URI")]
    kms_key_resource: KeyUri,
    /// The policy stated in each time stamp
    #[arg(long, value_name = "OID", default_value = "1.3.6.1.4.1.57264.2")]
    policy: ObjectIdentifier,
    /// How many seconds this machine's clock may be off, stated in each time stamp
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=86400))]
    accuracy: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TimestampSigner {
    /// A key at a URI
    Kms,
}

fn main() -> ExitCode {
    let Arguments::Serve(arguments) = exit::arguments();
    exit::exit(run(&arguments))
}

fn run(arguments: &Serve) -> Result<()> {
    let TimestampSigner::Kms = arguments.timestamp_signer;
    let path = &arguments.certificate_chain_path;
    let chain = chain::read(path)?;
    tsa::check_chain(&chain).map_err(|error| error.in_context(path.display()))?;
    let registry = kmskit::registry().with_options(prompt::ask_on_terminal(OpenOptions::default()));
    let signer = AsyncSigner::new(kmskit::block_on(registry.signer(&arguments.kms_key_resource))?);
    let authority = TimeStampAuthority::new(&chain, signer, arguments.policy, arguments.accuracy)
        .map_err(|error| error.in_context(path.display()))?;
    let pem =
        chain.iter().map(|certificate| certificate.to_pem(LineEnding::LF)).collect::<Result<String, _>>().map_err(
            |error| Error::new(ErrorKind::InvalidArgument, "cannot write the chain as PEM").with_source(error),
        )?;
    let service = Arc::new(Service { authority, chain: pem.into() });

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed("start"))?;
    runtime.block_on(async {
        let address = (arguments.host.as_str(), arguments.port);
        let listener = TcpListener::bind(address).await.map_err(failed("listen there"))?;
        let address = listener.local_addr().map_err(failed("listen there"))?;
        // Registered before anybody is told that the server is there.
        let end = signals::Ending::new().map_err(failed("wait for signals"))?;
        outputs::write_new(None, format!("listening on http://{address}\n").as_bytes())?;
        http::serve(listener, service, end.wait()).await;
        Ok(())
    })
}

fn failed(what: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |error| Error::new(ErrorKind::Other, format!("cannot {what}")).with_source(error)
}
