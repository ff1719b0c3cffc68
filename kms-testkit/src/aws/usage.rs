//! Using keys: public key, signatures, RSA encryption.

use kms_core::DecryptionAlgorithm;
use serde_json::{Value, json};

use super::algorithm;
use super::answer::{Answer, Input, Refusal, base64, invalid, refuse};
use super::key::Key;
use super::operation::Call;
use crate::material::{Material, Message};

/// Longest message of a signature, in octets.
const MAX_MESSAGE: usize = 4096;
/// Longest signature or ciphertext, in octets.
const MAX_BLOCK: usize = 6144;

pub(crate) fn get_public_key(call: &Call<'_>) -> Answer {
    call.with_key_or_alias(|key| {
        if matches!(key.spec.usages, ["GENERATE_VERIFY_MAC"]) || key.spec.name == "SYMMETRIC_DEFAULT" {
            return refuse("UnsupportedOperationException", format!("{} is not an asymmetric key", key.arn));
        }
        let spki = key.usable()?.spki()?;
        let mut answer = json!({
            "KeyId": key.arn,
            "PublicKey": base64(&spki),
            "CustomerMasterKeySpec": key.spec.name,
            "KeySpec": key.spec.name,
            "KeyUsage": key.usage,
        });
        key.algorithms(&mut answer);
        Ok(answer)
    })
}

pub(crate) fn sign(call: &Call<'_>) -> Answer {
    let input = &call.input;
    let octets = input.octets("Message", MAX_MESSAGE)?;
    let (algorithm, message) = (input.required("SigningAlgorithm")?, message(input, &octets)?);
    let (arn, spec, material) = call.with_key_or_alias(|key| {
        check(key, "SIGN_VERIFY", algorithm, key.signing_algorithms())?;
        Ok((key.arn.clone(), key.spec.name, key.usable()?))
    })?;
    check_fits(&message, algorithm)?;
    dry_run(input)?;
    // Not under the lock.
    let signature = material.sign(algorithm::signing(spec, algorithm)?, &message)?;
    Ok(json!({ "KeyId": arn, "Signature": base64(&signature), "SigningAlgorithm": algorithm }))
}

pub(crate) fn verify(call: &Call<'_>) -> Answer {
    let input = &call.input;
    let (octets, signature) = (input.octets("Message", MAX_MESSAGE)?, input.octets("Signature", MAX_BLOCK)?);
    let (algorithm, message) = (input.required("SigningAlgorithm")?, message(input, &octets)?);
    let (arn, spec, material) = call.with_key_or_alias(|key| {
        check(key, "SIGN_VERIFY", algorithm, key.signing_algorithms())?;
        Ok((key.arn.clone(), key.spec.name, key.usable()?))
    })?;
    check_fits(&message, algorithm)?;
    dry_run(input)?;
    if material.verify(algorithm::signing(spec, algorithm)?, &message, &signature)? {
        return Ok(json!({ "KeyId": arn, "SignatureValid": true, "SigningAlgorithm": algorithm }));
    }
    refuse("KMSInvalidSignatureException", "")
}

pub(crate) fn encrypt(call: &Call<'_>) -> Answer {
    crypt(call, "Plaintext", 4096, |material, algorithm, plaintext| {
        Ok(("CiphertextBlob", material.encrypt(algorithm, plaintext)?))
    })
}

pub(crate) fn decrypt(call: &Call<'_>) -> Answer {
    crypt(call, "CiphertextBlob", MAX_BLOCK, |material, algorithm, ciphertext| {
        match material.decrypt(algorithm, ciphertext)? {
            Some(plaintext) => Ok(("Plaintext", plaintext)),
            None => refuse("InvalidCiphertextException", ""),
        }
    })
}

