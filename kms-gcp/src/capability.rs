//! What a place can do beside signing: deletion, search, decryption, import.

use std::sync::Arc;

use async_trait::async_trait;
use google_cloud_gax::error::rpc::Code;
use google_cloud_kms_v1::model::AsymmetricDecryptRequest;
use kms_core::{
    Decrypter, DecryptionAlgorithm, Error, ErrorKind, Key, KeyDeleter, KeyImporter, KeySearcher, KeySpec, KeyUri,
    Result, Secret, SignatureAlgorithm,
};

use crate::algorithm;
use crate::checksum::{self, asked_again, crc32c};
use crate::connection::{Connection, Repeat, run};
use crate::error::integrity;
use crate::import::Material;
use crate::key_info::{self, KeyInfo};
use crate::manager::GcpKeyManager;
use crate::operation::DECRYPT;
use crate::search::Search;

/// Schedules the destruction of the version, see [`destroy_version`](GcpKeyManager::destroy_version). Until then it is
/// there, but [`KeyUnusable`](ErrorKind::KeyUnusable).
#[async_trait]
impl KeyDeleter for GcpKeyManager {
    async fn delete_key(&self, key: &KeyUri) -> Result<()> {
        self.destroy_version(key).await
    }
}

/// The enabled versions in a location, key ring or key. One `ListKeyRings`, `ListCryptoKeys` and
/// `ListCryptoKeyVersions` a page, a `GetPublicKey` for each version; needs the permissions of those names. Versions
/// that the caller may not read are left out; when it may read none of them, that is an error.
#[async_trait]
impl KeySearcher for GcpKeyManager {
    async fn search_keys(&self, query: &KeyUri) -> Result<Vec<Key>> {
        let stated = self.stated(query)?;
        let algorithm = SignatureAlgorithm::stated(query, None)?;
        let deadline = self.connection.policy().deadline();
        let connection = Arc::clone(&self.connection);
        let search = Search { connection, filter: stated.filter, algorithm, deadline };
        let name = stated.name.or_else(|| self.within().cloned());
        let found = run("search keys", deadline, async move { search.run(name).await }).await?;
        let mut keys = found
            .into_iter()
            .map(|info| Ok(Key::new(self.uri_of(&info.version, algorithm)?, info.public_key)))
            .collect::<Result<Vec<_>>>()?;
        keys.sort_by_cached_key(|key| key.uri.to_string());
        Ok(keys)
    }
}

/// A `GetPublicKey` and an `AsymmetricDecrypt`, with checksums both ways. Needs
/// `cloudkms.cryptoKeyVersions.viewPublicKey` and `cloudkms.cryptoKeyVersions.useToDecrypt`.
#[async_trait]
impl Decrypter for GcpKeyManager {
    async fn decrypt(&self, key: &KeyUri, algorithm: DecryptionAlgorithm, ciphertext: &[u8]) -> Result<Secret> {
        let named = self.named(key)?;
        let deadline = self.connection.policy().deadline();
        let (connection, ciphertext) = (Arc::clone(&self.connection), ciphertext.to_vec());
        run(DECRYPT.name, deadline, async move {
            let version = named.settle(&connection, deadline).await?;
            let info = KeyInfo::fetch(&connection, &version, deadline).await?;
            check(&info, algorithm, &ciphertext)?;
            asked_again(DECRYPT.name, || decrypt(&connection, &info, &ciphertext, deadline)).await
        })
        .await
    }
}

/// `CreateCryptoKey`, `CreateImportJob`, `ImportCryptoKeyVersion`, then as
/// [`create_key`](kms_core::KeyManager::create_key); needs the permissions of those names,
/// `cloudkms.importJobs.useToImport` and `cloudkms.importJobs.get`. The private key goes to the service encrypted to a
/// key of the service's. The import job cannot be deleted; it expires after three days.
#[async_trait]
impl KeyImporter for GcpKeyManager {
    async fn import_key(&self, key: &KeyUri, pkcs8: &Secret, spec: &KeySpec) -> Result<Key> {
        self.stated(key)?;
        let material = Material::from_pkcs8(pkcs8, spec.key_type)?;
        self.make("import key", key, spec, self.backend.key_options(), Some(material)).await
    }
}

/// Whether the version decrypts so.
fn check(info: &KeyInfo, algorithm: DecryptionAlgorithm, ciphertext: &[u8]) -> Result<()> {
    let able = algorithm::decryption(&info.native).is_some_and(|(_, able)| able == algorithm);
    if !able {
        let context = format!("cloudkms: {} does not decrypt with {algorithm:?}", info.version);
        return Err(Error::new(ErrorKind::Unsupported, context)
            .with_hint(format!("its algorithm is {}, for ever", key_info::name(&info.native))));
    }
    if ciphertext.is_empty() { Err(undecrypted(info)) } else { Ok(()) }
}

async fn decrypt(
    connection: &Connection,
    info: &KeyInfo,
    ciphertext: &[u8],
    deadline: kms_core::Deadline,
) -> Result<Secret> {
    let sent = connection.send(DECRYPT, deadline, Repeat::Yes, |client| {
        let request = AsymmetricDecryptRequest::new()
            .set_name(info.version.to_string())
            .set_ciphertext(ciphertext.to_vec())
            .set_ciphertext_crc32c(crc32c(ciphertext));
        async move { client.asymmetric_decrypt().with_request(request).send().await }
    });
    let answer = sent.await.map_err(|fault| {
        if fault.is(Code::InvalidArgument) && fault.kind() == ErrorKind::InvalidArgument {
            undecrypted(info).with_source(fault)
        } else {
            fault.in_context(format!("decrypt with {}", info.version))
        }
    })?;
    let plain = Secret::new(answer.plaintext);
    if !answer.verified_ciphertext_crc32c {
        return Err(integrity("the service did not check what it was sent to decrypt: it was damaged on the way"));
    }
    checksum::check("the plaintext", plain.expose(), answer.plaintext_crc32c)?;
    if answer.protection_level != info.protection_level {
        return Err(integrity(format!("{} decrypted in {:?}", info.version, answer.protection_level)));
    }
    Ok(plain)
}

fn undecrypted(info: &KeyInfo) -> Error {
    let context = format!("cloudkms: the block does not decrypt with {}", info.version);
    Error::new(ErrorKind::InvalidArgument, context)
}
