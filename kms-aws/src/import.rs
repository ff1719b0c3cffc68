//! Private keys from outside: checked here, encrypted to a key of the service's, handed over.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use aws_lc_rs::rsa::{self, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::{self as lc, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{AlgorithmSpec, ExpirationModelType, WrappingKeySpec};
use der::{Decode as _, Encode as _};
use kms_core::{Deadline, Error, ErrorKind, KeyType, PublicKey, Result, Secret};
use pkcs8::PrivateKeyInfoRef;
use zeroize::Zeroizing;

use crate::algorithm;
use crate::connection::{Connection, Repeat};
use crate::error::{Fault, integrity};
use crate::key_id::KeyId;
use crate::recent::Recent;

/// A private key on its way.
pub(crate) struct Material {
    /// PKCS #8 version 1, which is what the service takes.
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

    /// Hands it over to a key that was made for it: two requests.
    pub(crate) async fn import(
        &self,
        connection: &Connection,
        recent: &Recent,
        key: &KeyId,
        deadline: Deadline,
    ) -> Result<()> {
        let wrapping = algorithm::wrapping_algorithm(self.public_key.key_type());
        let ask = || {
            connection.send("get parameters for import", deadline, Repeat::Yes, |client| {
                let request = client.get_parameters_for_import().key_id(key.as_str());
                let request = request.wrapping_algorithm(wrapping.clone()).wrapping_key_spec(WrappingKeySpec::Rsa4096);
                async move { Ok(request.send().await?) }
            })
        };
        let parameters = recent.settled(key, deadline, ask).await;
        let parameters = parameters.map_err(|fault: Fault| fault.in_context("get parameters for import"))?;
        let wrapping_key = parameters.public_key.map(Blob::into_inner).unwrap_or_default();
        let token = parameters.import_token.unwrap_or_else(|| Blob::new([]));
        let wrapped = Blob::new(self.wrap(&wrapping, &wrapping_key)?);
        let (token, wrapped) = (&token, &wrapped);
        let ask = || {
            connection.send("import key material", deadline, Repeat::Yes, |client| {
                let request = client.import_key_material().key_id(key.as_str()).import_token(token.clone());
                let request = request.encrypted_key_material(wrapped.clone());
                let request = request.expiration_model(ExpirationModelType::KeyMaterialDoesNotExpire);
                async move { Ok(request.send().await?) }
            })
        };
        let imported = recent.settled(key, deadline, ask).await;
        imported.map(drop).map_err(|fault: Fault| fault.in_context("import key material"))
    }

    fn wrap(&self, wrapping: &AlgorithmSpec, wrapping_key: &[u8]) -> Result<Vec<u8>> {
        let unusable = |fault: &dyn std::error::Error| {
            integrity("the key to wrap with is unusable").with_source(fault.to_string())
        };
        let key = PublicEncryptingKey::from_der(wrapping_key).map_err(|fault| unusable(&fault))?;
        let key = OaepPublicEncryptingKey::new(key).map_err(|fault| unusable(&fault))?;
        let encrypt = |plain: &[u8]| {
            let mut buffer = vec![0; key.ciphertext_size()];
            let length = key.encrypt(&OAEP_SHA256_MGF1SHA256, plain, &mut buffer, None).map(|wrapped| wrapped.len());
            length.map_err(|fault| unusable(&fault)).map(|length| {
                buffer.truncate(length);
                buffer
            })
        };
        if *wrapping != AlgorithmSpec::RsaAesKeyWrapSha256 {
            return encrypt(&self.pkcs8);
        }
        let mut secret = Zeroizing::new([0; 32]);
        let failed = |_| Error::new(ErrorKind::Other, "wrapping the private key failed");
        aws_lc_rs::rand::fill(&mut *secret).map_err(failed)?;
        let mut buffer = vec![0; self.pkcs8.len() + 16];
        let kek = AesKek::new(&AES_256, &*secret).map_err(failed)?;
        let wrapped = kek.wrap_with_padding(&self.pkcs8, &mut buffer).map_err(failed)?;
        Ok([&encrypt(&*secret)?[..], wrapped].concat())
    }
}

const CURVES: [(KeyType, &EcdsaSigningAlgorithm); 4] = [
    (KeyType::EcP256, &lc::ECDSA_P256_SHA256_ASN1_SIGNING),
    (KeyType::EcP384, &lc::ECDSA_P384_SHA384_ASN1_SIGNING),
    (KeyType::EcP521, &lc::ECDSA_P521_SHA512_ASN1_SIGNING),
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
