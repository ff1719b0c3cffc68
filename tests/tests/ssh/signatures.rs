//! The adapter's signatures, judged by `ssh-keygen -Y verify`.

use std::sync::Arc;

use kms_testkit::faults::{Fault, FaultySigner};
use kmskit::adapters::cause;
use kmskit::adapters::ssh::ssh_key::certificate::Builder;
use kmskit::adapters::ssh::ssh_key::{HashAlg, LineEnding, SshSig};
use kmskit::adapters::ssh::{SshSigner, public_key};
use kmskit::signature::Signer as _;
use kmskit::{ErrorKind, KeyType, block_on};
use kmskit_tests::programs::Place;
use kmskit_tests::{create, memory};

#[test]
fn ssh_keygen_verifies_signatures_over_messages() {
    let place = Place::new();
    place.write("message", b"message");
    place.write("altered", b"massage");
    for key_type in [KeyType::EcP256, KeyType::EcP384, KeyType::EcP521, KeyType::Ed25519, KeyType::Rsa { bits: 2048 }] {
        let manager = memory();
        let key = create(&manager, "key", key_type);
        let ssh = SshSigner::new(block_on(manager.signer(&key.uri, None)).unwrap()).unwrap();
        let line = public_key(&key.public_key).unwrap().to_openssh().unwrap();
        place.write("allowed", format!("alice {line}\n"));
        // Both ways to sign: by the crate's trait, and by our own method.
        let data = SshSig::signed_data("file", HashAlg::Sha512, b"message").unwrap();
        let ours = block_on(ssh.sign(&data)).unwrap();
        let ours = SshSig::new(ssh.public_key().clone(), "file", HashAlg::Sha512, ours).unwrap();
        let theirs = SshSig::sign(&ssh, "file", HashAlg::Sha512, b"message").unwrap();
        for signature in [ours, theirs] {
            place.write("sig", signature.to_pem(LineEnding::LF).unwrap());
            let verify = "ssh-keygen -Y verify -f allowed -I alice -n file -s sig";
            place.shell(&format!("{verify} <message"));
            place.shell(&format!("! {verify} <altered"));
        }
    }
}

#[test]
fn the_real_error_is_given() {
    let manager = memory();
    let key = create(&manager, "key", KeyType::EcP256);
    let inner = block_on(manager.signer(&key.uri, None)).unwrap();
    let failing = FaultySigner::new(inner, Fault::Fail(ErrorKind::PinLocked, 9));
    let ssh = SshSigner::new(Arc::new(failing)).unwrap();
    let error = block_on(ssh.sign(b"")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PinLocked);
    let error = ssh.try_sign(b"").unwrap_err();
    assert_eq!(cause(&error).unwrap().kind(), ErrorKind::PinLocked);
    let builder = || Builder::new([0; 16], ssh.public_key().clone(), 0, 1).unwrap();
    let mut good = builder();
    good.valid_principal("alice").unwrap();
    assert_eq!(block_on(ssh.certify(good)).unwrap_err().kind(), ErrorKind::PinLocked);
    // Without principals it would be for everybody, and is never signed.
    assert_eq!(block_on(ssh.certify(builder())).unwrap_err().kind(), ErrorKind::InvalidArgument);
}
