//! Certificates to put beside keys: for any public key, by an issuer that is made for the occasion.

use std::time::Duration;

use p256::elliptic_curve::SecretKey;
use rsa::rand_core::UnwrapErr;
use spki::SubjectPublicKeyInfoRef;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::Validity;

/// A DER certificate for the key in `spki_der`, called `subject`.
pub(crate) fn certificate_for(spki_der: &[u8], subject: &str) -> Result<Vec<u8>, String> {
    let text = |error: &dyn std::fmt::Display| format!("cannot make a certificate: {error}");
    let issuing_key = {
        use p256::elliptic_curve::Generate as _;
        SecretKey::<p256::NistP256>::generate_from_rng(&mut UnwrapErr(getrandom::SysRng))
    };
    let signer = p256::ecdsa::SigningKey::from(issuing_key);
    let profile = Bare { subject: subject.parse().map_err(|error| text(&error))? };
    let key = SubjectPublicKeyInfoOwned::from_der(spki_der).map_err(|error| text(&error))?;
    let validity = Validity::from_now(Duration::from_hours(24)).map_err(|error| text(&error))?;
    let builder =
        CertificateBuilder::new(profile, SerialNumber::from(1_u32), validity, key).map_err(|error| text(&error))?;
    let certificate = builder.build::<_, p256::ecdsa::DerSignature>(&signer).map_err(|error| text(&error))?;
    certificate.to_der().map_err(|error| text(&error))
}

/// Names and nothing else.
struct Bare {
    subject: Name,
}

impl BuilderProfile for Bare {
    fn get_issuer(&self, _: &Name) -> Name {
        self.subject.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        _: SubjectPublicKeyInfoRef<'_>,
        _: SubjectPublicKeyInfoRef<'_>,
        _: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        Ok(Vec::new())
    }
}
