//! `kms sign`: a signature.

use base64ct::{Base64, Encoding};
use kmskit::{KeyUri, SignatureAlgorithm, block_on};
use serde_json::json;

use crate::context::Context;
use crate::failure::Outcome;
use crate::file::Target;
use crate::signature_format::{Format, Message, MessageSource};

/// Sign a message or a digest
///
/// Reads the message from --in or stdin, of any size: it is hashed as it is read, except for Ed25519
/// and ML-DSA, which sign the message itself. The signature is verified before it is written.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Example: kms sign softkms:root.key --in message.txt --format der > message.sig"
)]
pub(crate) struct Args {
    /// The key
    uri: String,
    /// ecdsa-sha256, ecdsa-sha384, ecdsa-sha512, rsa-pkcs1-sha256 (384, 512), rsa-pss-sha256 (384, 512),
    /// ed25519, ml-dsa-44, ml-dsa-65, ml-dsa-87; also ES256, PS256 and the like
    /// [default: what the URI says, else what the key's type says]
    #[arg(long, verbatim_doc_comment, value_name = "ALGORITHM")]
    alg: Option<SignatureAlgorithm>,
    #[command(flatten)]
    message: MessageSource,
    /// How to write the signature; with --json, der and raw are in base64
    #[arg(long, value_enum, default_value = "base64")]
    format: Format,
    #[command(flatten)]
    target: Target,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let uri = KeyUri::parse(&args.uri)?;
    let signer = block_on(context.open(&uri)?.signer(&uri, args.alg))?;
    let signature = match args.message.read(signer.algorithm())? {
        Message::Whole(message) => block_on(signer.sign(&message))?,
        Message::Digest(digest) => block_on(signer.sign_digest(&digest))?,
    };
    let octets = args.format.encode(&signature)?;
    let mut json = json!({ "algorithm": signature.algorithm().name(), "format": args.format.name() });
    if let Some(path) = &args.target.out {
        args.target.write(&octets, false)?;
        json["out"] = path.to_string_lossy().into();
        return context.print("", &json);
    }
    if !context.is_json() {
        return args.target.write(&octets, false);
    }
    json["signature"] = match args.format {
        Format::Der | Format::Raw => Base64::encode_string(&octets).into(),
        Format::Base64 | Format::Hex => String::from_utf8_lossy(&octets).trim_end().into(),
    };
    context.print("", &json)
}