fn crypt(
    call: &Call<'_>,
    member: &str,
    most: usize,
    work: impl FnOnce(&Material, DecryptionAlgorithm, &[u8]) -> Answer<(&'static str, Vec<u8>)>,
) -> Answer {
    let input = &call.input;
    let octets = input.octets(member, most)?;
    let algorithm = input.text("EncryptionAlgorithm")?.unwrap_or("SYMMETRIC_DEFAULT");
    let (arn, material) = call.with_key_or_alias(|key| {
        check(key, "ENCRYPT_DECRYPT", algorithm, key.encryption_algorithms())?;
        Ok((key.arn.clone(), key.usable()?))
    })?;
    dry_run(input)?;
    if algorithm == "SYMMETRIC_DEFAULT" {
        return refuse("UnsupportedOperationException", "the stand-in does not encrypt with symmetric keys");
    }
    let (name, result) = work(&material, algorithm::decryption(algorithm)?, &octets)?;
    Ok(json!({ "KeyId": arn, name: base64(&result), "EncryptionAlgorithm": algorithm }))
}

fn check(key: &Key, usage: &str, algorithm: &str, able: &[&str]) -> Answer<()> {
    // The state first, as the service has it.
    key.usable()?;
    if key.usage != usage {
        let message = format!("{} key usage is {} which is not valid for this operation.", key.arn, key.usage);
        return refuse("InvalidKeyUsageException", message);
    }
    if able.contains(&algorithm) {
        return Ok(());
    }
    let known = super::key::SPECS.iter().any(|spec| spec.signing.contains(&algorithm))
        || ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "SYMMETRIC_DEFAULT", "ED25519_PH_SHA_512", "SM2DSA"]
            .contains(&algorithm);
    if known {
        refuse(
            "InvalidKeyUsageException",
            format!("Algorithm {algorithm} is incompatible with key spec {}.", key.spec.name),
        )
    } else {
        invalid(format!("1 validation error detected: Value '{algorithm}' failed to satisfy constraint"))
    }
}

fn message<'a>(input: &Input, octets: &'a [u8]) -> Answer<Message<'a>> {
    match input.text("MessageType")? {
        None | Some("RAW") => Ok(Message::Raw(octets)),
        Some("DIGEST") => Ok(Message::Digest(octets)),
        Some("EXTERNAL_MU") => Ok(Message::ExternalMu(octets)),
        Some(other) => invalid(format!(
            "1 validation error detected: Value '{other}' at 'messageType' failed to satisfy constraint"
        )),
    }
}

fn check_fits(message: &Message<'_>, algorithm: &str) -> Answer<()> {
    match (message, algorithm) {
        (Message::Digest(_), "ED25519_SHA_512" | "ML_DSA_SHAKE_256") => {
            invalid(format!("MessageType DIGEST is not valid for {algorithm}"))
        }
        (Message::ExternalMu(mu), "ML_DSA_SHAKE_256") if mu.len() != 64 => invalid("EXTERNAL_MU takes 64 bytes"),
        (Message::ExternalMu(_), other) if other != "ML_DSA_SHAKE_256" => {
            invalid(format!("MessageType EXTERNAL_MU is not valid for {algorithm}"))
        }
        _ => Ok(()),
    }
}

fn dry_run(input: &Input) -> Answer<()> {
    if input.flag("DryRun")? {
        let message = "The request would have succeeded, but the DryRun option is set.".to_owned();
        return Err(Refusal { status: 412, code: "DryRunOperationException", message });
    }
    Ok(())
}

/// The fault of an answer that is not the right one: another key's signature, another key's name.
pub(crate) fn spoil(call: &Call<'_>, fault: &super::Fault, answer: &mut Value) -> Answer<()> {
    use base64ct::{Base64, Encoding};
    match fault {
        super::Fault::CorruptSignature => {
            let octets = answer["Signature"].as_str().and_then(|text| Base64::decode_vec(text).ok());
            if let Some(mut octets) = octets {
                let last = octets.len() - 1;
                octets[last] ^= 1;
                answer["Signature"] = base64(&octets);
            }
        }
        super::Fault::OtherKey => {
            let spec = call.with_key_or_alias(|key| Ok(key.spec.name))?;
            let other = algorithm::generate(spec)?;
            if answer.get("Signature").is_some() {
                let octets = call.input.octets("Message", MAX_MESSAGE)?;
                let algorithm = algorithm::signing(spec, call.input.required("SigningAlgorithm")?)?;
                answer["Signature"] = base64(&other.sign(algorithm, &message(&call.input, &octets)?)?);
            } else if answer.get("PublicKey").is_some() {
                answer["PublicKey"] = base64(&other.spki()?);
            }
        }
        super::Fault::OtherKeyId => {
            if let Some(arn) = answer["KeyId"].as_str() {
                let at = arn.len() - 4;
                answer["KeyId"] =
                    format!("{}{}", &arn[..at], if arn.ends_with("0000") { "1111" } else { "0000" }).into();
            }
        }
        super::Fault::OtherAlgorithm if answer.get("SigningAlgorithm").is_some() => {
            let other =
                if answer["SigningAlgorithm"] == "ECDSA_SHA_256" { "RSASSA_PSS_SHA_256" } else { "ECDSA_SHA_256" };
            answer["SigningAlgorithm"] = other.into();
        }
        _ => {}
    }
    Ok(())
}
