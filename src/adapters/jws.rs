//! JSON Web Signatures (RFC 7515) and the JSON Web Key (RFC 7517) of the public key, by a key at a URI.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use kmskit::adapters::jws::JwsSigner;
//! # let manager = kmskit::block_on(kmskit::open("softkms:mode=memory"))?;
//! # let spec = kmskit::KeySpec::new(kmskit::KeyType::EcP256);
//! # kmskit::block_on(manager.create_key(&"softkms:name=jwt".parse()?, &spec))?;
//! # let signer = kmskit::block_on(manager.signer(&"softkms:name=jwt".parse()?, None))?;
//!
//! // let signer = kmskit::block_on(kmskit::signer(uri))?;
//! let jws = JwsSigner::new(signer)?;
//! let mut header = kmskit::adapters::jws::Map::new();
//! header.insert("typ".into(), "JWT".into());
//! header.insert("kid".into(), jws.jwk().thumbprint().into());
//! let token = kmskit::block_on(jws.sign(header, br#"{"sub":"alice"}"#))?;
//! assert_eq!(token.split('.').count(), 3);
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::Value;

use super::rsa_components::rsa_components;
use crate::{Error, ErrorKind, HashAlgorithm, KeyType, PublicKey, Result, SignatureAlgorithm, Signer};

/// A JSON object, as `serde_json` has it.
pub type Map = serde_json::Map<String, Value>;

/// A [`Signer`] of JSON Web Signatures: `ES256`, `ES384`, `ES512`, `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`
/// (RFC 7518 section 3), `EdDSA` (RFC 8037), `ES256K` (RFC 8812).
#[derive(Clone, Debug)]
pub struct JwsSigner {
    signer: Arc<dyn Signer>,
    algorithm: &'static str,
    jwk: Jwk,
}

impl JwsSigner {
    /// Wraps a signer, if JOSE has a name for its algorithm. No call.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) for ML-DSA.
    pub fn new(signer: Arc<dyn Signer>) -> Result<Self> {
        use SignatureAlgorithm as Alg;
        let jwk = Jwk::new(signer.public_key())?;
        let algorithm = match signer.algorithm() {
            Alg::EcdsaSha256 if signer.public_key().key_type() == KeyType::EcSecp256k1 => "ES256K",
            Alg::EcdsaSha256 => "ES256",
            Alg::EcdsaSha384 => "ES384",
            Alg::EcdsaSha512 => "ES512",
            Alg::RsaPkcs1Sha256 => "RS256",
            Alg::RsaPkcs1Sha384 => "RS384",
            Alg::RsaPkcs1Sha512 => "RS512",
            Alg::RsaPssSha256 => "PS256",
            Alg::RsaPssSha384 => "PS384",
            Alg::RsaPssSha512 => "PS512",
            Alg::Ed25519 => "EdDSA",
            other => return Err(unknown(other)),
        };
        Ok(Self { signer, algorithm, jwk })
    }

    /// The signer within.
    pub fn inner(&self) -> &Arc<dyn Signer> {
        &self.signer
    }

    /// The value of `alg`.
    pub fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// The public key.
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// Signs a payload and gives the compact serialisation (RFC 7515 section 7.1). `header` is the protected header
    /// without `alg`, which goes before it. One call to the device or service.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when `header` states `alg`, or `b64` (RFC 7797), which this is
    /// not; those of [`Signer::sign`].
    pub async fn sign(&self, header: Map, payload: &[u8]) -> Result<String> {
        if let Some(name) = ["alg", "b64"].into_iter().find(|name| header.contains_key(*name)) {
            return Err(Error::new(ErrorKind::InvalidArgument, format!("a JWS header that states `{name}`"))
                .with_hint("leave it out; `alg` is the signer's"));
        }
        let mut protected = Map::new();
        protected.insert("alg".to_owned(), self.algorithm.into());
        protected.extend(header);
        let header = Value::Object(protected).to_string();
        let signed = format!("{}.{}", base64url(header.as_bytes()), base64url(payload));
        let signature = self.signer.sign(signed.as_bytes()).await?.to_raw()?;
        Ok(format!("{signed}.{}", base64url(&signature)))
    }
}

