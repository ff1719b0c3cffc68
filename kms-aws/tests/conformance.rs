//! The suite on the stand-in.

use std::ops::RangeInclusive;
use std::process::ExitCode;

use kms_aws::Aws;
use kms_core::{DecryptionAlgorithm, ErrorKind, KeyUri, Registry, SignatureAlgorithm};
use kms_testkit::aws::AwsKms;
use kms_testkit::conformance::{self, Harness};

fn main() -> ExitCode {
    let server = AwsKms::start().expect("the stand-in starts");
    conformance::run([Account { name: "awskms", place: server.uri() }])
}

struct Account {
    name: &'static str,
    place: String,
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
