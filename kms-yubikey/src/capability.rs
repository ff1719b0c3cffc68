//! What a YubiKey can do beside signing: deletion, search, certificates, attestation, decryption, import.

use std::sync::Arc;

use async_trait::async_trait;
use kms_core::{
    Attestation, Attester, CertificateManager, Decrypter, DecryptionAlgorithm, ErrorKind, Key, KeyDeleter, KeyImporter,
    KeySearcher, KeySpec, KeyType, KeyUri, Result, Secret, SignatureAlgorithm,
};

use crate::card::status;
use crate::device::Stage;
use crate::error::{self, Trouble, invalid, unsupported};
use crate::import::Parts;
use crate::manager::{YubiKeyManager, at_piv};
use crate::padding;
use crate::session::Session;
use crate::slot::Slot;

/// Deletes the key at once and for ever. Needs the management key.
#[async_trait]
impl KeyDeleter for YubiKeyManager {
    async fn delete_key(&self, key: &KeyUri) -> Result<()> {
        let (slot, wanted) = self.existing(key)?;
        let exists = move |session: &mut Session<'_>| at_piv(session, |session| session.existing_key(slot));
        self.run("look at the slot", exists).await?;
        let manager = self.manager(&wanted).await?;
        let delete = move |session: &mut Session<'_>| {
            session.ensure_selected()?;
            session.existing_key(slot)?;
            session.manage(&manager)?;
            // To nowhere.
            let reply = session.send_once(0xf6, 0xff, slot.octet(), &[])?;
            if reply.status != status::OK {
                return Err(error::status("delete the key", reply.status).into());
            }
            session.device.made().remove(&slot);
            Ok(())
        };
        self.run("delete key", delete).await
    }
}

/// One command for each slot; no PIN. With `alg` those that can sign so.
#[async_trait]
impl KeySearcher for YubiKeyManager {
    async fn search_keys(&self, query: &KeyUri) -> Result<Vec<Key>> {
        let wanted = self.query(query)?;
        let algorithm = SignatureAlgorithm::stated(query, None)?;
        let slots: Vec<Slot> = Slot::all().filter(|slot| wanted.slot.is_none_or(|wanted| wanted == *slot)).collect();
        let search = move |session: &mut Session<'_>| {
            session.ensure_selected()?;
            let mut found = Vec::new();
            for slot in &slots {
                match session.key(*slot) {
                    Ok(key) => found.extend(key),
                    Err(Trouble::Error(error)) => {
                        let serial = session.device.serial();
                        tracing::warn!(serial, %slot, %error, "key left out of the search");
                    }
                    Err(fault) => return Err(fault),
                }
            }
            Ok(found)
        };
        let found = self.run("search keys", search).await?;
        let can_sign = |key_type: KeyType| algorithm.is_none_or(|wanted| key_type.algorithms().contains(&wanted));
        let found = found.into_iter().filter(|key| can_sign(key.public_key.key_type()));
        let keys: Result<Vec<_>> = found.map(|key| Ok(Key::new(self.uri_of(key.slot)?, key.public_key))).collect();
        let mut keys = keys?;
        keys.sort_by_key(|key| key.uri.to_string());
        Ok(keys)
    }
}

/// The key's certificate is in the slot's own object, where every program finds it; the rest of its chain in one that
/// only we read. Storing and deleting need the management key.
#[async_trait]
impl CertificateManager for YubiKeyManager {
    async fn store_certificates(&self, key: &KeyUri, chain: &[Vec<u8>]) -> Result<()> {
        let (slot, wanted) = self.existing(key)?;
        let manager = self.manager(&wanted).await?;
        let chain = chain.to_vec();
        let store = move |session: &mut Session<'_>| {
            session.ensure_selected()?;
            session.store(slot, &chain, &manager)
        };
        self.run("store certificates", store).await
    }

    async fn load_certificates(&self, key: &KeyUri) -> Result<Vec<Vec<u8>>> {
        let (slot, _) = self.existing(key)?;
        self.run("load certificates", move |session| at_piv(session, |session| session.load(slot))).await
    }

    async fn delete_certificates(&self, key: &KeyUri) -> Result<()> {
        let (slot, wanted) = self.existing(key)?;
        self.run("look at the slot", move |session| at_piv(session, |session| session.load(slot))).await?;
        let manager = self.manager(&wanted).await?;
        let delete = move |session: &mut Session<'_>| {
            session.ensure_selected()?;
            session.delete_certificates(slot, &manager)
        };
        self.run("delete certificates", delete).await
    }
}

/// Verified before it is handed out: the statement is about this key and device, and Yubico vouches for the device. The
/// statement is a DER certificate that [`Statement`](crate::Statement) reads; the chain ends with the root. No PIN.
#[async_trait]
impl Attester for YubiKeyManager {
    async fn attest(&self, key: &KeyUri) -> Result<Attestation> {
        let (slot, _) = self.existing(key)?;
        let trust = self.backend.trust.clone();
        let attest = move |session: &mut Session<'_>| {
            session.ensure_selected()?;
            session.attest_verified(slot, &trust)
        };
        self.run("attest key", attest).await
    }
}

/// As a signature, with any RSA key, whatever it was made for. The padding is taken off here.
#[async_trait]
impl Decrypter for YubiKeyManager {
    async fn decrypt(&self, key: &KeyUri, algorithm: DecryptionAlgorithm, ciphertext: &[u8]) -> Result<Secret> {
        let (slot, wanted) = self.existing(key)?;
        if !DecryptionAlgorithm::ALL.iter().any(|(known, _)| *known == algorithm) {
            return Err(unsupported("unknown decryption algorithm"));
        }
        let found = self.run("open key", move |session| at_piv(session, |session| session.existing_key(slot))).await?;
        let KeyType::Rsa { bits } = found.public_key.key_type() else {
            let context = format!("a key of type {} does not decrypt", found.public_key.key_type());
            return Err(unsupported(context).with_hint("use an RSA key"));
        };
        let length = bits.div_ceil(8) as usize;
        if ciphertext.len() != length {
            let context = format!("a block of {} octets, the key decrypts blocks of {length}", ciphertext.len());
            return Err(invalid(context));
        }
        let usable = self.usable(found, &wanted).await?;
        let stage = Stage::with_touch_timeout(usable.touch.timeout);
        let (deadline, inside, block) = (usable.policy(&self.policy).deadline(), stage.clone(), ciphertext.to_vec());
        let decrypt = move |session: &mut Session<'_>| usable.respond(session, &block, &inside);
        let undecryptable = || invalid("the block does not decrypt with this key and algorithm");
        let plain = self.device.run("decrypt", deadline, &stage, decrypt).await;
        let plain = plain.map_err(|error| match error.kind() {
            // Not less than the modulus. To tell more would help an attacker more than anybody else.
            ErrorKind::InvalidArgument => undecryptable(),
            _ => error,
        })?;
        let message = padding::unpad(algorithm, &plain).ok_or_else(undecryptable)?;
        Ok(Secret::new(message.to_vec()))
    }
}

/// Needs the management key. The card is not told where the key came from, and does not attest it.
#[async_trait]
impl KeyImporter for YubiKeyManager {
    async fn import_key(&self, key: &KeyUri, pkcs8: &Secret, spec: &KeySpec) -> Result<Key> {
        self.wanted(key)?.slot()?;
        let parts = Arc::new(Parts::from_pkcs8(pkcs8, spec.key_type)?);
        let import = move |session: &mut Session<'_>, new: &_, manager: &_| {
            session.import(new, &parts, manager)?;
            Ok(parts.public_key.clone())
        };
        self.make("import key", key, spec, import).await
    }
}
