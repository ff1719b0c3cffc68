//! One YubiKey and its keys.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use kms_core::worker::offload;
use kms_core::{
    Attester, CertificateManager, Decrypter, Error, ErrorKind, Key, KeyDeleter, KeyImporter, KeyManager, KeySearcher,
    KeySpec, KeyUri, OperationPolicy, PublicKey, Result, Secret, SecretRequest, SecretSource, SignatureAlgorithm,
    Signer,
};

use crate::backend::YubiKey;
use crate::device::{Device, Stage};
use crate::discovery;
use crate::error::{Trouble, bad_uri};
use crate::key::{self, NewKey, SlotKey};
use crate::login::Pin;
use crate::management::{self, Manager};
use crate::options::{NewKeyOptions, Stated};
use crate::policy::PinPolicy;
use crate::session::Session;
use crate::signer::{UsableKey, YubiKeySigner};
use crate::slot::Slot;

/// Manages the keys of one YubiKey. Everybody in the process who uses the device shares its connection.
pub struct YubiKeyManager {
    pub(crate) backend: YubiKey,
    stated: Stated,
    pub(crate) device: Arc<Device>,
    pub(crate) policy: OperationPolicy,
    /// What a person typed, kept for opening the card again.
    typed: Mutex<Option<Secret>>,
}

/// A key's URI, read and agreed with the manager's.
pub(crate) struct Wanted {
    pub(crate) slot: Option<Slot>,
    pin: Option<SecretSource>,
    management: Option<SecretSource>,
    new: NewKeyOptions,
}

impl YubiKeyManager {
    pub(crate) async fn open(backend: YubiKey, stated: Stated, policy: OperationPolicy) -> Result<Self> {
        let (deadline, serial, reader) = (policy.deadline(), stated.serial, stated.reader.clone());
        let find = move || discovery::open(serial, reader.as_deref(), deadline);
        let device = offload("open YubiKey", deadline, find).await?;
        Ok(Self { backend, stated, device, policy, typed: Mutex::default() })
    }

    /// Reads a URI of this place.
    ///
    /// # Errors
    /// `InvalidUri` when it is wrong, or of another device. No call is made.
    pub(crate) fn wanted(&self, uri: &KeyUri) -> Result<Wanted> {
        let stated = Stated::read(uri, None)?;
        if stated.serial.is_some_and(|serial| serial != self.device.serial()) {
            return Err(bad_uri("the key is in another YubiKey than the manager's").with_hint("open a manager for it"));
        }
        if stated.reader.is_some() && stated.reader != self.stated.reader {
            return Err(bad_uri("`reader` is not that of the manager").with_hint("open a manager for it"));
        }
        let pin = stated.pin.or_else(|| self.stated.pin.clone());
        let management = stated.management.or_else(|| self.stated.management.clone());
        Ok(Wanted { slot: stated.slot, pin, management, new: stated.new })
    }

    /// Reads the URI of a key that exists, or may.
    pub(crate) fn existing(&self, uri: &KeyUri) -> Result<(Slot, Wanted)> {
        let wanted = self.query(uri)?;
        Ok((wanted.slot()?, wanted))
    }

    /// Reads a URI that need not name a key.
    pub(crate) fn query(&self, uri: &KeyUri) -> Result<Wanted> {
        let wanted = self.wanted(uri)?;
        if wanted.new == NewKeyOptions::default() {
            return Ok(wanted);
        }
        Err(bad_uri("`pin-policy`, `touch-policy` and `overwrite` are for new keys").with_hint("leave them out"))
    }

