//! Each typed signature, by all four traits, verified by its own crate.

use kmskit::signature::hazmat::{AsyncPrehashSigner, PrehashSigner, PrehashVerifier};
use kmskit::signature::{self, AsyncSigner as _, Keypair, Signer as _, Verifier};
use kmskit::{AsyncSigner, KeyType, PublicKey, SignatureAlgorithm, SyncSigner, block_on};
use kmskit_tests::{create, memory};
use rsa::pkcs8::DecodePublicKey;
use rsa::sha2::{Sha256, Sha384, Sha512};
use rsa::{RsaPublicKey, pkcs1v15, pss};

const MESSAGE: &[u8] = b"signed by a key that is only a URI";
const OTHER: &[u8] = b"signed by a key that is only a uri";

/// Both adapters over one signer for a new key.
fn adapters(key_type: KeyType, algorithm: SignatureAlgorithm) -> (SyncSigner, AsyncSigner) {
    let manager = memory();
    let key = create(&manager, "key", key_type);
    let signer = block_on(manager.signer(&key.uri, Some(algorithm))).unwrap();
    (SyncSigner::new(signer.clone()), AsyncSigner::new(signer))
}

/// Signs with `Signer` and `AsyncSigner`; `verifier` is made from the public key alone.
fn signs_messages<S, V: Verifier<S>>(
    key_type: KeyType,
    algorithm: SignatureAlgorithm,
    verifier: impl Fn(&PublicKey) -> V,
) where
    SyncSigner: kmskit::signature::Signer<S>,
    AsyncSigner: kmskit::signature::AsyncSigner<S>,
{
    let (sync, asynchronous) = adapters(key_type, algorithm);
    assert_eq!(sync.verifying_key(), asynchronous.verifying_key());
    let verifier = verifier(&sync.verifying_key());
    let what = format!("{algorithm} as {}", std::any::type_name::<S>());
    for signature in [sync.try_sign(MESSAGE), block_on(asynchronous.sign_async(MESSAGE))] {
        let signature = signature.unwrap_or_else(|error| panic!("{what}: {error}"));
        verifier.verify(MESSAGE, &signature).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(verifier.verify(OTHER, &signature).is_err(), "{what}: verifies anything");
    }
}

/// Also with `PrehashSigner` and `AsyncPrehashSigner`.
fn signs<S, V: Verifier<S> + PrehashVerifier<S>>(
    key_type: KeyType,
    algorithm: SignatureAlgorithm,
    verifier: impl Fn(&PublicKey) -> V,
) where
    SyncSigner: kmskit::signature::Signer<S> + PrehashSigner<S>,
    AsyncSigner: kmskit::signature::AsyncSigner<S> + AsyncPrehashSigner<S>,
{
    signs_messages(key_type, algorithm, &verifier);
    let (sync, asynchronous) = adapters(key_type, algorithm);
    let verifier = verifier(&sync.verifying_key());
    let digest = algorithm.hash().unwrap().digest(MESSAGE);
    let digest = digest.as_bytes();
    let what = format!("{algorithm} prehashed as {}", std::any::type_name::<S>());
    for signature in [sync.sign_prehash(digest), block_on(asynchronous.sign_prehash_async(digest))] {
        let signature = signature.unwrap_or_else(|error| panic!("{what}: {error}"));
        verifier.verify_prehash(digest, &signature).unwrap_or_else(|error| panic!("{what}: {error}"));
        verifier.verify(MESSAGE, &signature).unwrap_or_else(|error| panic!("{what}, of the message: {error}"));
        let other = algorithm.hash().unwrap().digest(OTHER);
        assert!(verifier.verify_prehash(other.as_bytes(), &signature).is_err(), "{what}: verifies anything");
    }
}

/// Both forms of ECDSA signatures of one curve's crate.
macro_rules! curve {
    ($test:ident, $crate_name:ident, $key_type:expr, $algorithm:expr) => {
        #[test]
        fn $test() {
            use $crate_name::ecdsa::{DerSignature, Signature, VerifyingKey};
            let verifier = |key: &PublicKey| VerifyingKey::from_sec1_bytes(key.raw()).unwrap();
            signs::<Signature, _>($key_type, $algorithm, verifier);
            signs::<DerSignature, _>($key_type, $algorithm, verifier);
        }
    };
}

curve!(p256, p256, KeyType::EcP256, SignatureAlgorithm::EcdsaSha256);
curve!(p384, p384, KeyType::EcP384, SignatureAlgorithm::EcdsaSha384);
curve!(p521, p521, KeyType::EcP521, SignatureAlgorithm::EcdsaSha512);
curve!(k256, k256, KeyType::EcSecp256k1, SignatureAlgorithm::EcdsaSha256);

fn rsa_key(key: &PublicKey) -> RsaPublicKey {
    RsaPublicKey::from_public_key_der(key.spki_der()).unwrap()
}

#[test]
fn rsa_pkcs1v15() {
    use pkcs1v15::{Signature, VerifyingKey};
    let key_type = KeyType::Rsa { bits: 2048 };
    let [sha256, sha384, sha512] =
        [SignatureAlgorithm::RsaPkcs1Sha256, SignatureAlgorithm::RsaPkcs1Sha384, SignatureAlgorithm::RsaPkcs1Sha512];
    signs::<Signature, _>(key_type, sha256, |key| VerifyingKey::<Sha256>::new(rsa_key(key)));
    signs::<Signature, _>(key_type, sha384, |key| VerifyingKey::<Sha384>::new(rsa_key(key)));
    signs::<Signature, _>(key_type, sha512, |key| VerifyingKey::<Sha512>::new(rsa_key(key)));
}

#[test]
fn rsa_pss() {
    use pss::{Signature, VerifyingKey};
    let key_type = KeyType::Rsa { bits: 2048 };
    let [sha256, sha384, sha512] =
        [SignatureAlgorithm::RsaPssSha256, SignatureAlgorithm::RsaPssSha384, SignatureAlgorithm::RsaPssSha512];
    signs::<Signature, _>(key_type, sha256, |key| VerifyingKey::<Sha256>::new(rsa_key(key)));
    signs::<Signature, _>(key_type, sha384, |key| VerifyingKey::<Sha384>::new(rsa_key(key)));
    signs::<Signature, _>(key_type, sha512, |key| VerifyingKey::<Sha512>::new(rsa_key(key)));
}

#[test]
fn ed25519() {
    let verifier = |key: &PublicKey| ed25519_dalek::VerifyingKey::try_from(key.raw()).unwrap();
    signs_messages::<ed25519_dalek::Signature, _>(KeyType::Ed25519, SignatureAlgorithm::Ed25519, verifier);
}

#[test]
fn an_algorithm_chosen_at_run_time_is_verified_by_our_key() {
    for signer in crate::counting::every_signer() {
        let (sync, asynchronous) = (SyncSigner::new(signer.clone()), AsyncSigner::new(signer));
        let one: kmskit::Signature = sync.try_sign(MESSAGE).unwrap();
        let other = signature::AsyncSigner::<kmskit::Signature>::sign_async(&asynchronous, MESSAGE);
        let other = block_on(other).unwrap();
        for signature in [one, other] {
            let key = sync.verifying_key();
            key.verify(signature.algorithm(), MESSAGE, signature.as_bytes()).unwrap();
            key.verify(signature.algorithm(), OTHER, signature.as_bytes()).unwrap_err();
        }
    }
}
