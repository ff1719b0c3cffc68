//! The stand-in for Google Cloud KMS, as the program that it is, before clients that are not ours.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use judges::{judges, ok};

#[path = "../shared/judges.rs"]
mod judges;

struct Server {
    child: Child,
    endpoint: String,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gcp-kms-server"))
            .arg("--quiet")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
        let endpoint = lines.next().expect("the endpoint");
        let variable = lines.next().expect("a variable");
        assert_eq!(variable, format!("export CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS={endpoint}"));
        Self { child, endpoint }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn googles_client_agrees() {
    let server = Server::start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gcp/python_judges.py");
    assert_eq!(ok(Command::new(judges().join("python3")).arg(script).arg(&server.endpoint)), "good");
}

/// Without any client: a signature by `curl`, verified by OpenSSL.
#[test]
fn curl_and_openssl_agree() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let curl = |path: &str, body: Option<&str>| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail-with-body", "--header", "content-type: application/json"]);
        if let Some(body) = body {
            command.args(["--data", body]);
        }
        let text = ok(command.arg(format!("{}/v1/projects/test/locations/global/keyRings/ca{path}", server.endpoint)));
        serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    };
    let key = r#"{"purpose":"ASYMMETRIC_SIGN","versionTemplate":{"algorithm":"EC_SIGN_P384_SHA384"}}"#;
    curl("/cryptoKeys?cryptoKeyId=root", Some(key));
    let version = "/cryptoKeys/root/cryptoKeyVersions/1";
    let mut state = serde_json::Value::Null;
    for _ in 0..3 {
        state = curl(version, None)["state"].take();
    }
    assert_eq!(state, "ENABLED");
    let pem = curl(&format!("{version}/publicKey"), None)["pem"].take();
    std::fs::write(directory.path().join("key.pem"), pem.as_str().unwrap()).unwrap();
    // "message", hashed and in Base64.
    let mut openssl = Command::new("sh");
    let digest = "printf message | openssl dgst -sha384 -binary | openssl base64 -A";
    let digest = ok(openssl.args(["-c", digest]));
    let sign = format!(r#"{{"digest":{{"sha384":"{digest}"}}}}"#);
    let signature = curl(&format!("{version}:asymmetricSign"), Some(&sign))["signature"].take();
    let verify = "printf %s \"$1\" | openssl base64 -d -A > signature && printf message > message && \
                  openssl dgst -sha384 -verify key.pem -signature signature message";
    let mut openssl = Command::new("sh");
    openssl.current_dir(directory.path()).args(["-c", verify, "sh", signature.as_str().unwrap()]);
    assert_eq!(ok(&mut openssl), "Verified OK");
}