    /// The PIN that is stated or, where `ask` is set, typed.
    ///
    /// # Errors
    /// `Unauthenticated` when its source cannot be read, that of its refusal if it was refused. No call is made.
    pub(crate) fn pin(&self, wanted: &Wanted, ask: bool) -> Result<Option<Pin>> {
        let request = SecretRequest::new("pin", self.device.to_string());
        let value = match &wanted.pin {
            None => return Ok(None),
            Some(SecretSource::Prompt(prompt)) => {
                let mut typed = self.typed.lock().unwrap_or_else(PoisonError::into_inner);
                // What was refused is asked for anew; should it be typed again, it is not sent.
                if typed.as_ref().is_some_and(|typed| self.device.pins().check(typed).is_err()) {
                    *typed = None;
                }
                if typed.is_none() && ask {
                    *typed = Some(SecretSource::Prompt(Arc::clone(prompt)).read(&request)?);
                }
                match &*typed {
                    Some(typed) => typed.clone(),
                    None => return Ok(None),
                }
            }
            Some(source) => source.read(&request)?,
        };
        self.device.pins().check(&value)?;
        Ok(Some(Pin { value, last_try: self.backend.last_try }))
    }

    /// What opens the card for writing: the management key that is stated, or the PIN where the card keeps it.
    ///
    /// # Errors
    /// `Unauthenticated` when there is neither. One command, unless the key is stated.
    pub(crate) async fn manager(&self, wanted: &Wanted) -> Result<Manager> {
        let request = SecretRequest::new("management-key", self.device.to_string());
        let read = |source: &SecretSource| Ok(Manager::Key(management::read_key(&source.read(&request)?)?));
        match &wanted.management {
            Some(SecretSource::Prompt(_)) | None => {}
            Some(source) => return read(source),
        }
        let kept = |session: &mut Session<'_>| {
            session.ensure_selected()?;
            session.keeps_key()
        };
        if self.run("look for the management key", kept).await?
            && let Some(pin) = self.pin(wanted, true)?
        {
            return Ok(Manager::Pin(pin));
        }
        wanted.management.as_ref().map_or_else(|| Err(no_management_key(&self.device)), read)
    }

    /// Does work with the card, which is at PIV when it begins.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnMut(&mut Session<'_>) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T> {
        self.device.run(operation, self.policy.deadline(), &Stage::default(), work).await
    }

    /// What it takes to use a key that was found. Where it wants the PIN, that is looked at now.
    pub(crate) async fn usable(&self, key: SlotKey, wanted: &Wanted) -> Result<UsableKey> {
        if let Some(advisory) = self.device.firmware().advisory(key.public_key.key_type()) {
            tracing::warn!(serial = self.device.serial(), firmware = %self.device.firmware(), advisory, "known weakness");
        }
        // Of a key whose policy is not told, only a PIN that is stated is used: it may want none.
        let pin = if key.pin_policy == PinPolicy::Never { None } else { self.pin(wanted, key.told)? };
        match &pin {
            Some(pin) => {
                let pin = pin.clone();
                self.run("give the PIN", move |session| session.log_in(&pin)).await?;
            }
            None if key.told && key.pin_policy != PinPolicy::Never => return Err(no_pin(&self.device, key.slot)),
            None => {}
        }
        Ok(UsableKey { key, pin, touch: self.backend.touch.clone() })
    }

    /// The complete URI of a key in the device.
    pub(crate) fn uri_of(&self, slot: Slot) -> Result<KeyUri> {
        let builder = KeyUri::builder(crate::SCHEME)
            .path("serial", self.device.serial().to_string())
            .path("slot-id", slot.to_string());
        let builder = match &self.stated.reader {
            Some(reader) => builder.query("reader", reader),
            None => builder,
        };
        Ok(builder.build()?)
    }

    /// Makes a key by `make` and returns it with its complete URI, in which a stated algorithm stays.
    pub(crate) async fn make(
        &self,
        operation: &'static str,
        uri: &KeyUri,
        spec: &KeySpec,
        make: impl Fn(&mut Session<'_>, &NewKey, &Manager) -> Result<PublicKey, Trouble> + Send + 'static,
    ) -> Result<Key> {
        let wanted = self.wanted(uri)?;
        let new = NewKey { slot: wanted.slot()?, spec: *spec, options: wanted.new };
        let stated = SignatureAlgorithm::stated(uri, None)?;
        if stated.is_some() {
            spec.key_type.settle(stated)?;
        }
        // Before anybody is asked for a management key.
        self.run("look at the slot", move |session| at_piv(session, |session| session.check_new(&new))).await?;
        let manager = self.manager(&wanted).await?;
        let work = move |session: &mut Session<'_>| {
            session.ensure_selected()?;
            make(session, &new, &manager)
        };
        let public_key = self.run(operation, work).await?;
        let made = self.uri_of(new.slot)?;
        let made = match stated {
            Some(algorithm) => made.with_path("alg", algorithm.name())?,
            None => made,
        };
        Ok(Key::new(made, public_key))
    }
}

