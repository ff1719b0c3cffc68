//! Which token a URI means: the attributes of RFC 7512 against what the library lists.

use cryptoki_sys as sys;
use kms_core::uri::Attributes;
use kms_core::{Error, ErrorKind, Result};

use crate::error::{Remedy, bad_uri};
use crate::info::{LibraryInfo, SlotInfo, TokenInfo};
use crate::library::{Fault, SlotId};
use crate::module::Module;

/// What a URI says of the token, its slot and its library. What it does not say matches anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TokenQuery {
    token: Option<String>,
    manufacturer: Option<String>,
    model: Option<String>,
    serial: Option<String>,
    slot_id: Option<u64>,
    slot_description: Option<String>,
    slot_manufacturer: Option<String>,
    library_manufacturer: Option<String>,
    library_description: Option<String>,
    /// Major, and minor where stated.
    library_version: Option<(u8, Option<u8>)>,
}

/// A token in its slot.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) slot: SlotId,
    pub(crate) slot_info: SlotInfo,
    /// `None` when the library does not tell anything sensible.
    pub(crate) info: Option<TokenInfo>,
}

impl TokenQuery {
    /// Takes the attributes of the token, its slot and its library.
    pub(crate) fn take(attributes: &mut Attributes<'_>) -> Result<Self> {
        let mut text = |name| match attributes.path(name)? {
            Some(value) => value.text().map(|text| Some(trimmed(text).to_owned())),
            None => Ok(None),
        };
        let mut query = Self {
            token: text("token")?,
            manufacturer: text("manufacturer")?,
            model: text("model")?,
            serial: text("serial")?,
            slot_description: text("slot-description")?,
            slot_manufacturer: text("slot-manufacturer")?,
            library_manufacturer: text("library-manufacturer")?,
            library_description: text("library-description")?,
            ..Self::default()
        };
        query.slot_id = attributes.path("slot-id")?.map(|value| value.number()).transpose()?;
        if let Some(value) = attributes.path("library-version")? {
            let (major, minor) = match value.text()?.split_once('.') {
                Some((major, minor)) => (major, Some(minor)),
                None => (value.text()?, None),
            };
            let misfit = || value.misfit("a number from 0 to 255, or two with a `.` between");
            let minor = minor.map(|minor| minor.parse().map_err(|_| misfit())).transpose()?;
            query.library_version = Some((major.parse().map_err(|_| misfit())?, minor));
        }
        Ok(query)
    }

    /// The same token wherever it is: what stays when it is unplugged, or the library initialised anew.
    pub(crate) fn identity(token: &Token) -> Self {
        match &token.info {
            Some(info) => Self {
                token: Some(info.label.clone()),
                manufacturer: Some(info.manufacturer.clone()),
                model: Some(info.model.clone()),
                serial: Some(info.serial.clone()),
                ..Self::default()
            },
            None => Self { slot_id: Some(number(token.slot)), ..Self::default() },
        }
    }

    /// Finds the one token that matches: a call for the list, and two for each slot.
    ///
    /// # Errors
    /// `NotFound` when none does, with those that are there, or that of one which does not tell what it is; `Ambiguous`
    /// when several do.
    pub(crate) fn find(&self, module: &Module) -> std::result::Result<Result<Token>, Fault> {
        let library = module.library();
        let info = module.info();
        let slots = library.slots()?;
        let (mut tokens, mut trouble) = (Vec::new(), None);
        for slot in slots {
            let told = library.token_info(slot);
            if let Err(fault) = told
                && may_tell_later(fault)
            {
                trouble = Some(fault);
                continue;
            }
            let slot_info = library.slot_info(slot).unwrap_or_default();
            tokens.push(Token { slot, slot_info, info: told.ok() });
        }
        match (self.choose(&info, &tokens), trouble) {
            // It may be the one that did not tell.
            (Err(error), Some(fault)) if error.kind() == ErrorKind::NotFound => {
                Ok(Err(fault.in_context(format!("{error}; one does not answer")).in_context(module.path().display())))
            }
            (chosen, _) => Ok(chosen.map_err(|error| error.in_context(module.path().display()))),
        }
    }

    fn choose(&self, library: &LibraryInfo, tokens: &[Token]) -> Result<Token> {
        let listing = || {
            let lines: Vec<_> = tokens.iter().map(describe).collect();
            if lines.is_empty() { "no token at all".to_owned() } else { lines.join(", ") }
        };
        let matching: Vec<_> = tokens.iter().filter(|token| self.matches(library, token)).collect();
        match matching[..] {
            [token] if !token.is_initialized() => {
                Err(Error::new(ErrorKind::NotFound, "the token that matches is not initialised").with_hint(format!(
                    "initialise it first, with the vendor's tool or `pkcs11-tool --init-token`; there is {}",
                    listing()
                )))
            }
            [token] => Ok(token.clone()),
            [] => Err(Error::new(ErrorKind::NotFound, format!("no token matches {}", self.describe()))
                .with_hint(format!("there is {}", listing()))),
            _ => Err(Error::new(ErrorKind::Ambiguous, format!("{} tokens match {}", matching.len(), self.describe()))
                .with_hint(format!("add `serial=`; there is {}", listing()))),
        }
    }

