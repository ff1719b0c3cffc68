//! `kms cert`: certificates kept with keys.

use std::path::PathBuf;

use clap::Subcommand;
use der::pem::{self, LineEnding};
use kmskit::{CertificateManager, Error, ErrorKind, KeyManager, KeyUri, block_on};
use serde_json::json;

use crate::context::{Context, not_offered};
use crate::failure::Outcome;
use crate::{delete, file};

const LABEL: &str = "CERTIFICATE";
const END: &str = "-----END CERTIFICATE-----";

/// Read, store or delete the certificate kept with a key
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print the certificate and its chain, in PEM, the key's own first
    #[command(after_help = "Example: kms cert get softkms:root.key > chain.pem")]
    Get {
        /// The key
        uri: String,
    },
    /// Store a certificate, or a chain with the key's own first; one that exists is never replaced
    #[command(after_help = "Example: kms cert put softkms:root.key --in root_ca.crt")]
    Put {
        /// The key
        uri: String,
        /// Certificates in PEM
        #[arg(long = "in", value_name = "FILE")]
        input: PathBuf,
    },
    /// Delete the certificate and its chain; the key stays
    #[command(after_help = "Example: kms cert delete softkms:root.key --yes")]
    Delete {
        /// The key
        uri: String,
        /// Really delete
        #[arg(long)]
        yes: bool,
    },
}

pub(crate) fn run(command: &Command, context: &Context) -> Outcome {
    match command {
        Command::Get { uri } => load(&KeyUri::parse(uri)?, context),
        Command::Put { uri, input } => {
            let uri = KeyUri::parse(uri)?;
            let text = file::read_short(Some(input))?;
            let chain = chain_from(&text).map_err(|error| error.in_context(input.display()))?;
            block_on(certificates(&*context.open(&uri)?, &uri)?.store_certificates(&uri, &chain))?;
            context.print("", &json!({ "uri": uri.without_secrets().to_string(), "stored": chain.len() }))
        }
        Command::Delete { uri, yes } => {
            let uri = KeyUri::parse(uri)?;
            delete::confirmed(*yes)?;
            block_on(certificates(&*context.open(&uri)?, &uri)?.delete_certificates(&uri))?;
            context.print("", &json!({ "deleted": uri.without_secrets().to_string() }))
        }
    }
}

fn load(uri: &KeyUri, context: &Context) -> Outcome {
    let chain = block_on(certificates(&*context.open(uri)?, uri)?.load_certificates(uri))?;
    let encode = |der: &Vec<u8>| {
        pem::encode_string(LABEL, LineEnding::LF, der)
            .map_err(|error| Error::new(ErrorKind::Integrity, "a certificate too large for PEM").with_source(error))
    };
    let chain = chain.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
    context.print(&chain.concat(), &json!({ "certificates": chain }))
}

fn certificates<'a>(manager: &'a dyn KeyManager, uri: &KeyUri) -> Result<&'a dyn CertificateManager, Error> {
    manager.as_certificate_manager().ok_or_else(|| not_offered("keeping certificates", uri))
}

/// The DER of each certificate in a PEM text, text between them left out; other blocks are refused.
fn chain_from(text: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let invalid = || {
        Error::new(ErrorKind::InvalidArgument, "not certificates in PEM")
            .with_hint("expected blocks of BEGIN CERTIFICATE")
    };
    let text = str::from_utf8(text).map_err(|_| invalid())?;
    let mut blocks: Vec<_> = text.split_inclusive(END).collect();
    if blocks.pop_if(|rest| !rest.contains("-----BEGIN ")).is_none() && !text.trim_end().ends_with(END) {
        return Err(invalid());
    }
    let decode = |block: &&str| match pem::decode_vec(block.as_bytes()) {
        Ok((LABEL, der)) => Ok(der),
        Ok((other, _)) => Err(invalid().with_source(format!("found a {other}"))),
        Err(error) => Err(invalid().with_source(error)),
    };
    let chain: Vec<_> = blocks.iter().map(decode).collect::<Result<_, _>>()?;
    if chain.is_empty() { Err(invalid()) } else { Ok(chain) }
}
