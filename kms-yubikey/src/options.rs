//! From a URI to typed options.

use std::sync::Arc;

use kms_core::{KeyUri, Result, SecretPrompt, SecretSource, SignatureAlgorithm};

use crate::error::bad_uri;
use crate::policy::{PinPolicy, TouchPolicy};
use crate::slot::Slot;

/// What one `yubikey:` URI states, each attribute taken. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub(crate) struct Stated {
    pub(crate) serial: Option<u32>,
    pub(crate) reader: Option<String>,
    pub(crate) slot: Option<Slot>,
    pub(crate) pin: Option<SecretSource>,
    pub(crate) management: Option<SecretSource>,
    pub(crate) new: NewKeyOptions,
}

/// What is for new keys only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NewKeyOptions {
    pub(crate) pin_policy: Option<PinPolicy>,
    pub(crate) touch_policy: Option<TouchPolicy>,
    pub(crate) overwrite: Option<bool>,
}

impl Stated {
    /// Reads a URI; `prompt` is the source of secrets that the URI does not give. No call, no file.
    ///
    /// # Errors
    /// `InvalidUri` for an attribute that is unknown, wrong or contradicts another.
    pub(crate) fn read(uri: &KeyUri, prompt: Option<&Arc<dyn SecretPrompt>>) -> Result<Self> {
        if uri.scheme() != crate::SCHEME {
            return Err(bad_uri(format!("`{}:` is not for a YubiKey", uri.scheme())).with_hint("write `yubikey:`"));
        }
        SignatureAlgorithm::stated(uri, None)?;
        let mut attributes = uri.attributes();
        let serial = attributes.path("serial")?;
        let slot = attributes.path("slot-id")?;
        let reader = attributes.either("reader")?;
        let pin = SecretSource::take(&mut attributes, "pin-value", "pin-source", prompt)?;
        let management = SecretSource::take(&mut attributes, "management-key", "management-key-source", prompt)?;
        let pin_policy = attributes.either("pin-policy")?;
        let touch_policy = attributes.either("touch-policy")?;
        let overwrite = attributes.either("overwrite")?;
        attributes.finish()?;

        let reader = match reader.map(|value| (value, value.text())) {
            Some((value, Ok(""))) => return Err(value.misfit("a part of the reader's name")),
            Some((_, text)) => Some(text?.to_owned()),
            None => None,
        };
        Ok(Self {
            serial: serial.map(|value| value.number()).transpose()?,
            reader,
            slot: slot.as_ref().map(Slot::read).transpose()?,
            pin,
            management,
            new: NewKeyOptions {
                pin_policy: pin_policy.as_ref().map(PinPolicy::read).transpose()?,
                touch_policy: touch_policy.as_ref().map(TouchPolicy::read).transpose()?,
                overwrite: overwrite.map(|value| value.flag()).transpose()?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use kms_core::ErrorKind;

    use super::*;

    fn stated(text: &str) -> Result<Stated> {
        Stated::read(&KeyUri::parse(text)?, None)
    }

    #[test]
    fn good_uris_are_read() {
        for (text, serial, slot) in [
            ("yubikey:", None, None),
            ("yubikey:slot-id=9c", None, Some(0x9c)),
            ("yubikey:slot-id=9A;serial=112233", Some(112_233), Some(0x9a)),
            ("YUBIKEY:serial=112233?pin-source=env:PIN", Some(112_233), None),
            ("yubikey:slot-id=82?pin-value=canary&management-key=canary", None, Some(0x82)),
            ("yubikey:slot-id=95;pin-policy=never;touch-policy=cached;overwrite=true", None, Some(0x95)),
            ("yubikey:slot-id=9d?management-key-source=file:/m&reader=ACS&pin-policy=always", None, Some(0x9d)),
        ] {
            let stated = stated(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((stated.serial, stated.slot.map(Slot::octet)), (serial, slot), "{text}");
            assert!(!format!("{stated:?}").contains("canary"), "{text}");
        }
    }

    #[test]
    fn bad_uris_are_refused_with_a_remedy() {
        for (text, remedy) in [
            ("yubikey:9c", "slot-id=9c"),
            ("yubikey:slot-id=9b", "9a"),
            ("yubikey:slot-id=f9", "9a"),
            ("yubikey:slot-id=96", "9a"),
            ("yubikey:slot-id=9", "9a"),
            ("yubikey:slot-id=", "9a"),
            ("yubikey:slot-id=9c9c", "9a"),
            ("yubikey:serial=x", "decimal"),
            ("yubikey:serial=4294967296", "smaller"),
            ("yubikey:serial=-1", "decimal"),
            ("yubikey:slot-id=9c;pin-value=canary", "after the `?`"),
            ("yubikey:slot-id=9c;pin-source=env:X", "after the `?`"),
            ("yubikey:slot-id=9c;management-key=canary", "after the `?`"),
            ("yubikey:slot-id=9c?pin-value=canary&pin-source=env:X", "one of them"),
            ("yubikey:slot-id=9c?pin-value=", ""),
            ("yubikey:slot-id=9c?management-key=canary&management-key-source=env:X", "one of them"),
            ("yubikey:slot-id=9c?pin-source=%7Ccat%20x", "env:"),
            ("yubikey:slot-id=9c;pin-policy=sometimes", "once"),
            ("yubikey:slot-id=9c;touch-policy=Always", "cached"),
            ("yubikey:slot-id=9c;overwrite=yes", "true"),
            ("yubikey:slot-id=9c?reader=", "name"),
            ("yubikey:slot=9c", "known"),
            ("yubikey:slot-id=9c;alg=ecdsa-sha257", "ecdsa-sha256"),
            ("pkcs11:object=a", "yubikey:"),
        ] {
            let error = stated(text).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::InvalidUri, "{text}");
            assert!(error.hint().unwrap_or_default().contains(remedy), "{text}: {error}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{text}");
        }
    }
}
