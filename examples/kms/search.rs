//! `kms search`: which keys there are.

use kmskit::{KeyUri, block_on};
use serde_json::{Value, json};

use crate::context::{Context, not_offered};
use crate::failure::Outcome;

/// List the keys that match every attribute of a URI
///
/// One key a line: complete URI, tab, type. No match is not an error.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = "Example: kms search softkms:dir=pki")]
pub(crate) struct Args {
    /// Where to look, and what every key found must match
    uri: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let uri = KeyUri::parse(&args.uri)?;
    let manager = context.open(&uri)?;
    let searcher = manager.as_key_searcher().ok_or_else(|| not_offered("searching", &uri))?;
    let keys = block_on(searcher.search_keys(&uri))?;
    let lines: Vec<_> = keys.iter().map(|key| format!("{}\t{}\n", key.uri, key.public_key.key_type())).collect();
    let objects = keys.iter().map(|key| {
        json!({
            "uri": key.uri.to_string(),
            "type": key.public_key.key_type().to_string(),
            "key_identifier": hex::encode(key.public_key.key_identifier()),
        })
    });
    context.print(&lines.concat(), &Value::Array(objects.collect()))
}
