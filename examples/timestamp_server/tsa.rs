//! The time-stamping authority: from a request to a signed time.

use std::time::{Duration, SystemTime};

use der::asn1::{GeneralizedTime, Int, ObjectIdentifier};
use der::{Decode, Encode};
use kmskit::adapters::cms::SignedDataBuilder;
use kmskit::{AsyncSigner, Error, ErrorKind, Result};
use x509_cert::Certificate;

use crate::chain;
use crate::message::{Accuracy, FailureInfo, MessageImprint, TimeStampReq, TimeStampResp, TstInfo};

/// `id-ct-TSTInfo`.
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");

/// Hashes of what is stamped, with their length in octets.
const HASHES: [(ObjectIdentifier, usize); 3] = [
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1"), 32),
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2"), 48),
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3"), 64),
];

/// A key, its certificate, and the rules by which it stamps.
#[derive(Debug)]
pub(crate) struct TimeStampAuthority {
    signer: AsyncSigner,
    with_certificates: SignedDataBuilder,
    without_certificates: SignedDataBuilder,
    certificate: Certificate,
    policy: ObjectIdentifier,
    accuracy: u32,
}

/// A refusal to stamp, in the words of RFC 3161.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) failure: FailureInfo,
    pub(crate) text: &'static str,
    /// What lies behind a failure of ours; not for the client.
    pub(crate) error: Option<Error>,
}

impl TimeStampAuthority {
    /// Checks that chain and key fit each other and time stamping. `chain`: the key's certificate first, the root last.
    pub(crate) fn new(
        chain: &[Certificate],
        signer: AsyncSigner,
        policy: ObjectIdentifier,
        accuracy: u32,
    ) -> Result<Self> {
        let Some(certificate) = chain.first() else { return Err(unfit("the certificate chain is empty")) };
        if chain::public_key(certificate)? != *signer.inner().public_key() {
            let context = format!("the chain's first {} is not that of the key", chain::name(certificate));
            return Err(Error::new(ErrorKind::KeyMismatch, context)
                .with_hint("give the chain that belongs to the key's URI, its certificate first and the root last"));
        }
        let above = chain.iter().skip(1).filter(|certificate| !chain::is_self_signed(certificate));
        let builder = SignedDataBuilder::new(certificate)?
            .with_content_type(TST_INFO)
            .with_certificates(above)
            .with_signing_certificate()?;
        Ok(Self {
            signer,
            without_certificates: builder.clone().without_certificates(),
            with_certificates: builder,
            certificate: certificate.clone(),
            policy,
            accuracy,
        })
    }

    /// Stamps: one signature, for which it only waits. The DER of a `TimeStampResp`.
    pub(crate) async fn stamp(&self, request: &[u8]) -> Result<Vec<u8>, Rejection> {
        let request = TimeStampReq::from_der(request)
            .map_err(|_| rejection(FailureInfo::BadDataFormat, "not a TimeStampReq in DER"))?;
        self.check(&request)?;
        let builder = if request.cert_req { &self.with_certificates } else { &self.without_certificates };
        let info = self.info(request)?.to_der().map_err(internal)?;
        let token = builder
            .attached_async(&self.signer, &info)
            .await
            .map_err(|error| Rejection { error: Some(error), ..rejection(FailureInfo::SystemFailure, UNAVAILABLE) })?;
        TimeStampResp::granted(token).encode().map_err(internal)
    }

