//! OpenSSH: public keys, signatures and certificates of `ssh-key`, by a key at a URI.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use kmskit::adapters::ssh::SshSigner;
//! use kmskit::adapters::ssh::ssh_key::certificate::{Builder, CertType};
//! # let user = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti alice".parse::<kmskit::adapters::ssh::ssh_key::PublicKey>()?;
//! # let manager = kmskit::block_on(kmskit::open("softkms:mode=memory"))?;
//! # let spec = kmskit::KeySpec::new(kmskit::KeyType::EcP256);
//! # kmskit::block_on(manager.create_key(&"softkms:name=ca".parse()?, &spec))?;
//! # let signer = kmskit::block_on(manager.signer(&"softkms:name=ca".parse()?, None))?;
//!
//! // let signer = kmskit::block_on(kmskit::signer(uri))?;
//! let ca = SshSigner::new(signer)?;
//! let mut builder = Builder::new([7; 16], user.key_data().clone(), 1_700_000_000, 1_700_086_400)?;
//! builder.cert_type(CertType::User)?.key_id("alice@example.com")?.valid_principal("alice")?;
//! let certificate = kmskit::block_on(ca.certify(builder))?;
//! println!("{}", certificate.to_openssh()?);
//! # Ok(())
//! # }
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use ssh_key::certificate::Builder;
use ssh_key::public::{EcdsaPublicKey, Ed25519PublicKey, KeyData, RsaPublicKey};
use ssh_key::{Algorithm, Certificate, EcdsaCurve, HashAlg, Mpint};

use super::rsa_components::rsa_components;
use crate::{Error, ErrorKind, KeyType, PublicKey, Result, SignatureAlgorithm, Signer, block_on};

/// The crate whose types these are, in the version they are of.
pub use ssh_key;

/// The public key in the form of OpenSSH, without a comment (RFC 4253 section 6.6, RFC 5656, RFC 8709).
///
/// # Errors
/// [`Unsupported`](ErrorKind::Unsupported) for a type that OpenSSH has no keys of.
pub fn public_key(key: &PublicKey) -> Result<ssh_key::PublicKey> {
    let data = match key.key_type() {
        KeyType::EcP256 | KeyType::EcP384 | KeyType::EcP521 => {
            EcdsaPublicKey::from_sec1_bytes(key.raw()).map(KeyData::Ecdsa).map_err(cannot_encode)?
        }
        KeyType::Ed25519 => Ed25519PublicKey::try_from(key.raw()).map(KeyData::Ed25519).map_err(cannot_encode)?,
        KeyType::Rsa { .. } => {
            let (modulus, exponent) = rsa_components(key)?;
            let [modulus, exponent] = [modulus, exponent].map(Mpint::from_positive_bytes);
            RsaPublicKey::new(exponent, modulus).map(KeyData::Rsa).map_err(cannot_encode)?
        }
        other => {
            return Err(Error::new(ErrorKind::Unsupported, format!("OpenSSH knows no keys of type {other}"))
                .with_hint("it knows P-256, P-384, P-521, Ed25519 and RSA"));
        }
    };
    Ok(data.into())
}

/// A [`Signer`] that signs as OpenSSH does: `ecdsa-sha2-nistp256`, `-nistp384`, `-nistp521`, `ssh-ed25519`,
/// `rsa-sha2-256`, `rsa-sha2-512`.
///
/// It is a [`SigningKey`](ssh_key::SigningKey) too, for [`SshSig::sign`](ssh_key::SshSig::sign) and the like; those
/// park the calling thread, and of a failure they keep nothing. [`sign`](Self::sign) and [`certify`](Self::certify)
/// only wait, and give the error as it is.
#[derive(Clone, Debug)]
pub struct SshSigner {
    signer: Arc<dyn Signer>,
    public_key: KeyData,
    algorithm: Algorithm,
}

