//! An HTTPS client whose key is only a URI.

#[path = "../shared/exit.rs"]
mod exit;
#[path = "../shared/handshake.rs"]
mod handshake;
mod host;
#[path = "../shared/input.rs"]
mod input;
#[path = "../shared/prompt.rs"]
mod prompt;
#[path = "../shared/tls.rs"]
mod tls;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use kmskit::{Error, ErrorKind, KeyUri, OpenOptions, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;

use crate::handshake::{failed, off_the_workers};
use crate::host::Host;

/// Longest wait for the connection, for the handshake, and for the answer.
const LIMIT: Duration = Duration::from_secs(30);
/// Longest answer that is read.
const ANSWER_LIMIT: u64 = 16 * 1024 * 1024;

/// Get a page over HTTPS and write it to stdout, header and all; with --key, prove who you are by the key at URI.
#[derive(Debug, Parser)]
#[command(version, after_help = format!("\
Example:
  tls_client localhost:8443 --ca pki/root_ca.crt --key 'softkms:name=client;dir=pki/keys' --cert client.crt

{}", exit::EXIT_CODES))]
struct Arguments {
    /// The server; its certificate must be for this name or address
    #[arg(value_name = "HOST:PORT")]
    server: Host,
    /// What to get
    #[arg(long, default_value = "/", value_parser = host::path)]
    path: String,
    /// The CAs that may vouch for the server, PEM
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// The client's key
    #[arg(long, value_name = "URI", requires = "cert")]
    key: Option<KeyUri>,
    /// Its certificate chain, PEM with its own first, or one in DER
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Speak this version of TLS only [default: both]
    #[arg(long, value_enum, value_name = "VERSION")]
    tls: Option<tls::Version>,
}

fn main() -> ExitCode {
    exit::exit(run(&exit::arguments()))
}

#[tokio::main]
async fn run(arguments: &Arguments) -> Result<()> {
    let config = Arc::new(config(arguments).await?);
    let Arguments { server, path, .. } = arguments;
    let connecting = TcpStream::connect((server.name(), server.port));
    let tcp = timeout(LIMIT, connecting).await.map_err(io::Error::from).flatten();
    let tcp = tcp.map_err(|error| failed(&format!("cannot reach {server}"), error))?;
    let handshake = TlsConnector::from(config).connect(server.server_name.clone(), tcp);
    let stream = off_the_workers(LIMIT, handshake).await;
    let stream = stream.map_err(|error| failed(&format!("handshake with {server}"), error))?;
    let answer = timeout(LIMIT, get(stream, server, path)).await.map_err(io::Error::from).flatten();
    // By TLS 1.3, a server that refuses the client's certificate says so only now.
    let answer = answer.map_err(|error| failed(&format!("no answer from {server}"), error))?;
    io::stdout().write_all(&answer).map_err(|error| failed("cannot write to stdout", error))?;
    match status(&answer) {
        Some(200..300) => Ok(()),
        Some(status) => Err(Error::new(ErrorKind::Other, format!("{server} answered with status {status}"))),
        None => Err(Error::new(ErrorKind::Other, format!("{server} does not speak HTTP"))),
    }
}

async fn config(arguments: &Arguments) -> Result<ClientConfig> {
    let config = ClientConfig::builder_with_protocol_versions(&tls::versions(arguments.tls))
        .with_root_certificates(tls::roots(&arguments.ca)?);
    let (Some(key), Some(cert)) = (&arguments.key, &arguments.cert) else { return Ok(config.with_no_client_auth()) };
    let registry = kmskit::registry().with_options(prompt::ask_on_terminal(OpenOptions::default()));
    let identity = tls::identity(&registry, key, cert).await?;
    Ok(config.with_client_cert_resolver(Arc::new(identity)))
}

/// One request; the answer ends with the connection.
async fn get(mut stream: TlsStream<TcpStream>, host: &Host, path: &str) -> io::Result<Vec<u8>> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    match stream.take(ANSWER_LIMIT).read_to_end(&mut answer).await {
        // Many servers end without TLS's own good-bye; the length in the header would tell what is missing.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !answer.is_empty() => Ok(answer),
        result => result.map(|_| answer),
    }
}

fn status(answer: &[u8]) -> Option<u16> {
    let rest = answer.strip_prefix(b"HTTP/1.")?.get(1..5)?.strip_prefix(b" ")?;
    std::str::from_utf8(rest).ok()?.parse().ok()
}
