//! The judge accepts what it should and nothing else. Keys and signatures come from the crates it uses itself: that it
//! agrees with others is shown by the conformance of every backend.

use getrandom::SysRng;
use p256::elliptic_curve::Generate;
use rsa::rand_core::UnwrapErr;
use signature::{RandomizedSigner, SignatureEncoding, Signer};
use spki::EncodePublicKey;

use super::*;

const MESSAGE: &[u8] = b"attack at dawn";

/// A public key, and an algorithm with a signature by it over `MESSAGE`.
struct Signed {
    spki: Vec<u8>,
    algorithm: SignatureAlgorithm,
    signature: Vec<u8>,
}

macro_rules! ecdsa {
    ($curve:ident, $algorithm:ident) => {{
        let key = $curve::ecdsa::SigningKey::generate_from_rng(&mut UnwrapErr(SysRng));
        let signature: $curve::ecdsa::DerSignature = key.sign(MESSAGE);
        signed(key.verifying_key(), SignatureAlgorithm::$algorithm, signature.to_bytes())
    }};
}

macro_rules! ml_dsa {
    ($set:ident) => {{
        let key = ml_dsa::SigningKey::<$set>::generate_from_rng(&mut UnwrapErr(SysRng));
        let signature: ml_dsa::Signature<$set> = key.sign(MESSAGE);
        signed(&signature::Keypair::verifying_key(&key), SignatureAlgorithm::$set, signature.encode())
    }};
}

fn signed(key: &impl EncodePublicKey, algorithm: SignatureAlgorithm, signature: impl AsRef<[u8]>) -> Signed {
    let spki = key.to_public_key_der().unwrap().into_vec();
    Signed { spki, algorithm, signature: signature.as_ref().to_vec() }
}

/// One of each algorithm but RSA.
fn quick() -> Vec<Signed> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    let ed25519 = ed25519_dalek::SigningKey::from_bytes(&seed);
    vec![
        ecdsa!(p256, EcdsaSha256),
        ecdsa!(k256, EcdsaSha256),
        ecdsa!(p384, EcdsaSha384),
        ecdsa!(p521, EcdsaSha512),
        signed(&ed25519.verifying_key(), SignatureAlgorithm::Ed25519, ed25519.sign(MESSAGE).to_bytes()),
        ml_dsa!(MlDsa44),
        ml_dsa!(MlDsa65),
        ml_dsa!(MlDsa87),
    ]
}

/// One of each RSA algorithm, by one key: it takes a while to make.
fn rsa() -> Vec<Signed> {
    let random = &mut UnwrapErr(SysRng);
    let key = rsa::RsaPrivateKey::new(random, 2048).unwrap();
    let public = key.to_public_key();
    macro_rules! both {
        ($hash:ident, $pkcs1:ident, $pss:ident) => {
            [
                signed(
                    &public,
                    SignatureAlgorithm::$pkcs1,
                    pkcs1v15::SigningKey::<$hash>::new(key.clone()).sign(MESSAGE).to_bytes(),
                ),
                signed(
                    &public,
                    SignatureAlgorithm::$pss,
                    pss::SigningKey::<$hash>::new(key.clone()).sign_with_rng(random, MESSAGE).to_bytes(),
                ),
            ]
        };
    }
    [
        both!(Sha256, RsaPkcs1Sha256, RsaPssSha256),
        both!(Sha384, RsaPkcs1Sha384, RsaPssSha384),
        both!(Sha512, RsaPkcs1Sha512, RsaPssSha512),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn check_all(all: &[Signed], other: &[Signed]) {
    for (Signed { spki, algorithm, signature }, other) in all.iter().zip(other) {
        let algorithm = *algorithm;
        verify(spki, algorithm, MESSAGE, signature).unwrap();
        let refused = |what: &str, spki: &[u8], message: &[u8], signature: &[u8]| {
            assert!(verify(spki, algorithm, message, signature).is_err(), "{algorithm} accepts {what}");
        };
        refused("another message", spki, b"attack at dusk", signature);
        refused("another key", &other.spki, MESSAGE, signature);
        refused("another key's signature", spki, MESSAGE, &other.signature);
        refused("no signature", spki, MESSAGE, &[]);
        refused("a short signature", spki, MESSAGE, &signature[..signature.len() - 1]);
        refused("a long signature", spki, MESSAGE, &[&signature[..], &[0]].concat());
        refused("no key", &[], MESSAGE, signature);
        for bit in (0..signature.len() * 8).step_by(signature.len() / 8) {
            let mut flipped = signature.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            refused(&format!("bit {bit} turned over"), spki, MESSAGE, &flipped);
        }
        for foreign in SignatureAlgorithm::all().filter(|foreign| *foreign != algorithm) {
            assert!(verify(spki, foreign, MESSAGE, signature).is_err(), "{algorithm} passes for {foreign}");
        }
    }
}

#[test]
fn curves_and_lattices() {
    check_all(&quick(), &quick());
}

#[test]
fn rsa_of_both_kinds() {
    check_all(&rsa(), &rsa());
}

#[test]
fn digests_are_of_the_right_hash() {
    let Signed { spki, algorithm, signature } = ecdsa!(p256, EcdsaSha256);
    let right = digest(algorithm, MESSAGE).unwrap();
    verify_digest(&spki, algorithm, &right, &signature).unwrap();
    for wrong in [vec![], right[..31].to_vec(), [&right[..], &[0]].concat(), Sha384::digest(MESSAGE).to_vec()] {
        assert!(verify_digest(&spki, algorithm, &wrong, &signature).is_err(), "{} octets", wrong.len());
    }
    assert!(verify_digest(&spki, SignatureAlgorithm::Ed25519, &right, &signature).is_err());
}

#[test]
fn only_the_lower_s_and_only_der() {
    let key = k256::ecdsa::SigningKey::generate_from_rng(&mut UnwrapErr(SysRng));
    let low: k256::ecdsa::Signature = key.sign(MESSAGE);
    let high = k256::ecdsa::Signature::from_scalars(low.r(), -low.s()).unwrap();
    let spki = key.verifying_key().to_public_key_der().unwrap();
    let judged = |octets: &[u8]| verify(spki.as_bytes(), SignatureAlgorithm::EcdsaSha256, MESSAGE, octets);
    judged(low.to_der().as_bytes()).unwrap();
    assert!(judged(high.to_der().as_bytes()).is_err());
    assert!(judged(&low.to_bytes()).is_err());
    // A length in two octets where one will do: BER, not DER.
    let der = low.to_der();
    let ber = [&[0x30, 0x81], &der.as_bytes()[1..]].concat();
    assert!(judged(&ber).is_err());
}

#[test]
fn the_salt_is_as_long_as_the_digest() {
    let random = &mut UnwrapErr(SysRng);
    let key = rsa::RsaPrivateKey::new(random, 2048).unwrap();
    let spki = key.to_public_key().to_public_key_der().unwrap();
    for (salt, good) in [(0, false), (20, false), (32, true), (48, false)] {
        let signer = pss::SigningKey::<Sha256>::new_with_salt_len(key.clone(), salt);
        let signature = signer.sign_with_rng(random, MESSAGE).to_bytes();
        let judged = verify(spki.as_bytes(), SignatureAlgorithm::RsaPssSha256, MESSAGE, &signature);
        assert_eq!(judged.is_ok(), good, "a salt of {salt} octets");
    }
}
