//! `MiniStack` from `PyPI`, in a process of its own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kms_core::KeyType;
use tempfile::TempDir;

/// It is slow to start on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running one; it ends when this is dropped.
pub(crate) struct MiniStack {
    child: Child,
    port: u16,
    directory: TempDir,
}

impl MiniStack {
    /// Starts one and waits until it answers.
    pub(crate) fn start() -> Self {
        let program = program();
        assert!(program.is_file(), "{} is missing; scripts/test installs it from PyPI", program.display());
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr()).unwrap().port();
        let directory = tempfile::tempdir().unwrap();
        let child = Command::new(program)
            .current_dir(directory.path())
            .envs([("BIND_HOST", "127.0.0.1"), ("GATEWAY_PORT", &port.to_string()), ("IOT_MTLS_ENABLED", "0")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("MiniStack starts");
        let credentials = "[default]\naws_access_key_id = test\naws_secret_access_key = test\n";
        std::fs::write(directory.path().join("credentials"), credentials).unwrap();
        let mut this = Self { child, port, directory };
        let start = Instant::now();
        while !this.is_well() {
            assert!(this.child.try_wait().unwrap().is_none(), "MiniStack ended");
            assert!(start.elapsed() < PATIENCE, "MiniStack does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        this
    }

    /// `awskms:region=…`, with the endpoint and a file of credentials.
    pub(crate) fn uri(&self) -> String {
        let file = self.directory.path().join("credentials");
        let port = self.port;
        format!("awskms:region=us-east-1;endpoint-url=http://127.0.0.1:{port};credentials-file={}", file.display())
    }

    fn is_well(&self) -> bool {
        let ask = || {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET /_ministack/health HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
            let mut answer = [0; 12];
            stream.read_exact(&mut answer)?;
            std::io::Result::Ok(answer)
        };
        ask().is_ok_and(|answer| answer.ends_with(b" 200"))
    }
}

impl Drop for MiniStack {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `MiniStack` has not.
pub(crate) fn lacks(key_type: KeyType) -> Option<&'static str> {
    matches!(key_type, KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87).then_some("MiniStack has no ML-DSA")
}

/// What `MiniStack` does otherwise than the service's reference says.
pub(crate) fn known_fault(case: &str) -> Option<&'static str> {
    match case {
        "signing::ed25519::ed25519::message-0" => Some("MiniStack signs empty messages"),
        "errors::key_type_is_checked_before_decryption" => Some(
            "MiniStack finds the ciphertext invalid (InvalidCiphertextException), not the key (InvalidKeyUsageException)",
        ),
        "deletion::deleted_is_gone" => Some("MiniStack schedules a deletion twice"),
        _ => None,
    }
}

/// Where `KMSKIT_PYTHON` is, or in `.judges` beside the workspace.
fn program() -> PathBuf {
    let python = std::env::var("KMSKIT_PYTHON").map(PathBuf::from);
    let python = python.unwrap_or_else(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../.judges/bin/python3"));
    python.with_file_name("ministack")
}
