//! Using versions: public key, signatures, RSA decryption.

use serde_json::{Value, json};
use x509_cert::der::pem::{LineEnding, encode_string};

use super::algorithm::{Algorithm, Does};
use super::answer::{Answer, base64, checksum, invalid, octets, precondition};
use super::enumeration::PUBLIC_KEY_FORMAT;
use super::fault::Fault;
use super::operation::Call;
use crate::material::{Material, Message};

/// Longest data of a signature, in octets.
const MAX_DATA: usize = 64 * 1024;
/// The members of `Digest`, with the length of each.
const DIGESTS: [(&str, usize); 4] = [("sha256", 32), ("sha384", 48), ("sha512", 64), ("externalMu", 64)];

pub(crate) fn get_public_key(call: &Call<'_>) -> Answer {
    let format = call.input.choice("publicKeyFormat", PUBLIC_KEY_FORMAT)?;
    let (algorithm, protection_level, material) = {
        let mut store = call.store();
        let version = store.version(call.name)?;
        if version.algorithm.does == Does::Nothing {
            return invalid(format!("{} has no public key: its purpose is {}.", call.name, version.algorithm.purpose));
        }
        (version.algorithm, version.protection_level, version.usable()?)
    };
    let mut answer = json!({ "name": call.name, "algorithm": algorithm.name, "protectionLevel": protection_level });
    describe_public_key(&mut answer, &material, algorithm, format)?;
    Ok(answer)
}

fn describe_public_key(
    answer: &mut Value,
    material: &Material,
    algorithm: &Algorithm,
    format: Option<&str>,
) -> Answer<()> {
    let spki = material.spki()?;
    let data = match (algorithm.does.is_post_quantum(), format.unwrap_or("PEM")) {
        (true, "NIST_PQC") => {
            kms_core::PublicKey::from_spki_der(&spki).map(|key| key.raw().to_vec()).unwrap_or_default()
        }
        (false, "DER") => spki,
        (false, "PEM") => encode_string("PUBLIC KEY", LineEnding::LF, &spki).unwrap_or_default().into_bytes(),
        (_, other) => return invalid(format!("The format {other} is not offered for {}.", algorithm.name)),
    };
    answer["publicKeyFormat"] = format.unwrap_or("PEM").into();
    if format.is_none_or(|format| format == "PEM") {
        answer["pem"] = String::from_utf8_lossy(&data).into();
        answer["pemCrc32c"] = checksum(&data).to_string().into();
    }
    if format.is_some() {
        answer["publicKey"] = json!({ "data": base64(&data), "crc32cChecksum": checksum(&data).to_string() });
    }
    Ok(())
}

pub(crate) fn sign(call: &Call<'_>) -> Answer {
    let asked = Asked::read(call)?;
    let (algorithm, protection_level, material) = usable(call, "ASYMMETRIC_SIGN")?;
    // Not under the lock.
    let signature = asked.sign(&material, algorithm, protection_level.starts_with("EXTERNAL"))?;
    let mut answer = json!({ "name": call.name, "protectionLevel": protection_level });
    put_signature(&mut answer, &signature);
    // What is false is not said.
    if asked.verified {
        answer[if asked.digest.is_some() { "verifiedDigestCrc32c" } else { "verifiedDataCrc32c" }] = true.into();
    }
    Ok(answer)
}

fn put_signature(answer: &mut Value, signature: &[u8]) {
    answer["signature"] = base64(signature);
    answer["signatureCrc32c"] = checksum(signature).to_string().into();
}

pub(crate) fn decrypt(call: &Call<'_>) -> Answer {
    let Some(ciphertext) = call.input.octets("ciphertext")? else { return invalid("The ciphertext must be set.") };
    let verified = call.input.verified("ciphertextCrc32c", "ciphertext", &ciphertext)?;
    let (algorithm, protection_level, material) = usable(call, "ASYMMETRIC_DECRYPT")?;
    let Does::Decrypt(_, padding) = algorithm.does else { return invalid("The key does not decrypt.") };
    let Some(plaintext) = material.decrypt(padding, &ciphertext)? else {
        return invalid("Decryption failed: the ciphertext is invalid.");
    };
    let mut answer = json!({
        "plaintext": base64(&plaintext),
        "plaintextCrc32c": checksum(&plaintext).to_string(),
        "protectionLevel": protection_level,
    });
    if verified {
        answer["verifiedCiphertextCrc32c"] = true.into();
    }
    Ok(answer)
}

