//! The making of the chain, from the root down.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kmskit::{Error, ErrorKind, KeyUri, PublicKey, Registry, Result, Signer};
use x509_cert::Certificate;

use crate::authority::Authority;
use crate::certificate::Template;
use crate::issue::{self, Role};
use crate::profile::{Issuer, Purpose};

/// One certificate of the chain, as it is asked for.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) role: Role,
    pub(crate) key: Option<KeyUri>,
    pub(crate) origin: Origin,
}

/// Where a certificate comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// There is none.
    None,
    /// A file that exists.
    Existing(PathBuf),
    /// It is made.
    New { template: Box<Template>, lifetime: Duration, output: PathBuf },
}

/// The certificates, made and existing.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(crate) root: Option<Certificate>,
    pub(crate) intermediate: Option<Certificate>,
    pub(crate) leaf: Option<Certificate>,
}

impl Link {
    /// The new file, if one is made.
    pub(crate) fn output(&self) -> Option<&Path> {
        match &self.origin {
            Origin::New { output, .. } => Some(output),
            _ => None,
        }
    }
}

impl Chain {
    /// Opens the keys, and makes what is to be made.
    pub(crate) fn make(registry: &Registry, root: &Link, intermediate: &Link, leaf: &Link) -> Result<Self> {
        let mut keys = Vec::new();
        let root = Step::take(registry, root, None, &mut keys)?;
        let below = match &intermediate.origin {
            Origin::None => None,
            _ => Step::take(registry, intermediate, root.as_ref(), &mut keys)?,
        };
        let leaf = match &leaf.origin {
            Origin::None => None,
            _ => Step::take(registry, leaf, below.as_ref().or(root.as_ref()), &mut keys)?,
        };
        let certificate = |step: Option<Step>| step.map(|step| step.authority.certificate().clone());
        Ok(Self { root: certificate(root), intermediate: certificate(below), leaf: certificate(leaf) })
    }
}

/// A certificate that is there, and its key if it was opened.
struct Step {
    role: Role,
    authority: Authority,
    signer: Option<Arc<dyn Signer>>,
}

impl Step {
    fn take(
        registry: &Registry,
        link: &Link,
        issuer: Option<&Self>,
        keys: &mut Vec<(Role, PublicKey)>,
    ) -> Result<Option<Self>> {
        let name = link.role.name();
        let signer = match &link.key {
            Some(uri) => Some(open(registry, uri, link.role, keys)?),
            None => None,
        };
        let authority = match &link.origin {
            Origin::None => return Ok(None),
            Origin::Existing(file) => {
                let authority = existing(file, signer.as_ref())?;
                if let Some(issuer) = issuer {
                    issuer.authority.check_issued(&authority).map_err(|error| error.in_context(file.display()))?;
                }
                authority
            }
            Origin::New { template, lifetime, .. } => {
                let Some(signer) = &signer else { return Err(bad(format!("no key for the {name}"))) };
                let made = match issuer {
                    Some(issuer) => issuer.issue(link.role, template, signer.public_key(), *lifetime),
                    None if link.role == Role::Root => {
                        let own = Issuer { certificate: None, signer: Arc::clone(signer) };
                        issue::issue(template, signer.public_key(), *lifetime, &own)
                    }
                    None => {
                        return Err(bad(format!("nobody to issue the {name}"))
                            .with_hint("give --root-key-id, and --existing-root-cert if there is a root already"));
                    }
                };
                Authority::new(made.map_err(|error| error.in_context(format!("the {name}")))?)
            }
        };
        Ok(Some(Self { role: link.role, authority, signer }))
    }

    /// Issues the certificate below this one.
    fn issue(&self, role: Role, template: &Template, key: &PublicKey, lifetime: Duration) -> Result<Certificate> {
        let name = self.role.name();
        let Some(signer) = &self.signer else {
            return Err(bad(format!("the {name} is to sign, but its key is not known"))
                .with_hint(format!("give --{name}-key-id")));
        };
        let room = template.basic_constraints.as_ref().and_then(|constraints| constraints.path_len_constraint);
        let purpose = match role {
            Role::Leaf => Purpose::CodeSigner,
            _ => Purpose::SubordinateCa { path_len: room.unwrap_or(0) },
        };
        self.authority.may_issue(purpose).map_err(|error| error.in_context(format!("the {name} as issuer")))?;
        issue::issue(template, key, lifetime, &self.authority.issuer(Arc::clone(signer))?)
    }
}

/// Opens a key, which must not be that of a link above.
fn open(registry: &Registry, uri: &KeyUri, role: Role, keys: &mut Vec<(Role, PublicKey)>) -> Result<Arc<dyn Signer>> {
    let signer = kmskit::block_on(registry.signer(uri))
        .map_err(|error| error.in_context(format!("the {}'s key", role.name())))?;
    let key = signer.public_key();
    if let Some((other, _)) = keys.iter().find(|(_, other)| other == key) {
        let context = format!("the {} and the {} have the same key", other.name(), role.name());
        return Err(bad(context).with_hint("give each its own"));
    }
    keys.push((role, key.clone()));
    Ok(signer)
}

/// A CA certificate from a file, in force, and of that key.
fn existing(file: &Path, signer: Option<&Arc<dyn Signer>>) -> Result<Authority> {
    let authority = Authority::read(file)?;
    let check = || {
        authority.may_issue(Purpose::CodeSigner)?;
        signer.map_or(Ok(()), |signer| authority.issuer(Arc::clone(signer)).map(drop))
    };
    check().map_err(|error: Error| error.in_context(file.display()))?;
    Ok(authority)
}

fn bad(context: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}
