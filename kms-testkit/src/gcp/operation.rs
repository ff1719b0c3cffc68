//! The calls of the API by name, and those that make, describe, list and switch keys.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use serde_json::{Value, json};

use super::algorithm::{ALGORITHMS, Algorithm, Does};
use super::answer::{Answer, Input, exists, invalid, one_of, page, precondition};
use super::enumeration::{PROTECTION_LEVEL, PURPOSE, STATE, VIEW};
use super::key::{self, CryptoKey};
use super::store::{Store, describe_key_ring};
use super::version::Version;
use super::{import, usage};
use crate::http::lock;
use crate::material::Material;

/// A call, and the name that it is about.
pub(crate) struct Call<'a> {
    pub(crate) store: &'a Mutex<Store>,
    pub(crate) name: &'a str,
    pub(crate) input: Input,
}

impl Call<'_> {
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        lock(self.store)
    }

    /// Entries of a list that are below the name, in one page.
    fn page(&self, field: &str, all: impl IntoIterator<Item = (String, Value)>, most: usize) -> Answer {
        for unknown in ["filter", "orderBy"] {
            if !self.input.parameter(unknown).is_empty() {
                return invalid(format!("The stand-in does not know {unknown}."));
            }
        }
        let below = format!("{}/", self.name);
        let all: Vec<_> = all.into_iter().filter(|(name, _)| name.starts_with(&below)).collect();
        page(&self.input, field, &all, most)
    }
}

/// Carries out one call.
pub(crate) fn carry_out(operation: &str, call: &Call<'_>) -> Answer {
    match operation {
        "CreateKeyRing" => create_key_ring(call),
        "GetKeyRing" => call.store().key_ring(call.name),
        "ListKeyRings" => {
            let store = call.store();
            let all = store.key_rings.iter().map(|(name, created)| (name.clone(), describe_key_ring(name, *created)));
            call.page("keyRings", all, store.page)
        }
        "CreateCryptoKey" => create_key(call),
        "GetCryptoKey" => call.store().key(call.name).map(|key| key.describe()),
        "UpdateCryptoKey" => update_key(call),
        "ListCryptoKeys" => {
            let store = call.store();
            store.key_ring(call.name)?;
            let all = store.keys.iter().map(|(name, key)| (name.clone(), key.describe()));
            call.page("cryptoKeys", all, store.page)
        }
        "CreateCryptoKeyVersion" => create_version(call),
        "GetCryptoKeyVersion" => get_version(call),
        "ListCryptoKeyVersions" => list_versions(call),
        "UpdateCryptoKeyVersion" => update_version(call),
        "DestroyCryptoKeyVersion" => {
            let mut store = call.store();
            let after = store.key(super::store::above(call.name))?.destroy_after;
            let version = store.version(call.name)?;
            version.schedule_destruction(after)?;
            Ok(version.describe())
        }
        "RestoreCryptoKeyVersion" => {
            let mut store = call.store();
            let version = store.version(call.name)?;
            version.restore()?;
            Ok(version.describe())
        }
        "CreateImportJob" => import::create_job(call),
        "GetImportJob" => call.store().job(call.name).map(import::Job::look),
        "ListImportJobs" => {
            let store = call.store();
            store.key_ring(call.name)?;
            let all = store.jobs.iter().map(|(name, job)| (name.clone(), job.describe()));
            call.page("importJobs", all, store.page)
        }
        "ImportCryptoKeyVersion" => import::import(call),
        "GetPublicKey" => usage::get_public_key(call),
        "AsymmetricSign" => usage::sign(call),
        "AsymmetricDecrypt" => usage::decrypt(call),
        other => Err(super::answer::Refusal::new(501, "UNIMPLEMENTED", format!("the stand-in does not have {other}"))),
    }
}

fn create_key_ring(call: &Call<'_>) -> Answer {
    let name = format!("{}/keyRings/{}", call.name, call.input.id("keyRingId")?);
    let mut store = call.store();
    if store.key_rings.contains_key(&name) {
        return exists("KeyRing", &name);
    }
    let created = SystemTime::now();
    store.key_rings.insert(name.clone(), created);
    Ok(describe_key_ring(&name, created))
}

