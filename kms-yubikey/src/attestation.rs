//! Attestation: what a YubiKey says of a key that was made in it, and who vouches for that.
//!
//! The statement is a certificate for the key, signed by the device's own key in slot F9, whose certificate was signed
//! in the factory: until 2024 by Yubico's PIV root, since then through three more below Yubico's attestation root.

use std::fmt;

use der::asn1::ObjectIdentifier;
use der::{Decode, Document};
use kms_core::certificate::CertificateParts;
use kms_core::{Attestation, Error, ErrorKind, PublicKey, Result};
use x509_cert::Certificate;

use crate::certificate;
use crate::error::{Trouble, garbled, unsupported};
use crate::firmware::Firmware;
use crate::policy::{PinPolicy, TouchPolicy};
use crate::session::Session;
use crate::slot::Slot;

/// The certificate of the key in slot F9.
const DEVICE_CERTIFICATE: [u8; 3] = [0x5f, 0xff, 0x01];

/// What Yubico publishes: both roots, and the authorities between the newer one and the devices.
const ROOTS: [&str; 2] =
    [include_str!("../roots/yubico-piv-root-263751.pem"), include_str!("../roots/yubico-attestation-root-1.pem")];
const INTERMEDIATES: [&str; 4] = [
    include_str!("../roots/yubico-attestation-intermediate-a-1.pem"),
    include_str!("../roots/yubico-attestation-intermediate-b-1.pem"),
    include_str!("../roots/yubico-piv-attestation-a-1.pem"),
    include_str!("../roots/yubico-piv-attestation-b-1.pem"),
];

/// 1.3.6.1.4.1.41482.3 and what comes after it.
const fn yubico(last: u32) -> ObjectIdentifier {
    match ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3").push_arc(last) {
        Ok(identifier) => identifier,
        // An arc that small always fits.
        Err(_) => ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.3"),
    }
}

const FIRMWARE: ObjectIdentifier = yubico(3);
const SERIAL: ObjectIdentifier = yubico(7);
const POLICY: ObjectIdentifier = yubico(8);
const FORM_FACTOR: ObjectIdentifier = yubico(9);

/// What a device states of a key that was made in it. Read, not verified:
/// [`Attester::attest`](kms_core::Attester::attest) does that.
#[derive(Clone, Debug)]
pub struct Statement {
    public_key: PublicKey,
    firmware: [u8; 3],
    serial: Option<u32>,
    pin_policy: PinPolicy,
    touch_policy: TouchPolicy,
    form_factor: Option<FormFactor>,
}

/// How a device is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormFactor {
    /// The keychain with USB-A.
    KeychainA,
    /// The nano with USB-A.
    NanoA,
    /// The keychain with USB-C.
    KeychainC,
    /// The nano with USB-C.
    NanoC,
    /// USB-C and Lightning.
    Lightning,
    /// With a fingerprint reader, USB-A.
    BioA,
    /// With a fingerprint reader, USB-C.
    BioC,
    /// One that came later.
    Other(u8),
}

impl Statement {
    /// Reads a statement, a DER certificate with Yubico's extensions.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when it is none.
    pub fn from_der(statement: &[u8]) -> Result<Self> {
        let none = || Error::new(ErrorKind::InvalidArgument, "yubikey: not an attestation statement");
        let certificate = Certificate::from_der(statement).map_err(|fault| none().with_source(fault))?;
        let extensions = certificate.tbs_certificate().extensions();
        let extension = |identifier| {
            let mut extensions = extensions.into_iter().flatten();
            extensions.find(|extension| extension.extn_id == identifier).map(|found| found.extn_value.as_bytes())
        };
        let &[pin, touch] = extension(POLICY).ok_or_else(none)? else { return Err(none()) };
        let firmware = extension(FIRMWARE).and_then(|octets| octets.try_into().ok()).ok_or_else(none)?;
        let serial = extension(SERIAL).map(u32::from_der).transpose().map_err(|fault| none().with_source(fault))?;
        let form_factor = match extension(FORM_FACTOR) {
            Some(&[octet]) => Some(FormFactor::from_octet(octet)),
            _ => None,
        };
        let info = CertificateParts::from_der(statement)?.public_key_info;
        Ok(Self {
            public_key: PublicKey::from_spki_der(info)?,
            firmware,
            serial,
            pin_policy: PinPolicy::from_octet(pin),
            touch_policy: TouchPolicy::from_octet(touch),
            form_factor,
        })
    }

    /// The key it speaks of.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The device's firmware, when the statement was made.
    pub fn firmware(&self) -> [u8; 3] {
        self.firmware
    }

    /// The device's serial; some do not show it.
    pub fn serial(&self) -> Option<u32> {
        self.serial
    }

    /// When the key wants the PIN.
    pub fn pin_policy(&self) -> PinPolicy {
        self.pin_policy
    }

    /// When the key wants a touch.
    pub fn touch_policy(&self) -> TouchPolicy {
        self.touch_policy
    }

    /// How the device is built, where it tells.
    pub fn form_factor(&self) -> Option<FormFactor> {
        self.form_factor
    }
}

