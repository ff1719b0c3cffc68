//! From a template and a key to a certificate.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use der::asn1::{ObjectIdentifier, OctetString};
use der::oid::AssociatedOid;
use der::{Decode, Encode};
use kmskit::adapters::cause;
use kmskit::{Error, ErrorKind, PublicKey, Result, Signature, SyncSigner};
use x509_cert::Certificate;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::crl::dp::DistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AccessDescription, AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints, CertificatePolicies,
    CrlDistributionPoints, ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectAltName, SubjectKeyIdentifier,
    certpolicy::PolicyInformation,
};
use x509_cert::name::Name;
use x509_cert::spki::{SubjectPublicKeyInfo, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};

use crate::certificate::Template;
use crate::profile::{self, Issuer};

/// The place of a certificate in its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Root,
    Intermediate,
    Leaf,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Intermediate => "intermediate",
            Self::Leaf => "leaf",
        }
    }

    /// Whether a template makes what its place asks for: to be known before any key is used.
    pub(crate) fn check(self, template: &Template) -> Result<()> {
        let extensions = stated(template)?;
        for (index, extension) in extensions.iter().enumerate() {
            if extensions[..index].iter().any(|before| before.extn_id == extension.extn_id) {
                return Err(refused(format!("extension {} is stated twice", extension.extn_id))
                    .with_hint("once by its own field, or twice under `extensions`"));
            }
        }
        let ca = find::<BasicConstraints>(&extensions)?.is_some_and(|constraints| constraints.ca);
        let signs = find::<KeyUsage>(&extensions)?.is_some_and(|usage| usage.key_cert_sign());
        match self {
            Self::Root | Self::Intermediate if !ca => {
                return Err(refused("not a CA, which it must be").with_hint("set `basicConstraints.isCA`"));
            }
            Self::Root | Self::Intermediate if !signs => {
                return Err(refused("not meant to sign certificates").with_hint("add `certSign` to `keyUsage`"));
            }
            Self::Leaf if ca || signs => {
                return Err(refused("a CA, which a leaf must not be")
                    .with_hint("set `basicConstraints.isCA` to false and leave `certSign` out of `keyUsage`"));
            }
            _ => {}
        }
        if template.subject.is_empty() && (ca || template.alternative_names.is_empty()) {
            return Err(refused("its subject is empty").with_hint("give a COMMON-NAME, or a template that states one"));
        }
        Ok(())
    }
}

/// Makes a certificate: one signature by the issuer's key. The lifetime, but no stated date, is cut where the issuer's
/// own ends.
pub(crate) fn issue(
    template: &Template,
    key: &PublicKey,
    lifetime: Duration,
    issuer: &Issuer<'_>,
) -> Result<Certificate> {
    let issuer_name = issuer.certificate.map_or(&template.subject, |issuer| issuer.tbs_certificate().subject());
    if template.issuer.as_ref().is_some_and(|stated| !stated.is_empty() && stated != issuer_name) {
        return Err(refused(format!("the template's `issuer` is not the subject of the issuer, {issuer_name}")));
    }
    let algorithm = issuer.signer.algorithm();
    if template.signature_algorithm.is_some_and(|stated| stated != algorithm) {
        return Err(refused(format!("the template's `signatureAlgorithm` is not the issuer's key's, {algorithm}"))
            .with_hint("state it in the key's URI with `;alg=`"));
    }
    let subject_key = template.subject_key_id.clone().unwrap_or_else(|| key.key_identifier().to_vec());
    let authority = issuer.certificate.map_or(Ok(subject_key.clone()), profile::authority_key_identifier)?;
    let mut extensions = stated(template)?;
    extensions.push(extension(false, &SubjectKeyIdentifier(octets(subject_key)?))?);
    let authority = AuthorityKeyIdentifier { key_identifier: Some(octets(authority)?), ..Default::default() };
    extensions.push(extension(false, &authority)?);

    let serial = template.serial_number.clone().map_or_else(profile::serial_number, Ok)?;
    let validity = validity(template, lifetime, issuer.certificate)?;
    let spki = SubjectPublicKeyInfo::from_key(key).map_err(cannot_encode)?;
    let profile = Profile { issuer: issuer_name.clone(), subject: template.subject.clone(), extensions };
    let builder = CertificateBuilder::new(profile, serial, validity, spki).map_err(cannot_encode)?;
    builder.build::<_, Signature>(&SyncSigner::new(Arc::clone(&issuer.signer))).map_err(|error| match cause(&error) {
        Some(beneath) => beneath.duplicate().in_context("signing"),
        None => cannot_encode(error),
    })
}

struct Profile {
    issuer: Name,
    subject: Name,
    extensions: Vec<Extension>,
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
        Ok(self.extensions.clone())
    }
}