/// A public key as JSON, with the members that RFC 7638 section 3.2 requires and no others, in its order.
///
/// `Display` gives the JSON text; a thumbprint is made of just that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk(Vec<(&'static str, String)>);

impl Jwk {
    /// The JWK of a public key (RFC 7518 section 6, RFC 8037 section 2, RFC 8812 section 3.1). No call.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) for ML-DSA.
    pub fn new(key: &PublicKey) -> Result<Self> {
        let key_type = key.key_type();
        let curve = match key_type {
            KeyType::EcP256 => "P-256",
            KeyType::EcP384 => "P-384",
            KeyType::EcP521 => "P-521",
            KeyType::EcSecp256k1 => "secp256k1",
            KeyType::Ed25519 => "Ed25519",
            KeyType::Rsa { .. } => {
                let (modulus, exponent) = rsa_components(key)?;
                return Ok(Self(vec![
                    ("e", base64url(exponent)),
                    ("kty", "RSA".to_owned()),
                    ("n", base64url(modulus)),
                ]));
            }
            other => return Err(unknown(other)),
        };
        let (crv, kty) = (curve.to_owned(), if key_type.is_ecdsa() { "EC" } else { "OKP" }.to_owned());
        if !key_type.is_ecdsa() {
            return Ok(Self(vec![("crv", crv), ("kty", kty), ("x", base64url(key.raw()))]));
        }
        // An uncompressed point: 4, x, y.
        let (x, y) = key.raw()[1..].split_at(key.raw().len() / 2);
        Ok(Self(vec![("crv", crv), ("kty", kty), ("x", base64url(x)), ("y", base64url(y))]))
    }

    /// The thumbprint by SHA-256, in base64url (RFC 7638 section 3): a good `kid`.
    pub fn thumbprint(&self) -> String {
        base64url(HashAlgorithm::Sha256.digest(self.to_string().as_bytes()).as_bytes())
    }

    /// The members, for more (`kid`, `use`, `alg`) to be added.
    pub fn members(&self) -> Map {
        self.0.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect()
    }
}

impl fmt::Display for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names and values are of characters that JSON does not escape.
        for (index, (name, value)) in self.0.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            write!(f, r#"{before}"{name}":"{value}""#)?;
        }
        f.write_str("}")
    }
}

fn base64url(octets: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(octets)
}

fn unknown(what: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Unsupported, format!("JOSE has no name for {what}"))
        .with_hint("use an EC, RSA or Ed25519 key")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7638 section 3.1, and the key of RFC 8037 appendix A.3.
    #[test]
    fn thumbprints_are_those_of_the_rfcs() {
        let modulus = Base64UrlUnpadded::decode_vec(
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3\
             oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA\
             ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-\
             kEgU8awapJzKnqDKgw",
        )
        .unwrap();
        // SEQUENCE { INTEGER modulus, INTEGER 65537 }
        let der = [&[0x30, 0x82, 1, 0x0a, 2, 0x82, 1, 1, 0][..], &modulus, &[2, 3, 1, 0, 1]].concat();
        let key = PublicKey::from_raw(KeyType::Rsa { bits: 2048 }, &der).unwrap();
        assert_eq!(Jwk::new(&key).unwrap().thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");

        let point = Base64UrlUnpadded::decode_vec("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let jwk = Jwk::new(&PublicKey::from_raw(KeyType::Ed25519, &point).unwrap()).unwrap();
        assert_eq!(jwk.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        let text = r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        assert_eq!(jwk.to_string(), text);
        assert_eq!(Value::Object(jwk.members()).to_string(), text);
    }
}
