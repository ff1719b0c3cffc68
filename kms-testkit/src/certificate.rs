//! Certificates for any public key, by an issuer that is made for the occasion.

use std::time::Duration;

use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::{Generate as _, SecretKey};
use rsa::rand_core::UnwrapErr;
use spki::SubjectPublicKeyInfoRef;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::der::asn1::OctetString;
use x509_cert::der::oid::AssociatedOid as _;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::BasicConstraints;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::Validity;

/// A root that issues certificates, with a key on P-256.
pub(crate) struct Root {
    key: SigningKey,
    name: Name,
}

impl Root {
    pub(crate) fn new(name: &str) -> Result<Self, String> {
        let key = SecretKey::<p256::NistP256>::generate_from_rng(&mut UnwrapErr(getrandom::SysRng));
        let name = name.parse().map_err(|error| broken(&error))?;
        Ok(Self { key: SigningKey::from(key), name })
    }

    /// Its own certificate, DER.
    #[cfg(feature = "gcp")]
    pub(crate) fn certificate(&self) -> Result<Vec<u8>, String> {
        use spki::EncodePublicKey as _;
        let spki = self.key.verifying_key().to_public_key_der().map_err(|error| broken(&error))?;
        let profile = Profile { issuer: self.name.clone(), subject: self.name.clone(), is_ca: true };
        self.build(profile, spki.as_bytes())
    }

    /// A DER certificate for the key in `spki_der`, called `subject`.
    pub(crate) fn issue(&self, spki_der: &[u8], subject: &str) -> Result<Vec<u8>, String> {
        let subject = subject.parse().map_err(|error| broken(&error))?;
        self.build(Profile { issuer: self.name.clone(), subject, is_ca: false }, spki_der)
    }

    fn build(&self, profile: Profile, spki_der: &[u8]) -> Result<Vec<u8>, String> {
        let key = SubjectPublicKeyInfoOwned::from_der(spki_der).map_err(|error| broken(&error))?;
        let validity = Validity::from_now(Duration::from_hours(24)).map_err(|error| broken(&error))?;
        let builder = CertificateBuilder::new(profile, SerialNumber::from(1_u32), validity, key);
        let builder = builder.map_err(|error| broken(&error))?;
        let certificate = builder.build::<_, DerSignature>(&self.key).map_err(|error| broken(&error))?;
        certificate.to_der().map_err(|error| broken(&error))
    }
}

/// A DER certificate for the key in `spki_der`, called `subject`, by an issuer of the same name.
pub(crate) fn certificate_for(spki_der: &[u8], subject: &str) -> Result<Vec<u8>, String> {
    Root::new(subject)?.issue(spki_der, subject)
}

fn broken(error: &dyn std::fmt::Display) -> String {
    format!("cannot make a certificate: {error}")
}

/// Names, whether it is a CA, and nothing else.
struct Profile {
    issuer: Name,
    subject: Name,
    is_ca: bool,
}

impl BuilderProfile for Profile {
    fn get_issuer(&self, _: &Name) -> Name {
        self.issuer.clone()
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
        if !self.is_ca {
            return Ok(Vec::new());
        }
        let constraints = BasicConstraints { ca: true, path_len_constraint: None };
        let extn_value = OctetString::new(constraints.to_der()?)?;
        Ok(vec![Extension { extn_id: BasicConstraints::OID, critical: true, extn_value }])
    }
}
