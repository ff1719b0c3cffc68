//! The stand-in for AWS KMS, as the program that it is, before clients that are not ours.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use judges::{judges, ok};

#[path = "../shared/judges.rs"]
mod judges;

struct Server {
    child: Child,
    variables: Vec<(String, String)>,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_aws-kms-server"))
            .arg("--quiet")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
        let endpoint = lines.next().expect("the endpoint");
        let variables: Vec<_> = lines
            .map_while(|line| {
                let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            })
            .take(6)
            .collect();
        assert!(variables.contains(&("AWS_ENDPOINT_URL".to_owned(), endpoint)), "{variables:?}");
        Self { child, variables }
    }

    /// A program of the environment in which the judges are.
    fn judge(&self, program: &str) -> Command {
        let mut command = Command::new(judges().join(program));
        command.envs(self.variables.iter().cloned()).env("AWS_PAGER", "");
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn boto3_agrees() {
    let server = Server::start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aws/boto3_judges.py");
    assert_eq!(ok(server.judge("python3").arg(script)), "good");
}

/// A key made and used by the command line of AWS, its signature verified by OpenSSL.
#[test]
fn the_command_line_agrees() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let aws = |arguments: &str| {
        let mut command = server.judge("aws");
        ok(command.current_dir(directory.path()).arg("kms").args(arguments.split(' ')))
    };
    let key = aws("create-key --key-spec ECC_NIST_P384 --key-usage SIGN_VERIFY --query KeyMetadata.Arn --output text");
    assert!(key.starts_with("arn:aws:kms:us-east-1:111122223333:key/"), "{key}");
    aws(&format!("create-alias --alias-name alias/ca --target-key-id {key}"));
    std::fs::write(directory.path().join("message"), "message").unwrap();
    let decode = |text: &str, file: &str| {
        std::fs::write(directory.path().join("text"), text).unwrap();
        let mut command = Command::new("openssl");
        ok(command.current_dir(directory.path()).args(["base64", "-d", "-A", "-in", "text", "-out", file]));
    };
    decode(&aws("get-public-key --key-id alias/ca --query PublicKey --output text"), "key.der");
    let sign = "sign --key-id alias/ca --message fileb://message --signing-algorithm ECDSA_SHA_384";
    decode(&aws(&format!("{sign} --query Signature --output text")), "signature");
    let mut openssl = Command::new("openssl");
    let verify = "dgst -sha384 -verify key.der -keyform DER -signature signature message";
    assert_eq!(ok(openssl.current_dir(directory.path()).args(verify.split(' '))), "Verified OK");
}
