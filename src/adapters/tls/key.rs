//! A key that signs handshakes.

use std::sync::Arc;

use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::{OtherError, SignatureScheme};

use crate::{Error, ErrorKind, KeyManager, KeyType, KeyUri, PublicKey, Result, SignatureAlgorithm, Signer, block_on};

/// One key with every signature scheme of TLS that it can sign with (RFC 8446 section 4.2.3).
///
/// Each handshake costs one signature, made while the calling thread waits; see [the module](crate::adapters::tls) on
/// what that means for an asynchronous server. An RSA key serves TLS 1.3 by PSS and TLS 1.2 by either padding. A
/// client with a P-521 key needs TLS 1.3: in 1.2 it would have to offer that curve for the key exchange too, and `rustls`
/// does not. The ML-DSA schemes are those of draft-ietf-tls-mldsa.
#[derive(Clone, Debug)]
pub struct TlsKey {
    public_key: PublicKey,
    schemes: Arc<[Scheme]>,
}

/// One scheme and who signs with it.
#[derive(Clone, Debug)]
struct Scheme {
    scheme: SignatureScheme,
    signer: Arc<dyn Signer>,
}

impl TlsKey {
    /// Opens a key with all its schemes, or with the one that `;alg=` in the URI states.
    ///
    /// Costs as many openings of a signer as the key has algorithms: one, or six for RSA; a person is asked for a password
    /// or PIN once. An algorithm that this place or key cannot do is left out.
    ///
    /// # Errors
    /// Those of [`KeyManager::signer`], and of [`new`](Self::new).
    pub async fn open(manager: &dyn KeyManager, key: &KeyUri) -> Result<Self> {
        let first = manager.signer(key, None).await?;
        let (key_type, settled) = (first.public_key().key_type(), first.algorithm());
        let mut signers = vec![first];
        let others = if key.alg().is_none() { key_type.algorithms() } else { &[] };
        for &algorithm in others.iter().filter(|&&algorithm| algorithm != settled) {
            match manager.signer(key, Some(algorithm)).await {
                Ok(signer) => signers.push(signer),
                Err(error) if error.kind() == ErrorKind::Unsupported => {}
                Err(error) => return Err(error),
            }
        }
        Self::new(signers)
    }

    /// Takes signers of one key, each with another algorithm. What is no scheme of TLS is left out. No call.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) when no scheme remains, [`KeyMismatch`](ErrorKind::KeyMismatch) when the
    /// signers are not all of one key, [`InvalidArgument`](ErrorKind::InvalidArgument) when there is none.
    pub fn new(signers: impl IntoIterator<Item = Arc<dyn Signer>>) -> Result<Self> {
        let signers: Vec<_> = signers.into_iter().collect();
        let first = signers.first().ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "TLS key: no signer"))?;
        let public_key = first.public_key().clone();
        if signers.iter().any(|signer| *signer.public_key() != public_key) {
            return Err(Error::new(ErrorKind::KeyMismatch, "TLS key: the signers are not of one key")
                .with_hint("the name may have come to mean another key meanwhile; open it anew"));
        }
        let (key_type, algorithm) = (public_key.key_type(), first.algorithm());
        let with_scheme = |signer: Arc<dyn Signer>| {
            let scheme = scheme(signer.public_key().key_type(), signer.algorithm())?;
            Some(Scheme { scheme, signer })
        };
        let mut schemes: Vec<_> = signers.into_iter().filter_map(with_scheme).collect();
        if schemes.is_empty() {
            let context = format!("TLS has no signature scheme for {algorithm} with a key of type {key_type}");
            return Err(Error::new(ErrorKind::Unsupported, context)
                .with_hint("use a key of type ec-p256, ec-p384, ec-p521, rsa or ed25519"));
        }
        // PSS first, and the shorter hash first: no stronger with these keys, and the one that every client must know.
        schemes.sort_by_key(|Scheme { signer, .. }| (!signer.algorithm().is_pss(), signer.algorithm()));
        Ok(Self { public_key, schemes: schemes.into() })
    }

    /// The public key. No call.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The schemes, the preferred first. No call.
    pub fn schemes(&self) -> impl Iterator<Item = SignatureScheme> {
        self.schemes.iter().map(|Scheme { scheme, .. }| *scheme)
    }

    /// Whether it can sign with one of the schemes that the peer offers.
    pub(super) fn serves(&self, offered: &[SignatureScheme]) -> bool {
        self.schemes().any(|scheme| offered.contains(&scheme))
    }
}

impl rustls::sign::SigningKey for TlsKey {
    /// Our preference counts, not the peer's: any scheme that it offers is as good for it.
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        let chosen = self.schemes.iter().find(|Scheme { scheme, .. }| offered.contains(scheme))?;
        Some(Box::new(chosen.clone()))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.public_key.spki_der()))
    }

    fn algorithm(&self) -> rustls::SignatureAlgorithm {
        match self.public_key.key_type() {
            KeyType::Rsa { .. } => rustls::SignatureAlgorithm::RSA,
            KeyType::Ed25519 => rustls::SignatureAlgorithm::ED25519,
            key_type if key_type.is_ecdsa() => rustls::SignatureAlgorithm::ECDSA,
            // As rustls has it for its own: TLS 1.2, which alone asks, has no number for ML-DSA.
            _ => rustls::SignatureAlgorithm::Unknown(0),
        }
    }
}

impl rustls::sign::Signer for Scheme {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let signature = block_on(self.signer.sign(message));
        signature.map(crate::Signature::into_bytes).map_err(|error| OtherError(Arc::new(error)).into())
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

/// TLS binds each curve to one hash, as we do, and knows no secp256k1.
fn scheme(key_type: KeyType, algorithm: SignatureAlgorithm) -> Option<SignatureScheme> {
    use SignatureAlgorithm as Alg;
    Some(match (key_type, algorithm) {
        (KeyType::EcP256, Alg::EcdsaSha256) => SignatureScheme::ECDSA_NISTP256_SHA256,
        (KeyType::EcP384, Alg::EcdsaSha384) => SignatureScheme::ECDSA_NISTP384_SHA384,
        (KeyType::EcP521, Alg::EcdsaSha512) => SignatureScheme::ECDSA_NISTP521_SHA512,
        (KeyType::Rsa { .. }, Alg::RsaPkcs1Sha256) => SignatureScheme::RSA_PKCS1_SHA256,
        (KeyType::Rsa { .. }, Alg::RsaPkcs1Sha384) => SignatureScheme::RSA_PKCS1_SHA384,
        (KeyType::Rsa { .. }, Alg::RsaPkcs1Sha512) => SignatureScheme::RSA_PKCS1_SHA512,
        (KeyType::Rsa { .. }, Alg::RsaPssSha256) => SignatureScheme::RSA_PSS_SHA256,
        (KeyType::Rsa { .. }, Alg::RsaPssSha384) => SignatureScheme::RSA_PSS_SHA384,
        (KeyType::Rsa { .. }, Alg::RsaPssSha512) => SignatureScheme::RSA_PSS_SHA512,
        (KeyType::Ed25519, Alg::Ed25519) => SignatureScheme::ED25519,
        (KeyType::MlDsa44, Alg::MlDsa44) => SignatureScheme::ML_DSA_44,
        (KeyType::MlDsa65, Alg::MlDsa65) => SignatureScheme::ML_DSA_65,
        (KeyType::MlDsa87, Alg::MlDsa87) => SignatureScheme::ML_DSA_87,
        _ => return None,
    })
}
