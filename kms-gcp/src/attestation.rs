//! What an HSM says of a key, who vouches for it, and whether that is so.
//!
//! A statement of format `CAVIUM_V1_COMPRESSED` or `CAVIUM_V2_COMPRESSED` is gzip; its last 256 octets are the signature,
//! RSASSA-PKCS1-v1_5 with SHA-256, of the HSM's partition, whose certificates Cavium and Google issued:
//! <https://cloud.google.com/kms/docs/attest-key>.

use std::io::Read;
use std::sync::Arc;

use async_trait::async_trait;
use der::asn1::UintRef;
use der::{Decode as _, Document, Reader as _, SliceReader};
use flate2::read::GzDecoder;
use google_cloud_kms_v1::model::key_operation_attestation::CertificateChains;
use google_cloud_kms_v1::model::{CryptoKeyVersion, KeyOperationAttestation};
use kms_core::certificate::CertificateParts;
use kms_core::{Attestation, Attester, Error, ErrorKind, KeyType, KeyUri, PublicKey, Result, SignatureAlgorithm};

use crate::connection::{Repeat, run};
use crate::error::integrity;
use crate::key_info::KeyInfo;
use crate::manager::GcpKeyManager;
use crate::operation::GET_VERSION;

/// Octets of the signature under a statement.
const SIGNATURE: usize = 256;
/// Longest statement, unpacked.
const MAX_STATEMENT: u64 = 1 << 20;
/// Longest way from a certificate to a root.
const MAX_DEPTH: usize = 8;
/// Who vouches for HSMs: their manufacturer, and Google.
const ROOTS: [&str; 2] = [include_str!("roots/cavium.pem"), include_str!("roots/google-hawksbill-v1.pem")];

/// A `GetPublicKey` and a `GetCryptoKeyVersion`. Needs `cloudkms.cryptoKeyVersions.viewPublicKey` and
/// `cloudkms.cryptoKeyVersions.get`. The statement is given as the service gives it, after these checks: a partition of an
/// HSM signed it, its certificates lead to the roots of Cavium or Google, and the public key is in it.
///
/// What else it says, as that the key was generated there and cannot leave, is in a format of the manufacturer's that is
/// not read here.
#[async_trait]
impl Attester for GcpKeyManager {
    async fn attest(&self, key: &KeyUri) -> Result<Attestation> {
        let named = self.named(key)?;
        let deadline = self.connection.policy().deadline();
        let connection = Arc::clone(&self.connection);
        let roots = self.backend.attestation_roots().to_vec();
        run("attest key", deadline, async move {
            let version = named.settle(&connection, deadline).await?;
            let info = KeyInfo::fetch(&connection, &version, deadline).await?;
            let sent = connection.send(GET_VERSION, deadline, Repeat::Yes, |client| {
                let request = client.get_crypto_key_version().set_name(version.to_string());
                async move { request.send().await }
            });
            let found = sent.await.map_err(|fault| fault.in_context(format!("attest {version}")))?;
            read(&info, found, &roots)
        })
        .await
    }
}

fn read(info: &KeyInfo, found: CryptoKeyVersion, roots: &[Vec<u8>]) -> Result<Attestation> {
    if found.name != info.version.to_string() {
        return Err(integrity(format!("asked about {}, the answer is about `{}`", info.version, found.name)));
    }
    let Some(KeyOperationAttestation { content, cert_chains, .. }) =
        found.attestation.filter(|it| !it.content.is_empty())
    else {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("cloudkms: there is no attestation of {}", info.version),
        )
        .with_hint("only keys of protection level HSM have one"));
    };
    let chains = Chains::read(&cert_chains.unwrap_or_default())?;
    let mut trusted = ROOTS.iter().map(|pem| der_of(pem)).collect::<Result<Vec<_>>>()?;
    trusted.extend_from_slice(roots);
    chains.verify(&unpacked(&content)?, &info.public_key, &trusted)?;
    let chain = chains.0.into_iter().flatten().collect();
    Ok(Attestation::new(info.public_key.clone(), content.into(), chain))
}

