//! Handshakes in memory: a key with its certificates, all types of keys, and where the certificates do not fit.

use std::sync::Arc;

use futures_lite::future::block_on;
use kmskit::adapters::RcgenSigner;
use kmskit::adapters::tls::{TlsIdentity, TlsKey, certificates};
use kmskit::{ErrorKind, Key, KeyManager, KeyType};
use kmskit_tests::{create, memory};
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, ProtocolVersion, RootCertStore, ServerConfig, ServerConnection,
};

/// A certificate for `localhost`, signed by its own key.
pub(crate) fn self_signed(manager: &Arc<dyn KeyManager>, key: &Key) -> CertificateDer<'static> {
    let signer = RcgenSigner::new(block_on(manager.signer(&key.uri, None)).unwrap()).unwrap();
    let certificate = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&signer);
    certificate.unwrap().der().clone()
}

pub(crate) fn roots(certificate: &CertificateDer<'static>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    roots
}

/// Carries a handshake out, both sides on this thread.
pub(crate) fn handshake(
    server: ServerConfig,
    client: ClientConfig,
) -> Result<(ServerConnection, ClientConnection), rustls::Error> {
    let mut server = ServerConnection::new(Arc::new(server))?;
    let mut client = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap())?;
    while server.is_handshaking() || client.is_handshaking() {
        pass(&mut client, &mut server)?;
        pass(&mut server, &mut client)?;
    }
    Ok((server, client))
}

/// Hands over what one side has to say.
fn pass<A, B>(from: &mut ConnectionCommon<A>, to: &mut ConnectionCommon<B>) -> Result<(), rustls::Error> {
    let mut octets = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut octets).unwrap();
    }
    let mut octets = octets.as_slice();
    while !octets.is_empty() {
        to.read_tls(&mut octets).unwrap();
        to.process_new_packets()?;
    }
    Ok(())
}

#[test]
fn every_type_of_key_makes_a_mutual_handshake() {
    for key_type in KeyType::CREATABLE.into_iter().filter(|key_type| *key_type != KeyType::EcSecp256k1) {
        let manager = memory();
        let key = create(&manager, "key", key_type);
        let certificate = self_signed(&manager, &key);
        let identity = block_on(TlsIdentity::open(&*manager, &key.uri, &certificate)).unwrap();
        let [for_server, for_client] = [identity.clone(), identity].map(Arc::new);
        let post_quantum = matches!(key_type, KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87);
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            if post_quantum && version.version == ProtocolVersion::TLSv1_2 {
                continue;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots(&certificate))).build().unwrap();
            let server = ServerConfig::builder_with_protocol_versions(&[version])
                .with_client_cert_verifier(verifier)
                .with_cert_resolver(for_server.clone());
            let client = ClientConfig::builder_with_protocol_versions(&[version])
                .with_root_certificates(roots(&certificate))
                .with_client_cert_resolver(for_client.clone());
            let (server, client) = handshake(server, client).unwrap_or_else(|error| panic!("{key_type}: {error}"));
            assert_eq!(server.protocol_version(), Some(version.version), "{key_type}");
            assert_eq!(server.peer_certificates(), Some(&[certificate.clone()][..]), "{key_type}");
            assert_eq!(client.peer_certificates(), Some(&[certificate.clone()][..]), "{key_type}");
        }
    }
}

#[test]
fn a_chain_that_is_not_the_keys_is_refused() {
    let manager = memory();
    let [key, other] = ["key", "other"].map(|name| create(&manager, name, KeyType::EcP256));
    let [right, wrong] = [&key, &other].map(|key| self_signed(&manager, key));
    let tls = block_on(TlsKey::open(&*manager, &key.uri)).unwrap();

    let identity = TlsIdentity::new(vec![right.clone(), wrong.clone()], tls.clone()).unwrap();
    identity.certified_key().keys_match().unwrap();

    for (chain, kind, says) in [
        (vec![], ErrorKind::InvalidArgument, "empty"),
        (vec![wrong.clone()], ErrorKind::KeyMismatch, "the key's own certificate must be the first"),
        (vec![wrong, right.clone()], ErrorKind::KeyMismatch, "not in the first place"),
        (vec![CertificateDer::from(vec![0x30, 0])], ErrorKind::InvalidArgument, "cannot be read"),
    ] {
        let error = TlsIdentity::new(chain, tls.clone()).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(says), "{error}");
    }
    for octets in [&b""[..], b"0", b"-----BEGIN CERTIFICATE-----\nMAA=\n", &right[1..]] {
        assert_eq!(certificates(octets).unwrap_err().kind(), ErrorKind::InvalidArgument, "{octets:?}");
    }
}
