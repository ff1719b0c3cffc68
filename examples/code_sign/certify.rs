//! `code_sign certify`: from a key, by way of a request, to a code-signing certificate.

use std::path::PathBuf;
use std::time::Duration;

use der::pem::LineEnding;
use der::{Encode, EncodePem};
use kmskit::adapters::cause;
use kmskit::{Error, ErrorKind, KeyUri, Result, Signature, SyncSigner};
use x509_cert::Certificate;
use x509_cert::builder::Builder;
use x509_cert::request::RequestBuilder;

use crate::authority::Authority;
use crate::profile::{Purpose, Request};
use crate::requested::Requested;
use crate::{chain, names, outputs, profile};

/// Make a code-signing certificate for a key, issued by a CA whose key is at another URI
///
/// The key signs a request, the CA checks it and issues. Written are the certificate and, after it, what the CA's file
/// holds below the root, so that signatures can be verified with the root alone.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key that will sign code
    #[arg(long, value_name = "URI")]
    key: KeyUri,
    /// Whose key it is, as RFC 4514 writes a name
    #[arg(long, value_name = "NAME")]
    subject: String,
    /// The CA's key
    #[arg(long, value_name = "URI")]
    ca_key: KeyUri,
    /// The CA's certificate, and after it those between it and the root; PEM or DER
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// Lifetime in days
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36500))]
    days: u32,
    /// New file for the certificate and its chain [default: stdout]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let subject = names::distinguished(&args.subject)?;
    if let Some(path) = &args.out {
        outputs::check_absent(path)?;
    }
    let authority = Authority::read(&args.ca)?;
    authority.may_issue(Purpose::CodeSigner)?;
    let above = chain::read(&args.ca)?;

    let signer = SyncSigner::new(crate::open(&args.key)?);
    let request =
        RequestBuilder::new(subject).and_then(|builder| builder.build::<_, Signature>(&signer)).map_err(|error| {
            match cause(&error) {
                Some(beneath) => beneath.duplicate().in_context("signing the request"),
                None => failed(error),
            }
        })?;

    // From here on it is the CA's turn, which knows of the key no more than the request tells.
    let requested = Requested::from_der(&request.to_der().map_err(failed)?, Purpose::CodeSigner)?;
    let issuer = authority.issuer(crate::open(&args.ca_key)?)?;
    let certificate = profile::issue(
        Request {
            purpose: Purpose::CodeSigner,
            subject: requested.subject,
            alternative_names: requested.alternative_names,
            key_usage: requested.key_usage,
            key: &requested.public_key,
            lifetime: Duration::from_hours(24 * u64::from(args.days)),
        },
        &issuer,
    )?;
    let mut text = pem(&certificate)?;
    for certificate in above.iter().filter(|certificate| !chain::is_self_signed(certificate)) {
        text += &pem(certificate)?;
    }
    outputs::write_new(args.out.as_deref(), text.as_bytes())
}

fn pem(certificate: &Certificate) -> Result<String> {
    certificate.to_pem(LineEnding::LF).map_err(failed)
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::InvalidArgument, "cannot encode the certificate").with_source(error)
}
