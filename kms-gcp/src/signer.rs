//! One version of a key in Cloud KMS with its algorithm.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use google_cloud_kms_v1::model::digest::Digest as NativeDigest;
use google_cloud_kms_v1::model::{AsymmetricSignRequest, AsymmetricSignResponse, Digest, ProtectionLevel};
use kms_core::external_mu::external_mu;
use kms_core::signer::sign_and_verify;
use kms_core::{
    Deadline, Error, ErrorKind, HashAlgorithm, OperationPolicy, PublicKey, Result, SignInput, Signature,
    SignatureAlgorithm, Signer,
};

use crate::algorithm::Input;
use crate::checksum::{self, asked_again, crc32c};
use crate::connection::{Connection, Repeat, run};
use crate::error::integrity;
use crate::key_info::KeyInfo;
use crate::operation::SIGN;
use crate::resource_name::VersionName;

/// Longest data that the service takes, in octets.
const MAX_DATA: usize = 65_536;

/// A version of a key in Cloud KMS with its algorithm. A signature is one request; it needs
/// `cloudkms.cryptoKeyVersions.useToSign` and counts towards the project's quota for the protection level.
pub struct GcpSigner {
    key: Arc<Version>,
    public_key: PublicKey,
    algorithm: SignatureAlgorithm,
    input: Input,
}

struct Version {
    connection: Arc<Connection>,
    name: VersionName,
    protection_level: ProtectionLevel,
}

/// What is to be signed, in the field where the service wants it.
#[derive(Clone)]
enum Payload {
    Digest(NativeDigest),
    Data(Vec<u8>),
}

impl GcpSigner {
    pub(crate) fn new(connection: Arc<Connection>, info: KeyInfo, stated: Option<SignatureAlgorithm>) -> Result<Self> {
        let (signing, algorithm) = info.settle(stated)?;
        let KeyInfo { version, public_key, protection_level, .. } = info;
        let key = Version { connection, name: version, protection_level };
        Ok(Self { key: Arc::new(key), public_key, algorithm, input: signing.input })
    }

    /// The version that signs: `projects/…/cryptoKeyVersions/1`. No call.
    pub fn version(&self) -> String {
        self.key.name.to_string()
    }

    /// Whether the key is outside Google, where its manager wants the message and hashes it itself.
    fn is_external(&self) -> bool {
        matches!(self.key.protection_level, ProtectionLevel::External | ProtectionLevel::ExternalVpc)
    }

    fn payload(&self, input: SignInput<'_>) -> Result<Payload> {
        match (input, self.input) {
            (SignInput::Digest(_), _) if self.is_external() => Err(message_wanted(self.algorithm)),
            (SignInput::Digest(digest), Input::DigestInfo) => {
                Ok(Payload::Data([prefix(digest.algorithm())?, digest.as_bytes()].concat()))
            }
            (SignInput::Digest(digest), Input::Digest) => {
                let octets = digest.as_bytes().to_vec().into();
                Ok(Payload::Digest(match digest.algorithm() {
                    HashAlgorithm::Sha256 => NativeDigest::Sha256(octets),
                    HashAlgorithm::Sha384 => NativeDigest::Sha384(octets),
                    HashAlgorithm::Sha512 => NativeDigest::Sha512(octets),
                    other => return Err(unknown_hash(other)),
                }))
            }
            (SignInput::Message(message), Input::ExternalMu) => {
                let mu = external_mu(self.public_key.raw(), message);
                Ok(Payload::Digest(NativeDigest::ExternalMu(mu.to_vec().into())))
            }
            (SignInput::Message(message), input) if input == Input::Data || self.is_external() => {
                if message.len() > MAX_DATA {
                    Err(self.too_long(message.len()))
                } else {
                    Ok(Payload::Data(message.to_vec()))
                }
            }
            _ => Err(Error::new(ErrorKind::Unsupported, "cloudkms: unknown input")),
        }
    }

    fn too_long(&self, length: usize) -> Error {
        let algorithm = self.algorithm;
        let context = format!("cloudkms: {length} octets are too many for {algorithm}: Cloud KMS takes {MAX_DATA}");
        let hint = match algorithm {
            SignatureAlgorithm::MlDsa44 | SignatureAlgorithm::MlDsa65 | SignatureAlgorithm::MlDsa87 => {
                "a key whose algorithm ends in EXTERNAL_MU signs messages of any length"
            }
            _ => "the key takes no digest; sign with one of another type",
        };
        Error::new(ErrorKind::InvalidArgument, context).with_hint(hint)
    }
}