    fn matches(&self, library: &LibraryInfo, token: &Token) -> bool {
        let info = token.info.clone().unwrap_or_default();
        // A token without a name is meant only when its slot, or its number, is.
        let named = token.is_initialized() || self.slot_id.is_some() || self.serial.is_some();
        named
            && same(self.token.as_ref(), &info.label)
            && same(self.manufacturer.as_ref(), &info.manufacturer)
            && same(self.model.as_ref(), &info.model)
            && same(self.serial.as_ref(), &info.serial)
            && self.slot_id.is_none_or(|slot| number(token.slot) == slot)
            && same(self.slot_description.as_ref(), &token.slot_info.description)
            && same(self.slot_manufacturer.as_ref(), &token.slot_info.manufacturer)
            && same(self.library_manufacturer.as_ref(), &library.manufacturer)
            && same(self.library_description.as_ref(), &library.description)
            && self.library_version.is_none_or(|(major, minor)| {
                major == library.version.0 && minor.is_none_or(|minor| minor == library.version.1)
            })
    }

    /// Whether a key's URI can mean a key in the token, which a manager was opened on.
    ///
    /// # Errors
    /// `InvalidUri` when it cannot. No call is made.
    pub(crate) fn check(&self, library: &LibraryInfo, token: &Token) -> Result<()> {
        if self.matches(library, token) {
            return Ok(());
        }
        Err(bad_uri(format!(
            "the key is in a token with {}, but the manager was opened on {}",
            self.describe(),
            describe(token)
        ))
        .with_hint("open a manager for the token of the key"))
    }

    fn describe(&self) -> String {
        let text = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("`{name}={value}`"));
        let stated = [
            text("token", &self.token),
            text("manufacturer", &self.manufacturer),
            text("model", &self.model),
            text("serial", &self.serial),
            self.slot_id.map(|slot| format!("`slot-id={slot}`")),
            text("slot-description", &self.slot_description),
            text("slot-manufacturer", &self.slot_manufacturer),
            text("library-manufacturer", &self.library_manufacturer),
            text("library-description", &self.library_description),
            self.library_version.map(|(major, minor)| match minor {
                Some(minor) => format!("`library-version={major}.{minor}`"),
                None => format!("`library-version={major}`"),
            }),
        ];
        let stated: Vec<_> = stated.into_iter().flatten().collect();
        if stated.is_empty() { "a URI that names none".into() } else { stated.join(", ") }
    }
}

impl Token {
    /// Whether it was given a name and may hold keys. One that tells nothing is taken to be.
    fn is_initialized(&self) -> bool {
        self.info.as_ref().is_none_or(|info| info.flags & sys::CKF_TOKEN_INITIALIZED != 0 || !info.label.is_empty())
    }

    /// Whether keys are hidden until the user logs in. Assumed where the token tells nothing.
    pub(crate) fn requires_login(&self) -> bool {
        self.has(sys::CKF_LOGIN_REQUIRED).unwrap_or(true)
    }

    /// Whether it asks for the PIN itself, on a keypad.
    pub(crate) fn has_keypad(&self) -> bool {
        self.has(sys::CKF_PROTECTED_AUTHENTICATION_PATH).unwrap_or(false)
    }

    /// # Errors
    /// `PermissionDenied` when the token says that it is read-only, so that no PIN is spent on finding out.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.has(sys::CKF_WRITE_PROTECTED) != Some(true) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::PermissionDenied, format!("{} is read-only", self.name()))
            .with_hint("it says so itself; write to it with the vendor's tool, or use another token"))
    }

    /// Its name, for people.
    pub(crate) fn name(&self) -> String {
        match &self.info {
            Some(info) if !info.label.is_empty() => format!("token {}", info.label),
            _ => format!("the token in slot {}", self.slot),
        }
    }

    fn has(&self, flag: sys::CK_FLAGS) -> Option<bool> {
        self.info.as_ref().map(|info| info.flags & flag != 0)
    }
}

fn describe(token: &Token) -> String {
    match &token.info {
        None => format!("a token in slot {} that tells nothing", token.slot),
        Some(_) if !token.is_initialized() => format!("an uninitialised token in slot {}", token.slot),
        Some(info) => format!("`token={};serial={}` in slot {}", info.label, info.serial, token.slot),
    }
}

