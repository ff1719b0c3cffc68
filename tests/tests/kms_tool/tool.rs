//! Runs the tool, and OpenSSL beside it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A directory with keys in it, and the tool.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The URI of a key of that name in this directory.
    pub(crate) fn uri(&self, name: &str) -> String {
        format!("softkms:name={name};dir={}", self.0.path().display())
    }

    /// Makes a key and gives its URI as the tool printed it.
    pub(crate) fn key(&self, name: &str, key_type: &str) -> String {
        let made = kms(&["create", &self.uri(name), "--type", key_type]);
        made.succeeded().stdout().trim_end().to_owned()
    }

    pub(crate) fn write(&self, name: &str, octets: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), octets).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }
}

/// How a program ended.
pub(crate) struct Ended(Output, String);

impl Ended {
    pub(crate) fn code(&self) -> i32 {
        self.0.status.code().unwrap_or_else(|| panic!("{}: ended by a signal: {:?}", self.1, self.0))
    }

    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        self.ended_with(0)
    }

    #[track_caller]
    pub(crate) fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{}\nstdout: {}\nstderr: {}", self.1, self.stdout(), self.stderr());
        self
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.0.stdout
    }

    /// The one JSON value on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.0.stdout).unwrap_or_else(|error| panic!("{}: {error}: {}", self.1, self.stdout()))
    }
}

/// Runs `kms` with nothing on stdin.
pub(crate) fn kms(arguments: &[&str]) -> Ended {
    kms_with(arguments, b"")
}

/// Runs `kms` with `input` on stdin.
pub(crate) fn kms_with(arguments: &[&str], input: &[u8]) -> Ended {
    run(&binary(), arguments, input)
}

/// Runs `openssl` with `input` on stdin.
pub(crate) fn openssl(arguments: &[&str], input: &[u8]) -> Ended {
    run(Path::new("openssl"), arguments, input)
}

/// The tool, beside this test in the directory of the profile.
pub(crate) fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let binary = profile.join("examples").join(format!("kms{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.is_file(), "{} is missing: run `cargo build --example kms` first", binary.display());
    binary
}

fn run(program: &Path, arguments: &[&str], input: &[u8]) -> Ended {
    let shown = format!("{} {}", program.display(), arguments.join(" "));
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{shown}: {error}"));
    // A program that fails early does not read its input.
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Ended(output, shown)
}
