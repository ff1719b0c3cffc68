//! Keys and versions of the small Cloud KMS, and what is done with them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use aws_lc_rs::rsa::{KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use base64ct::{Base64, Encoding as _};
use google_cloud_kms_v1::model::crypto_key_version::CryptoKeyVersionAlgorithm as Algorithm;
use kms_core::{
    DecryptionAlgorithm, KeyManager, KeySpec, KeyType, KeyUri, KeyUsage, PublicKey, Registry, Secret,
    SignatureAlgorithm, block_on,
};
use serde_json::{Value, json};

use super::partition::Partition;

pub(crate) type Refusal = (u16, &'static str, String);
type Answer = Result<Value, Refusal>;

/// Entries of a page: few, so that every list has several.
const PAGE: usize = 3;

pub(crate) struct Store {
    soft: Arc<dyn KeyManager>,
    key_rings: BTreeSet<String>,
    keys: BTreeMap<String, CryptoKey>,
    jobs: BTreeMap<String, (Value, PrivateDecryptingKey)>,
    partition: Partition,
    made: usize,
    /// How many looks at a new version find it pending.
    pub(crate) pending: usize,
}

struct CryptoKey {
    resource: Value,
    algorithm: Algorithm,
    level: Value,
    versions: Vec<Version>,
}

struct Version {
    uri: KeyUri,
    public_key: PublicKey,
    state: &'static str,
    pending: usize,
}

impl Store {
    pub(crate) fn new() -> Self {
        let registry = Registry::new().with(kms_soft::Soft::default());
        let soft = block_on(registry.open(&"softkms:mode=memory".parse().unwrap())).unwrap();
        let (key_rings, keys, jobs) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        Self { soft, key_rings, keys, jobs, partition: Partition::new(), made: 0, pending: 1 }
    }

    pub(crate) fn attestation_root(&self) -> Vec<u8> {
        self.partition.root.clone()
    }

    pub(crate) fn carry_out(
        &mut self,
        operation: &str,
        path: &str,
        query: &BTreeMap<String, String>,
        body: &Value,
    ) -> Answer {
        let path = path.rsplit_once(':').map_or(path, |(name, _)| name);
        let of = |name: &str| query.get(name).cloned().unwrap_or_default();
        match operation {
            "Create keyRings" => {
                let name = format!("{path}/{}", of("keyRingId"));
                if !self.key_rings.insert(name.clone()) {
                    return Err(exists(&name));
                }
                Ok(json!({ "name": name }))
            }
            "List keyRings" => Ok(page("keyRings", self.key_rings.iter().map(|name| json!({ "name": name })), query)),
            "Create cryptoKeys" => self.create_key(path, &of("cryptoKeyId"), &of("skipInitialVersionCreation"), body),
            "List cryptoKeys" => {
                let within = self.keys.iter().filter(|(name, _)| name.starts_with(&format!("{path}/")));
                Ok(page("cryptoKeys", within.map(|(_, key)| key.resource.clone()), query))
            }
            "Get cryptoKeys" => Ok(self.key(path)?.resource.clone()),
            "List cryptoKeyVersions" => {
                let key = self.key(path.strip_suffix("/cryptoKeyVersions").unwrap_or(path))?;
                let all: Vec<_> = (1..=key.versions.len()).map(|number| key.describe(number)).collect();
                Ok(page("cryptoKeyVersions", all.into_iter(), query))
            }
            "Create cryptoKeyVersions" => {
                let name = path.strip_suffix("/cryptoKeyVersions").unwrap_or(path).to_owned();
                self.generate(&name)
            }
            "Get cryptoKeyVersions" => {
                let (key, number) = self.version(path)?;
                let mut answer = key.describe(number);
                let public_key = key.versions[number - 1].public_key.clone();
                if key.level == "HSM" {
                    answer["attestation"] = self.partition.attest(&public_key);
                }
                Ok(answer)
            }
            "Update cryptoKeyVersions" => {
                let state =
                    if body["state"] == json!(1) || body["state"] == "ENABLED" { "ENABLED" } else { "DISABLED" };
                self.change(path, &["ENABLED", "DISABLED"], state)
            }
            "Destroy" => self.change(path, &["ENABLED", "DISABLED"], "DESTROY_SCHEDULED"),
            "Restore" => self.change(path, &["DESTROY_SCHEDULED"], "DISABLED"),
            "Create importJobs" => {
                let name = format!("{path}/{}", of("importJobId"));
                let key = PrivateDecryptingKey::generate(KeySize::Rsa3072).unwrap();
                let mut answer = job(&name, body, &key);
                self.jobs.insert(name, (body.clone(), key));
                answer["state"] = json!("PENDING_GENERATION");
                Ok(answer)
            }
            "Get importJobs" => {
                let (wanted, key) = self.jobs.get(path).ok_or_else(|| missing(path))?;
                Ok(job(path, wanted, key))
            }
            "Import" => self.import(path.strip_suffix("/cryptoKeyVersions").unwrap_or(path), body),
            "GetPublicKey" => self.public_key(path.strip_suffix("/publicKey").unwrap_or(path), &of("publicKeyFormat")),
            "AsymmetricSign" => self.sign(path, body),
            "AsymmetricDecrypt" => self.decrypt(path, body),
            _ => Err((501, "UNIMPLEMENTED", operation.to_owned())),
        }
    }

    fn create_key(&mut self, parent: &str, id: &str, skip: &str, body: &Value) -> Answer {
        let key_ring = parent.strip_suffix("/cryptoKeys").unwrap_or(parent);
        if !self.key_rings.contains(key_ring) {
            return Err(missing(key_ring));
        }
        let name = format!("{key_ring}/cryptoKeys/{id}");
        if self.keys.contains_key(&name) {
            return Err(exists(&name));
        }
        let template = &body["versionTemplate"];
        let number = template["algorithm"].as_i64().and_then(|number| i32::try_from(number).ok()).unwrap_or_default();
        let algorithm = Algorithm::from(number);
        let level = match template["protectionLevel"].as_i64() {
            Some(2) => json!("HSM"),
            _ => json!("SOFTWARE"),
        };
        let mut resource = body.clone();
        resource["name"] = json!(name);
        let key = CryptoKey { resource: resource.clone(), algorithm, level, versions: Vec::new() };
        self.keys.insert(name.clone(), key);
        if skip != "true" {
            self.generate(&name)?;
        }
        Ok(resource)
    }

    fn generate(&mut self, name: &str) -> Answer {
        self.made += 1;
        let uri = format!("softkms:name=k{};mode=memory", self.made).parse().unwrap();
        let spec = spec(&self.key(name)?.algorithm);
        let made = block_on(self.soft.create_key(&uri, &spec)).map_err(|error| bad(&error.chain()))?;
        self.add(name, uri, made.public_key)
    }

    fn add(&mut self, name: &str, uri: KeyUri, public_key: PublicKey) -> Answer {
        let pending = self.pending;
        let key = self.keys.get_mut(name).ok_or_else(|| missing(name))?;
        key.versions.push(Version { uri, public_key, state: "ENABLED", pending });
        Ok(key.describe(key.versions.len()))
    }

    fn import(&mut self, name: &str, body: &Value) -> Answer {
        let job = body["importJob"].as_str().unwrap_or_default();
        let (_, job) = self.jobs.get(job).ok_or_else(|| missing(job))?;
        let wrapped = octets(&body["wrappedKey"]);
        let (encrypted, wrapped) = wrapped.split_at(384);
        let oaep = OaepPrivateDecryptingKey::new(job.clone()).unwrap();
        let mut buffer = vec![0; 384];
        let secret = oaep.decrypt(&OAEP_SHA256_MGF1SHA256, encrypted, &mut buffer, None).map_err(|_| bad("oaep"))?;
        let mut pkcs8 = vec![0; wrapped.len()];
        let kek = AesKek::new(&AES_256, secret).map_err(|_| bad("kek"))?;
        let pkcs8 = kek.unwrap_with_padding(wrapped, &mut pkcs8).map_err(|_| bad("wrap"))?.to_vec();
        self.made += 1;
        let uri: KeyUri = format!("softkms:name=k{};mode=memory", self.made).parse().unwrap();
        let spec = spec(&self.key(name)?.algorithm);
        let made = block_on(self.soft.as_key_importer().unwrap().import_key(&uri, &Secret::new(pkcs8), &spec));
        let made = made.map_err(|error| bad(&error.chain()))?;
        self.add(name, uri, made.public_key)
    }

    fn public_key(&mut self, path: &str, format: &str) -> Answer {
        let (key, number) = self.enabled(path)?;
        let version = &key.versions[number - 1];
        let mut answer = json!({ "name": path, "algorithm": key.algorithm.name(), "protectionLevel": key.level });
        let post_quantum =
            matches!(version.public_key.key_type(), KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87);
        match (post_quantum, format) {
            (true, "NIST_PQC" | "3") => {
                let raw = version.public_key.raw();
                answer["publicKeyFormat"] = json!("NIST_PQC");
                answer["publicKey"] = json!({ "data": Base64::encode_string(raw), "crc32cChecksum": crc32c(raw) });
            }
            (true, _) => return Err(bad("PEM is not offered for this algorithm")),
            (false, _) => {
                let pem = version.public_key.to_pem();
                answer["pemCrc32c"] = json!(crc32c(pem.as_bytes()));
                answer["pem"] = json!(pem);
            }
        }
        Ok(answer)
    }

    fn sign(&mut self, path: &str, body: &Value) -> Answer {
        let soft = Arc::clone(&self.soft);
        let (key, number) = self.enabled(path)?;
        let version = &key.versions[number - 1];
        let name = key.algorithm.name().unwrap_or_default();
        let (data, digest) = (octets(&body["data"]), &body["digest"]);
        let field = ["sha256", "sha384", "sha512"].into_iter().find(|field| digest[*field].is_string());
        let digest = field.map(|field| octets(&digest[field]));
        let with =
            |algorithm| block_on(soft.signer(&version.uri, Some(algorithm))).map_err(|error| bad(&error.chain()));
        let algorithm = signature_algorithm(name, &data).ok_or_else(|| bad("the key does not sign"))?;
        let signature = match (&digest, name.contains("RAW"), algorithm.hash()) {
            (Some(digest), false, Some(_)) => block_on(with(algorithm)?.sign_digest(digest)),
            (None, true, Some(_)) => block_on(with(algorithm)?.sign_digest(&data[19..])),
            (None, false, None) => block_on(with(algorithm)?.sign(&data)),
            _ => return Err(bad("digest and data are not as the algorithm wants them")),
        };
        let signature = signature.map_err(|error| bad(&error.chain()))?.into_bytes();
        let matches =
            |field: &str, octets: &[u8]| number_of(&body[field]) == Some(u32::try_from(crc32c(octets)).unwrap());
        Ok(json!({
            "name": path,
            "signature": Base64::encode_string(&signature),
            "signatureCrc32c": crc32c(&signature).to_string(),
            "verifiedDigestCrc32c": digest.as_ref().is_some_and(|digest| matches("digestCrc32c", digest)),
            "verifiedDataCrc32c": digest.is_none() && matches("dataCrc32c", &data),
            "protectionLevel": key.level,
        }))
    }

    fn decrypt(&mut self, path: &str, body: &Value) -> Answer {
        let soft = Arc::clone(&self.soft);
        let (key, number) = self.enabled(path)?;
        let name = key.algorithm.name().unwrap_or_default();
        let algorithm = match name {
            _ if name.ends_with("SHA512") => DecryptionAlgorithm::RsaOaepSha512,
            _ if name.ends_with("SHA256") => DecryptionAlgorithm::RsaOaepSha256,
            _ => DecryptionAlgorithm::RsaOaepSha1,
        };
        let ciphertext = octets(&body["ciphertext"]);
        let decrypter = soft.as_decrypter().unwrap();
        let plain = block_on(decrypter.decrypt(&key.versions[number - 1].uri, algorithm, &ciphertext));
        let plain = plain.map_err(|_| bad("Decryption failed"))?;
        Ok(json!({
            "plaintext": Base64::encode_string(plain.expose()),
            "plaintextCrc32c": crc32c(plain.expose()).to_string(),
            "verifiedCiphertextCrc32c": number_of(&body["ciphertextCrc32c"]) == Some(u32::try_from(crc32c(&ciphertext)).unwrap()),
            "protectionLevel": key.level,
        }))
    }

    fn change(&mut self, path: &str, from: &[&str], to: &'static str) -> Answer {
        let (key, number) = self.version(path)?;
        let state = key.versions[number - 1].state;
        if !from.contains(&state) {
            return Err(precondition(path, state));
        }
        key.versions[number - 1].state = to;
        Ok(key.describe(number))
    }

    fn key(&self, name: &str) -> Result<&CryptoKey, Refusal> {
        self.keys.get(name).ok_or_else(|| missing(name))
    }

    fn version(&mut self, path: &str) -> Result<(&mut CryptoKey, usize), Refusal> {
        let (name, number) = path.split_once("/cryptoKeyVersions/").ok_or_else(|| missing(path))?;
        let number = number.parse().ok().filter(|number| *number > 0).ok_or_else(|| missing(path))?;
        match self.keys.get_mut(name) {
            Some(key) if key.versions.len() >= number => Ok((key, number)),
            _ => Err(missing(path)),
        }
    }

    fn enabled(&mut self, path: &str) -> Result<(&mut CryptoKey, usize), Refusal> {
        let (key, number) = self.version(path)?;
        let version = &mut key.versions[number - 1];
        if version.pending > 0 {
            version.pending -= 1;
            return Err(precondition(path, "PENDING_GENERATION"));
        }
        if version.state != "ENABLED" {
            return Err(precondition(path, version.state));
        }
        Ok((key, number))
    }
}

impl CryptoKey {
    fn describe(&self, number: usize) -> Value {
        let version = &self.versions[number - 1];
        let state = if version.pending > 0 { "PENDING_GENERATION" } else { version.state };
        let name = format!("{}/cryptoKeyVersions/{number}", self.resource["name"].as_str().unwrap());
        json!({ "name": name, "state": state, "algorithm": self.algorithm.name(), "protectionLevel": self.level })
    }
}

fn spec(algorithm: &Algorithm) -> KeySpec {
    let name = algorithm.name().unwrap_or_default();
    let bits = ["2048", "3072", "4096"].into_iter().find(|bits| name.contains(bits)).and_then(|bits| bits.parse().ok());
    let key_type = match name {
        _ if name.contains("P256_") => KeyType::EcP256,
        _ if name.contains("P384_") => KeyType::EcP384,
        _ if name.contains("SECP256K1") => KeyType::EcSecp256k1,
        _ if name.contains("ED25519") => KeyType::Ed25519,
        _ if name.contains("DSA_44") => KeyType::MlDsa44,
        _ if name.contains("DSA_65") => KeyType::MlDsa65,
        _ if name.contains("DSA_87") => KeyType::MlDsa87,
        _ => KeyType::Rsa { bits: bits.unwrap_or_default() },
    };
    let spec = KeySpec::new(key_type);
    if name.contains("DECRYPT") { spec.with_usage(KeyUsage::Decrypt) } else { spec }
}

fn signature_algorithm(name: &str, data: &[u8]) -> Option<SignatureAlgorithm> {
    let sha512 = name.ends_with("SHA512");
    Some(match name {
        _ if name.contains("RAW") => match data.get(14)? {
            1 => SignatureAlgorithm::RsaPkcs1Sha256,
            2 => SignatureAlgorithm::RsaPkcs1Sha384,
            3 => SignatureAlgorithm::RsaPkcs1Sha512,
            _ => return None,
        },
        _ if name.contains("PSS") && sha512 => SignatureAlgorithm::RsaPssSha512,
        _ if name.contains("PSS") => SignatureAlgorithm::RsaPssSha256,
        _ if name.contains("PKCS1") && sha512 => SignatureAlgorithm::RsaPkcs1Sha512,
        _ if name.contains("PKCS1") => SignatureAlgorithm::RsaPkcs1Sha256,
        _ if name.contains("DECRYPT") => return None,
        _ => spec(&Algorithm::from(name)).key_type.default_algorithm(),
    })
}

fn job(name: &str, body: &Value, key: &PrivateDecryptingKey) -> Value {
    use aws_lc_rs::encoding::AsDer as _;
    let der = key.public_key().as_der().unwrap();
    let pem = PublicKey::from_spki_der(der.as_ref()).unwrap().to_pem();
    json!({
        "name": name,
        "importMethod": body["importMethod"],
        "protectionLevel": body["protectionLevel"],
        "state": "ACTIVE",
        "publicKey": { "pem": pem },
    })
}

fn page(field: &str, all: impl Iterator<Item = Value>, query: &BTreeMap<String, String>) -> Value {
    let from = query.get("pageToken").and_then(|token| token.parse().ok()).unwrap_or(0_usize);
    let mut rest = all.skip(from).peekable();
    let entries: Vec<_> = rest.by_ref().take(PAGE).collect();
    let mut answer = json!({});
    if !entries.is_empty() {
        answer[field] = json!(entries);
    }
    if rest.peek().is_some() {
        answer["nextPageToken"] = json!((from + PAGE).to_string());
    }
    answer
}

fn octets(value: &Value) -> Vec<u8> {
    Base64::decode_vec(value.as_str().unwrap_or_default()).unwrap_or_default()
}

fn number_of(value: &Value) -> Option<u32> {
    value.as_str().map_or_else(|| value.as_u64().and_then(|number| number.try_into().ok()), |text| text.parse().ok())
}

fn crc32c(octets: &[u8]) -> i64 {
    i64::from(crc32c::crc32c(octets))
}

fn missing(name: &str) -> Refusal {
    (404, "NOT_FOUND", format!("{name} not found."))
}

fn exists(name: &str) -> Refusal {
    (409, "ALREADY_EXISTS", format!("{name} already exists."))
}

fn precondition(name: &str, state: &str) -> Refusal {
    (400, "FAILED_PRECONDITION", format!("{name} is not enabled, current state is: {state}."))
}

fn bad(message: &str) -> Refusal {
    (400, "INVALID_ARGUMENT", message.to_owned())
}
