//! JSON Web Signatures by software keys, a SoftHSM token and AWS KMS, verified by `PyJWT`, and the JWK read by it.

use std::io;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use kms_testkit::aws::AwsKms;
use kms_testkit::faults::{Fault, FaultySigner};
use kms_testkit::pkcs11::{SoftHsm, reexec_with_softhsm};
use kmskit::adapters::jws::{Jwk, JwsSigner, Map};
use kmskit::{ErrorKind, KeySpec, KeyType, KeyUri, SignatureAlgorithm, Signer, block_on};
use kmskit_tests::programs::python;
use libtest_mimic::{Arguments, Failed, Trial};

/// Key types, the algorithms they sign with, and what JOSE calls these.
const ALGORITHMS: [(KeyType, &str, &str); 11] = [
    (KeyType::EcP256, "ecdsa-sha256", "ES256"),
    (KeyType::EcP384, "ecdsa-sha384", "ES384"),
    (KeyType::EcP521, "ecdsa-sha512", "ES512"),
    (KeyType::EcSecp256k1, "ecdsa-sha256", "ES256K"),
    (KeyType::Rsa { bits: 2048 }, "rsa-pkcs1-sha256", "RS256"),
    (KeyType::Rsa { bits: 2048 }, "rsa-pkcs1-sha384", "RS384"),
    (KeyType::Rsa { bits: 2048 }, "rsa-pkcs1-sha512", "RS512"),
    (KeyType::Rsa { bits: 2048 }, "rsa-pss-sha256", "PS256"),
    (KeyType::Rsa { bits: 2048 }, "rsa-pss-sha384", "PS384"),
    (KeyType::Rsa { bits: 2048 }, "rsa-pss-sha512", "PS512"),
    (KeyType::Ed25519, "ed25519", "EdDSA"),
];

/// Reads `ALGORITHM JWK TOKEN…` from the arguments: each token verifies with the key, and altered it does not.
const JUDGE: &str = r#"
import json, sys, jwt
algorithm, jwk, *tokens = sys.argv[1:]
key = jwt.PyJWK(json.loads(jwk), algorithm=algorithm)
for token in tokens:
    whole = jwt.decode_complete(token, key.key, algorithms=[algorithm])
    assert whole["payload"] == {"sub": "alice", "n": 1}, whole
    assert whole["header"]["alg"] == algorithm and whole["header"]["typ"] == "JWT", whole
    head, payload, signature = token.split(".")
    for altered in (".".join((head, payload[:-2] + ("QQ" if payload[-2:] != "QQ" else "Qg"), signature)),
                    ".".join((head, payload, ("A" if signature[0] != "A" else "B") + signature[1:]))):
        try:
            jwt.decode(altered, key.key, algorithms=[algorithm])
        except jwt.InvalidTokenError:
            continue
        raise SystemExit("an altered token verifies")
    print(whole["header"]["kid"])
"#;

fn main() -> io::Result<ExitCode> {
    let softhsm = reexec_with_softhsm()?;
    softhsm.init_token("jws", "1234")?;
    let module = SoftHsm::module()?.display().to_string();
    let aws = AwsKms::start()?;
    let mut trials =
        vec![Trial::test("refusals", refusals), Trial::test("the_real_error_is_given", the_real_error_is_given)];
    // One more backend is one more line.
    for (backend, place, name) in [
        ("softkms", "softkms:mode=memory".to_owned(), "name"),
        ("pkcs11", format!("pkcs11:token=jws?module-path={module}&pin-value=1234"), "object"),
        ("awskms", aws.uri(), "name"),
    ] {
        for (key_type, algorithm, jose) in ALGORITHMS {
            let place = place.parse::<KeyUri>().map_err(io::Error::other)?;
            let trial = move || verifies(&place, name, key_type, algorithm, jose);
            trials.push(Trial::test(format!("{backend}::{jose}"), trial));
        }
    }
    Ok(libtest_mimic::run(&Arguments::from_args(), trials).exit_code())
}

fn verifies(place: &KeyUri, name: &str, key_type: KeyType, algorithm: &str, jose: &str) -> Result<(), Failed> {
    let manager = block_on(kmskit::registry().open(place))?;
    let key = block_on(manager.create_key(&place.with_path(name, jose)?, &KeySpec::new(key_type)))?;
    let signer = block_on(manager.signer(&key.uri, Some(algorithm.parse()?)))?;
    let jws = JwsSigner::new(signer)?;
    assert_eq!(jws.algorithm(), jose);
    let mut header = Map::new();
    header.insert("typ".to_owned(), "JWT".into());
    header.insert("kid".to_owned(), jws.jwk().thumbprint().into());
    // ECDSA halves with leading zeros, one in 128, must keep them.
    let count = if jose.starts_with("ES") { 40 } else { 1 };
    let sign = |_| block_on(jws.sign(header.clone(), br#"{"sub":"alice","n":1}"#));
    let tokens = (0..count).map(sign).collect::<kmskit::Result<Vec<_>>>()?;
    let output = Command::new(python()).args(["-c", JUDGE, jose, &jws.jwk().to_string()]).args(&tokens).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}; `PyJWT` is in .judges: pip install 'pyjwt[crypto]'");
    let kids = String::from_utf8_lossy(&output.stdout);
    assert_eq!(kids.lines().collect::<Vec<_>>(), vec![jws.jwk().thumbprint(); count]);
    Ok(())
}

fn signer(key_type: KeyType) -> Arc<dyn Signer> {
    kmskit_tests::signer(key_type)
}

fn refusals() -> Result<(), Failed> {
    let error = JwsSigner::new(signer(KeyType::MlDsa44)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(Jwk::new(signer(KeyType::MlDsa65).public_key()).unwrap_err().kind(), ErrorKind::Unsupported);
    let jws = JwsSigner::new(signer(KeyType::EcP256))?;
    for name in ["alg", "b64"] {
        let header = [(name.to_owned(), "none".into())].into_iter().collect();
        assert_eq!(block_on(jws.sign(header, b"")).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    Ok(())
}

fn the_real_error_is_given() -> Result<(), Failed> {
    let failing = FaultySigner::new(signer(KeyType::Ed25519), Fault::Fail(ErrorKind::PinLocked, 1));
    let jws = JwsSigner::new(Arc::new(failing))?;
    assert_eq!(block_on(jws.sign(Map::new(), b"")).unwrap_err().kind(), ErrorKind::PinLocked);
    // And then it works: an empty payload is one like any other.
    assert_eq!(jws.inner().algorithm(), SignatureAlgorithm::Ed25519);
    assert!(block_on(jws.sign(Map::new(), b""))?.contains(".."));
    Ok(())
}