    fn check(&self, request: &TimeStampReq) -> Result<(), Rejection> {
        if request.version != 1 {
            return Err(rejection(FailureInfo::BadRequest, "the version is not 1"));
        }
        let MessageImprint { hash_algorithm, hashed_message } = &request.message_imprint;
        let Some((_, length)) = HASHES.iter().find(|(oid, _)| *oid == hash_algorithm.oid) else {
            return Err(rejection(FailureInfo::BadAlg, "the hash is not SHA-256, SHA-384 or SHA-512"));
        };
        if hash_algorithm.parameters.as_ref().is_some_and(|parameters| !parameters.is_null()) {
            return Err(rejection(FailureInfo::BadAlg, "the hash has parameters"));
        }
        if hashed_message.as_bytes().len() != *length {
            return Err(rejection(FailureInfo::BadDataFormat, "the digest is not of its hash's length"));
        }
        if request.req_policy.is_some_and(|policy| policy != self.policy) {
            return Err(rejection(FailureInfo::UnacceptedPolicy, "the policy is not that of this authority"));
        }
        if request.extensions.as_ref().is_some_and(|extensions| !extensions.is_empty()) {
            return Err(rejection(FailureInfo::UnacceptedExtension, "extensions are not known here"));
        }
        Ok(())
    }

    fn info(&self, request: TimeStampReq) -> Result<TstInfo, Rejection> {
        let now = SystemTime::now();
        // Stamps by an expired certificate would be worthless.
        chain::in_force(&self.certificate).map_err(|error| Rejection {
            error: Some(error),
            ..rejection(FailureInfo::TimeNotAvailable, "the authority's certificate is not in force")
        })?;
        let since = now.duration_since(SystemTime::UNIX_EPOCH).map_err(internal)?;
        Ok(TstInfo {
            version: 1,
            policy: self.policy,
            message_imprint: request.message_imprint,
            serial_number: serial_number()?,
            gen_time: GeneralizedTime::from_unix_duration(Duration::from_secs(since.as_secs())).map_err(internal)?,
            accuracy: Accuracy { seconds: self.accuracy },
            ordering: false,
            nonce: request.nonce,
        })
    }
}

/// Whether the leaf is one for time stamping and leads up to the root, each certificate issued by the next.
pub(crate) fn check_chain(chain: &[Certificate]) -> Result<()> {
    let ([leaf, between @ ..], Some(root)) = (chain, chain.last()) else {
        return Err(unfit("the certificate chain is empty"));
    };
    let in_order =
        chain.windows(2).all(|pair| pair[0].tbs_certificate().issuer() == pair[1].tbs_certificate().subject());
    if chain.len() < 2 || !in_order || !chain::is_self_signed(root) {
        return Err(unfit("the certificate chain does not lead from the key's certificate up to a root")
            .with_hint("each certificate must be followed by that of its issuer, down to the self-signed root"));
    }
    match chain::extended_key_usage(leaf)? {
        Some((true, usages)) if usages == [chain::TIME_STAMPING] => {}
        _ => {
            let context = format!("{} is not one for time stamping", chain::name(leaf));
            return Err(Error::new(ErrorKind::InvalidArgument, context)
                .with_hint("its extended key usage must be critical and timeStamping alone (RFC 3161 section 2.3)"));
        }
    }
    let usage = chain::key_usage(leaf)?;
    if usage.is_some_and(|usage| !usage.digital_signature() && !usage.non_repudiation()) {
        return Err(unfit("the certificate's key usage allows no signatures"));
    }
    chain::in_force(leaf)?;
    chain::check(leaf, between, root, &chain::TIME_STAMPING)
}

/// What a client is told of faults that are ours.
const UNAVAILABLE: &str = "the authority cannot sign now";

pub(crate) fn rejection(failure: FailureInfo, text: &'static str) -> Rejection {
    Rejection { failure, text, error: None }
}

/// 158 random bits: unique without a memory of those before, across restarts and servers (RFC 3161 allows 160).
fn serial_number() -> Result<Int, Rejection> {
    let mut octets = [0; 20];
    getrandom::fill(&mut octets).map_err(internal)?;
    // Positive, and without the leading zeros that DER forbids.
    octets[0] = octets[0] & 0x7f | 0x40;
    Int::new(&octets).map_err(internal)
}

fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Rejection {
    let error = Error::new(ErrorKind::Other, "cannot make the time stamp").with_source(error);
    Rejection { error: Some(error), ..rejection(FailureInfo::SystemFailure, UNAVAILABLE) }
}

fn unfit(context: &'static str) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}
