//! `kms key`: the public key.

use kmskit::{KeyUri, block_on};
use serde_json::json;

use crate::context::Context;
use crate::failure::Outcome;

/// Print the public key, in PEM
///
/// With --json also the type and the key identifiers: `key_identifier` by RFC 7093 method 1,
/// `key_identifier_sha1` by RFC 5280.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = "Example: kms key softkms:root.key > root.pub")]
pub(crate) struct Args {
    /// The key
    uri: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let uri = KeyUri::parse(&args.uri)?;
    let key = block_on(context.open(&uri)?.public_key(&uri))?;
    let json = json!({
        "type": key.key_type().to_string(),
        "public_key": key.to_pem(),
        "key_identifier": hex::encode(key.key_identifier()),
        "key_identifier_sha1": hex::encode(key.key_identifier_sha1()),
    });
    context.print(&key.to_pem(), &json)
}