/// The extensions that a template states, all but the key identifiers.
fn stated(template: &Template) -> Result<Vec<Extension>> {
    let mut all = Vec::new();
    if !template.key_usage.is_empty() {
        all.push(extension(true, &KeyUsage(template.key_usage))?);
    }
    if !template.extended_key_usage.is_empty() {
        all.push(extension(false, &ExtendedKeyUsage(template.extended_key_usage.clone()))?);
    }
    if let Some(constraints) = &template.basic_constraints {
        all.push(extension(true, constraints)?);
    }
    if !template.alternative_names.is_empty() {
        // Critical where it is all there is of a name (RFC 5280 section 4.2.1.6).
        all.push(extension(template.subject.is_empty(), &SubjectAltName(template.alternative_names.clone()))?);
    }
    if let Some(constraints) = &template.name_constraints {
        let some = |subtrees: &Vec<_>| (!subtrees.is_empty()).then(|| subtrees.clone());
        let value = NameConstraints {
            permitted_subtrees: some(&constraints.permitted),
            excluded_subtrees: some(&constraints.excluded),
        };
        all.push(extension(constraints.critical, &value)?);
    }
    if !template.policies.is_empty() {
        let policy = |oid: &ObjectIdentifier| PolicyInformation { policy_identifier: *oid, policy_qualifiers: None };
        all.push(extension(false, &CertificatePolicies(template.policies.iter().map(policy).collect()))?);
    }
    if !template.crl_distribution_points.is_empty() {
        let point = |uri: &GeneralName| DistributionPoint {
            distribution_point: Some(DistributionPointName::FullName(vec![uri.clone()])),
            reasons: None,
            crl_issuer: None,
        };
        let points = template.crl_distribution_points.iter().map(point).collect();
        all.push(extension(false, &CrlDistributionPoints(points))?);
    }
    let access = [(OCSP, &template.ocsp_servers), (CA_ISSUERS, &template.issuing_certificates)];
    let access: Vec<_> = access
        .into_iter()
        .flat_map(|(access_method, uris)| {
            uris.iter().map(move |uri| AccessDescription { access_method, access_location: uri.clone() })
        })
        .collect();
    if !access.is_empty() {
        all.push(extension(false, &AuthorityInfoAccessSyntax(access))?);
    }
    all.extend(template.extensions.iter().cloned());
    Ok(all)
}

/// `id-ad-ocsp` and `id-ad-caIssuers`.
const OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
const CA_ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");

fn extension<T: AssociatedOid + Encode>(critical: bool, value: &T) -> Result<Extension> {
    let extn_value = octets(value.to_der().map_err(cannot_encode)?)?;
    Ok(Extension { extn_id: T::OID, critical, extn_value })
}

fn find<'a, T: AssociatedOid + Decode<'a, Error = der::Error>>(extensions: &'a [Extension]) -> Result<Option<T>> {
    let found = extensions.iter().find(|extension| extension.extn_id == T::OID);
    found
        .map(|extension| T::from_der(extension.extn_value.as_bytes()))
        .transpose()
        .map_err(|error| refused(format!("the value of extension {} is not of its form", T::OID)).with_source(error))
}

/// From a minute ago, for clocks that run behind, unless dates are stated.
fn validity(template: &Template, lifetime: Duration, issuer: Option<&Certificate>) -> Result<Validity> {
    let now = SystemTime::now();
    let mut start = template.not_before.unwrap_or_else(|| now.checked_sub(Duration::from_mins(1)).unwrap_or(now));
    let too_long = || refused("a lifetime without end");
    let mut end = template.not_after.map_or_else(|| now.checked_add(lifetime).ok_or_else(too_long), Ok)?;
    if let Some(issuer) = issuer {
        let limits = issuer.tbs_certificate().validity();
        let (first, last) = (limits.not_before.to_system_time(), limits.not_after.to_system_time());
        if template.not_before.is_some_and(|start| start < first) || template.not_after.is_some_and(|end| end > last) {
            return Err(refused("the template's dates lie outside the issuer's")
                .with_hint(format!("those run from {} to {}", limits.not_before, limits.not_after)));
        }
        (start, end) = (start.max(first), end.min(last));
    }
    if end <= start {
        return Err(
            refused("it would end before it begins").with_hint("look at `notBefore`, `notAfter` and the lifetime")
        );
    }
    if end <= now {
        return Err(
            refused("it would be expired from the start").with_hint("look at `notAfter` and the issuer's dates")
        );
    }
    let time = |time: SystemTime| Time::try_from(time).map_err(|error| too_long().with_source(error));
    Ok(Validity::new(time(start)?, time(end)?))
}

fn octets(octets: Vec<u8>) -> Result<OctetString> {
    OctetString::new(octets).map_err(cannot_encode)
}

fn refused(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}

fn cannot_encode(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    refused("the certificate cannot be encoded").with_source(error)
}
