//! The suite on the stand-in, and on `MiniStack`, an AWS by other people.

mod ministack;

use std::ops::RangeInclusive;
use std::process::ExitCode;

use kms_aws::Aws;
use kms_core::{DecryptionAlgorithm, ErrorKind, KeyType, KeyUri, Registry, SignatureAlgorithm};
use kms_testkit::aws::AwsKms;
use kms_testkit::conformance::{self, Harness};

use crate::ministack::MiniStack;

fn main() -> ExitCode {
    let server = AwsKms::start().expect("the stand-in starts");
    let ministack = MiniStack::start();
    let accounts = [
        Account { name: "awskms", place: server.uri(), lacks: |_| None, known_fault: |_| None },
        Account {
            name: "ministack",
            place: ministack.uri(),
            lacks: ministack::lacks,
            known_fault: ministack::known_fault,
        },
    ];
    conformance::run(accounts)
}

struct Account {
    name: &'static str,
    place: String,
    /// What the service has, and this one has not.
    lacks: fn(KeyType) -> Option<&'static str>,
    /// What it does otherwise than the service, by case.
    known_fault: fn(&str) -> Option<&'static str>,
}

impl Harness for Account {
    fn name(&self) -> &'static str {
        self.name
    }

    fn registry(&self) -> Registry {
        Registry::new().with(Aws::default())
    }

    fn place(&self) -> KeyUri {
        self.place.parse().expect("a good URI")
    }

    fn fresh_key(&self, hint: &str) -> KeyUri {
        self.place().with_path("name", hint).expect("a good URI")
    }

    fn capabilities(&self) -> &[&str] {
        &["delete", "search", "decryption", "import"]
    }

    fn key_type_unsupported(&self, key_type: KeyType) -> Option<String> {
        (self.lacks)(key_type).map(str::to_owned)
    }

    fn decryption_unsupported(&self, algorithm: DecryptionAlgorithm) -> Option<String> {
        let able = matches!(algorithm, DecryptionAlgorithm::RsaOaepSha1 | DecryptionAlgorithm::RsaOaepSha256);
        (!able).then(|| "AWS KMS decrypts with OAEP and SHA-1 or SHA-256 only".into())
    }

    fn message_lengths(&self, algorithm: SignatureAlgorithm) -> RangeInclusive<usize> {
        if algorithm == SignatureAlgorithm::Ed25519 { 1..=4096 } else { 0..=usize::MAX }
    }

    fn deleted_is(&self) -> ErrorKind {
        ErrorKind::KeyUnusable
    }

    fn known_fault(&self, case: &str) -> Option<String> {
        (self.known_fault)(case).map(str::to_owned)
    }

    fn wrong_uris(&self) -> Vec<KeyUri> {
        [
            "awskms:key-id=",
            "awskms:key-id=alias/a;name=a",
            "awskms:key-id=root",
            "awskms:key-id=alias/a;region=us-east-1a",
            "awskms:key-id=alias/a;region=nowhere",
            "awskms:key-id=arn:aws:kms:eu-west-1:111122223333:alias/a;region=us-east-1",
            "awskms:key-id=arn:aws:s3:us-east-1:111122223333:alias/a",
            "awskms:key-id=alias/a;region=us-east-1?region=us-east-1",
            "awskms:key-id=alias/a;endpoint-url=http://kms.example.com",
            "awskms:key-id=alias/a;endpoint-url=ftp://127.0.0.1",
            "awskms:key-id=alias/a;endpoint-url=https://user:secret@kms.example.com",
            "awskms:key-id=alias/a;role-arn=root",
            "awskms:key-id=alias/a;profile=",
            "awskms:name=alias/a",
            "awskms:name=a%20b",
            "awskms:///root",
            "awskms:region=us-east-1;tag=x",
            "awskms:region=us-east-1;key-spec=RSA_1024",
        ]
        .iter()
        .map(|text| text.parse().expect("well-formed"))
        .collect()
    }
}