/// A token that is in trouble, unlike one that has left, or that the library does not understand.
fn may_tell_later(fault: Fault) -> bool {
    fault.remedy() != Remedy::None
        && !matches!(
            fault.code,
            sys::CKR_TOKEN_NOT_PRESENT
                | sys::CKR_TOKEN_NOT_RECOGNIZED
                | sys::CKR_DEVICE_REMOVED
                | sys::CKR_SLOT_ID_INVALID
                | sys::CKR_GENERAL_ERROR
        )
}

/// As wide as any platform has it.
#[allow(clippy::useless_conversion, reason = "not on every platform")]
fn number(slot: SlotId) -> u64 {
    u64::from(slot)
}

/// Padding does not count: some tokens pad with NULs, and some users copy the spaces.
fn same(wanted: Option<&String>, found: &str) -> bool {
    wanted.is_none_or(|wanted| trimmed(wanted) == trimmed(found))
}

fn trimmed(text: &str) -> &str {
    text.trim_end_matches(['\0', ' '])
}

#[cfg(test)]
mod tests {
    use kms_core::KeyUri;

    use super::*;

    fn query(text: &str) -> Result<TokenQuery> {
        let uri = KeyUri::parse(text)?;
        let mut attributes = uri.attributes();
        let query = TokenQuery::take(&mut attributes)?;
        attributes.finish()?;
        Ok(query)
    }

    fn token(slot: SlotId, label: &str, serial: &str) -> Token {
        let info = TokenInfo {
            label: label.into(),
            serial: serial.into(),
            manufacturer: "Acme".into(),
            model: "H1".into(),
            flags: sys::CKF_TOKEN_INITIALIZED,
            max_sessions: None,
        };
        let slot_info = SlotInfo { description: "Bay".into(), manufacturer: "Acme slots".into() };
        Token { slot, slot_info, info: Some(info) }
    }

    fn choose(text: &str) -> Result<SlotId> {
        let library = LibraryInfo { manufacturer: "Acme libs".into(), description: "Driver".into(), version: (2, 40) };
        let mut empty = token(9, "", "");
        empty.info.as_mut().unwrap().flags = 0;
        let mut silent = token(8, "", "");
        silent.info = None;
        let tokens = vec![token(1, "ca", "01"), token(2, "ca\0", "02"), token(3, "web", "03"), empty, silent];
        query(text)?.choose(&library, &tokens).map(|token| token.slot)
    }

    #[test]
    fn every_attribute_of_rfc_7512_selects() {
        for (text, slot) in [
            ("pkcs11:token=web", 3),
            ("pkcs11:token=web%20%20", 3),
            ("pkcs11:token=ca;serial=01", 1),
            ("pkcs11:token=ca;serial=02", 2),
            ("pkcs11:serial=02", 2),
            ("pkcs11:slot-id=2", 2),
            ("pkcs11:slot-id=8", 8),
            ("pkcs11:token=web;manufacturer=Acme;model=H1;slot-description=Bay;slot-manufacturer=Acme%20slots", 3),
            ("pkcs11:token=web;library-manufacturer=Acme%20libs;library-description=Driver;library-version=2.40", 3),
            ("pkcs11:token=web;library-version=2", 3),
        ] {
            assert_eq!(choose(text).unwrap_or_else(|error| panic!("{text}: {error}")), slot, "{text}");
        }
    }

    #[test]
    fn one_token_or_an_error_that_lists_them() {
        for (text, kind, says) in [
            ("pkcs11:", ErrorKind::Ambiguous, "serial=01"),
            ("pkcs11:token=ca", ErrorKind::Ambiguous, "serial=02"),
            ("pkcs11:token=CA", ErrorKind::NotFound, "token=web"),
            ("pkcs11:token=web;serial=01", ErrorKind::NotFound, "serial=03"),
            ("pkcs11:token=web;library-version=2.39", ErrorKind::NotFound, "token=web"),
            ("pkcs11:token=web;library-version=3", ErrorKind::NotFound, "token=web"),
            ("pkcs11:slot-id=9", ErrorKind::NotFound, "init-token"),
            ("pkcs11:slot-id=77", ErrorKind::NotFound, "slot 3"),
        ] {
            let error = choose(text).expect_err(text);
            assert_eq!(error.kind(), kind, "{text}");
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
        for text in ["pkcs11:library-version=2.999", "pkcs11:token=%00", "pkcs11:slot-id=99999999999999999999999"] {
            assert_eq!(query(text).expect_err(text).kind(), ErrorKind::InvalidUri, "{text}");
        }
    }
}
