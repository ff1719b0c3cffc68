//! What `GetPublicKey` says of a version: all that there is to check before it signs.

use google_cloud_gax::error::rpc::Code;
use google_cloud_kms_v1::model::crypto_key_version::CryptoKeyVersionAlgorithm as Native;
use google_cloud_kms_v1::model::public_key::PublicKeyFormat;
use google_cloud_kms_v1::model::{ProtectionLevel, PublicKey as Answer};
use kms_core::{Deadline, Error, ErrorKind, PublicKey, Result, SignatureAlgorithm};

use crate::algorithm::{self, Signing};
use crate::checksum::{self, asked_again};
use crate::connection::{Connection, Repeat};
use crate::error::{Fault, integrity};
use crate::operation::GET_PUBLIC_KEY;
use crate::resource_name::VersionName;

/// A version, as the service describes it.
#[derive(Clone, Debug)]
pub(crate) struct KeyInfo {
    pub(crate) version: VersionName,
    pub(crate) public_key: PublicKey,
    pub(crate) native: Native,
    pub(crate) protection_level: ProtectionLevel,
}

/// Why there is no [`KeyInfo`].
pub(crate) enum Missing {
    Fault(Fault),
    Error(Error),
}

impl KeyInfo {
    /// One request, two for ML-DSA. Needs `cloudkms.cryptoKeyVersions.viewPublicKey`.
    ///
    /// # Errors
    /// `NotFound`; `KeyUnusable` for a version that is not enabled; `Unsupported` for one that is not asymmetric, or of
    /// an algorithm that is not known here; `Integrity`.
    pub(crate) async fn fetch(connection: &Connection, version: &VersionName, deadline: Deadline) -> Result<Self> {
        Self::look(connection, version, deadline).await.map_err(|missing| missing.into_error(version))
    }

    /// As [`fetch`](Self::fetch), for those who look at the fault themselves.
    pub(crate) async fn look(
        connection: &Connection,
        version: &VersionName,
        deadline: Deadline,
    ) -> Result<Self, Missing> {
        let asked = asked_again(GET_PUBLIC_KEY.name, || async {
            match get(connection, version, deadline).await {
                Ok(answer) => Self::read(version, answer).map(Ok),
                // What it says is for others to look at, and no reason to ask again.
                Err(fault) => Ok(Err(fault)),
            }
        });
        asked.await.map_err(Missing::Error)?.map_err(Missing::Fault)
    }

    /// How it signs, and the algorithm of a signer.
    ///
    /// # Errors
    /// `KeyUnusable` for a version that is not for signing, `Unsupported` for an algorithm that it does not do.
    pub(crate) fn settle(&self, stated: Option<SignatureAlgorithm>) -> Result<(Signing, SignatureAlgorithm)> {
        let Some(signing) = algorithm::signing(&self.native) else {
            let context = format!("cloudkms: {} is not for signing", self.version);
            return Err(Error::new(ErrorKind::KeyUnusable, context)
                .with_hint(format!("its algorithm is {}, for ever", name(&self.native))));
        };
        let settled = stated.unwrap_or(signing.algorithms[0]);
        if signing.algorithms.contains(&settled) {
            return Ok((signing, settled));
        }
        let able: Vec<_> = signing.algorithms.iter().map(|algorithm| algorithm.name()).collect();
        Err(Error::new(ErrorKind::Unsupported, format!("cloudkms: {} cannot sign with {settled}", self.version))
            .with_hint(format!("its algorithm is {}, for ever: it signs with {}", name(&self.native), able.join(", "))))
    }

    fn read(version: &VersionName, answer: Answer) -> Result<Self> {
        if answer.name != version.to_string() {
            return Err(integrity(format!(
                "asked for the public key of {version}, the answer is about `{}`",
                answer.name
            )));
        }
        let native = answer.algorithm;
        let Some(key_type) = algorithm::key_type(&native) else {
            let context = format!("cloudkms: the algorithm of {version} is not known: {}", name(&native));
            return Err(Error::new(ErrorKind::Unsupported, context));
        };
        let parsed = if answer.pem.is_empty() {
            let key = answer.public_key.ok_or_else(|| integrity(format!("no public key of {version}")))?;
            checksum::check("the public key", &key.data, key.crc32c_checksum)?;
            match answer.public_key_format {
                PublicKeyFormat::NistPqc => PublicKey::from_raw(key_type, &key.data),
                PublicKeyFormat::Der => PublicKey::from_spki_der(&key.data),
                _ => str::from_utf8(&key.data)
                    .map_err(|_| integrity("the public key is not PEM"))
                    .and_then(PublicKey::from_pem),
            }
        } else {
            checksum::check("the public key", answer.pem.as_bytes(), answer.pem_crc32c)?;
            PublicKey::from_pem(&answer.pem)
        };
        let public_key = parsed.map_err(|error| {
            Error::new(ErrorKind::Integrity, format!("cloudkms: cannot use the public key of {version}"))
                .with_source(error)
        })?;
        if public_key.key_type() != key_type {
            let found = public_key.key_type();
            return Err(integrity(format!("{version} is said to be {}, but its public key is {found}", name(&native))));
        }
        Ok(Self { version: version.clone(), public_key, native, protection_level: answer.protection_level })
    }
}

impl Missing {
    pub(crate) fn into_error(self, version: &VersionName) -> Error {
        match self {
            Self::Fault(fault) if fault.is(Code::InvalidArgument) || fault.is(Code::Unimplemented) => {
                let context = format!("cloudkms: {version} has no public key");
                Error::new(ErrorKind::Unsupported, context)
                    .with_hint("a symmetric key has none, and one that is not ready has not yet; see the cause")
                    .with_source(fault)
            }
            Self::Fault(fault) => fault.in_context(format!("read public key of {version}")),
            Self::Error(error) => error,
        }
    }
}

/// Their name for an algorithm, or its number.
pub(crate) fn name(native: &Native) -> String {
    match (native.name(), native.value()) {
        (Some(name), _) => name.to_owned(),
        (None, Some(value)) => format!("number {value}"),
        (None, None) => "unnamed".to_owned(),
    }
}

/// PEM is not offered for the post-quantum algorithms, and their own format not for the others; which a version has,
/// only the answer tells.
async fn get(connection: &Connection, version: &VersionName, deadline: Deadline) -> Result<Answer, Fault> {
    let ask = |format: PublicKeyFormat| {
        connection.send(GET_PUBLIC_KEY, deadline, Repeat::Yes, move |client| {
            let request = client.get_public_key().set_name(version.to_string()).set_public_key_format(format.clone());
            async move { request.send().await }
        })
    };
    match ask(PublicKeyFormat::Unspecified).await {
        Err(first) if first.is(Code::InvalidArgument) || first.is(Code::Unimplemented) => {
            match ask(PublicKeyFormat::NistPqc).await {
                Err(second) if second.is(Code::InvalidArgument) || second.is(Code::Unimplemented) => Err(first),
                answer => answer,
            }
        }
        answer => answer,
    }
}
