//! `kms capabilities`: what a place can do.

use kmskit::KeyUri;
use serde_json::{Map, Value};

use crate::context::Context;
use crate::failure::Outcome;

/// Show what the place that a URI names can do, besides creating keys and signing
///
/// Which key types it can create depends on the device or account; `kms create` tells.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = "Example: kms capabilities softkms:dir=pki")]
pub(crate) struct Args {
    /// The place, or a key in it
    uri: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let uri = KeyUri::parse(&args.uri)?;
    let table = context.open(&uri)?.capabilities();
    let line = |(name, able): &(&str, bool)| format!("{name:<14}{}\n", if *able { "yes" } else { "no" });
    let text: String = table.iter().map(line).collect();
    let object: Map<_, _> = table.into_iter().map(|(name, able)| (name.to_owned(), Value::Bool(able))).collect();
    context.print(&text, &Value::Object(object))
}
