//! `kms uri`: what a URI says.

use std::slice;

use kmskit::KeyUri;
use kmskit::uri::Attribute;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::failure::Outcome;

/// Show what a URI says, attribute by attribute
///
/// Reads the syntax only, of any scheme; nothing is opened. Values that are not text appear in hex, a
/// vendor attribute that is repeated as a list. A bad URI ends with exit code 2 and the offset of the
/// fault in bytes.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = "Example: kms uri --json 'pkcs11:token=ca;id=%01?pin-source=env:PIN'")]
pub(crate) struct Args {
    /// Any URI of the form scheme:name=value;…?name=value&…
    #[arg(allow_hyphen_values = true)]
    uri: String,
    /// Show PINs and passwords too
    #[arg(long)]
    show_secrets: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let uri = KeyUri::parse(&args.uri)?;
    let path = object(uri.path(), args.show_secrets);
    let query = object(uri.query(), args.show_secrets);
    let text = format!("scheme  {}\n{}{}", uri.scheme(), lines("path", &path), lines("query", &query));
    context.print(&text, &json!({ "scheme": uri.scheme(), "path": path, "query": query }))
}

fn object<'a>(attributes: impl Iterator<Item = Attribute<'a>>, show_secrets: bool) -> Map<String, Value> {
    let mut object = Map::new();
    for attribute in attributes {
        let value = value(attribute, show_secrets);
        match object.get_mut(attribute.name()) {
            None => {
                object.insert(attribute.name().to_owned(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    object
}

fn value(attribute: Attribute<'_>, show_secrets: bool) -> Value {
    match attribute.text() {
        _ if attribute.is_secret() && !show_secrets => "<redacted>".into(),
        Some(text) => text.into(),
        None => json!({ "hex": hex::encode(attribute.bytes()) }),
    }
}

/// The attributes of one part, one a line.
fn lines(part: &str, object: &Map<String, Value>) -> String {
    let mut lines = Vec::new();
    for (name, value) in object {
        let values = value.as_array().map_or(slice::from_ref(value), Vec::as_slice);
        lines.extend(values.iter().map(|value| match (value.as_str(), value["hex"].as_str()) {
            (Some(text), _) => format!("{part:<6}  {name} = {text}\n"),
            (None, digits) => format!("{part:<6}  {name} = hex {}\n", digits.unwrap_or_default()),
        }));
    }
    lines.concat()
}
