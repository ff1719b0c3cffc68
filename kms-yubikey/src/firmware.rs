//! What the version of the firmware decides.

use kms_core::{Error, ErrorKind, KeyType, Result};
use yubikey::Version;

use crate::error::unsupported;

/// A device's firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(crate) struct Firmware(Version);

impl Firmware {
    /// Of a card that tells none: another vendor's.
    pub(crate) const UNKNOWN: Self = Self(Version { major: 0, minor: 0, patch: 0 });

    pub(crate) fn is_known(self) -> bool {
        self != Self::UNKNOWN
    }

    pub(crate) fn new(octets: [u8; 3]) -> Self {
        Self(Version::new(octets))
    }

    fn is_at_least(self, major: u8, minor: u8) -> bool {
        self.0 >= Version::new([major, minor, 0])
    }

    /// Moving and deleting keys.
    pub(crate) fn deletes_keys(self) -> bool {
        self.is_at_least(5, 7)
    }

    /// Whether keys of that type can be kept.
    ///
    /// # Errors
    /// `Unsupported`, with the version that can.
    pub(crate) fn check_type(self, key_type: KeyType) -> Result<()> {
        let since = match key_type {
            KeyType::EcP256 | KeyType::Rsa { bits: 2048 } => return Ok(()),
            // SP 800-78-5: what others may have, and refuse themselves if they have not.
            KeyType::EcP384 | KeyType::Rsa { bits: 3072 } if !self.is_known() => return Ok(()),
            KeyType::EcP384 => (4, 0),
            KeyType::Ed25519 | KeyType::Rsa { bits: 3072 | 4096 } => (5, 7),
            _ => {
                return Err(unsupported(format!("no YubiKey has keys of type {key_type}")).with_hint(
                    "it has ec-p256, ec-p384, rsa-2048 and, from firmware 5.7 on, rsa-3072, rsa-4096, ed25519",
                ));
            }
        };
        if self.is_at_least(since.0, since.1) {
            return Ok(());
        }
        let (major, minor) = since;
        Err(unsupported(format!("keys of type {key_type} need firmware {major}.{minor}, this YubiKey has {}", self.0))
            .with_hint("firmware cannot be updated: use another key type or another YubiKey"))
    }

    /// Whether keys made on the device are good.
    ///
    /// # Errors
    /// `Unsupported` where they are known not to be: RSA with firmware 4.2.6 to 4.3.4 (ROCA, YSA-2017-01).
    pub(crate) fn check_generation(self, key_type: KeyType) -> Result<()> {
        let roca = self.0 >= Version::new([4, 2, 6]) && self.0 < Version::new([4, 3, 5]);
        if roca && matches!(key_type, KeyType::Rsa { .. }) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("yubikey: RSA keys made with firmware {} are weak (ROCA, CVE-2017-15361)", self.0),
            )
            .with_hint("import a key, make an EC key, or replace the YubiKey; see YSA-2017-01"));
        }
        Ok(())
    }

    /// What is known against the device, for keys of that type.
    pub(crate) fn advisory(self, key_type: KeyType) -> Option<&'static str> {
        let fips = self.0 == Version::new([4, 4, 2]) || self.0 == Version::new([4, 4, 4]);
        if fips {
            return Some("YSA-2019-02: values made first after power-up have too little entropy");
        }
        // The library with the flaw was replaced with 5.7.0.
        (key_type.is_ecdsa() && self.is_known() && !self.is_at_least(5, 7))
            .then_some("YSA-2024-03 (EUCLEAK): who has the device for some minutes and opens it can copy ECDSA keys")
    }
}

impl std::fmt::Display for Firmware {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_decide() {
        let rsa = |bits| KeyType::Rsa { bits };
        for (version, key_type, can, good, advised) in [
            ([4, 2, 5], rsa(2048), true, true, false),
            ([4, 2, 6], rsa(2048), true, false, false),
            ([4, 3, 4], rsa(2048), true, false, false),
            ([4, 3, 4], KeyType::EcP256, true, true, true),
            ([4, 3, 5], rsa(2048), true, true, false),
            ([4, 4, 4], rsa(2048), true, true, true),
            ([5, 4, 3], KeyType::EcP384, true, true, true),
            ([5, 4, 3], rsa(4096), false, true, false),
            ([5, 4, 3], KeyType::Ed25519, false, true, false),
            ([5, 6, 9], KeyType::EcP256, true, true, true),
            ([5, 7, 0], KeyType::EcP256, true, true, false),
            ([5, 7, 0], KeyType::Ed25519, true, true, false),
            ([5, 7, 0], KeyType::EcP521, false, true, false),
            ([6, 0, 0], rsa(3072), true, true, false),
        ] {
            let firmware = Firmware::new(version);
            let found = (
                firmware.check_type(key_type).is_ok(),
                firmware.check_generation(key_type).is_ok(),
                firmware.advisory(key_type).is_some(),
            );
            assert_eq!(found, (can, good, advised), "{firmware} {key_type}");
        }
    }
}
