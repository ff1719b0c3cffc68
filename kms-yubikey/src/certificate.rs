//! Certificates beside keys: the slot's own object, and one of ours for what comes after it in the chain.

use std::io::{Read as _, Write as _};

use aws_lc_rs::digest::{SHA256, digest};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use kms_core::certificate::{CertificateParts, check_chain};
use kms_core::{Error, ErrorKind, Result};

use crate::error::{Trouble, garbled};
use crate::management::Manager;
use crate::session::Session;
use crate::slot::Slot;
use crate::tlv;

/// Octets of the longest content a YubiKey takes for one object.
const LONGEST: usize = 3049;

/// Octets of the longest certificate: one that says it is longer is not unpacked.
const LONGEST_UNPACKED: u64 = 64 * 1024;

/// The certificate in the slot's object.
pub(crate) fn read(session: &mut Session<'_>, slot: Slot) -> Result<Option<Vec<u8>>, Trouble> {
    let object = session.read_object(&slot.certificate_object())?;
    Ok(object.map(|object| from_object(&object)).transpose()?)
}

/// The certificate in an object: 70 it, 71 whether it is packed (SP 800-73-4 part 1 appendix A table 10).
pub(crate) fn from_object(object: &[u8]) -> Result<Vec<u8>> {
    let certificate = tlv::find(object, 0x70).ok_or_else(|| garbled("certificate object"))?;
    let info = tlv::find(object, 0x71).and_then(|info| info.first().copied()).unwrap_or_default();
    let certificate = if info.trailing_zeros() >= 2 { certificate.to_vec() } else { unpack(certificate)? };
    CertificateParts::from_der(&certificate).map_err(|fault| garbled("certificate").with_source(fault))?;
    Ok(certificate)
}

impl Session<'_> {
    /// Stores a chain, the certificate of the key first, unless there is one.
    pub(crate) fn store(&mut self, slot: Slot, chain: &[Vec<u8>], manager: &Manager) -> Result<(), Trouble> {
        let key = self.existing_key(slot)?;
        check_chain(chain, &key.public_key)?;
        if self.read_object(&slot.certificate_object())?.is_some() {
            let context = format!("{}: slot {slot} has a certificate", self.device);
            return Err(Error::new(ErrorKind::AlreadyExists, context).with_hint("delete it first").into());
        }
        let Some((leaf, issuers)) = chain.split_first() else { return Ok(()) };
        let (leaf_object, issuers_object) = (to_object(leaf)?, to_chain_object(leaf, issuers)?);
        self.manage(manager)?;
        // First what is worth nothing without the other.
        if !issuers.is_empty() {
            self.write_object(&slot.chain_object(), &issuers_object)?;
        }
        self.write_object(&slot.certificate_object(), &leaf_object)
    }

    /// The certificate, and after it what is kept of its chain.
    pub(crate) fn load(&mut self, slot: Slot) -> Result<Vec<Vec<u8>>, Trouble> {
        let leaf = read(self, slot)?.ok_or_else(|| self.no_certificate(slot))?;
        let mut chain = vec![leaf];
        let issuers = self.read_object(&slot.chain_object())?;
        // Another program may have replaced the certificate; then these are not its issuers.
        if let Some(issuers) = issuers
            && tlv::find(&issuers, 0x80) == Some(digest(&SHA256, &chain[0]).as_ref())
        {
            let packed = tlv::find(&issuers, 0x81);
            let unpacked = packed.map(unpack).transpose()?.ok_or_else(|| garbled("chain"))?;
            let objects = tlv::parse(&unpacked).ok_or_else(|| garbled("chain"))?;
            chain.extend(objects.into_iter().map(|(_, certificate)| certificate.to_vec()));
        }
        Ok(chain)
    }

    /// Deletes the certificate and what is kept of its chain.
    pub(crate) fn delete_certificates(&mut self, slot: Slot, manager: &Manager) -> Result<(), Trouble> {
        if self.read_object(&slot.certificate_object())?.is_none() {
            return Err(self.no_certificate(slot).into());
        }
        let issuers = self.read_object(&slot.chain_object())?;
        self.manage(manager)?;
        self.write_object(&slot.certificate_object(), &[])?;
        if issuers.is_some() {
            self.write_object(&slot.chain_object(), &[])?;
        }
        Ok(())
    }

    fn no_certificate(&self, slot: Slot) -> Error {
        Error::new(ErrorKind::NotFound, format!("{}: slot {slot} has no certificate", self.device))
    }
}

/// Plain if it fits, else packed.
fn to_object(certificate: &[u8]) -> Result<Vec<u8>> {
    let object = |certificate: &[u8], info: u8| {
        [&tlv::object(0x70, certificate)[..], &tlv::object(0x71, &[info]), &tlv::object(0xfe, &[])].concat()
    };
    let plain = object(certificate, 0);
    if plain.len() <= LONGEST { Ok(plain) } else { fitting(object(&pack(certificate)?, 1)) }
}

/// 80 the digest of the certificate they belong to, 81 the certificates, packed.
fn to_chain_object(leaf: &[u8], issuers: &[Vec<u8>]) -> Result<Vec<u8>> {
    let issuers: Vec<u8> = issuers.iter().flat_map(|issuer| tlv::object(0x70, issuer).to_vec()).collect();
    let digest = digest(&SHA256, leaf);
    fitting([&tlv::object(0x80, digest.as_ref())[..], &tlv::object(0x81, &pack(&issuers)?)].concat())
}

fn fitting(object: Vec<u8>) -> Result<Vec<u8>> {
    if object.len() <= LONGEST {
        return Ok(object);
    }
    let context = format!("yubikey: {} octets of certificates do not fit", object.len());
    Err(Error::new(ErrorKind::Unsupported, context).with_hint(format!(
        "a YubiKey takes {LONGEST} for a slot's certificate, and as many for the rest of its chain"
    )))
}

fn pack(octets: &[u8]) -> Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    let packed = packer.write_all(octets).and_then(|()| packer.finish());
    packed.map_err(|fault| Error::new(ErrorKind::Other, "yubikey: cannot pack a certificate").with_source(fault))
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    let mut octets = Vec::new();
    let read = GzDecoder::new(packed).take(LONGEST_UNPACKED).read_to_end(&mut octets);
    read.map_err(|fault| garbled("packed certificate").with_source(fault))?;
    Ok(octets)
}