impl Wanted {
    /// The slot, which a key's URI must name.
    pub(crate) fn slot(&self) -> Result<Slot> {
        self.slot.ok_or_else(|| bad_uri("the URI names no key").with_hint("add `slot-id=`: 9a, 9c, 9d, 9e or 82 to 95"))
    }
}

#[async_trait]
impl KeyManager for YubiKeyManager {
    /// Makes the pair in the device, in some seconds for RSA. Needs the management key. `pin-policy` and `touch-policy` in
    /// the URI are the key's for good.
    async fn create_key(&self, uri: &KeyUri, spec: &KeySpec) -> Result<Key> {
        self.make("create key", uri, spec, key::generate).await
    }

    /// Two commands; a few more with firmware before 5.3. No PIN.
    async fn public_key(&self, key: &KeyUri) -> Result<PublicKey> {
        let (slot, _) = self.existing(key)?;
        let read = move |session: &mut Session<'_>| at_piv(session, |session| session.existing_key(slot));
        self.run("read public key", read).await.map(|key: SlotKey| key.public_key)
    }

    /// As [`public_key`](Self::public_key); for a key that wants the PIN, three more: selection, counter, PIN.
    async fn signer(&self, key: &KeyUri, algorithm: Option<SignatureAlgorithm>) -> Result<Arc<dyn Signer>> {
        let (slot, wanted) = self.existing(key)?;
        let stated = SignatureAlgorithm::stated(key, algorithm)?;
        let found =
            self.run("open signer", move |session| at_piv(session, |session| session.existing_key(slot))).await?;
        let settled = found.public_key.key_type().settle(stated)?;
        let usable = self.usable(found, &wanted).await?;
        Ok(Arc::new(YubiKeySigner::new(Arc::clone(&self.device), usable, settled, &self.policy)))
    }

    /// Firmware from 5.7 on.
    fn as_key_deleter(&self) -> Option<&dyn KeyDeleter> {
        self.device.firmware().deletes_keys().then_some(self)
    }

    fn as_key_searcher(&self) -> Option<&dyn KeySearcher> {
        Some(self)
    }

    fn as_certificate_manager(&self) -> Option<&dyn CertificateManager> {
        Some(self)
    }

    fn as_attester(&self) -> Option<&dyn Attester> {
        Some(self)
    }

    fn as_decrypter(&self) -> Option<&dyn Decrypter> {
        Some(self)
    }

    fn as_key_importer(&self) -> Option<&dyn KeyImporter> {
        Some(self)
    }
}

impl fmt::Debug for YubiKeyManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("YubiKeyManager").field("device", &self.device).finish_non_exhaustive()
    }
}

/// Makes sure of PIV first.
pub(crate) fn at_piv<T>(
    session: &mut Session<'_>,
    work: impl FnOnce(&mut Session<'_>) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    session.ensure_selected()?;
    work(session)
}

fn no_pin(device: &Device, slot: Slot) -> Error {
    Error::new(ErrorKind::Unauthenticated, format!("{device}: the key in slot {slot} wants the PIN and none is given"))
        .with_hint("add `?pin-source=file:/path/to/pin` or `?pin-source=env:NAME`")
}

fn no_management_key(device: &Device) -> Error {
    Error::new(ErrorKind::Unauthenticated, format!("{device}: writing needs the management key and none is given"))
        .with_hint(
            "add `?management-key-source=file:/path` or `=env:NAME`, or keep it behind the PIN: \
                    `ykman piv access change-management-key --generate --protect`, and give `pin-source`",
        )
}
