//! `kms create`: a new key.

use clap::ValueEnum;
use kmskit::{KeySpec, KeyType, KeyUri, KeyUsage, block_on};
use serde_json::json;

use crate::context::{Context, with_spinner};
use crate::failure::{Failure, Outcome};

/// Create a key and print its complete URI
///
/// The URI that is printed names this one key from anywhere and holds no secret.
/// A key that exists is never replaced.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = "Example: kms create 'softkms:name=root;dir=pki' --type ec-p384")]
pub(crate) struct Args {
    /// Where the key is to be, and its name
    uri: String,
    /// ec-p256, ec-p384, ec-p521, ec-secp256k1, rsa-2048, rsa-3072, rsa-4096, ed25519,
    /// ml-dsa-44, ml-dsa-65, ml-dsa-87
    #[arg(long = "type", verbatim_doc_comment, value_name = "TYPE", default_value = "ec-p256")]
    key_type: KeyType,
    /// What the key is for; decryption takes an RSA key
    #[arg(long, value_enum, default_value = "sign")]
    usage: Usage,
}

#[derive(Clone, Copy, ValueEnum)]
enum Usage {
    Sign,
    Decrypt,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let uri = KeyUri::parse(&args.uri)?;
    let usage = match args.usage {
        Usage::Sign => KeyUsage::Sign,
        Usage::Decrypt => KeyUsage::Decrypt,
    };
    let spec = KeySpec::new(args.key_type).with_usage(usage);
    let manager = context.open(&uri)?;
    let key = with_spinner(format!("creating a key of type {}", args.key_type), || {
        block_on(manager.create_key(&uri, &spec))
    })?;
    let json = json!({
        "uri": key.uri.to_string(),
        "type": key.public_key.key_type().to_string(),
        "public_key": key.public_key.to_pem(),
    });
    context.print(&format!("{}\n", key.uri), &json).map_err(|failure| match failure {
        // Without this the one thing that names the key would be lost.
        Failure::Error { error, position } => {
            Failure::Error { error: error.with_hint(format!("the key was created: {}", key.uri)), position }
        }
        other => other,
    })
}
