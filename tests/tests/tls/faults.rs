//! A key that fails ends the handshake, and the real error is at hand.

use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::block_on;
use kms_testkit::faults::{Fault, FaultySigner};
use kmskit::adapters::cause;
use kmskit::adapters::tls::{TlsIdentity, TlsKey};
use kmskit::{Error, ErrorKind, KeyType, OperationPolicy};
use kmskit_tests::{create, memory};
use rustls::{ClientConfig, ServerConfig};

use crate::identity::{handshake, roots, self_signed};

#[test]
fn the_error_of_the_key_is_found_beneath_that_of_tls() {
    let manager = memory();
    let key = create(&manager, "key", KeyType::EcP256);
    let certificate = self_signed(&manager, &key);
    for (fault, kind) in [
        (Fault::Fail(ErrorKind::PinLocked, usize::MAX), ErrorKind::PinLocked),
        (Fault::Fail(ErrorKind::DeviceRemoved, usize::MAX), ErrorKind::DeviceRemoved),
        (Fault::FlipBit(77), ErrorKind::Integrity),
        (Fault::OtherInput, ErrorKind::Integrity),
        (Fault::Hang, ErrorKind::Timeout),
    ] {
        let signer = block_on(manager.signer(&key.uri, None)).unwrap();
        let policy = OperationPolicy::default().with_timeout(Duration::from_millis(50));
        let faulty = FaultySigner::new(signer, fault.clone()).with_policy(policy);
        let tls = TlsKey::new([Arc::new(faulty) as _]).unwrap();
        let identity = TlsIdentity::new(vec![certificate.clone()], tls).unwrap();
        let server = ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::new(identity));
        let client = ClientConfig::builder().with_root_certificates(roots(&certificate)).with_no_client_auth();
        let error = handshake(server, client).map(drop).unwrap_err();
        assert_eq!(cause(&error).map(Error::kind), Some(kind), "{fault:?}: {error}");

        // As tokio-rustls hands it out, and as our examples report it.
        let error = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
        assert_eq!(cause(&error).map(Error::kind), Some(kind), "{fault:?}: {error}");
        assert_eq!(crate::handshake::failed("handshake", error).kind(), kind);
    }
}

#[test]
fn an_error_that_is_not_ours_has_no_cause_of_ours() {
    let other = rustls::Error::Other(rustls::OtherError(Arc::new(std::fmt::Error)));
    for error in [other, rustls::Error::DecryptError] {
        assert!(cause(&error).is_none());
        assert!(cause(&std::io::Error::other(error)).is_none());
    }
    assert!(cause(&std::io::Error::from_raw_os_error(2)).is_none());
}