type Usable = (&'static Algorithm, &'static str, std::sync::Arc<Material>);

fn usable(call: &Call<'_>, purpose: &str) -> Answer<Usable> {
    let mut store = call.store();
    let version = store.version(call.name)?;
    let material = version.usable()?;
    if version.algorithm.purpose != purpose {
        let message = format!("The purpose of {} is {}.", call.name, version.algorithm.purpose);
        return precondition("KEY_PURPOSE", call.name, message);
    }
    Ok((version.algorithm, version.protection_level, material))
}

/// What is to be signed.
struct Asked {
    digest: Option<(&'static str, Vec<u8>)>,
    data: Vec<u8>,
    /// One of them was in the request.
    is_given: bool,
    /// It came with its checksum.
    verified: bool,
}

impl Asked {
    fn read(call: &Call<'_>) -> Answer<Self> {
        let input = &call.input;
        let mut digest = None;
        for (field, length) in DIGESTS {
            let Some(octets) = octets(&input.body["digest"], field)? else { continue };
            if digest.is_some() || octets.len() != length {
                return invalid(format!("The digest must be one, and that of {field} have {length} octets."));
            }
            digest = Some((field, octets));
        }
        let data = input.octets("data")?;
        if digest.is_some() && data.is_some() {
            return invalid("Only one of digest and data may be set.");
        }
        // An empty message is not always written down; but who has a digest to give and gives none, means no empty message.
        let is_given = data.is_some() || digest.is_some();
        let data = data.unwrap_or_default();
        if data.len() > MAX_DATA {
            return invalid(format!("The data must not be longer than {MAX_DATA} octets."));
        }
        let verified = match &digest {
            Some((_, octets)) => input.verified("digestCrc32c", "digest", octets)?,
            None => input.verified("dataCrc32c", "data", &data)?,
        };
        Ok(Self { digest, data, is_given, verified })
    }

    fn sign(&self, material: &Material, algorithm: &Algorithm, external: bool) -> Answer<Vec<u8>> {
        let raw = Message::Raw(&self.data);
        let signature = match (algorithm.does, &self.digest) {
            (Does::Digest(..), None) if !self.is_given => return invalid("Either digest or data must be set."),
            (_, Some(_)) if external => return invalid("A key outside Google signs data, not a digest."),
            (Does::Digest(_, how), Some((field, octets))) => {
                let field = DIGESTS.iter().find(|row| row.0 == *field && row.0 != "externalMu");
                if field.map(|row| row.1) != how.hash().map(kms_core::HashAlgorithm::output_len) {
                    return invalid(format!("The digest is not one of {}.", algorithm.name));
                }
                material.sign(how, &Message::Digest(octets))
            }
            (Does::Digest(_, how) | Does::Data(_, how), None) => material.sign(how, &raw),
            (Does::Pad(_), None) => material.sign_padded(&self.data),
            (Does::ExternalMu(_, how), Some(("externalMu", mu))) => material.sign(how, &Message::ExternalMu(mu)),
            _ => return invalid(format!("{} does not sign that.", algorithm.name)),
        };
        Ok(signature?)
    }
}

/// The fault of an answer that is not the right one, and says that it is.
pub(crate) fn spoil(call: &Call<'_>, fault: &Fault, answer: &mut Value) -> Answer<()> {
    match fault {
        Fault::CorruptSignature => {
            if let Some(mut signature) = octets(answer, "signature")? {
                if let Some(last) = signature.last_mut() {
                    *last ^= 1;
                }
                put_signature(answer, &signature);
            }
        }
        Fault::OtherKey => {
            let (algorithm, external) = {
                let mut store = call.store();
                let version = store.version(call.name)?;
                (version.algorithm, version.is_external())
            };
            let Some(key_type) = algorithm.does.key_type() else { return Ok(()) };
            let other = Material::generate(key_type)?;
            if !answer["signature"].is_null() {
                put_signature(answer, &Asked::read(call)?.sign(&other, algorithm, external)?);
            } else if !answer["publicKeyFormat"].is_null() {
                let format = call.input.choice("publicKeyFormat", PUBLIC_KEY_FORMAT)?;
                describe_public_key(answer, &other, algorithm, format)?;
            }
        }
        Fault::Answer(change) => change(answer),
        _ => {}
    }
    Ok(())
}
