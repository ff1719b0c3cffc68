//! What TLS servers and clients have in common: who they are, and whom they trust.

use std::path::Path;

use clap::ValueEnum;
use kmskit::adapters::tls::{self, TlsIdentity, TlsKey};
use kmskit::{Error, ErrorKind, KeyUri, Registry, Result};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{self, RootCertStore, SupportedProtocolVersion};

use crate::input;

/// Versions of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Version {
    #[value(name = "1.2")]
    Tls12,
    #[value(name = "1.3")]
    Tls13,
}

/// Those to speak: both, unless one is stated.
pub(crate) fn versions(stated: Option<Version>) -> Vec<&'static SupportedProtocolVersion> {
    match stated {
        Some(Version::Tls12) => vec![&rustls::version::TLS12],
        Some(Version::Tls13) => vec![&rustls::version::TLS13],
        None => rustls::DEFAULT_VERSIONS.to_vec(),
    }
}

/// The key at a URI with the certificates of a file.
pub(crate) async fn identity(registry: &Registry, key: &KeyUri, chain: &Path) -> Result<TlsIdentity> {
    // Before the key: a wrong file shall not cost a PIN.
    let certificates = certificates(chain)?;
    let manager = registry.open(key).await?;
    let key = TlsKey::open(&*manager, key).await?;
    TlsIdentity::new(certificates, key).map_err(|error| error.in_context(chain.display()))
}

/// The CAs whose certificates a file holds.
pub(crate) fn roots(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| {
            Error::new(ErrorKind::InvalidArgument, format!("{} is not of a CA", path.display())).with_source(error)
        })?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    // It may hold a PIN, so no message shall show it.
    if !path.exists() && path.to_str().is_some_and(|text| text.parse::<KeyUri>().is_ok()) {
        let context = "this is the URI of a key, where a file of certificates is meant";
        return Err(Error::new(ErrorKind::InvalidArgument, context).with_hint("name the file, in PEM or DER"));
    }
    tls::certificates(&input::octets(path)?).map_err(|error| error.in_context(path.display()))
}
