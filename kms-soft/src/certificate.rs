//! Certificates and chains beside their keys: PEM, the key's own certificate first.

use std::path::Path;

use async_trait::async_trait;
use der::asn1::AnyRef;
use der::pem::LineEnding;
use der::{Decode, Document, Reader, SliceReader, Tag, TagNumber};
use kms_core::worker::offload;
use kms_core::{CertificateManager, Error, ErrorKind, KeyUri, PublicKey, Result};

use crate::address::Place;
use crate::file::{self, Access};
use crate::{SoftKeyManager, error, pem};

/// Longest file of certificates, in octets.
const LIMIT: usize = 1024 * 1024;

const LABEL: &str = "CERTIFICATE";

/// Certificates are public: their files have mode 0644 and need no password. To store one takes the key, since it is
/// checked against it.
#[async_trait]
impl CertificateManager for SoftKeyManager {
    async fn store_certificates(&self, key: &KeyUri, chain: &[Vec<u8>]) -> Result<()> {
        let (address, password) = self.options().address(key)?;
        let leaf = chain.first().ok_or_else(|| error::invalid("no certificate to store"))?;
        let pair = self.load(&address, password).await?;
        check_chain(chain, leaf, pair.public_key()).map_err(|error| error.in_context(&address))?;
        let deadline = self.policy().deadline();
        match address.place() {
            Place::Memory(name) => self.memory().insert_certificates(&name, chain),
            Place::Files { certificates, .. } => {
                let text = to_pem(chain)?;
                let write = move || file::create(&certificates, text.as_bytes(), Access::Everybody, deadline);
                offload("write certificates", deadline, write).await
            }
        }
    }

    async fn load_certificates(&self, key: &KeyUri) -> Result<Vec<Vec<u8>>> {
        let (address, _) = self.options().address(key)?;
        match address.place() {
            Place::Memory(name) => self.memory().certificates(&name),
            Place::Files { certificates, .. } => {
                offload("read certificates", self.policy().deadline(), move || read(&certificates)).await
            }
        }
    }

    async fn delete_certificates(&self, key: &KeyUri) -> Result<()> {
        let (address, _) = self.options().address(key)?;
        match address.place() {
            Place::Memory(name) => self.memory().delete_certificates(&name),
            Place::Files { certificates, .. } => {
                // Read first: whatever else has that name stays.
                let delete = move || read(&certificates).and_then(|_| file::delete(&certificates));
                offload("delete certificates", self.policy().deadline(), delete).await
            }
        }
    }
}

fn check_chain(chain: &[Vec<u8>], leaf: &[u8], key: &PublicKey) -> Result<()> {
    for certificate in chain {
        public_key_info(certificate).map_err(|fault| error::undecodable("a certificate", fault))?;
    }
    let stated = public_key_info(leaf).map_err(|fault| error::undecodable("a certificate", fault))?;
    if stated == key.spki_der() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::KeyMismatch, "the first certificate is for another key")
        .with_hint("the key's own certificate comes first, its issuers after it"))
}

/// The `SubjectPublicKeyInfo` in a certificate (RFC 5280 section 4.1), as it stands there.
fn public_key_info(certificate: &[u8]) -> der::Result<&[u8]> {
    const VERSION: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };

    let mut outer = sequence(AnyRef::from_der(certificate)?)?;
    let mut inner = sequence(outer.decode()?)?;
    let (_algorithm, _signature): (AnyRef<'_>, AnyRef<'_>) = (outer.decode()?, outer.decode()?);
    outer.finish()?;

    let version_or_serial: AnyRef<'_> = inner.decode()?;
    let serial = if der::Tagged::tag(&version_or_serial) == VERSION { inner.decode()? } else { version_or_serial };
    der::Tagged::tag(&serial).assert_eq(Tag::Integer)?;
    for _ in ["signature", "issuer", "validity", "subject"] {
        sequence(inner.decode()?)?;
    }
    let info = inner.tlv_bytes()?;
    sequence(AnyRef::from_der(info)?)?;
    Ok(info)
}

fn sequence(value: AnyRef<'_>) -> der::Result<SliceReader<'_>> {
    der::Tagged::tag(&value).assert_eq(Tag::Sequence)?;
    SliceReader::new(value.value())
}

fn to_pem(chain: &[Vec<u8>]) -> Result<String> {
    let encode = |certificate: &Vec<u8>| Document::try_from(&certificate[..])?.to_pem(LABEL, LineEnding::LF);
    let text: der::Result<String> = chain.iter().map(encode).collect();
    text.map_err(|fault| error::undecodable("a certificate", fault))
}

fn read(path: &Path) -> Result<Vec<Vec<u8>>> {
    let parse = |content: &[u8]| {
        let text = str::from_utf8(content).map_err(|_| error::invalid("not a PEM text"))?;
        let blocks = pem::blocks(text)?;
        if blocks.is_empty() {
            return Err(
                error::invalid("not a PEM text").with_hint("what is there is left as it is; look into the file")
            );
        }
        let octets = |block: &pem::Block<'_>| match block.label {
            LABEL => Ok(block.decode()?.expose().to_vec()),
            other => Err(error::invalid(format!("a {other}, where a certificate is needed"))),
        };
        blocks.iter().map(octets).collect()
    };
    let content = file::read(path, LIMIT).map_err(|error| match error.kind() {
        ErrorKind::NotFound => error.with_hint("no certificate is kept with this key; one is stored beside it"),
        _ => error,
    })?;
    parse(&content).map_err(|error: Error| error.in_context(path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused() {
        // Sequences of the right shape, but for one thing each.
        let inner = [&[0x02, 1, 1][..], &[0x30, 0].repeat(4), &[0x30, 2, 5, 0]].concat();
        let outer = |inner: &[u8]| {
            let length = u8::try_from(inner.len()).unwrap();
            [&[0x30, length + 7, 0x30, length], inner, &[0x30, 0, 0x03, 1, 0]].concat()
        };
        assert_eq!(public_key_info(&outer(&inner)).unwrap(), [0x30, 2, 5, 0]);
        let versioned = [&[0xa0, 3, 2, 1, 2], &inner[..]].concat();
        assert_eq!(public_key_info(&outer(&versioned)).unwrap(), [0x30, 2, 5, 0]);

        let whole = outer(&inner);
        for bad in [
            &[][..],
            &[0x30, 0],
            &whole[..whole.len() - 1],
            &[&whole[..], &[0]].concat(),
            &outer(&inner[3..]),
            &outer(&inner[..inner.len() - 4]),
        ] {
            assert!(public_key_info(bad).is_err(), "{bad:02x?}");
        }
    }
}
