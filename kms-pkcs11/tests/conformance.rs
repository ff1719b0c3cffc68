//! The suite on SoftHSM and on kryoptic, in one process.

use std::path::PathBuf;
use std::process::ExitCode;

use kms_core::{
    DecryptionAlgorithm, KeyType, KeyUri, OpenOptions, Registry, Result, Secret, SecretPrompt, SecretRequest,
};
use kms_pkcs11::Pkcs11;
use kms_testkit::conformance::{self, Harness};
use kms_testkit::pkcs11::{Kryoptic, SoftHsm, reexec_with_kryoptic, reexec_with_softhsm};
use libtest_mimic::Arguments;

const PIN: &str = "1234";
const TOKEN: &str = "suite";

fn main() -> ExitCode {
    let softhsm = reexec_with_softhsm().expect("SoftHSM can be configured");
    let kryoptic = reexec_with_kryoptic().expect("kryoptic can be configured");
    if !Arguments::from_args().list {
        softhsm.init_token(TOKEN, PIN).expect("SoftHSM makes a token");
        kryoptic.init_token(TOKEN, PIN).expect("kryoptic makes a token");
    }
    conformance::run([
        Token { name: "pkcs11-softhsm", module: SoftHsm::module().expect("SoftHSM is installed"), is: Is::SoftHsm },
        Token { name: "pkcs11-kryoptic", module: Kryoptic::module().expect("kryoptic is built"), is: Is::Kryoptic },
    ])
}

#[derive(Debug)]
struct Pin;

impl SecretPrompt for Pin {
    fn prompt(&self, _: &SecretRequest) -> Result<Secret> {
        Ok(Secret::new(PIN))
    }
}

struct Token {
    name: &'static str,
    module: PathBuf,
    is: Is,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Is {
    SoftHsm,
    Kryoptic,
}

impl Harness for Token {
    fn name(&self) -> &'static str {
        self.name
    }

    fn registry(&self) -> Registry {
        // As a service would: URIs without a PIN, and the PIN from elsewhere.
        Registry::new().with(Pkcs11::default()).with_options(OpenOptions::default().with_prompt(Pin))
    }

    fn place(&self) -> KeyUri {
        format!("pkcs11:token={TOKEN}?module-path={}", self.module.display()).parse().expect("a good URI")
    }

    fn fresh_key(&self, hint: &str) -> KeyUri {
        self.place().with_path("object", hint).expect("a good URI")
    }

    fn capabilities(&self) -> &[&str] {
        &["delete", "search", "certificates", "decryption", "import"]
    }

    fn key_type_unsupported(&self, key_type: KeyType) -> Option<String> {
        match (self.is, key_type) {
            (Is::SoftHsm, KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87) => {
                Some("SoftHSM 2.6 has no ML-DSA".into())
            }
            (Is::Kryoptic, KeyType::EcSecp256k1) => Some("kryoptic 1.5 has no secp256k1".into()),
            _ => None,
        }
    }

    fn decryption_unsupported(&self, algorithm: DecryptionAlgorithm) -> Option<String> {
        let able = matches!(algorithm, DecryptionAlgorithm::RsaOaepSha1 | DecryptionAlgorithm::RsaPkcs1);
        (self.is == Is::SoftHsm && !able).then(|| "SoftHSM 2.6 does OAEP with SHA-1 only".into())
    }

    fn wrong_uris(&self) -> Vec<KeyUri> {
        [
            "pkcs11:token=absent;object=a;slot-id=99999999999999999999",
            "pkcs11:object=a;pin-value=1234",
            "pkcs11:object=a?pin-value=1234&pin-source=env:X",
            "pkcs11:object=a?pin-value=",
            "pkcs11:object=a?pin-source=%7Ccat%20x",
            "pkcs11:object=a;id=%01;id-hex=01",
            "pkcs11:object=a;id-hex=1",
            "pkcs11:object=a?max-sessions=0",
            "pkcs11:object=a?module-name=a&module-path=/b",
            "pkcs11:object=a?module-path=relative.so",
            "pkcs11:object=a;type=data",
        ]
        .iter()
        .map(|text| text.parse().expect("well-formed"))
        .collect()
    }

    fn uris_with_secret(&self, canary: &str) -> Vec<KeyUri> {
        let key = |number: u8| self.place().with_path("object", format!("secret-{number}")).expect("a good URI");
        let query = |number: u8, name: &str| key(number).with_query(name, canary);
        let path = |number: u8, name: &str| key(number).with_path(name, canary);
        [query(0, "pin-value"), query(2, "password"), path(4, "pin-value"), path(5, "password")]
            .map(|uri| uri.expect("a good URI"))
            .into()
    }
}
