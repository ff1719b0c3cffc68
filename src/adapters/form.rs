//! Which types a signature can be handed out as.

use crate::{Result, Signature, Signer};

/// A type that a signature can be handed out as: [`Signature`], or the typed one of another crate.
///
/// Sealed: the conversions are exact and complete as they are.
pub trait SignatureForm: Sized + sealed::Sealed {
    /// Whether signatures of this signer have this form. Asked before each signature, so that a wrong form costs no
    /// call.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported).
    fn check(signer: &dyn Signer) -> Result<()>;

    /// Converts a signature that [`check`](Self::check) let pass.
    ///
    /// # Errors
    /// [`Integrity`](crate::ErrorKind::Integrity) when the other crate refuses the octets.
    fn from_signature(signature: Signature) -> Result<Self>;
}

mod sealed {
    pub trait Sealed {}
}

impl sealed::Sealed for Signature {}

impl SignatureForm for Signature {
    fn check(_: &dyn Signer) -> Result<()> {
        Ok(())
    }

    fn from_signature(signature: Signature) -> Result<Self> {
        Ok(signature)
    }
}

#[cfg(any(
    feature = "p256",
    feature = "p384",
    feature = "p521",
    feature = "k256",
    feature = "rsa",
    feature = "ed25519"
))]
mod typed {
    use super::{Result, Signature, SignatureForm, Signer, sealed};
    use crate::{Error, ErrorKind, KeyType, SignatureAlgorithm};

    /// `$type` from X.509 form or r‖s, for keys and algorithms that match the patterns.
    macro_rules! form {
        ($feature:literal, $type:ty, $key_type:pat, $algorithm:pat, $octets:ident => $convert:expr) => {
            #[cfg(feature = $feature)]
            impl sealed::Sealed for $type {}

            #[cfg(feature = $feature)]
            impl SignatureForm for $type {
                fn check(signer: &dyn Signer) -> Result<()> {
                    let (key_type, algorithm) = (signer.public_key().key_type(), signer.algorithm());
                    #[allow(unreachable_patterns, reason = "some forms fit every key type of their algorithm")]
                    match (key_type, algorithm) {
                        ($key_type, $algorithm) => Ok(()),
                        _ => Err(wrong_form(key_type, algorithm, std::any::type_name::<Self>())),
                    }
                }

                fn from_signature($octets: Signature) -> Result<Self> {
                    $convert.map_err(refused)
                }
            }
        };
    }

    type Alg = SignatureAlgorithm;

    form!("p256", p256::ecdsa::Signature, KeyType::EcP256, Alg::EcdsaSha256, signature => {
        p256::ecdsa::Signature::from_der(signature.as_bytes())
    });
    form!("p256", p256::ecdsa::DerSignature, KeyType::EcP256, Alg::EcdsaSha256, signature => {
        p256::ecdsa::DerSignature::try_from(signature.as_bytes())
    });
    form!("p384", p384::ecdsa::Signature, KeyType::EcP384, Alg::EcdsaSha384, signature => {
        p384::ecdsa::Signature::from_der(signature.as_bytes())
    });
    form!("p384", p384::ecdsa::DerSignature, KeyType::EcP384, Alg::EcdsaSha384, signature => {
        p384::ecdsa::DerSignature::try_from(signature.as_bytes())
    });
    form!("p521", p521::ecdsa::Signature, KeyType::EcP521, Alg::EcdsaSha512, signature => {
        p521::ecdsa::Signature::from_der(signature.as_bytes())
    });
    form!("p521", p521::ecdsa::DerSignature, KeyType::EcP521, Alg::EcdsaSha512, signature => {
        p521::ecdsa::DerSignature::try_from(signature.as_bytes())
    });
    form!("k256", k256::ecdsa::Signature, KeyType::EcSecp256k1, Alg::EcdsaSha256, signature => {
        k256::ecdsa::Signature::from_der(signature.as_bytes())
    });
    form!("k256", k256::ecdsa::DerSignature, KeyType::EcSecp256k1, Alg::EcdsaSha256, signature => {
        k256::ecdsa::DerSignature::try_from(signature.as_bytes())
    });
    form!(
        "rsa", rsa::pkcs1v15::Signature, KeyType::Rsa { .. },
        Alg::RsaPkcs1Sha256 | Alg::RsaPkcs1Sha384 | Alg::RsaPkcs1Sha512,
        signature => rsa::pkcs1v15::Signature::try_from(signature.as_bytes())
    );
    form!(
        "rsa", rsa::pss::Signature, KeyType::Rsa { .. },
        Alg::RsaPssSha256 | Alg::RsaPssSha384 | Alg::RsaPssSha512,
        signature => rsa::pss::Signature::try_from(signature.as_bytes())
    );
    form!("ed25519", ed25519::Signature, KeyType::Ed25519, Alg::Ed25519, signature => {
        ed25519::Signature::from_slice(signature.as_bytes())
    });

    fn wrong_form(key_type: KeyType, algorithm: SignatureAlgorithm, form: &str) -> Error {
        let context = format!("a {key_type} key that signs with {algorithm} makes no {form}");
        Error::new(ErrorKind::Unsupported, context)
            .with_hint("ask for kmskit::Signature, or the type of that algorithm")
    }

    fn refused(error: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::new(ErrorKind::Integrity, "signature is not of the form that goes with its algorithm").with_source(error)
    }
}
