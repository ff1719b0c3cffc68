//! The management key: shown to the card before anything is written (SP 800-73-4 part 2 appendix A.1, mutual).

use aes::cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use des::TdesEde3;
use kms_core::{Error, ErrorKind, Secret};
use zeroize::Zeroizing;

use crate::card::status;
use crate::error::{self, Trouble, garbled};
use crate::login::Pin;
use crate::session::Session;
use crate::tlv;

/// Where Yubico's tools note how the management key is kept.
const ADMIN_DATA: [u8; 3] = [0x5f, 0xff, 0x00];

/// Where they keep it, if they do, behind the PIN.
const PRINTED: [u8; 3] = [0x5f, 0xc1, 0x09];

/// What opens the card for writing.
#[derive(Clone, Debug)]
pub(crate) enum Manager {
    /// The management key itself.
    Key(Secret),
    /// The PIN, behind which the card keeps the key.
    Pin(Pin),
}

/// By the octets that name them to a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cipher {
    TripleDes = 0x03,
    Aes128 = 0x08,
    Aes192 = 0x0a,
    Aes256 = 0x0c,
}

/// Reads a management key as it is written: 32, 48 or 64 hex digits.
pub(crate) fn read_key(text: &Secret) -> Result<Secret, Error> {
    let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.expose().as_chunks::<2>();
    let mut octets = Zeroizing::new(Vec::with_capacity(pairs.len()));
    octets.extend(pairs.iter().map_while(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)));
    if !rest.is_empty() || octets.len() < pairs.len() || !matches!(octets.len(), 16 | 24 | 32) {
        return Err(Error::new(ErrorKind::Unauthenticated, "yubikey: not a management key")
            .with_hint("it is written as 32, 48 or 64 hex digits"));
    }
    Ok(Secret::new(std::mem::take(&mut *octets)))
}

impl Session<'_> {
    /// Opens the card for writing.
    pub(crate) fn manage(&mut self, manager: &Manager) -> Result<(), Trouble> {
        match manager {
            Manager::Key(key) => self.show_key(key),
            Manager::Pin(pin) => {
                self.log_in(pin)?;
                let printed = self.read_object(&PRINTED)?;
                let key = printed.as_ref().and_then(|printed| tlv::find(tlv::find(printed, 0x88)?, 0x89));
                let key = key.map(Secret::new).ok_or_else(|| garbled("protected management key"))?;
                self.show_key(&key)
            }
        }
    }

    /// Whether the card keeps its management key behind the PIN.
    pub(crate) fn keeps_key(&mut self) -> Result<bool, Trouble> {
        const STORED: u8 = 0x02;
        let data = self.read_object(&ADMIN_DATA)?;
        let flags = data.as_ref().and_then(|data| tlv::find(tlv::find(data, 0x80)?, 0x81)?.first().copied());
        Ok(flags.is_some_and(|flags| flags & STORED != 0))
    }

    fn show_key(&mut self, key: &Secret) -> Result<(), Trouble> {
        for cipher in self.ciphers(key)? {
            let block = cipher.block();
            let reply = self.authenticate(cipher, &tlv::object(0x80, &[]))?;
            if reply.status != status::OK {
                // Another cipher than the card's.
                continue;
            }
            let witness = tlv::find(&reply.data, 0x7c).and_then(|inner| tlv::find(inner, 0x80));
            let witness =
                witness.and_then(|witness| cipher.decrypt(key, witness)).ok_or_else(|| garbled("challenge"))?;
            let mut challenge = vec![0; block];
            getrandom::fill(&mut challenge)
                .map_err(|fault| Error::new(ErrorKind::Other, "yubikey: no random numbers").with_source(fault))?;
            let data = [&tlv::object(0x80, &witness)[..], &tlv::object(0x81, &challenge)].concat();
            let reply = self.authenticate(cipher, &data)?;
            if reply.status != status::OK {
                return Err(refused().into());
            }
            let response = tlv::find(&reply.data, 0x7c).and_then(|inner| tlv::find(inner, 0x82)).unwrap_or_default();
            let expected = cipher.encrypt(key, &challenge).unwrap_or_default();
            return verify_slices_are_equal(&expected, response).map_err(|_| refused().into());
        }
        Err(refused().in_context("no cipher of the card's takes such a key").into())
    }

    fn authenticate(&mut self, cipher: Cipher, inner: &[u8]) -> Result<crate::card::Reply, Trouble> {
        self.send(0x87, cipher as u8, 0x9b, &tlv::object(0x7c, inner))
    }

    /// The cipher of the card's key, as it tells, else all that take a key of this length.
    fn ciphers(&mut self, key: &Secret) -> Result<Vec<Cipher>, Trouble> {
        let reply = self.send(0xf7, 0, 0x9b, &[])?;
        let told = match reply.status {
            status::OK => tlv::find(&reply.data, 0x01).and_then(|octets| octets.first().copied()),
            status if error::is_unsupported(status) || status == status::REFERENCE_NOT_FOUND => None,
            status => return Err(error::status("tell of its management key", status).into()),
        };
        let all = [Cipher::TripleDes, Cipher::Aes128, Cipher::Aes192, Cipher::Aes256];
        let fit = all.into_iter().filter(|cipher| cipher.key_length() == key.expose().len());
        Ok(fit.filter(|cipher| told.is_none_or(|told| told == *cipher as u8)).collect())
    }
}

impl Cipher {
    fn key_length(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::TripleDes | Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }

    fn block(self) -> usize {
        if self == Self::TripleDes { 8 } else { 16 }
    }

    fn encrypt(self, key: &Secret, block: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::TripleDes => encrypt::<TdesEde3>(key, block),
            Self::Aes128 => encrypt::<Aes128>(key, block),
            Self::Aes192 => encrypt::<Aes192>(key, block),
            Self::Aes256 => encrypt::<Aes256>(key, block),
        }
    }

    fn decrypt(self, key: &Secret, block: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::TripleDes => decrypt::<TdesEde3>(key, block),
            Self::Aes128 => decrypt::<Aes128>(key, block),
            Self::Aes192 => decrypt::<Aes192>(key, block),
            Self::Aes256 => decrypt::<Aes256>(key, block),
        }
    }
}

fn encrypt<C: KeyInit + BlockCipherEncrypt>(key: &Secret, block: &[u8]) -> Option<Vec<u8>> {
    let mut block = Block::<C>::try_from(block).ok()?;
    C::new_from_slice(key.expose()).ok()?.encrypt_block(&mut block);
    Some(block.to_vec())
}

fn decrypt<C: KeyInit + BlockCipherDecrypt>(key: &Secret, block: &[u8]) -> Option<Vec<u8>> {
    let mut block = Block::<C>::try_from(block).ok()?;
    C::new_from_slice(key.expose()).ok()?.decrypt_block(&mut block);
    Some(block.to_vec())
}

fn refused() -> Error {
    Error::new(ErrorKind::Unauthenticated, "yubikey: the card refused the management key")
        .with_hint("give the key that was set with `ykman piv access change-management-key`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_hex() {
        let key = read_key(&Secret::new("0102030405060708".repeat(3))).unwrap();
        assert_eq!(key.expose(), [1, 2, 3, 4, 5, 6, 7, 8].repeat(3));
        assert_eq!(read_key(&Secret::new("aF".repeat(32))).unwrap().expose(), [0xaf; 32]);
        for no in ["", "01", &"g0".repeat(24), &"01".repeat(25), &format!("{}0", "01".repeat(24))] {
            assert_eq!(read_key(&Secret::new(no)).unwrap_err().kind(), ErrorKind::Unauthenticated);
        }
    }
}
