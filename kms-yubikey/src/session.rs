//! The card while we have it to ourselves: the applications, objects and answers every command has in common.

use zeroize::Zeroizing;

use kms_core::{Error, ErrorKind, Secret};

use crate::card::{Command, Exchange, Reply, status};
use crate::device::Device;
use crate::error::{self, Trouble, garbled};
use crate::firmware::Firmware;
use crate::tlv;

/// The PIV application (SP 800-73-4 part 1 section 2.2), without its version.
const PIV: &[u8] = &[0xa0, 0x00, 0x00, 0x03, 0x08];

/// The application that tells the serial of a YubiKey 4.
const OTP: &[u8] = &[0xa0, 0x00, 0x00, 0x05, 0x27, 0x20, 0x01];

/// What we believe of the card between transactions. Another program may have made it untrue.
#[derive(Debug, Default)]
pub(crate) struct Belief {
    /// The PIV application is selected.
    pub(crate) selected: bool,
    /// The PIN under which the card is open.
    pub(crate) pin: Option<Secret>,
}

/// A transaction with a card of known serial.
pub(crate) struct Session<'a> {
    pub(crate) exchange: Exchange<'a>,
    pub(crate) belief: &'a mut Belief,
    pub(crate) firmware: Firmware,
    pub(crate) device: &'a Device,
    /// Something was sent that must not be done twice.
    pub(crate) wrote: &'a mut bool,
}

/// Who a card says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) serial: u32,
    pub(crate) firmware: Firmware,
}

/// Asks a card who it is; `None` if it has no PIV application. That is selected then, and was not selected anew if it was
/// before: that would end what other programs have begun.
///
/// A card of another vendor, which tells neither version nor serial, is known by its unique identifier (CHUID), if it has
/// one.
pub(crate) fn identify(exchange: &mut Exchange<'_>) -> Result<Option<Identity>, Trouble> {
    let firmware = match version(exchange)? {
        Some(firmware) => Some(firmware),
        None if select(exchange, PIV)? => version(exchange)?,
        None => return Ok(None),
    };
    if let Some(serial) = serial(exchange, 0xf8, 0)? {
        return Ok(Some(Identity { serial, firmware: firmware.unwrap_or(Firmware::UNKNOWN) }));
    }
    let told = match firmware {
        Some(_) if select(exchange, OTP)? => serial(exchange, 0x01, 0x10)?,
        _ => None,
    };
    if firmware.is_some() && !select(exchange, PIV)? {
        return Ok(None);
    }
    let serial = match told {
        Some(serial) => serial,
        None => identifier(exchange)?,
    };
    Ok(Some(Identity { serial, firmware: firmware.unwrap_or(Firmware::UNKNOWN) }))
}

/// A number made of the unique identifier, 0 without one.
fn identifier(exchange: &mut Exchange<'_>) -> Result<u32, Trouble> {
    const CHUID: [u8; 5] = [0x5c, 0x03, 0x5f, 0xc1, 0x02];
    let reply = exchange.send(Command { instruction: 0xcb, p1: 0x3f, p2: 0xff, data: &CHUID })?;
    if reply.status != status::OK || reply.data.is_empty() {
        return Ok(0);
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &reply.data);
    Ok(digest.as_ref().first_chunk().map_or(0, |first| u32::from_be_bytes(*first)))
}

fn version(exchange: &mut Exchange<'_>) -> Result<Option<Firmware>, Trouble> {
    let reply = exchange.send(Command { instruction: 0xfd, p1: 0, p2: 0, data: &[] })?;
    let octets = <[u8; 3]>::try_from(&reply.data[..]);
    Ok(octets.ok().filter(|_| reply.status == status::OK).map(Firmware::new))
}

fn serial(exchange: &mut Exchange<'_>, instruction: u8, p1: u8) -> Result<Option<u32>, Trouble> {
    let reply = exchange.send(Command { instruction, p1, p2: 0, data: &[] })?;
    let octets = <[u8; 4]>::try_from(&reply.data[..]);
    Ok(octets.ok().filter(|_| reply.status == status::OK).map(u32::from_be_bytes))
}

fn select(exchange: &mut Exchange<'_>, application: &[u8]) -> Result<bool, Trouble> {
    let reply = exchange.send(Command { instruction: 0xa4, p1: 4, p2: 0, data: application })?;
    Ok(reply.status == status::OK)
}

impl Session<'_> {
    /// Selects the PIV application, which ends what was there: PIN, management key.
    pub(crate) fn select(&mut self) -> Result<(), Trouble> {
        self.belief.selected = false;
        self.belief.pin = None;
        if !select(&mut self.exchange, PIV)? {
            let context = format!("{} does not answer as PIV", self.device);
            return Err(Error::new(ErrorKind::Unavailable, context)
                .with_hint("is the PIV application switched on? `ykman config usb --enable PIV`")
                .into());
        }
        self.belief.selected = true;
        Ok(())
    }

    /// Makes sure that PIV is selected, whatever other programs did meanwhile. One command; two if they did something.
    pub(crate) fn ensure_selected(&mut self) -> Result<(), Trouble> {
        if self.belief.selected && self.firmware.is_known() && version(&mut self.exchange)? == Some(self.firmware) {
            return Ok(());
        }
        self.select()
    }

    pub(crate) fn send(&mut self, instruction: u8, p1: u8, p2: u8, data: &[u8]) -> Result<Reply, Trouble> {
        Ok(self.exchange.send(Command { instruction, p1, p2, data })?)
    }

    /// As [`send`](Self::send), for what must not be done twice.
    pub(crate) fn send_once(&mut self, instruction: u8, p1: u8, p2: u8, data: &[u8]) -> Result<Reply, Trouble> {
        *self.wrote = true;
        self.send(instruction, p1, p2, data)
    }

    /// The content of a data object.
    pub(crate) fn read_object(&mut self, id: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Trouble> {
        let reply = self.send(0xcb, 0x3f, 0xff, &tlv::object(0x5c, id))?;
        match reply.status {
            status::OK => {
                let value = tlv::find(&reply.data, 0x53).ok_or_else(|| garbled("data object"))?;
                Ok(Some(Zeroizing::new(value.to_vec())).filter(|value| !value.is_empty()))
            }
            status::NOT_FOUND | status::REFERENCE_NOT_FOUND => Ok(None),
            // An object that this card does not know is not there.
            status if error::is_unsupported(status) || status == status::WRONG_DATA => Ok(None),
            status => Err(error::status("read a data object", status).into()),
        }
    }

    /// Replaces the content of a data object; nothing deletes it. Needs the management key.
    pub(crate) fn write_object(&mut self, id: &[u8], value: &[u8]) -> Result<(), Trouble> {
        let data = Zeroizing::new([&tlv::object(0x5c, id)[..], &tlv::object(0x53, value)].concat());
        let reply = self.send_once(0xdb, 0x3f, 0xff, &data)?;
        match reply.status {
            status::OK => Ok(()),
            status => Err(error::status("write a data object", status).into()),
        }
    }
}
