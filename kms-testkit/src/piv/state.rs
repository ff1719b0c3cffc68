//! What a card keeps when it is without power, and the file it may be kept in.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::attestation::Attestor;
use super::key::{Key, Pair};
use super::management::ManagementKey;
use super::pin::{FACTORY_PIN, FACTORY_PUK, Pin};
use super::policy::{PinPolicy, TouchPolicy};
use super::tlv::{self, find, object};

/// What kind of card to make.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CardOptions {
    /// Version of the firmware; decides which algorithms and commands there are. 5.7.1 unless set.
    pub firmware: [u8; 3],
    /// Serial number; 12345678 unless set.
    pub serial: u32,
    /// Where the state is kept; in memory unless set. A file that is there is read, and then decides over all else.
    pub file: Option<PathBuf>,
}

impl Default for CardOptions {
    fn default() -> Self {
        Self { firmware: [5, 7, 1], serial: 12_345_678, file: None }
    }
}

impl CardOptions {
    /// Sets the firmware's version.
    pub fn with_firmware(mut self, firmware: [u8; 3]) -> Self {
        self.firmware = firmware;
        self
    }

    /// Sets the serial number.
    pub fn with_serial(mut self, serial: u32) -> Self {
        self.serial = serial;
        self
    }

    /// Sets the file in which the state is kept.
    pub fn with_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }
}

/// All that a card keeps.
#[derive(Clone)]
pub(super) struct State {
    pub(super) firmware: [u8; 3],
    pub(super) serial: u32,
    pub(super) pin: Pin,
    pub(super) puk: Pin,
    pub(super) management: ManagementKey,
    pub(super) keys: BTreeMap<u8, Key>,
    pub(super) objects: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) attestor: Attestor,
}

impl State {
    /// As from the factory.
    pub(super) fn new(firmware: [u8; 3], serial: u32) -> io::Result<Self> {
        let attestor = Attestor::new(firmware).ok_or_else(|| io::Error::other("no attestation key can be made"))?;
        let mut state = Self {
            firmware,
            serial,
            pin: Pin::new(FACTORY_PIN, 3),
            puk: Pin::new(FACTORY_PUK, 3),
            management: ManagementKey::factory(firmware),
            keys: BTreeMap::new(),
            objects: BTreeMap::new(),
            attestor,
        };
        state.reset();
        Ok(state)
    }

    /// Forgets keys, PINs and objects; what attests stays.
    pub(super) fn reset(&mut self) {
        self.pin = Pin::new(FACTORY_PIN, 3);
        self.puk = Pin::new(FACTORY_PUK, 3);
        self.management = ManagementKey::factory(self.firmware);
        self.keys.clear();
        self.objects.clear();
        let certificate = [object(0x70, &self.attestor.certificate), object(0x71, &[0]), object(0xfe, &[])].concat();
        self.objects.insert(vec![0x5f, 0xff, 0x01], certificate);
    }

    /// Reads the file, if there is one.
    pub(super) fn load(path: &Path) -> io::Result<Option<Self>> {
        let octets = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            octets => octets?,
        };
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("{} is no card", path.display()));
        Self::from_octets(&octets).map(Some).ok_or_else(damaged)
    }

    /// Writes the file anew, at once.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = NamedTempFile::new_in(directory)?;
        file.write_all(&self.to_octets().ok_or_else(|| io::Error::other("a key cannot be written"))?)?;
        file.persist(path)?;
        Ok(())
    }

    fn to_octets(&self) -> Option<Vec<u8>> {
        let pin = |pin: &Pin| [&pin.value[..], &[pin.tries, pin.most]].concat();
        let management = [&[self.management.algorithm, u8::from(self.management.touch)][..], &self.management.octets];
        let mut octets = [
            object(1, &self.firmware),
            object(2, &self.serial.to_be_bytes()),
            object(3, &pin(&self.pin)),
            object(4, &pin(&self.puk)),
            object(5, &management.concat()),
            object(6, &self.attestor.certificate),
            object(7, &self.attestor.root),
            object(8, &written(0xf9, &self.attestor.key)?),
        ]
        .concat();
        for (slot, key) in &self.keys {
            octets.extend(object(9, &written(*slot, key)?));
        }
        for (id, value) in &self.objects {
            octets.extend(object(10, &[object(1, id), object(2, value)].concat()));
        }
        Some(octets)
    }

    fn from_octets(octets: &[u8]) -> Option<Self> {
        let parts = tlv::parse(octets)?;
        let pin = |tag| {
            let (value, [tries, most]) = find(&parts, tag)?.split_first_chunk::<8>()? else { return None };
            Some(Pin { value: *value, tries: *tries, most: *most })
        };
        let &[algorithm, touch, ref key @ ..] = find(&parts, 5)? else { return None };
        let of_tag = |tag| parts.iter().filter(move |part| part.0 == tag).map(|part| part.1);
        Some(Self {
            firmware: find(&parts, 1)?.try_into().ok()?,
            serial: u32::from_be_bytes(find(&parts, 2)?.try_into().ok()?),
            pin: pin(3)?,
            puk: pin(4)?,
            management: ManagementKey { algorithm, touch: touch != 0, octets: key.to_vec() },
            attestor: Attestor {
                key: read(find(&parts, 8)?)?.1,
                certificate: find(&parts, 6)?.to_vec(),
                root: find(&parts, 7)?.to_vec(),
            },
            keys: of_tag(9).map(read).collect::<Option<_>>()?,
            objects: of_tag(10)
                .map(|pair| {
                    let pair = tlv::parse(pair)?;
                    Some((find(&pair, 1)?.to_vec(), find(&pair, 2)?.to_vec()))
                })
                .collect::<Option<_>>()?,
        })
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("serial", &self.serial).field("keys", &self.keys).finish_non_exhaustive()
    }
}

fn written(slot: u8, key: &Key) -> Option<Vec<u8>> {
    let head = [slot, key.pair.algorithm(), key.pin.octet(), key.touch.octet(), u8::from(key.imported)];
    Some([&head[..], &key.pair.to_pkcs8()?].concat())
}

fn read(octets: &[u8]) -> Option<(u8, Key)> {
    let &[slot, algorithm, pin, touch, imported, ref pair @ ..] = octets else { return None };
    let pair = Pair::from_pkcs8(algorithm, pair)?;
    let (pin, touch) = (PinPolicy::read(pin, slot)?, TouchPolicy::read(touch)?);
    Some((slot, Key { pair, pin, touch, imported: imported != 0 }))
}