fn create_key(call: &Call<'_>) -> Answer {
    let input = &call.input;
    let name = format!("{}/cryptoKeys/{}", call.name, input.id("cryptoKeyId")?);
    call.store().key_ring(call.name)?;
    let template = &input.body["versionTemplate"];
    let Some(purpose) = one_of(&input.body, "purpose", PURPOSE)? else { return invalid("The purpose must be set.") };
    let protection_level = one_of(template, "protectionLevel", PROTECTION_LEVEL)?.unwrap_or("SOFTWARE");
    let algorithm = algorithm_of_new_key(template, purpose)?;
    check_offered(algorithm, protection_level)?;
    let import_only = input.flag("importOnly")?;
    let skips = input.parameter("skipInitialVersionCreation") == "true";
    if !skips && (import_only || protection_level.starts_with("EXTERNAL")) {
        return invalid("Such keys must be created with skip_initial_version_creation.");
    }
    let mut made = CryptoKey {
        name: name.clone(),
        purpose,
        algorithm,
        protection_level,
        labels: key::labels(input)?,
        import_only,
        destroy_after: key::destroy_after(input, import_only)?,
        created: SystemTime::now(),
        versions: Vec::new(),
    };
    if call.store().keys.contains_key(&name) {
        return exists("CryptoKey", &name);
    }
    // Not under the lock: an RSA key takes its time.
    let material = if skips { None } else { Some(generate(algorithm)?) };
    let mut store = call.store();
    if store.keys.contains_key(&name) {
        return exists("CryptoKey", &name);
    }
    let pending = if purpose == "ENCRYPT_DECRYPT" { 0 } else { store.pending };
    if let Some(material) = material {
        made.add(|version| version.with_material(material, pending));
    }
    let answer = made.describe();
    store.keys.insert(name, made);
    Ok(answer)
}

fn algorithm_of_new_key(template: &Value, purpose: &str) -> Answer<&'static Algorithm> {
    let Some(algorithm) = algorithm(template)? else {
        if purpose == "ENCRYPT_DECRYPT" {
            return Ok(&ALGORITHMS[0]);
        }
        return invalid("The algorithm of version_template must be set.");
    };
    if algorithm.purpose == purpose {
        return Ok(algorithm);
    }
    invalid(format!("The algorithm {} is not for the purpose {purpose}.", algorithm.name))
}

/// The algorithm that an object names, if it names one.
pub(crate) fn algorithm(object: &Value) -> Answer<Option<&'static Algorithm>> {
    let value = &object["algorithm"];
    if value.is_null() || *value == json!(0) || *value == json!("CRYPTO_KEY_VERSION_ALGORITHM_UNSPECIFIED") {
        return Ok(None);
    }
    let of_that = |row: &&Algorithm| value.as_str() == Some(row.name) || value.as_i64() == Some(row.number);
    ALGORITHMS
        .iter()
        .find(of_that)
        .map_or_else(|| invalid("Invalid value at 'algorithm' (TYPE_ENUM)"), |row| Ok(Some(row)))
}

/// <https://cloud.google.com/kms/docs/algorithms>.
fn check_offered(algorithm: &Algorithm, protection_level: &str) -> Answer<()> {
    let in_hsm_only = algorithm.name == "EC_SIGN_SECP256K1_SHA256";
    let in_software_only = algorithm.does.is_post_quantum();
    let external = protection_level.starts_with("EXTERNAL");
    let raw = matches!(algorithm.does, Does::Pad(_) | Does::ExternalMu(..));
    if in_hsm_only && protection_level == "SOFTWARE"
        || external && (raw || in_hsm_only || algorithm.does.is_post_quantum())
        || in_software_only && external
    {
        return invalid(format!("The algorithm {} is not offered at {protection_level}.", algorithm.name));
    }
    Ok(())
}

fn generate(algorithm: &Algorithm) -> Answer<Arc<Material>> {
    let material = algorithm.does.key_type().map_or(Ok(Material::Opaque), Material::generate)?;
    Ok(Arc::new(material))
}

fn create_version(call: &Call<'_>) -> Answer {
    let (algorithm, external) = {
        let mut store = call.store();
        let key = store.key(call.name)?;
        if key.import_only {
            return precondition("KEY_IMPORT_ONLY", call.name, format!("{} is import only.", call.name));
        }
        (key.algorithm, key.protection_level.starts_with("EXTERNAL"))
    };
    let options = &call.input.body["externalProtectionLevelOptions"];
    let names_a_key = options["externalKeyUri"].as_str().is_some_and(|uri| uri.starts_with("https://"))
        || options["ekmConnectionKeyPath"].as_str().is_some_and(|path| !path.is_empty());
    if external != names_a_key {
        return invalid("The external key must be named, and only one that is external.");
    }
    let material = generate(algorithm)?;
    let mut store = call.store();
    let pending = store.pending;
    let version = store
        .key(call.name)?
        .add(|version| version.with_material(material, pending).with_external_key(options.clone()));
    Ok(version.describe())
}

