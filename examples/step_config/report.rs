//! What was found, line by line.

use std::io::Write;
use std::path::Path;

use kmskit::adapters::ssh;
use kmskit::{Error, ErrorKind, Registry, Result};

use crate::authority::Authority;
use crate::config::{Config, Key};
use crate::pkcs11::Converted;
use crate::profile::Purpose;
use crate::{exit, key_name};

/// Signed by every key, to see that it can. No certificate, request or token looks like it.
const PROBE: &[u8] = b"kmskit step_config: does this key sign?";

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    certificate: Option<Authority>,
    failures: Vec<ErrorKind>,
}

impl Report {
    /// Reads `root` and `crt`, and looks whether the one leads to the other.
    pub(crate) fn check_certificates(&mut self, config: &Config) -> Result<()> {
        let mut roots = Vec::new();
        for file in &config.roots {
            let read = sound(file);
            self.outcome("root", &file.display().to_string(), read.as_ref().err(), &[])?;
            roots.extend(read.ok());
        }
        let Some(file) = &config.certificate else { return Ok(()) };
        let read = sound(file).and_then(|certificate| {
            let issued: Vec<_> = roots.iter().map(|root| root.check_issued(&certificate)).collect();
            match issued.into_iter().reduce(Result::or) {
                Some(Err(error)) => Err(error),
                _ => Ok(certificate),
            }
        });
        self.outcome("crt", &file.display().to_string(), read.as_ref().err(), &[])?;
        // A certificate with faults of its own still tells whose it is.
        self.certificate = read.or_else(|_| Authority::read(file)).ok();
        Ok(())
    }

    /// Opens one key, has it sign, and compares it with its certificate.
    pub(crate) fn check_key(
        &mut self,
        key: &Key,
        config: &Config,
        registry: &Registry,
        password_file: Option<&Path>,
    ) -> Result<()> {
        let converted = match key_name::uri(&key.name, &config.kms, password_file) {
            Ok(converted) => converted,
            Err(error) => return self.outcome(key.field, "", Some(&error), &[]),
        };
        let mut lines = Vec::new();
        describe(&converted, &mut lines);
        let checked = self.works(key, &converted, registry, &mut lines);
        self.outcome(key.field, "", checked.as_ref().err(), &lines)
    }

    /// The kind of the first failure, and how many there were.
    pub(crate) fn into_failure(self) -> Option<(ErrorKind, usize)> {
        self.failures.first().map(|kind| (*kind, self.failures.len()))
    }

    fn works(&self, key: &Key, converted: &Converted, registry: &Registry, lines: &mut Vec<String>) -> Result<()> {
        let signer = kmskit::block_on(registry.signer(&converted.uri))?;
        kmskit::block_on(signer.sign(PROBE))?;
        lines.push(format!("signs with {} ({})", signer.algorithm(), signer.public_key().key_type()));
        if !key.certified {
            // Compared by who trusts it: `ssh_host_ca_key.pub` and the like.
            let public_key = ssh::public_key(signer.public_key())?.to_openssh();
            lines.push(public_key.map_err(|error| {
                Error::new(ErrorKind::Other, "its public key cannot be written").with_source(error)
            })?);
            return ssh::SshSigner::new(signer).map(drop);
        }
        match &self.certificate {
            Some(certificate) => {
                certificate.issuer(signer)?;
                lines.push("is the key of `crt`".to_owned());
                Ok(())
            }
            None => Err(Error::new(ErrorKind::NotFound, "there is no `crt` to compare it with")),
        }
    }

    fn outcome(&mut self, field: &str, what: &str, error: Option<&Error>, lines: &[String]) -> Result<()> {
        let mark = if error.is_some() { '✘' } else { '✔' };
        let mut all = lines.to_vec();
        if let Some(error) = error {
            self.failures.push(error.kind());
            all.push(format!("{}: {}", error.kind().name(), error.context()));
            all.extend(error.hint().map(|hint| format!("hint: {hint}")));
            all.extend(exit::causes(error).into_iter().map(|cause| format!("cause: {cause}")));
        }
        let first = format!("{mark} {field} {what}");
        let text = [first.trim_end().to_owned()].into_iter().chain(all.into_iter().map(|line| format!("    {line}")));
        let text = text.collect::<Vec<_>>().join("\n") + "\n";
        std::io::stdout()
            .write_all(text.as_bytes())
            .map_err(|error| Error::new(ErrorKind::Other, "cannot write to stdout").with_source(error))
    }
}

/// The URI to use from now on, and why it is not the one that was there.
fn describe(converted: &Converted, lines: &mut Vec<String>) {
    lines.push(format!("URI: {}", converted.uri.without_secrets()));
    lines.extend(converted.changes.iter().map(|change| format!("converted from step's spelling: {change}")));
    if converted.uri.has_secret() {
        lines.push(
            "its PIN or key is left out here: put it into a file and name that by `pin-source=file:/…` and the like"
                .to_owned(),
        );
    }
}

/// A CA certificate, in force.
fn sound(file: &Path) -> Result<Authority> {
    let authority = Authority::read(file)?;
    authority.may_issue(Purpose::TlsServer)?;
    Ok(authority)
}
