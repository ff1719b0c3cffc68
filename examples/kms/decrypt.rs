//! `kms decrypt`: what was encrypted to an RSA key.

use std::path::PathBuf;

use base64ct::{Base64, Encoding};
use clap::ValueEnum;
use kmskit::{DecryptionAlgorithm, KeyUri, block_on};
use serde_json::json;

use crate::context::{Context, not_offered};
use crate::failure::Outcome;
use crate::file::{self, Target};
use crate::signature_format::{from_base64, from_hex};

/// Decrypt a block that was encrypted to an RSA key
///
/// The plaintext goes to stdout as it is, or to a new file that only its owner can read;
/// with --json, in base64.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = "Example: kms decrypt softkms:box.key --in secret.bin --out secret.txt")]
pub(crate) struct Args {
    /// The key
    uri: String,
    /// rsa-oaep-sha256, rsa-oaep-sha384, rsa-oaep-sha512, rsa-oaep-sha1, rsa-pkcs1
    #[arg(long, value_name = "ALGORITHM", default_value = "rsa-oaep-sha256", value_parser = algorithm)]
    alg: DecryptionAlgorithm,
    /// The encrypted block; stdin without this
    #[arg(long = "in", value_name = "FILE")]
    input: Option<PathBuf>,
    /// How the encrypted block is written
    #[arg(long, value_enum, default_value = "raw")]
    format: Format,
    #[command(flatten)]
    target: Target,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Raw,
    Base64,
    Hex,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let uri = KeyUri::parse(&args.uri)?;
    let manager = context.open(&uri)?;
    let decrypter = manager.as_decrypter().ok_or_else(|| not_offered("decryption", &uri))?;
    let input = file::read_short(args.input.as_deref())?;
    let block = match args.format {
        Format::Raw => input,
        Format::Base64 => from_base64(&input)?,
        Format::Hex => from_hex(&input)?,
    };
    let plaintext = block_on(decrypter.decrypt(&uri, args.alg, &block))?;
    if let Some(path) = &args.target.out {
        args.target.write(plaintext.expose(), true)?;
        return context.print("", &json!({ "out": path.to_string_lossy() }));
    }
    if context.is_json() {
        return context.print("", &json!({ "plaintext": Base64::encode_string(plaintext.expose()) }));
    }
    args.target.write(plaintext.expose(), true)
}

fn algorithm(text: &str) -> Result<DecryptionAlgorithm, String> {
    DecryptionAlgorithm::ALL.into_iter().find(|row| row.1 == text).map(|row| row.0).ok_or_else(|| {
        let known: Vec<_> = DecryptionAlgorithm::ALL.into_iter().map(|row| row.1).collect();
        format!("unknown decryption algorithm; known: {}", known.join(", "))
    })
}
