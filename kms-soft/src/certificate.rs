//! Certificates and chains beside their keys: PEM, the key's own certificate first.

use std::path::Path;

use async_trait::async_trait;
use der::Document;
use der::pem::LineEnding;
use kms_core::certificate::check_chain;
use kms_core::worker::offload;
use kms_core::{CertificateManager, Error, ErrorKind, KeyUri, Result};

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
        let pair = self.load(&address, password).await?;
        check_chain(chain, pair.public_key()).map_err(|error| error.in_context(&address))?;
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
