//! One key with one algorithm.

use std::fmt;

use async_trait::async_trait;

use crate::{
    Deadline, Digest, Error, ErrorKind, KeyType, OperationPolicy, PublicKey, Result, SignatureAlgorithm, ecdsa, low_s,
};

/// One key with one algorithm, both settled and checked when it was opened.
///
/// A backend writes [`sign_input`](Self::sign_input); callers use [`sign`](Self::sign) and
/// [`sign_digest`](Self::sign_digest), which hash, check, keep the deadline and verify the result. No method panics or
/// waits for a device or service past the deadline of [`policy`](Self::policy); what is computed in place takes the
/// time it takes.
#[async_trait]
pub trait Signer: fmt::Debug + Send + Sync {
    /// The public key, read once when the signer was opened. No call.
    fn public_key(&self) -> &PublicKey;

    /// The algorithm of every signature. No call.
    fn algorithm(&self) -> SignatureAlgorithm;

    /// The rules this signer was opened with. No call.
    fn policy(&self) -> &OperationPolicy;

    /// The backend's one signing call. `input` already fits the algorithm.
    ///
    /// Not for callers: the result is not verified, and only the backend's own waiting heeds `deadline`.
    ///
    /// # Errors
    /// The backend's own faults.
    async fn sign_input(&self, input: SignInput<'_>, deadline: Deadline) -> Result<Signature>;

    /// Signs a message of any length: hashes it here where the algorithm has a hash, then makes one call to the device
    /// or service, then verifies the signature against [`public_key`](Self::public_key) (unless switched off).
    ///
    /// # Errors
    /// [`Integrity`](ErrorKind::Integrity) when the device answers with a wrong signature,
    /// [`Timeout`](ErrorKind::Timeout) at the deadline, and the backend's faults.
    async fn sign(&self, message: &[u8]) -> Result<Signature> {
        match self.algorithm().hash() {
            Some(hash) => sign_and_verify(self, SignInput::Digest(&hash.digest(message))).await,
            None => sign_and_verify(self, SignInput::Message(message)).await,
        }
    }

    /// Signs the digest of a message; otherwise as [`sign`](Self::sign).
    ///
    /// # Errors
    /// Also [`InvalidArgument`](ErrorKind::InvalidArgument) when the digest is not of the algorithm's hash, and
    /// [`Unsupported`](ErrorKind::Unsupported) when the algorithm signs messages only; both before any call.
    async fn sign_digest(&self, digest: &[u8]) -> Result<Signature> {
        let digest = self.algorithm().digest_from(digest)?;
        sign_and_verify(self, SignInput::Digest(&digest)).await
    }
}

/// What a device or service is given to sign.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum SignInput<'a> {
    /// The digest by the algorithm's hash: ECDSA and RSA.
    Digest(&'a Digest),
    /// The message itself: Ed25519 and ML-DSA.
    Message(&'a [u8]),
}

/// A signature, as X.509, CMS and TLS carry it: DER `ECDSA-Sig-Value` for ECDSA, plain octets for the others.
/// On secp256k1 a [`Signer`] always gives the lower s, whatever the device gave.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    algorithm: SignatureAlgorithm,
    octets: Vec<u8>,
}

impl Signature {
    /// Takes octets in X.509 form. Not checked here: [`Signer::sign`] verifies.
    pub fn from_x509(algorithm: SignatureAlgorithm, octets: impl Into<Vec<u8>>) -> Self {
        Self { algorithm, octets: octets.into() }
    }

    /// Takes what PKCS #11 tokens and JOSE give: r‖s for ECDSA, plain octets for the others.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for r‖s of the wrong length or with a zero half.
    pub fn from_raw(algorithm: SignatureAlgorithm, octets: &[u8]) -> Result<Self> {
        let octets = match algorithm.ecdsa_width() {
            Some(width) => ecdsa::der_from_raw(octets, width)?,
            None => octets.to_vec(),
        };
        Ok(Self { algorithm, octets })
    }

