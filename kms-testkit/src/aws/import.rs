//! Import of key material.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use serde_json::json;

use crate::material::Material;

use super::algorithm;
use super::answer::{Answer, base64, invalid, refuse};
use super::key::{State, seconds};
use super::operation::Call;

pub(crate) fn parameters(call: &Call<'_>) -> Answer {
    let (algorithm, spec) = (call.input.required("WrappingAlgorithm")?, call.input.required("WrappingKeySpec")?);
    if !["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256"]
        .contains(&algorithm)
        || !["RSA_2048", "RSA_3072", "RSA_4096"].contains(&spec)
    {
        return invalid("no such wrapping algorithm or key spec");
    }
    call.with_key(|key| {
        check(key.external, &key.arn)?;
        key.check_not_pending_deletion()?;
        if key.spec.name.starts_with("RSA_") && !algorithm.starts_with("RSA_AES_") {
            return invalid(format!("{algorithm} cannot wrap RSA key material"));
        }
        Ok(())
    })?;
    let mut token = vec![0; 64];
    if getrandom::fill(&mut token).is_err() {
        return refuse("KMSInternalException", "no randomness");
    }
    let wrapping = Arc::new(algorithm::generate(spec)?);
    let public_key = wrapping.spki()?;
    call.with_key(|key| {
        key.import = Some((token.clone(), wrapping, algorithm.to_owned()));
        Ok(json!({
            "KeyId": key.arn,
            "ImportToken": base64(&token),
            "PublicKey": base64(&public_key),
            "ParametersValidTo": seconds(SystemTime::now() + Duration::from_hours(24)),
        }))
    })
}

pub(crate) fn import(call: &Call<'_>) -> Answer {
    let input = &call.input;
    let (token, wrapped) = (input.octets("ImportToken", 6144)?, input.octets("EncryptedKeyMaterial", 6144)?);
    match input.text("ExpirationModel")? {
        Some("KEY_MATERIAL_DOES_NOT_EXPIRE") => {}
        _ => return invalid("the stand-in imports key material that does not expire, and no other"),
    }
    call.with_key(|key| {
        check(key.external, &key.arn)?;
        key.check_not_pending_deletion()?;
        let Some((_, wrapping, algorithm)) = key.import.as_ref().filter(|import| import.0 == token) else {
            return refuse("InvalidImportTokenException", "");
        };
        let Some(pkcs8) = unwrap(wrapping, algorithm, &wrapped)? else {
            return refuse("InvalidCiphertextException", "");
        };
        let key_type = algorithm::key_type(key.spec.name);
        let Some(material) = key_type.and_then(|key_type| Material::from_pkcs8(key_type, &pkcs8)) else {
            return refuse("IncorrectKeyMaterialException", format!("not a private key of spec {}", key.spec.name));
        };
        if let Some(there) = &key.material
            && there.spki()? != material.spki()?
        {
            return refuse("IncorrectKeyMaterialException", "another key was imported before");
        }
        key.material = Some(Arc::new(material));
        key.state = State::Enabled;
        Ok(json!({ "KeyId": key.arn }))
    })
}

pub(crate) fn delete(call: &Call<'_>) -> Answer {
    call.with_key(|key| {
        check(key.external, &key.arn)?;
        key.check_not_pending_deletion()?;
        key.state = State::PendingImport;
        Ok(json!({ "KeyId": key.arn }))
    })
}

fn check(external: bool, arn: &str) -> Answer<()> {
    if external {
        return Ok(());
    }
    refuse("UnsupportedOperationException", format!("{arn} origin is AWS_KMS which is not valid for this operation."))
}

/// RFC 8017 section 7.1, with RFC 5649 inside where the algorithm says so.
fn unwrap(wrapping: &Material, algorithm: &str, wrapped: &[u8]) -> Answer<Option<Vec<u8>>> {
    let oaep = if algorithm.ends_with("_SHA_1") { "RSAES_OAEP_SHA_1" } else { "RSAES_OAEP_SHA_256" };
    let oaep = algorithm::decryption(oaep)?;
    if !algorithm.starts_with("RSA_AES_") {
        return Ok(wrapping.decrypt(oaep, wrapped)?);
    }
    // The modulus is as long as the block before the wrapped key; the public key is a little longer.
    let modulus = [512, 384, 256].into_iter().find(|length| wrapping.spki().is_ok_and(|spki| spki.len() > *length));
    let Some((block, inner)) = modulus.and_then(|length| wrapped.split_at_checked(length)) else { return Ok(None) };
    let Some(secret) = wrapping.decrypt(oaep, block)? else { return Ok(None) };
    let mut buffer = vec![0; inner.len()];
    let Ok(kek) = AesKek::new(&AES_256, &secret) else { return Ok(None) };
    Ok(kek.unwrap_with_padding(inner, &mut buffer).ok().map(|plain| plain.to_vec()))
}