impl FormFactor {
    fn from_octet(octet: u8) -> Self {
        // The upper bits tell of certified series.
        match octet & 0x0f {
            1 => Self::KeychainA,
            2 => Self::NanoA,
            3 => Self::KeychainC,
            4 => Self::NanoC,
            5 => Self::Lightning,
            6 => Self::BioA,
            7 => Self::BioC,
            other => Self::Other(other),
        }
    }
}

/// Whom to believe.
#[derive(Clone)]
pub(crate) struct Trust {
    roots: Vec<Vec<u8>>,
    intermediates: Vec<Vec<u8>>,
}

impl Default for Trust {
    /// Yubico.
    fn default() -> Self {
        let read = |pem: &&str| Document::from_pem(pem).ok().map(|(_, document)| document.as_bytes().to_vec());
        Self {
            roots: ROOTS.iter().filter_map(read).collect(),
            intermediates: INTERMEDIATES.iter().filter_map(read).collect(),
        }
    }
}

impl Trust {
    /// Believes another root too.
    pub(crate) fn add_root(&mut self, root: Vec<u8>) {
        self.roots.push(root);
    }

    /// The certificates from the device's own up to a root.
    ///
    /// Only the first comes from the device, and only roots and authorities known beforehand vouch for it: a statement
    /// is not itself taken for a device.
    fn chain(&self, statement: &[u8], device: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let untrusted = || {
            Error::new(ErrorKind::Integrity, "yubikey: the attestation does not come from a genuine YubiKey")
                .with_hint("another vendor's card, or an attestation key of one's own? add its root to the backend")
        };
        let issued = |one: &[u8], by: &[u8]| -> Result<bool> {
            Ok(CertificateParts::from_der(one)?.is_issued_by(&CertificateParts::from_der(by)?))
        };
        if Statement::from_der(&device).is_ok() || !issued(statement, &device)? {
            return Err(untrusted());
        }
        let mut chain = vec![device];
        // No longer than all that is known.
        for _ in 0..=self.intermediates.len() {
            let Some(last) = chain.last() else { break };
            for root in &self.roots {
                if issued(last, root)? {
                    chain.push(root.clone());
                    return Ok(chain);
                }
            }
            let mut next = None;
            for intermediate in &self.intermediates {
                if issued(last, intermediate)? {
                    next = Some(intermediate.clone());
                }
            }
            chain.push(next.ok_or_else(untrusted)?);
        }
        Err(untrusted())
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("roots", &self.roots.len()).finish_non_exhaustive()
    }
}

impl Session<'_> {
    /// The statement about the key in a slot, verified: it is about that key and this device, and the chain is good.
    pub(crate) fn attest_verified(&mut self, slot: Slot, trust: &Trust) -> Result<Attestation, Trouble> {
        let key = self.existing_key(slot)?;
        let statement = self.attest(slot)?.ok_or_else(|| {
            unsupported(format!("there is no attestation of the key in slot {slot}"))
                .with_hint("only keys that were made in the device are attested, by firmware from 4.3 on")
        })?;
        let device = self.read_object(&DEVICE_CERTIFICATE)?;
        let device = device.as_ref().map(|object| certificate::from_object(object)).transpose()?;
        let device = device.ok_or_else(|| unsupported("the device has no certificate for its attestation key"))?;
        let read = Statement::from_der(&statement).map_err(|fault| garbled("attestation").with_source(fault))?;
        let differs = |what: &str| {
            Error::new(ErrorKind::Integrity, format!("{}: the attestation is about another {what}", self.device))
        };
        if read.public_key != key.public_key {
            return Err(differs("key").into());
        }
        if read.serial.is_some_and(|serial| serial != self.device.serial()) {
            return Err(differs("device").into());
        }
        if Firmware::new(read.firmware) != self.firmware {
            return Err(differs("firmware").into());
        }
        let chain = trust.chain(&statement, device)?;
        Ok(Attestation::new(read.public_key, statement, chain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_yubico_publishes_leads_to_its_roots() {
        let trust = Trust::default();
        assert_eq!((trust.roots.len(), trust.intermediates.len()), (2, 4));
        let parts = |der: &[u8]| CertificateParts::from_der(der).map(|parts| parts.is_root()).unwrap();
        assert!(trust.roots.iter().all(|root| parts(root)) && !trust.intermediates.iter().any(|one| parts(one)));
        for intermediate in &trust.intermediates {
            // Taken for a device's, each reaches the root; it issued nothing that is a statement.
            let issuer = trust.roots.iter().chain(&trust.intermediates).any(|issuer| {
                let (one, by) = (CertificateParts::from_der(intermediate), CertificateParts::from_der(issuer));
                one.unwrap().is_issued_by(&by.unwrap())
            });
            assert!(issuer);
        }
    }

    #[test]
    fn extensions_have_their_identifiers() {
        assert_eq!(FIRMWARE.to_string(), "1.3.6.1.4.1.41482.3.3");
        assert_eq!(FORM_FACTOR.to_string(), "1.3.6.1.4.1.41482.3.9");
        assert!(Statement::from_der(&Trust::default().roots[0]).is_err());
    }
}