    /// The algorithm that made it.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// In X.509 form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets
    }

    /// In X.509 form.
    pub fn into_bytes(self) -> Vec<u8> {
        self.octets
    }

    /// As r‖s for ECDSA, each half of the width of the curve's order; plain octets for the others.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when an ECDSA signature is not DER.
    pub fn to_raw(&self) -> Result<Vec<u8>> {
        match self.algorithm.ecdsa_width() {
            Some(width) => ecdsa::raw_from_der(&self.octets, width),
            None => Ok(self.octets.clone()),
        }
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({}, {} octets)", self.algorithm, self.octets.len())
    }
}

impl spki::SignatureBitStringEncoding for Signature {
    fn to_bitstring(&self) -> der::Result<der::asn1::BitString> {
        der::asn1::BitString::from_bytes(&self.octets)
    }
}

impl SignatureAlgorithm {
    /// Takes octets that are a digest by this algorithm's hash.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for another length, [`Unsupported`](ErrorKind::Unsupported) when
    /// the algorithm signs messages only.
    pub fn digest_from(self, octets: &[u8]) -> Result<Digest> {
        self.hash().ok_or_else(|| message_only(self))?.digest_from(octets)
    }

    /// Whether the digest is by this algorithm's hash.
    ///
    /// # Errors
    /// As [`digest_from`](Self::digest_from).
    pub fn check_digest(self, digest: &Digest) -> Result<()> {
        let hash = self.hash().ok_or_else(|| message_only(self))?;
        if digest.algorithm() == hash {
            return Ok(());
        }
        let context = format!("{self} signs a {hash} digest, not one of {}", digest.algorithm());
        Err(Error::new(ErrorKind::InvalidArgument, context))
    }

    /// Octets of r, and of s, in a raw signature; `None` where the algorithm is not ECDSA.
    pub fn ecdsa_width(self) -> Option<usize> {
        match self {
            Self::EcdsaSha256 => Some(32),
            Self::EcdsaSha384 => Some(48),
            Self::EcdsaSha512 => Some(66),
            _ => None,
        }
    }
}

/// Makes the one signing call within the deadline and verifies its result: what [`Signer::sign`] and
/// [`Signer::sign_digest`] do. For backends that provide one of them themselves.
///
/// # Errors
/// Those of [`Signer::sign`].
pub async fn sign_and_verify<S: Signer + ?Sized>(signer: &S, input: SignInput<'_>) -> Result<Signature> {
    let (key_type, algorithm, policy) = (signer.public_key().key_type(), signer.algorithm(), signer.policy());
    // Settled when the signer was opened; a backend that got it wrong must not reach its device.
    key_type.settle(Some(algorithm))?;
    let deadline = policy.deadline();
    let signature = deadline.run("sign", signer.sign_input(input, deadline)).await?;
    if signature.algorithm() != algorithm {
        return Err(Error::new(ErrorKind::Integrity, "the backend answered with another algorithm"));
    }
    if policy.verify {
        let verified = match input {
            SignInput::Digest(digest) => signer.public_key().verify_digest(algorithm, digest, signature.as_bytes()),
            SignInput::Message(message) => signer.public_key().verify(algorithm, message, signature.as_bytes()),
        };
        verified.map_err(|error| {
            Error::new(ErrorKind::Integrity, "the signature does not verify and was withheld")
                .with_hint("the device is faulty, or the name now means another key than when the signer was opened")
                .with_source(error)
        })?;
    }
    if key_type == KeyType::EcSecp256k1
        // What is no signature at all was refused above, or is the wish of a caller who does not verify.
        && let Ok(octets) = low_s::normalize(signature.as_bytes())
    {
        return Ok(Signature::from_x509(algorithm, octets));
    }
    Ok(signature)
}

fn message_only(algorithm: SignatureAlgorithm) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{algorithm} signs a message, not a digest"))
        .with_hint("give the message itself")
}