impl SshSigner {
    /// Wraps a signer, if OpenSSH knows its key and its algorithm. No call.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported): OpenSSH has neither RSA-PSS nor RSA with SHA-384, secp256k1 or ML-DSA.
    pub fn new(signer: Arc<dyn Signer>) -> Result<Self> {
        let public_key = public_key(signer.public_key())?.key_data().clone();
        let algorithm = match signer.algorithm() {
            SignatureAlgorithm::EcdsaSha256 => Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
            SignatureAlgorithm::EcdsaSha384 => Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
            SignatureAlgorithm::EcdsaSha512 => Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
            SignatureAlgorithm::Ed25519 => Algorithm::Ed25519,
            SignatureAlgorithm::RsaPkcs1Sha256 => Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
            SignatureAlgorithm::RsaPkcs1Sha512 => Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
            other => {
                return Err(Error::new(ErrorKind::Unsupported, format!("OpenSSH knows no signatures by {other}"))
                    .with_hint("open the key with rsa-pkcs1-sha256 or rsa-pkcs1-sha512"));
            }
        };
        Ok(Self { signer, public_key, algorithm })
    }

    /// The signer within.
    pub fn inner(&self) -> &Arc<dyn Signer> {
        &self.signer
    }

    /// The public key.
    pub fn public_key(&self) -> &KeyData {
        &self.public_key
    }

    /// Signs a message to a signature as it goes over the wire (RFC 4253 section 6.6, RFC 5656 section 3.1.2, RFC 8332,
    /// RFC 8709). One call to the device or service.
    ///
    /// # Errors
    /// Those of [`Signer::sign`].
    pub async fn sign(&self, message: &[u8]) -> Result<ssh_key::Signature> {
        let signature = self.signer.sign(message).await?;
        let octets = match self.signer.algorithm().ecdsa_width() {
            Some(width) => {
                let raw = signature.to_raw()?;
                let (r, s) = raw.split_at(width);
                [string(Mpint::from_positive_bytes(r).as_bytes())?, string(Mpint::from_positive_bytes(s).as_bytes())?]
                    .concat()
            }
            None => signature.into_bytes(),
        };
        ssh_key::Signature::new(self.algorithm.clone(), octets).map_err(cannot_encode)
    }

    /// Signs the certificate of a user or host (`PROTOCOL.certkeys` of OpenSSH). One call to the device or service.
    ///
    /// A comment is no part of what is signed: give it to the certificate afterwards, not to the builder.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when the builder lacks principals, or has what cannot be encoded;
    /// those of [`Signer::sign`].
    pub async fn certify(&self, builder: Builder) -> Result<Certificate> {
        // The builder hands out the octets to be signed to its signing key only, and cannot wait for one. So it is given
        // one that takes them and fails; a certificate is those octets and the signature.
        let recorder = Recorder { public_key: &self.public_key, octets: Mutex::default() };
        let refused = builder.sign(&recorder).err();
        let mut octets = recorder.octets.into_inner().unwrap_or_else(PoisonError::into_inner);
        if octets.is_empty() {
            let error = invalid("the certificate cannot be encoded")
                .with_hint("name its principals, or say that it is for all of them");
            return Err(match refused {
                Some(refused) => error.with_source(refused),
                None => error,
            });
        }
        let signature = Vec::try_from(self.sign(&octets).await?).map_err(cannot_encode)?;
        octets.extend(string(&signature)?);
        Certificate::from_bytes(&octets).map_err(cannot_encode)
    }
}

impl signature::Signer<ssh_key::Signature> for SshSigner {
    fn try_sign(&self, message: &[u8]) -> Result<ssh_key::Signature, signature::Error> {
        block_on(self.sign(message)).map_err(signature::Error::from_source)
    }
}

impl From<&SshSigner> for KeyData {
    fn from(signer: &SshSigner) -> Self {
        signer.public_key.clone()
    }
}

/// Keeps what it is to sign, and does not sign it.
struct Recorder<'a> {
    public_key: &'a KeyData,
    octets: Mutex<Vec<u8>>,
}

impl signature::Signer<ssh_key::Signature> for Recorder<'_> {
    fn try_sign(&self, message: &[u8]) -> Result<ssh_key::Signature, signature::Error> {
        *self.octets.lock().unwrap_or_else(PoisonError::into_inner) = message.to_vec();
        Err(signature::Error::new())
    }
}

impl<'a> From<&Recorder<'a>> for KeyData {
    fn from(recorder: &Recorder<'a>) -> Self {
        recorder.public_key.clone()
    }
}

/// A `string` of RFC 4251 section 5: its length in four octets, and itself.
fn string(octets: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(octets.len()).map_err(|error| invalid("longer than 4 GiB").with_source(error))?;
    Ok([&length.to_be_bytes(), octets].concat())
}

fn cannot_encode(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    invalid("cannot be written in OpenSSH's form").with_source(error)
}

fn invalid(context: &'static str) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}
