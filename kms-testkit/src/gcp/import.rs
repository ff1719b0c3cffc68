//! Import jobs, and versions that are imported with them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use kms_core::{DecryptionAlgorithm, KeyType};
use serde_json::{Value, json};
use x509_cert::der::pem::{LineEnding, encode_string};

use super::answer::{Answer, exists, invalid, one_of, precondition, time};
use super::enumeration::{IMPORT_METHOD, PROTECTION_LEVEL};
use super::operation::{Call, algorithm};
use super::version::Imported;
use crate::material::Material;

/// How long a job lives.
const LIFETIME: Duration = Duration::from_hours(72);

pub(crate) struct Job {
    name: String,
    method: &'static str,
    protection_level: &'static str,
    created: SystemTime,
    /// How many looks find it without its key.
    pending: usize,
    key: Arc<Material>,
    spki: Vec<u8>,
}

impl Job {
    /// A look at it, which may be the last that finds it pending.
    pub(crate) fn look(&mut self) -> Value {
        let answer = self.describe();
        self.pending = self.pending.saturating_sub(1);
        answer
    }

    pub(crate) fn describe(&self) -> Value {
        let expires = self.created + LIFETIME;
        let state = match self.pending {
            _ if SystemTime::now() >= expires => "EXPIRED",
            0 => "ACTIVE",
            _ => "PENDING_GENERATION",
        };
        let mut answer = json!({
            "name": self.name,
            "importMethod": self.method,
            "protectionLevel": self.protection_level,
            "createTime": time(self.created),
            "expireTime": time(expires),
            "state": state,
        });
        if state == "ACTIVE" {
            answer["generateTime"] = time(self.created);
            answer["publicKey"] =
                json!({ "pem": encode_string("PUBLIC KEY", LineEnding::LF, &self.spki).unwrap_or_default() });
        }
        answer
    }

    fn oaep(&self) -> DecryptionAlgorithm {
        if self.method.contains("SHA256") {
            DecryptionAlgorithm::RsaOaepSha256
        } else {
            DecryptionAlgorithm::RsaOaepSha1
        }
    }

    /// RFC 8017 section 7.1, with RFC 5649 inside where the method says so.
    fn unwrap(&self, wrapped: &[u8]) -> Answer<Option<Vec<u8>>> {
        if !self.method.ends_with("AES_256") {
            return Ok(self.key.decrypt(self.oaep(), wrapped)?);
        }
        let modulus = if self.method.contains("4096") { 512 } else { 384 };
        let Some((block, inner)) = wrapped.split_at_checked(modulus) else { return Ok(None) };
        let Some(secret) = self.key.decrypt(self.oaep(), block)? else { return Ok(None) };
        let mut buffer = vec![0; inner.len()];
        let Ok(kek) = AesKek::new(&AES_256, &secret) else { return Ok(None) };
        Ok(kek.unwrap_with_padding(inner, &mut buffer).ok().map(|plain| plain.to_vec()))
    }
}

pub(crate) fn create_job(call: &Call<'_>) -> Answer {
    let input = &call.input;
    let name = format!("{}/importJobs/{}", call.name, input.id("importJobId")?);
    let Some(method) = one_of(&input.body, "importMethod", IMPORT_METHOD)? else {
        return invalid("The import_method must be set.");
    };
    let level = one_of(&input.body, "protectionLevel", PROTECTION_LEVEL)?;
    let Some(protection_level @ ("SOFTWARE" | "HSM")) = level else {
        return invalid("The protection_level must be SOFTWARE or HSM.");
    };
    {
        let store = call.store();
        store.key_ring(call.name)?;
        if store.jobs.contains_key(&name) {
            return exists("ImportJob", &name);
        }
    }
    // Not under the lock.
    let bits = if method.contains("4096") { 4096 } else { 3072 };
    let key = Arc::new(Material::generate(KeyType::Rsa { bits })?);
    let spki = key.spki()?;
    let mut store = call.store();
    let pending = store.pending;
    let job = Job { name: name.clone(), method, protection_level, created: SystemTime::now(), pending, key, spki };
    let answer = job.describe();
    store.jobs.insert(name, job);
    Ok(answer)
}

pub(crate) fn import(call: &Call<'_>) -> Answer {
    let input = &call.input;
    let Some(algorithm) = algorithm(&input.body)? else { return invalid("The algorithm must be set.") };
    if !input.text("cryptoKeyVersion")?.is_empty() {
        return invalid("The stand-in does not import into a version that is there.");
    }
    let either = (input.octets("wrappedKey")?, input.octets("rsaAesWrappedKey")?);
    let ((Some(wrapped), None) | (None, Some(wrapped))) = either else {
        return invalid("Exactly one of wrapped_key and rsa_aes_wrapped_key must be set.");
    };
    let job_name = input.text("importJob")?;
    let mut store = call.store();
    let (protection_level, pending) = (store.key(call.name)?.protection_level, store.pending);
    let key = store.key(call.name)?;
    // It need not be that of the key's template.
    if key.purpose != algorithm.purpose {
        return invalid(format!("The algorithm {} is not for the purpose {}.", algorithm.name, key.purpose));
    }
    let job = store.job(job_name)?;
    let described = job.describe();
    if described["state"] != "ACTIVE" {
        return precondition(
            "IMPORT_JOB_NOT_ACTIVE",
            job_name,
            format!("{job_name} is not active: {}.", described["state"]),
        );
    }
    if job.protection_level != protection_level {
        return invalid("The protection level of the import job is not that of the key.");
    }
    let pkcs8 = job.unwrap(&wrapped)?;
    let key_type = algorithm.does.key_type();
    let material = pkcs8.as_ref().and_then(|pkcs8| Material::from_pkcs8(key_type?, pkcs8));
    let failure = match (&pkcs8, &material) {
        (None, _) => Some("The key material could not be unwrapped."),
        (_, None) => Some("The key material is not of the algorithm."),
        _ => None,
    };
    let imported = Imported { job: job_name.to_owned(), failure };
    let version = store.key(call.name)?.add(|mut version| {
        version.algorithm = algorithm;
        match material {
            Some(material) => version.with_material(Arc::new(material), pending),
            None => version,
        }
        .with_import(imported)
    });
    Ok(version.describe())
}
