//! `kms verify`: a signature's check.

use std::path::{Path, PathBuf};

use kmskit::{Error, ErrorKind, KeyUri, PublicKey, SignatureAlgorithm, block_on};
use serde_json::json;

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::file;
use crate::signature_format::{Format, Message, MessageSource};

/// Verify a signature: prints OK, or ends with exit code 1
///
/// The public key comes from a key's URI or from a PEM file; the check itself is made here.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Example: kms verify --key root.pub --signature message.sig --format der --in message.txt",
    group(clap::ArgGroup::new("public_key").required(true).args(["uri", "key"]))
)]
pub(crate) struct Args {
    /// The key
    uri: Option<String>,
    /// A PUBLIC KEY in PEM instead of a URI
    #[arg(long, value_name = "PEM-FILE")]
    key: Option<PathBuf>,
    /// The signature
    #[arg(long, value_name = "FILE")]
    signature: PathBuf,
    /// As for `kms sign` [default: what the key or its URI says]
    #[arg(long, value_name = "ALGORITHM")]
    alg: Option<SignatureAlgorithm>,
    #[command(flatten)]
    message: MessageSource,
    /// How the signature is written
    #[arg(long, value_enum, default_value = "base64")]
    format: Format,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    if args.signature == Path::new(file::STDIN) && args.message.is_stdin() {
        let error = Error::new(ErrorKind::InvalidArgument, "signature and message cannot both come from stdin");
        return Err(error.with_hint("name a file with --in or --signature").into());
    }
    let (key, stated) = public_key(args, context)?;
    let algorithm = key.key_type().settle(stated)?;
    let signature = args.format.decode(algorithm, &file::read_short(Some(&args.signature))?)?;
    match args.message.read(algorithm)? {
        Message::Whole(message) => key.verify(algorithm, &message, signature.as_bytes())?,
        Message::Digest(digest) => {
            key.verify_digest(algorithm, &algorithm.digest_from(&digest)?, signature.as_bytes())?;
        }
    }
    context.print("OK\n", &json!({ "verified": true, "algorithm": algorithm.name() }))
}

/// The key, and the algorithm that the caller or the URI states.
fn public_key(args: &Args, context: &Context) -> Result<(PublicKey, Option<SignatureAlgorithm>), Failure> {
    match (&args.uri, &args.key) {
        (Some(uri), _) => {
            let uri = KeyUri::parse(uri)?;
            let stated = SignatureAlgorithm::stated(&uri, args.alg)?;
            Ok((block_on(context.open(&uri)?.public_key(&uri))?, stated))
        }
        (None, Some(path)) => Ok((public_key_in(path)?, args.alg)),
        (None, None) => Err(Error::new(ErrorKind::InvalidArgument, "no key").with_hint("give a URI or --key").into()),
    }
}

fn public_key_in(path: &Path) -> Result<PublicKey, Error> {
    let pem = String::from_utf8(file::read_short(Some(path))?)
        .map_err(|_| Error::new(ErrorKind::InvalidArgument, format!("{}: not a PEM text", path.display())))?;
    PublicKey::from_pem(&pem).map_err(|error| error.in_context(path.display()))
}
