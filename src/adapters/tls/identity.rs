//! A key with its certificates.

use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::TlsKey;
use crate::{Error, ErrorKind, KeyManager, KeyUri, PublicKey, Result};

/// A key with the certificate chain that a server or client shows: resolves to it whatever the peer's name or wishes.
///
/// The first certificate's public key is that of the key; the rest of the chain is sent as it is, unchecked. A server
/// with several names puts several into a resolver of its own, by [`certified_key`](Self::certified_key).
#[derive(Clone, Debug)]
pub struct TlsIdentity {
    key: TlsKey,
    certified: Arc<CertifiedKey>,
}

impl TlsIdentity {
    /// Opens the key at `uri` and puts it together with its chain: PEM, the key's own certificate first, or the DER of
    /// that one. The certificates are read first, so a fault in them costs no call. For its calls see [`TlsKey::open`].
    ///
    /// # Errors
    /// Those of [`certificates`], [`TlsKey::open`] and [`new`](Self::new).
    pub async fn open(manager: &dyn KeyManager, uri: &KeyUri, chain: &[u8]) -> Result<Self> {
        let chain = certificates(chain)?;
        Self::new(chain, TlsKey::open(manager, uri).await?)
    }

    /// Puts a key together with its chain, the key's own certificate first. No call.
    ///
    /// # Errors
    /// [`KeyMismatch`](ErrorKind::KeyMismatch) when the first certificate's public key is not the key's;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when there is none, or it cannot be read.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: TlsKey) -> Result<Self> {
        let first = chain.first().ok_or_else(|| invalid("the certificate chain is empty"))?;
        if certified_by(first)? != *key.public_key() {
            let context = format!("the certificate is for another key than {:?}", key.public_key());
            let elsewhere = chain.iter().any(|other| certified_by(other).is_ok_and(|found| found == *key.public_key()));
            return Err(Error::new(ErrorKind::KeyMismatch, context).with_hint(if elsewhere {
                "the chain holds the key's certificate, but not in the first place; put it there"
            } else {
                "the key's own certificate must be the first"
            }));
        }
        let certified = Arc::new(CertifiedKey::new(chain, Arc::new(key.clone())));
        Ok(Self { key, certified })
    }

    /// The key.
    pub fn key(&self) -> &TlsKey {
        &self.key
    }

    /// Key and chain as `rustls` has them, for other resolvers.
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

impl ResolvesServerCert for TlsIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.certified))
    }
}

impl ResolvesClientCert for TlsIdentity {
    /// None when the server accepts none of the key's schemes: whether it goes on without a certificate is its affair.
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.key.serves(schemes).then(|| Arc::clone(&self.certified))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The certificates of a PEM text, in its order, whatever else it holds; or the one that is DER.
///
/// # Errors
/// [`InvalidArgument`](ErrorKind::InvalidArgument) when there is none, or a block is damaged.
pub fn certificates(octets: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    const PRIVATE_KEY: &[u8] = b"PRIVATE KEY-----";
    // A SEQUENCE; no PEM starts with this character.
    if octets.starts_with(b"0") {
        let certificate = CertificateDer::from(octets.to_vec());
        return certified_by(&certificate).map(|_| vec![certificate]);
    }
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(octets).collect();
    let found = found.map_err(|error| invalid("the PEM of a certificate is damaged").with_source(error))?;
    if !found.is_empty() {
        return Ok(found);
    }
    Err(if octets.windows(PRIVATE_KEY.len()).any(|window| window == PRIVATE_KEY) {
        invalid("this is a private key, where a certificate is meant").with_hint("keys are named by a URI")
    } else {
        invalid("no certificate in it").with_hint("expected CERTIFICATE blocks in PEM, or one certificate in DER")
    })
}

/// The public key that a certificate is for.
fn certified_by(certificate: &CertificateDer<'_>) -> Result<PublicKey> {
    let parsed = ParsedCertificate::try_from(certificate)
        .map_err(|error| invalid("a certificate cannot be read").with_source(error))?;
    PublicKey::from_spki_der(&parsed.subject_public_key_info()).map_err(|error| error.in_context("certificate"))
}

fn invalid(context: &'static str) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}
