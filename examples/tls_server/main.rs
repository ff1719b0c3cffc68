//! An HTTPS server whose key is only a URI.

mod accept;
#[path = "../shared/exit.rs"]
mod exit;
#[path = "../shared/handshake.rs"]
mod handshake;
#[path = "../shared/input.rs"]
mod input;
#[path = "../shared/prompt.rs"]
mod prompt;
mod serve;
#[path = "../shared/tls.rs"]
mod tls;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use kmskit::adapters::tls::TlsIdentity;
use kmskit::{Error, ErrorKind, KeyUri, OpenOptions, Result};
use tokio::net::TcpListener;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::{NoClientAuth, WebPkiClientVerifier};

/// Serve a small page over HTTPS with the key at URI, until interrupted.
///
/// The page tells what was negotiated. A handshake that fails is told on stderr, and the server goes on.
#[derive(Debug, Parser)]
#[command(version, after_help = format!("\
Examples:
  tls_server 'softkms:name=leaf;dir=pki/keys' --cert pki/chain.pem
  tls_server 'pkcs11:token=ca;object=www?pin-source=file:/run/secrets/pin' --cert www.crt --client-ca clients.crt

{}", exit::EXIT_CODES))]
struct Arguments {
    /// The server's key; without `;alg=` it signs with every scheme it can
    #[arg(value_name = "URI")]
    key: KeyUri,
    /// Its certificate chain, PEM with its own first, or one in DER
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Demand a client certificate issued by one of these CAs
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Speak this version of TLS only [default: both]
    #[arg(long, value_enum, value_name = "VERSION")]
    tls: Option<tls::Version>,
}

fn main() -> ExitCode {
    exit::exit(run(&exit::arguments()))
}

#[tokio::main]
async fn run(arguments: &Arguments) -> Result<()> {
    let registry = kmskit::registry().with_options(prompt::ask_on_terminal(OpenOptions::default()));
    let identity = tls::identity(&registry, &arguments.key, &arguments.cert).await?;
    let config = config(arguments, identity)?;
    let cannot_listen = |error: io::Error| {
        Error::new(ErrorKind::Unavailable, format!("cannot listen on {}", arguments.listen)).with_source(error)
    };
    let listener = TcpListener::bind(arguments.listen).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    // Whoever started it may not read this.
    let _ = writeln!(io::stdout(), "listening on https://{address}");
    serve::serve(listener, Arc::new(config)).await;
    Ok(())
}

fn config(arguments: &Arguments, identity: TlsIdentity) -> Result<ServerConfig> {
    let verifier = match &arguments.client_ca {
        None => Arc::new(NoClientAuth) as _,
        Some(path) => WebPkiClientVerifier::builder(Arc::new(tls::roots(path)?)).build().map_err(|error| {
            Error::new(ErrorKind::InvalidArgument, format!("{} cannot serve as CA", path.display())).with_source(error)
        })?,
    };
    Ok(ServerConfig::builder_with_protocol_versions(&tls::versions(arguments.tls))
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(identity)))
}
