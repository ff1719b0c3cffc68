//! The `rcgen` adapter: certificates and requests by keys at URIs, judged by OpenSSL and `cryptography`.

use std::sync::Arc;
use std::time::Duration;

use kms_testkit::faults::{Fault, FaultySigner};
use kmskit::adapters::RcgenSigner;
use kmskit::{ErrorKind, KeyType, OperationPolicy, SignatureAlgorithm, Signer, block_on};
use kmskit_tests::programs::{Place, python};
use kmskit_tests::{create, memory, signer};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyUsagePurpose, PublicKeyData as _};

/// Every key and algorithm that rcgen can express.
fn signers() -> Vec<Arc<dyn Signer>> {
    let manager = memory();
    let mut all = Vec::new();
    for key_type in KeyType::CREATABLE {
        if matches!(key_type, KeyType::EcSecp256k1 | KeyType::Rsa { bits: 3072.. }) {
            continue;
        }
        let key = create(&manager, &key_type.to_string(), key_type);
        for &algorithm in key_type.algorithms().iter().filter(|algorithm| !algorithm.is_pss()) {
            all.push(block_on(manager.signer(&key.uri, Some(algorithm))).unwrap());
        }
    }
    all
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// `cryptography` checks the signature of the root and of the request: OpenSSL before 3.5 knows no ML-DSA.
const CHECK: &str = "
import sys
from cryptography import x509
root = x509.load_pem_x509_certificate(open('root.crt', 'rb').read())
root.verify_directly_issued_by(root)
x509.load_pem_x509_certificate(open('leaf.crt', 'rb').read()).verify_directly_issued_by(root)
assert x509.load_pem_x509_csr(open('leaf.csr', 'rb').read()).is_signature_valid
";

#[test]
fn certificates_and_requests_verify() {
    let python = python();
    for signer in signers() {
        let (key_type, algorithm) = (signer.public_key().key_type(), signer.algorithm());
        let what = format!("{key_type} {algorithm}");
        let key = RcgenSigner::new(Arc::clone(&signer)).unwrap();
        assert_eq!(key.subject_public_key_info(), signer.public_key().spki_der(), "{what}");
        let place = Place::new();
        let root = authority("root").self_signed(&key).unwrap();
        let mut leaf = CertificateParams::new(["www.example.com".to_owned()]).unwrap();
        let request = leaf.serialize_request(&key).unwrap();
        leaf.use_authority_key_identifier_extension = true;
        let issuer = Issuer::new(authority("root"), &key);
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        assert!(key.last_error().is_none());
        place.write("root.crt", root.pem());
        place.write("leaf.crt", leaf.pem());
        place.write("leaf.csr", request.pem().unwrap());
        place.write("check.py", CHECK);
        place.ok(&format!("{python} check.py"));
        if !matches!(key_type, KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87) {
            place.ok("openssl verify -x509_strict -check_ss_sig -CAfile root.crt root.crt");
            place.ok("openssl verify -x509_strict -CAfile root.crt -verify_hostname www.example.com leaf.crt");
            let verdict = place.run("openssl req -in leaf.csr -verify -noout");
            assert!(verdict.stderr().contains("self-signature verify OK"), "{what}: {}", verdict.stderr());
        }
    }
}

#[test]
fn what_rcgen_cannot_express_is_refused_at_once() {
    let manager = memory();
    let rsa = create(&manager, "rsa", KeyType::Rsa { bits: 2048 });
    let pss = SignatureAlgorithm::all().filter(|algorithm| algorithm.is_pss());
    let pss = pss.map(|algorithm| block_on(manager.signer(&rsa.uri, Some(algorithm))).unwrap());
    for signer in pss.chain([signer(KeyType::EcSecp256k1)]) {
        let error = RcgenSigner::new(signer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.hint().is_some_and(|hint| hint.contains("x509-cert")));
    }
}

#[test]
fn the_real_error_is_kept_until_a_signature_succeeds() {
    let policy = OperationPolicy::default().with_timeout(Duration::from_millis(50));
    let faulty = Arc::new(FaultySigner::new(signer(KeyType::EcP256), Fault::None).with_policy(policy));
    let key = RcgenSigner::new(faulty.clone()).unwrap();
    for (fault, kind) in [
        (Fault::Fail(ErrorKind::PinLocked, 1), ErrorKind::PinLocked),
        (Fault::FlipBit(99), ErrorKind::Integrity),
        (Fault::Hang, ErrorKind::Timeout),
    ] {
        faulty.set(fault);
        let error = authority("root").self_signed(&key).map(drop).unwrap_err();
        assert_eq!(error, rcgen::Error::RemoteKeyError);
        assert_eq!(key.last_error().unwrap().kind(), kind);
    }
    faulty.set(Fault::None);
    authority("root").self_signed(&key).unwrap();
    assert!(key.last_error().is_none());
}