/// The certificates of the partition by Cavium, of the card by Google, of the partition by Google; nearest first.
struct Chains([Vec<Vec<u8>>; 3]);

impl Chains {
    fn read(chains: &CertificateChains) -> Result<Self> {
        let read = |pems: &[String]| pems.iter().map(|pem| der_of(pem)).collect::<Result<Vec<_>>>();
        Ok(Self([read(&chains.cavium_certs)?, read(&chains.google_card_certs)?, read(&chains.google_partition_certs)?]))
    }

    /// # Errors
    /// `Integrity`.
    fn verify(&self, statement: &[u8], key: &PublicKey, roots: &[Vec<u8>]) -> Result<()> {
        let Some((said, signature)) = statement.split_at_checked(statement.len().saturating_sub(SIGNATURE)) else {
            return Err(integrity("the attestation is too short"));
        };
        let all: Vec<_> = self.0.iter().flatten().filter_map(|der| CertificateParts::from_der(der).ok()).collect();
        let roots: Vec<_> = roots.iter().filter_map(|der| CertificateParts::from_der(der).ok()).collect();
        let signs = |certificate: &CertificateParts<'_>| {
            PublicKey::from_spki_der(certificate.public_key_info)
                .and_then(|key| key.verify(SignatureAlgorithm::RsaPkcs1Sha256, said, signature))
                .is_ok()
        };
        let signers: Vec<_> = all.iter().filter(|certificate| signs(certificate)).collect();
        if signers.is_empty() {
            return Err(integrity("none of the certificates is of who signed the attestation"));
        }
        if !signers.iter().any(|signer| leads_to_root(signer, &all, &roots, MAX_DEPTH)) {
            return Err(integrity("who signed the attestation has no certificate that leads to Cavium or Google"));
        }
        let sought = characteristic(key)?;
        if said.windows(sought.len().max(1)).any(|window| window == sought) {
            return Ok(());
        }
        Err(integrity("the attestation is about another key"))
    }
}

fn leads_to_root(
    certificate: &CertificateParts<'_>,
    all: &[CertificateParts<'_>],
    roots: &[CertificateParts<'_>],
    depth: usize,
) -> bool {
    roots.iter().any(|root| certificate.is_issued_by(root))
        || depth > 0
            && all.iter().any(|other| {
                !other.is_root() && certificate.is_issued_by(other) && leads_to_root(other, all, roots, depth - 1)
            })
}

/// Octets that are in each encoding of the key: coordinates, modulus.
fn characteristic(key: &PublicKey) -> Result<Vec<u8>> {
    match key.key_type() {
        KeyType::Rsa { .. } => {
            let modulus = der::asn1::AnyRef::from_der(key.raw())
                .and_then(|sequence| SliceReader::new(sequence.value()))
                .and_then(|mut reader| reader.decode::<UintRef<'_>>());
            modulus.map(|modulus| modulus.as_bytes().to_vec()).map_err(|_| integrity("the RSA key has no modulus"))
        }
        // Without the octet that says "not compressed".
        key_type if key_type.is_ecdsa() => Ok(key.raw().get(1..).unwrap_or_default().to_vec()),
        _ => Ok(key.raw().to_vec()),
    }
}

fn unpacked(content: &[u8]) -> Result<Vec<u8>> {
    let mut statement = Vec::new();
    GzDecoder::new(content)
        .take(MAX_STATEMENT)
        .read_to_end(&mut statement)
        .map_err(|fault| integrity("the attestation does not unpack").with_source(fault))?;
    Ok(statement)
}

fn der_of(pem: &str) -> Result<Vec<u8>> {
    Document::from_pem(pem)
        .map(|(_, document)| document.as_bytes().to_vec())
        .map_err(|_| integrity("a certificate of the attestation is not PEM"))
}
