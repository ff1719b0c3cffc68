//! What is measured: a key and its self-signed certificate.

use std::sync::Arc;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, RsaKeyPair};
use kmskit::adapters::RcgenSigner;
use kmskit::adapters::tls::{TlsIdentity, TlsKey};
use kmskit::{
    Execution, KeyManager, KeySpec, KeyType, KeyUri, OpenOptions, OperationPolicy, Secret, SignatureAlgorithm, Signer,
    block_on,
};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::ResolvesServerCert;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::Result;

/// A key of which we know everything.
pub(crate) struct Software {
    key_type: KeyType,
    pkcs8: Vec<u8>,
    root: CertificateDer<'static>,
}

impl Software {
    pub(crate) fn new(key_type: KeyType) -> Result<Self> {
        let pkcs8 = match key_type {
            KeyType::Rsa { .. } => RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048)?.as_der()?.as_ref().to_vec(),
            _ => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?.to_pkcs8v1()?.as_ref().to_vec(),
        };
        let unsigned = Self { key_type, pkcs8, root: CertificateDer::from(Vec::new()) };
        let (manager, uri) = unsigned.manager(OperationPolicy::default())?;
        let root = self_signed(block_on(manager.signer(&uri, None))?)?;
        Ok(Self { root, ..unsigned })
    }

    pub(crate) fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// Without us.
    pub(crate) fn by_rustls(&self) -> Result<Arc<dyn ResolvesServerCert>> {
        let key = any_supported_type(&PrivatePkcs8KeyDer::from(self.pkcs8.clone()).into())?;
        Ok(Arc::new(SingleCertAndKey::from(CertifiedKey::new(vec![self.root.clone()], key))))
    }

    pub(crate) fn identity(&self) -> Result<Arc<dyn ResolvesServerCert>> {
        let (manager, uri) = self.manager(OperationPolicy::default())?;
        let key = block_on(TlsKey::open(&*manager, &uri))?;
        Ok(Arc::new(TlsIdentity::new(vec![self.root.clone()], key)?))
    }

    pub(crate) fn direct_signer(&self) -> Result<Arc<dyn Signer>> {
        let (manager, uri) = self.manager(direct())?;
        for_tls(&*manager, &uri)
    }

    fn manager(&self, policy: OperationPolicy) -> Result<(Arc<dyn KeyManager>, KeyUri)> {
        let uri: KeyUri = "softkms:name=bench;mode=memory".parse()?;
        let manager = open(&uri, policy)?;
        let importer = manager.as_key_importer().ok_or("softkms imports keys")?;
        block_on(importer.import_key(&uri, &Secret::new(self.pkcs8.clone()), &KeySpec::new(self.key_type)))?;
        Ok((manager, uri))
    }
}

/// A key at whatever URI.
pub(crate) struct Other {
    uri: KeyUri,
    what: String,
    root: CertificateDer<'static>,
}

impl Other {
    pub(crate) fn open(uri: &str) -> Result<Self> {
        let uri: KeyUri = uri.parse()?;
        let signer = block_on(open(&uri, OperationPolicy::default())?.signer(&uri, None))?;
        let what = format!("{} {}", signer.public_key().key_type(), uri.scheme());
        Ok(Self { uri, what, root: self_signed(signer)? })
    }

    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    pub(crate) fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    pub(crate) fn identity(&self, policy: &OperationPolicy) -> Result<Arc<dyn ResolvesServerCert>> {
        let manager = open(&self.uri, policy.clone())?;
        let key = block_on(TlsKey::open(&*manager, &self.uri))?;
        Ok(Arc::new(TlsIdentity::new(vec![self.root.clone()], key)?))
    }

    pub(crate) fn signer(&self, policy: &OperationPolicy) -> Result<Arc<dyn Signer>> {
        for_tls(&*open(&self.uri, policy.clone())?, &self.uri)
    }
}

/// No thread between, no verification: the key's own speed.
pub(crate) fn direct() -> OperationPolicy {
    OperationPolicy::default().with_execution(Execution::Direct).dangerous_without_verification()
}

fn open(uri: &KeyUri, policy: OperationPolicy) -> Result<Arc<dyn KeyManager>> {
    Ok(block_on(kmskit::registry().with_options(OpenOptions::default().with_policy(policy)).open(uri))?)
}

/// The algorithm that TLS 1.3 will choose.
fn for_tls(manager: &dyn KeyManager, uri: &KeyUri) -> Result<Arc<dyn Signer>> {
    let signer = block_on(manager.signer(uri, None))?;
    match signer.public_key().key_type() {
        KeyType::Rsa { .. } => Ok(block_on(manager.signer(uri, Some(SignatureAlgorithm::RsaPssSha256)))?),
        _ => Ok(signer),
    }
}

fn self_signed(signer: Arc<dyn Signer>) -> Result<CertificateDer<'static>> {
    let params = rcgen::CertificateParams::new(["localhost".to_owned()])?;
    Ok(params.self_signed(&RcgenSigner::new(signer)?)?.der().clone())
}
