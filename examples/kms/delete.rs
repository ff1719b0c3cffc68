//! `kms delete`: the end of a key.

use kmskit::{Error, ErrorKind, KeyUri, block_on};
use serde_json::json;

use crate::context::{Context, not_offered};
use crate::failure::Outcome;

/// Delete a key, for ever or as its service schedules it
///
/// Does nothing without --yes, and nothing when more than one key matches. Certificates stay.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = "Example: kms delete 'softkms:name=old;dir=pki' --yes")]
pub(crate) struct Args {
    /// The key
    uri: String,
    /// Really delete
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let uri = KeyUri::parse(&args.uri)?;
    confirmed(args.yes)?;
    let manager = context.open(&uri)?;
    let deleter = manager.as_key_deleter().ok_or_else(|| not_offered("deletion", &uri))?;
    block_on(deleter.delete_key(&uri))?;
    context.print("", &json!({ "deleted": uri.without_secrets().to_string() }))
}

/// Refuses to go on without `--yes`.
pub(crate) fn confirmed(yes: bool) -> Result<(), Error> {
    if yes {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidArgument, "nothing was deleted").with_hint("add --yes to delete"))
}
