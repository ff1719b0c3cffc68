//! The programs that judge: an environment of Python, and what is on the `PATH`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `KMSKIT_PYTHON` is, or `.judges` beside the workspace.
pub(crate) fn judges() -> PathBuf {
    let python = std::env::var("KMSKIT_PYTHON").map(Into::into);
    let python = python.unwrap_or_else(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../.judges/bin/python3"));
    python.parent().expect("a directory").to_owned()
}

/// What a program that must succeed says.
#[track_caller]
pub(crate) fn ok(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; scripts/test installs it"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{stdout}{stderr}");
    stdout.trim().to_owned()
}
