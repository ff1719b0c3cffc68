//! Private keys from outside: checked here, encrypted to a key of the service's, handed over.

use std::time::Duration;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use aws_lc_rs::rsa::{self, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::{self as lc, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _};
use der::{Decode as _, Encode as _};
use google_cloud_kms_v1::model::ImportJob;
use google_cloud_kms_v1::model::import_job::{ImportJobState as State, ImportMethod};
use kms_core::{Error, ErrorKind, KeyType, PublicKey, Result, Secret};
use pkcs8::PrivateKeyInfoRef;
use zeroize::Zeroizing;

use crate::connection::Repeat;
use crate::error::integrity;
use crate::new_key::{NewKey, unknown, version_of};
use crate::operation::{CREATE_IMPORT_JOB, GET_IMPORT_JOB, IMPORT};
use crate::resource_name::{KeyName, VersionName};

/// The first pause before looking again whether an import job has its key.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A private key on its way.
pub(crate) struct Material {
    /// PKCS #8, without attributes and public key.
    pkcs8: Zeroizing<Vec<u8>>,
    public_key: PublicKey,
}

impl Material {
    /// Reads DER PKCS #8 (RFC 5208, RFC 5958) and checks the key. No call.
    ///
    /// # Errors
    /// `InvalidArgument` when it is none, `KeyMismatch` when it is not of the type wanted, `Unsupported` for types that
    /// are not imported.
    pub(crate) fn from_pkcs8(pkcs8: &Secret, wanted: KeyType) -> Result<Self> {
        let malformed = |fault: der::Error| invalid("not a DER PKCS #8 private key").with_source(fault);
        let info = PrivateKeyInfoRef::from_der(pkcs8.expose()).map_err(malformed)?;
        let oid = info.algorithm.oid;
        let plain = PrivateKeyInfoRef::new(info.algorithm, info.private_key).to_der().map_err(malformed)?;
        let plain = Zeroizing::new(plain);
        let spki = if oid == (KeyType::Rsa { bits: 0 }).oid() {
            let pair = rsa::KeyPair::from_pkcs8(&plain).map_err(|fault| rejected("RSA", &fault))?;
            pair.public_key().as_der().map(|der| der.as_ref().to_vec())
        } else if oid == KeyType::EcP256.oid() {
            let curve = info.algorithm.parameters_oid().ok();
            let found = CURVES.iter().find(|row| curve.is_some() && row.0.curve_oid() == curve);
            let (_, native) = found.ok_or_else(|| unsupported("a key on an unknown curve"))?;
            let pair = EcdsaKeyPair::from_pkcs8(native, &plain).map_err(|fault| rejected("EC", &fault))?;
            pair.public_key().as_der().map(|der| der.as_ref().to_vec())
        } else if oid == KeyType::Ed25519.oid() {
            let pair =
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(&plain).map_err(|fault| rejected("Ed25519", &fault))?;
            pair.public_key().as_der().map(|der| der.as_ref().to_vec())
        } else {
            return Err(
                unsupported("a private key of a type that is not imported").with_hint("EC, RSA and Ed25519 keys are")
            );
        };
        let spki = spki.map_err(|fault| invalid("a private key without a public key").with_source(fault))?;
        let public_key = PublicKey::from_spki_der(&spki)?;
        if let Some(stated) = info.public_key
            && stated.as_bytes() != Some(public_key.raw())
        {
            return Err(invalid("the public key beside the private key is another one's"));
        }
        let found = public_key.key_type();
        if found == wanted {
            return Ok(Self { pkcs8: plain, public_key });
        }
        Err(Error::new(ErrorKind::KeyMismatch, format!("the key to import is of type {found}, not {wanted}")))
    }

    /// Its public key.
    pub(crate) fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Hands it over as a version of a key that was made for it: an import job of its own, and the import.
    pub(crate) async fn import(&self, new: &NewKey, key: &KeyName) -> Result<VersionName> {
        let job = job(new, key).await?;
        let wrapping_key = job.public_key.as_ref().map(|key| &*key.pem).unwrap_or_default();
        let wrapped = self.wrap(wrapping_key)?;
        let (wrapped, job) = (&wrapped, &job.name);
        let sent = new.connection.send(IMPORT, new.deadline, Repeat::IfRefused, |client| {
            let request = client.import_crypto_key_version().set_parent(key.to_string());
            let request = request.set_algorithm(new.native.clone()).set_import_job(job);
            async move { request.set_wrapped_key(wrapped.clone()).send().await }
        });
        let answer = sent.await.map_err(|fault| unknown(fault, format!("import a version of {key}")))?;
        version_of(key, &answer.name)
    }

    /// An ephemeral AES key wraps the private key (RFC 5649) and is itself encrypted to the job's.
    fn wrap(&self, wrapping_key: &str) -> Result<Vec<u8>> {
        let unusable = |fault: &dyn std::error::Error| {
            integrity("the key to wrap with is unusable").with_source(fault.to_string())
        };
        let key = PublicKey::from_pem(wrapping_key).map_err(|fault| unusable(&fault))?;
        let key = PublicEncryptingKey::from_der(key.spki_der()).map_err(|fault| unusable(&fault))?;
        let key = OaepPublicEncryptingKey::new(key).map_err(|fault| unusable(&fault))?;
        let mut secret = Zeroizing::new([0; 32]);
        let failed = |_| Error::new(ErrorKind::Other, "wrapping the private key failed");
        aws_lc_rs::rand::fill(&mut *secret).map_err(failed)?;
        let mut encrypted = vec![0; key.ciphertext_size()];
        let length = key.encrypt(&OAEP_SHA256_MGF1SHA256, &*secret, &mut encrypted, None).map_err(failed)?.len();
        let mut buffer = vec![0; self.pkcs8.len() + 16];
        let kek = AesKek::new(&AES_256, &*secret).map_err(failed)?;
        let wrapped = kek.wrap_with_padding(&self.pkcs8, &mut buffer).map_err(failed)?;
        Ok([&encrypted[..length], wrapped].concat())
    }
}

/// An import job for one import, as soon as it has its key.
async fn job(new: &NewKey, key: &KeyName) -> Result<ImportJob> {
    let mut random = [0; 8];
    let failed = |_| Error::new(ErrorKind::Other, "no random octets");
    aws_lc_rs::rand::fill(&mut random).map_err(failed)?;
    let id = format!("kmskit-{:016x}", u64::from_be_bytes(random));
    let name = format!("{}/importJobs/{id}", key.key_ring);
    let wanted = ImportJob::new()
        .set_import_method(ImportMethod::RsaOaep3072Sha256Aes256)
        .set_protection_level(new.level.clone());
    let (id, wanted) = (&id, &wanted);
    let sent = new.connection.send(CREATE_IMPORT_JOB, new.deadline, Repeat::IfRefused, |client| {
        let request = client.create_import_job().set_parent(key.key_ring.to_string());
        let request = request.set_import_job_id(id).set_import_job(wanted.clone());
        async move { request.send().await }
    });
    let mut job = sent.await.map_err(|fault| fault.in_context(format!("create the import job {name}")))?;
    let mut pause = FIRST_PAUSE;
    loop {
        if job.name != name || job.import_method != wanted.import_method || job.protection_level != new.level {
            let (level, found) = (&new.level, &job.protection_level);
            return Err(integrity(format!(
                "asked for the import job {name} in {level:?}, got `{}` in {found:?}",
                job.name
            )));
        }
        let usable = job.public_key.as_ref().is_some_and(|key| !key.pem.is_empty());
        match job.state {
            State::Active if usable => return Ok(job),
            State::Expired => return Err(Error::new(ErrorKind::KeyUnusable, format!("cloudkms: {name} is expired"))),
            _ => {}
        }
        if pause >= new.deadline.remaining() {
            let state = job.state.name().unwrap_or("not ready");
            return Err(Error::new(ErrorKind::Timeout, format!("cloudkms: the import job {name} is still {state}"))
                .with_hint("allow more time; nothing was imported"));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        let name = &name;
        let sent = new.connection.send(GET_IMPORT_JOB, new.deadline, Repeat::Yes, |client| {
            let request = client.get_import_job().set_name(name);
            async move { request.send().await }
        });
        job = sent.await.map_err(|fault| fault.in_context(format!("get the import job {name}")))?;
    }
}

const CURVES: [(KeyType, &EcdsaSigningAlgorithm); 3] = [
    (KeyType::EcP256, &lc::ECDSA_P256_SHA256_ASN1_SIGNING),
    (KeyType::EcP384, &lc::ECDSA_P384_SHA384_ASN1_SIGNING),
    (KeyType::EcSecp256k1, &lc::ECDSA_P256K1_SHA256_ASN1_SIGNING),
];

fn rejected(family: &str, fault: &aws_lc_rs::error::KeyRejected) -> Error {
    invalid(format!("not a valid {family} private key")).with_source(fault.to_string())
}

fn invalid(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}

fn unsupported(context: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, context)
}
