//! Sigstore's Certificate Maker, with keys at any URI.

mod arguments;
mod asn1;
#[path = "../shared/authority.rs"]
mod authority;
mod certificate;
mod chain;
#[path = "../shared/exit.rs"]
mod exit;
mod general;
#[path = "../shared/input.rs"]
mod input;
mod issue;
mod json;
mod key_id;
#[path = "../shared/names.rs"]
mod names;
#[path = "../shared/outputs.rs"]
mod outputs;
#[path = "../shared/profile.rs"]
mod profile;
#[path = "../shared/prompt.rs"]
mod prompt;
mod subject;
mod template;
#[path = "../shared/text_file.rs"]
mod text_file;
mod usage;
#[path = "../shared/when.rs"]
mod when;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use der::EncodePem;
use der::pem::LineEnding;
use kmskit::{Error, ErrorKind, OpenOptions, Result};
use x509_cert::Certificate;

use crate::arguments::{Arguments, Command, Create};
use crate::chain::{Chain, Link};
use crate::outputs::Outputs;

fn main() -> ExitCode {
    let Command::Create(arguments) = exit::arguments::<Arguments>().command;
    exit::exit(create(&arguments))
}

fn create(arguments: &Create) -> Result<()> {
    // All that can be wrong with arguments, templates and files shows before a key is opened.
    let [root, intermediate, leaf] = arguments.links()?;
    let chain_file = arguments.chain_cert.as_deref().map(|file| text_file::path("--chain-cert", file)).transpose()?;
    let files = [&root, &intermediate, &leaf].into_iter().filter_map(Link::output).chain(chain_file);
    check_files(&files.collect::<Vec<_>>())?;

    let registry = kmskit::registry().with_options(prompt::ask_on_terminal(OpenOptions::default()));
    let chain = Chain::make(&registry, &root, &intermediate, &leaf)?;
    if chain_file.is_some() && chain.root.is_none() {
        return Err(bad("a chain file ends with the root, and there is none").with_hint("give --existing-root-cert"));
    }

    let certificates = [(&leaf, &chain.leaf), (&intermediate, &chain.intermediate), (&root, &chain.root)];
    let mut saved = Vec::new();
    let mut whole = String::new();
    for (link, certificate) in certificates {
        let Some(certificate) = certificate else { continue };
        let pem = pem(certificate)?;
        whole += &pem;
        saved.extend(link.output().map(|path| (format!("{} cert", link.role.name()), path, pem)));
    }
    // The root first, as it was made.
    saved.reverse();
    saved.extend(chain_file.map(|path| ("chain".to_owned(), path, whole)));
    write(&saved)?;
    saved.iter().try_for_each(|(what, path, _)| say(&format!("Saved {what} to {}", path.display())))
}

/// Whether nothing is in the way of the files, which must not be each other's.
fn check_files(files: &[&Path]) -> Result<()> {
    for (index, file) in files.iter().enumerate() {
        if files[..index].iter().any(|before| absolute(before).ok() == absolute(file).ok()) {
            return Err(bad("two of the files to be written are the same")
                .with_hint("look at --root-cert, --intermediate-cert, --leaf-cert and --chain-cert"));
        }
        outputs::check_absent(file)?;
    }
    Ok(())
}

/// Writes all of the files or none.
fn write(files: &[(String, &Path, String)]) -> Result<()> {
    let Some((_, first, _)) = files.first() else { return Ok(()) };
    let mut outputs = Outputs::new(absolute(first)?.parent().unwrap_or(Path::new(".")))?;
    for (_, path, content) in files {
        outputs.add(absolute(path)?, content)?;
    }
    outputs.commit()
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| bad("not the path of a file").with_source(error))
}

fn pem(certificate: &Certificate) -> Result<String> {
    certificate
        .to_pem(LineEnding::LF)
        .map_err(|error| Error::new(ErrorKind::Other, "cannot write a certificate as PEM").with_source(error))
}

fn say(line: &str) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{line}")
        .map_err(|error| Error::new(ErrorKind::Other, "cannot write to stdout").with_source(error))
}

fn bad(context: &'static str) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}