#[async_trait]
impl Signer for GcpSigner {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn policy(&self) -> &OperationPolicy {
        self.key.connection.policy()
    }

    async fn sign_input(&self, input: SignInput<'_>, deadline: Deadline) -> Result<Signature> {
        let payload = self.payload(input)?;
        let key = Arc::clone(&self.key);
        let octets = run(SIGN.name, deadline, async move { key.sign(&payload, deadline).await }).await?;
        Ok(Signature::from_x509(self.algorithm, octets))
    }

    /// A key outside Google is sent the message, of at most 64 KiB.
    async fn sign(&self, message: &[u8]) -> Result<Signature> {
        match self.algorithm.hash() {
            Some(hash) if !self.is_external() => sign_and_verify(self, SignInput::Digest(&hash.digest(message))).await,
            _ => sign_and_verify(self, SignInput::Message(message)).await,
        }
    }
}

impl Version {
    async fn sign(&self, payload: &Payload, deadline: Deadline) -> Result<Vec<u8>> {
        let asked = asked_again(SIGN.name, || async {
            let answer = self.connection.send(SIGN, deadline, Repeat::Yes, |client| {
                let request = client.asymmetric_sign().with_request(self.request(payload));
                async move { request.send().await }
            });
            let answer = answer.await.map_err(|fault| fault.in_context(format!("sign with {}", self.name)))?;
            self.read(payload, answer)
        });
        asked.await
    }

    fn request(&self, payload: &Payload) -> AsymmetricSignRequest {
        let request = AsymmetricSignRequest::new().set_name(self.name.to_string());
        match payload {
            Payload::Digest(digest) => {
                let checksum = match digest {
                    NativeDigest::Sha256(octets)
                    | NativeDigest::Sha384(octets)
                    | NativeDigest::Sha512(octets)
                    | NativeDigest::ExternalMu(octets) => Some(crc32c(octets)),
                    _ => None,
                };
                let digest = Digest::new().set_digest(Some(digest.clone()));
                request.set_digest(digest).set_or_clear_digest_crc32c(checksum)
            }
            Payload::Data(data) => request.set_data(data.clone()).set_data_crc32c(crc32c(data)),
        }
    }

    fn read(&self, payload: &Payload, answer: AsymmetricSignResponse) -> Result<Vec<u8>> {
        if answer.name != self.name.to_string() {
            return Err(integrity(format!("asked {} to sign, the answer is from `{}`", self.name, answer.name)));
        }
        let acknowledged = match payload {
            Payload::Digest(_) => answer.verified_digest_crc32c,
            Payload::Data(_) => answer.verified_data_crc32c,
        };
        if !acknowledged {
            return Err(integrity("the service did not check what it was sent to sign: it was damaged on the way"));
        }
        checksum::check("the signature", &answer.signature, answer.signature_crc32c)?;
        if answer.protection_level != self.protection_level {
            let (was, is) = (&self.protection_level, &answer.protection_level);
            return Err(integrity(format!("the protection level of {} was {was:?}, now it is {is:?}", self.name)));
        }
        if answer.signature.is_empty() {
            return Err(integrity("the answer has no signature"));
        }
        Ok(answer.signature.into())
    }
}

impl fmt::Debug for GcpSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcpSigner")
            .field("version", &self.version())
            .field("public_key", &self.public_key)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// `DigestInfo` without the digest: RFC 8017 section 9.2, note 1.
fn prefix(hash: HashAlgorithm) -> Result<&'static [u8]> {
    Ok(match hash {
        HashAlgorithm::Sha256 => b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
        HashAlgorithm::Sha384 => b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
        HashAlgorithm::Sha512 => b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
        other => return Err(unknown_hash(other)),
    })
}

fn unknown_hash(hash: HashAlgorithm) -> Error {
    Error::new(ErrorKind::Unsupported, format!("cloudkms: no digest by {hash} is signed"))
}

fn message_wanted(algorithm: SignatureAlgorithm) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("cloudkms: an external key signs a message with {algorithm}, not a digest"),
    )
    .with_hint("give the message itself")
}
