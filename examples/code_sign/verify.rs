//! `code_sign verify`: a signature's check with nothing but the root.

use std::path::PathBuf;

use kmskit::{Error, ErrorKind, Result};

use crate::signed_data::Signed;
use crate::{chain, input, outputs, sign};

/// Verify a file's signature: prints whose it is, or ends with exit code 1
///
/// Trusted is the root and nothing else: the signer's certificate must lead up to it, be in force now and be one for
/// signing code.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The root's certificate, PEM or DER
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// The signature, DER or PEM [default: FILE.p7s]
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// What was signed
    file: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let root = chain::read(&args.root)?;
    let [root] = &root[..] else {
        return Err(Error::new(ErrorKind::InvalidArgument, format!("{} is not one root", args.root.display())));
    };
    let path = args.signature.clone().unwrap_or_else(|| sign::beside(&args.file));
    let signed =
        Signed::from_der(&input::read(&path, &["CMS", "PKCS7"])?).map_err(|error| error.in_context(path.display()))?;
    if signed.content.is_some() {
        return Err(Error::new(ErrorKind::InvalidArgument, "the signature encloses its content")
            .with_hint("take it out: openssl cms -verify -inform DER -purpose any"));
    }
    chain::check(&signed.certificate, &signed.certificates, root, &chain::CODE_SIGNING)?;
    if chain::key_usage(&signed.certificate)?.is_some_and(|usage| !usage.digital_signature()) {
        return Err(Error::new(ErrorKind::Integrity, "the signer's certificate is not one for signatures"));
    }
    let digest =
        signed.hash.digest_reader(input::stream(&args.file)?).map_err(|error| input::cannot_read(&args.file, error))?;
    signed.check(digest.as_bytes())?;
    let subject = signed.certificate.tbs_certificate().subject();
    outputs::write_new(None, format!("OK: signed by {subject}\n").as_bytes())
}