/// A look at a version, with the attestation of one in an HSM.
fn get_version(call: &Call<'_>) -> Answer {
    let mut store = call.store();
    let version = store.version(call.name)?;
    let answer = version.describe();
    version.look();
    attested(&mut store, call.name, answer)
}

fn attested(store: &mut Store, name: &str, mut answer: Value) -> Answer {
    let version = store.version(name)?;
    if version.protection_level != "HSM" || answer["state"] != "ENABLED" {
        return Ok(answer);
    }
    if let Some(spki) = version.public_key()? {
        answer["attestation"] = store.partition.attest(&spki)?;
    }
    Ok(answer)
}

fn list_versions(call: &Call<'_>) -> Answer {
    let full = call.input.choice("view", VIEW)? == Some("FULL");
    let mut store = call.store();
    let most = store.page;
    // By number, so that the tenth is not the second.
    let numbered = |(at, version): (usize, &Version)| (format!("{}/{at:08}", call.name), version.describe());
    let all: Vec<_> = store.key(call.name)?.versions.iter().enumerate().map(numbered).collect();
    let mut answer = call.page("cryptoKeyVersions", all, most)?;
    if full && let Some(entries) = answer["cryptoKeyVersions"].as_array_mut() {
        for entry in entries {
            let name = entry["name"].as_str().unwrap_or_default().to_owned();
            *entry = attested(&mut store, &name, entry.take())?;
        }
    }
    Ok(answer)
}

fn update_key(call: &Call<'_>) -> Answer {
    let fields = mask(call)?;
    let labels = key::labels(&call.input)?;
    let template = algorithm(&call.input.body["versionTemplate"])?;
    let mut store = call.store();
    let key = store.key(call.name)?;
    for field in fields {
        match &*field {
            "labels" => key.labels = labels.clone(),
            "versionTemplate.algorithm" | "version_template.algorithm" => match template {
                Some(algorithm) if algorithm.purpose == key.purpose => {
                    check_offered(algorithm, key.protection_level)?;
                    key.algorithm = algorithm;
                }
                _ => return invalid("The algorithm is not for the purpose of the key."),
            },
            other => return invalid(format!("The field {other} cannot be updated.")),
        }
    }
    Ok(key.describe())
}

fn update_version(call: &Call<'_>) -> Answer {
    if mask(call)?.iter().any(|field| field != "state") {
        return invalid("Only the state of a version can be updated.");
    }
    let Some(to @ ("ENABLED" | "DISABLED")) = one_of(&call.input.body, "state", STATE)? else {
        return invalid("The state of a version can be set to ENABLED and DISABLED only.");
    };
    let mut store = call.store();
    let version = store.version(call.name)?;
    version.switch(to)?;
    Ok(version.describe())
}

fn mask(call: &Call<'_>) -> Answer<Vec<String>> {
    match call.input.parameter("updateMask") {
        "" => invalid("The update_mask must be set."),
        mask => Ok(mask.split(',').map(str::to_owned).collect()),
    }
}

/// Which members a request may have; `None` where it has no body.
pub(crate) fn members(operation: &str) -> Option<&'static [&'static str]> {
    Some(match operation {
        "CreateKeyRing" => &["name", "createTime"],
        "CreateCryptoKey" => {
            &["name", "purpose", "versionTemplate", "labels", "importOnly", "destroyScheduledDuration"]
        }
        "UpdateCryptoKey" => &["name", "purpose", "versionTemplate", "labels"],
        "CreateCryptoKeyVersion" => &["name", "state", "externalProtectionLevelOptions"],
        "UpdateCryptoKeyVersion" => &["name", "state"],
        "DestroyCryptoKeyVersion" | "RestoreCryptoKeyVersion" => &["name"],
        "CreateImportJob" => &["name", "importMethod", "protectionLevel"],
        "ImportCryptoKeyVersion" => {
            &["parent", "cryptoKeyVersion", "algorithm", "importJob", "wrappedKey", "rsaAesWrappedKey"]
        }
        "AsymmetricSign" => &["name", "digest", "digestCrc32c", "data", "dataCrc32c"],
        "AsymmetricDecrypt" => &["name", "ciphertext", "ciphertextCrc32c"],
        _ => return None,
    })
}
