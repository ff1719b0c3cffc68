//! The suite on SoftHSM.

use std::process::{Command, ExitCode};

use kms_core::{
    DecryptionAlgorithm, KeyType, KeyUri, OpenOptions, Registry, Result, Secret, SecretPrompt, SecretRequest,
};
use kms_testkit::conformance::{self, Harness};

#[path = "softhsm/place.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod place;

fn main() -> ExitCode {
    if std::env::var_os(place::MARK).is_some() {
        return conformance::run([Token]);
    }
    let place = place::Place::new();
    let mut child = Command::new(std::env::current_exe().expect("this program has a path"));
    let status = child.args(std::env::args_os().skip(1)).envs(place.environment()).status();
    drop(place);
    ExitCode::from(status.ok().and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok()).unwrap_or(101))
}

#[derive(Debug)]
struct Pin;

impl SecretPrompt for Pin {
    fn prompt(&self, _: &SecretRequest) -> Result<Secret> {
        Ok(Secret::new(place::PIN))
    }
}

struct Token;

impl Harness for Token {
    fn name(&self) -> &'static str {
        "pkcs11-softhsm"
    }

    fn registry(&self) -> Registry {
        // As a service would: URIs without a PIN, and the PIN from elsewhere.
        place::registry().with_options(OpenOptions::default().with_prompt(Pin))
    }

    fn place(&self) -> KeyUri {
        place::bare("token=ca")
    }

    fn fresh_key(&self, hint: &str) -> KeyUri {
        self.place().with_path("object", hint).expect("a good URI")
    }

    fn capabilities(&self) -> &[&str] {
        &["delete", "search", "certificates", "decryption", "import"]
    }

    fn key_type_unsupported(&self, key_type: KeyType) -> Option<String> {
        matches!(key_type, KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87)
            .then(|| "SoftHSM 2.6 has no ML-DSA".into())
    }

    fn decryption_unsupported(&self, algorithm: DecryptionAlgorithm) -> Option<String> {
        let able = matches!(algorithm, DecryptionAlgorithm::RsaOaepSha1 | DecryptionAlgorithm::RsaPkcs1);
        (!able).then(|| "SoftHSM 2.6 does OAEP with SHA-1 only".into())
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
