//! `code_sign sign`: a CMS signature over a file.

use std::io::Read;
use std::path::{Path, PathBuf};

use der::Encode;
use kmskit::adapters::cms::SignedDataBuilder;
use kmskit::{Error, ErrorKind, KeyUri, Result, SyncSigner};

use crate::{chain, input, outputs};

/// Sign a file of any size: writes its CMS signature (RFC 5652, DER) beside it
///
/// The file is hashed as it is read, and one digest is signed. The certificate and its chain go along, so that the root
/// is all a verifier needs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key
    #[arg(long, value_name = "URI")]
    key: KeyUri,
    /// Its certificate, and after it those up to the root; PEM or DER
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Enclose the file in the signature; it must then fit into memory
    #[arg(long)]
    attached: bool,
    /// New file for the signature [default: FILE.p7s]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What is signed
    file: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let out = args.out.clone().unwrap_or_else(|| beside(&args.file));
    outputs::check_absent(&out)?;
    let chain = chain::read(&args.cert)?;
    for certificate in &chain {
        chain::in_force(certificate)?;
    }
    if !chain::extended_key_usage(&chain[0])?.is_some_and(|(_, usages)| usages.contains(&chain::CODE_SIGNING)) {
        let context = format!("{} is not one for signing code", chain::name(&chain[0]));
        return Err(Error::new(ErrorKind::InvalidArgument, context).with_hint("make one with `code_sign certify`"));
    }
    let above = chain[1..].iter().filter(|certificate| !chain::is_self_signed(certificate));
    let builder = SignedDataBuilder::new(&chain[0])?.with_certificates(above);
    let mut content = input::stream(&args.file)?;

    let signer = SyncSigner::new(crate::open(&args.key)?);
    let signed = if args.attached {
        let mut whole = Vec::new();
        content.read_to_end(&mut whole).map_err(|error| input::cannot_read(&args.file, error))?;
        builder.attached(&signer, &whole)?
    } else {
        builder.detached(&signer, content).map_err(|error| error.in_context(args.file.display()))?
    };
    let der = signed
        .to_der()
        .map_err(|error| Error::new(ErrorKind::Other, "cannot encode the signature").with_source(error))?;
    outputs::write_new(Some(&out), &der)
}

/// Where the signature of a file lies unless said otherwise.
pub(crate) fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".p7s");
    name.into()
}
