//! Decryption of what a library other than the backend's encrypted.

use getrandom::SysRng;
use rsa::rand_core::UnwrapErr;
use rsa::sha2::{Sha256, Sha384, Sha512};
use rsa::{Oaep, Pkcs1v15Encrypt, RsaPublicKey};
use sha1::Sha1;
use spki::DecodePublicKey;

use kms_core::{Decrypter, DecryptionAlgorithm, ErrorKind, KeyType, block_on};

use super::suite::{Cases, Outcome, Shared, Stop, Suite, capability, ensure, refused};

const BITS: [u32; 2] = [2048, 3072];

pub(crate) fn add(cases: &mut Cases) {
    for bits in BITS {
        for (algorithm, name) in DecryptionAlgorithm::ALL {
            cases.add(format!("decryption::rsa-{bits}::{name}"), move |suite| {
                with_key(suite, bits, |decrypter, shared| decrypts(suite, decrypter, shared, algorithm))
            });
        }
    }
    cases.add("decryption::garbage", |suite| {
        with_key(suite, BITS[0], |decrypter, shared| garbage(suite, decrypter, shared))
    });
    cases.add("decryption::of_another_algorithm", |suite| {
        with_key(suite, BITS[0], |decrypter, shared| another_algorithm(suite, decrypter, shared))
    });
}

fn with_key(suite: &Suite, bits: u32, case: impl FnOnce(&dyn Decrypter, &Shared) -> Outcome) -> Outcome {
    let key_type = KeyType::Rsa { bits };
    suite.supported(key_type)?;
    capability(suite.open()?.as_decrypter().map(drop), "decryption")?;
    let shared = suite.shared_for_decryption(key_type)?;
    case(capability(shared.manager.as_decrypter(), "decryption")?, &shared)
}

fn decrypts(suite: &Suite, decrypter: &dyn Decrypter, shared: &Shared, algorithm: DecryptionAlgorithm) -> Outcome {
    if let Some(reason) = suite.harness.decryption_unsupported(algorithm) {
        let decrypted = block_on(decrypter.decrypt(&shared.key.uri, algorithm, &[1; 256]));
        refused(decrypted, ErrorKind::Unsupported, "decrypt")?;
        return Err(Stop::Ignored(reason));
    }
    for message in [&b""[..], b"\0", b"a key of 32 octets to be wrapped"] {
        let block = encrypt(shared, algorithm, message)?;
        let decrypted = block_on(decrypter.decrypt(&shared.key.uri, algorithm, &block))?;
        ensure(decrypted.expose() == message, format!("{} octets came back as others", message.len()))?;
    }
    Ok(())
}

fn garbage(suite: &Suite, decrypter: &dyn Decrypter, shared: &Shared) -> Outcome {
    let algorithm = some_oaep(suite)?;
    let good = encrypt(shared, algorithm, b"good")?;
    let mut flipped = good.clone();
    flipped[100] ^= 1;
    for (what, block) in [
        ("no octets", vec![]),
        ("one octet", vec![1]),
        ("a block short of an octet", good[1..].to_vec()),
        ("a block and an octet", [&good[..], &[0]].concat()),
        ("an octet and a block", [&[0], &good[..]].concat()),
        ("ones", vec![1; good.len()]),
        ("zeros", vec![0; good.len()]),
        ("more than the modulus", vec![0xff; good.len()]),
        ("a block with a bit turned over", flipped),
    ] {
        let decrypted = block_on(decrypter.decrypt(&shared.key.uri, algorithm, &block));
        refused(decrypted, ErrorKind::InvalidArgument, what)?;
    }
    let decrypted = block_on(decrypter.decrypt(&shared.key.uri, algorithm, &good))?;
    ensure(decrypted.expose() == b"good", "the good block no longer decrypts")
}

fn another_algorithm(suite: &Suite, decrypter: &dyn Decrypter, shared: &Shared) -> Outcome {
    let encrypted = some_oaep(suite)?;
    let block = encrypt(shared, encrypted, b"for one algorithm only")?;
    let others = DecryptionAlgorithm::ALL.into_iter().map(|(algorithm, _)| algorithm);
    // Of PKCS #1 v1.5 a random block is refused almost, but not quite, always.
    let others = others.filter(|other| *other != encrypted && *other != DecryptionAlgorithm::RsaPkcs1);
    for other in others.filter(|other| suite.harness.decryption_unsupported(*other).is_none()) {
        let decrypted = block_on(decrypter.decrypt(&shared.key.uri, other, &block));
        refused(decrypted, ErrorKind::InvalidArgument, format!("{encrypted:?} as {other:?}"))?;
    }
    Ok(())
}

fn some_oaep(suite: &Suite) -> Outcome<DecryptionAlgorithm> {
    let mut able = DecryptionAlgorithm::ALL.into_iter().map(|(algorithm, _)| algorithm);
    let able = able.find(|algorithm| {
        *algorithm != DecryptionAlgorithm::RsaPkcs1 && suite.harness.decryption_unsupported(*algorithm).is_none()
    });
    able.ok_or_else(|| Stop::Ignored("the place does no OAEP".into()))
}

fn encrypt(shared: &Shared, algorithm: DecryptionAlgorithm, message: &[u8]) -> Outcome<Vec<u8>> {
    let spki_der = shared.key.public_key.spki_der();
    let key = RsaPublicKey::from_public_key_der(spki_der).map_err(|error| error.to_string())?;
    let random = &mut UnwrapErr(SysRng);
    let encrypted = match algorithm {
        DecryptionAlgorithm::RsaOaepSha1 => key.encrypt(random, Oaep::<Sha1>::new(), message),
        DecryptionAlgorithm::RsaOaepSha256 => key.encrypt(random, Oaep::<Sha256>::new(), message),
        DecryptionAlgorithm::RsaOaepSha384 => key.encrypt(random, Oaep::<Sha384>::new(), message),
        DecryptionAlgorithm::RsaOaepSha512 => key.encrypt(random, Oaep::<Sha512>::new(), message),
        DecryptionAlgorithm::RsaPkcs1 => key.encrypt(random, Pkcs1v15Encrypt, message),
        other => return Err(Stop::Failed(format!("the suite cannot encrypt for {other:?}"))),
    };
    Ok(encrypted.map_err(|error| error.to_string())?)
}
