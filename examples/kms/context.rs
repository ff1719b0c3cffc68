//! What all commands share: how to open things and how to print.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use kmskit::{Error, ErrorKind, KeyManager, KeyUri, OpenOptions, OperationPolicy, Registry, block_on};
use serde_json::Value;

use crate::failure::{Failure, Outcome};
use crate::prompt;

pub(crate) struct Context {
    json: bool,
    timeout: Option<Duration>,
}

impl Context {
    pub(crate) fn new(json: bool, timeout: Option<Duration>) -> Self {
        Self { json, timeout }
    }

    /// The policy that the global options ask for.
    pub(crate) fn policy(&self) -> OperationPolicy {
        let policy = OperationPolicy::default();
        match self.timeout {
            Some(timeout) => policy.with_timeout(timeout),
            None => policy,
        }
    }

    /// Opens the place that `uri` names.
    pub(crate) fn open(&self, uri: &KeyUri) -> Result<Arc<dyn KeyManager>, Error> {
        block_on(registry(self.policy()).open(uri))
    }

    /// Prints `json` with `--json`, else `text`, which ends its own lines.
    pub(crate) fn print(&self, text: &str, json: &Value) -> Outcome {
        if self.json { print_json(json) } else { print_bytes(text.as_bytes()) }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }
}

/// Every backend, under that policy, with a prompt where somebody can answer it.
pub(crate) fn registry(policy: OperationPolicy) -> Registry {
    kmskit::registry().with_options(prompt::ask_on_terminal(OpenOptions::default().with_policy(policy)))
}

/// Prints one JSON value and a line end.
pub(crate) fn print_json(value: &Value) -> Outcome {
    print_bytes(format!("{value}\n").as_bytes())
}

/// Writes octets to stdout as they are.
pub(crate) fn print_bytes(octets: &[u8]) -> Outcome {
    let mut stdout = io::stdout().lock();
    stdout.write_all(octets).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
        _ => Error::new(ErrorKind::Other, "cannot write to stdout").with_source(error).into(),
    })
}

/// Tells a person at a terminal something, on stderr; a script never sees it.
pub(crate) fn tell(text: &str) {
    if io::stderr().is_terminal() {
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// Shows `text` and a spinner on stderr while `work` runs; nothing where stderr is not a terminal.
pub(crate) fn with_spinner<T>(text: String, work: impl FnOnce() -> T) -> T {
    let spinner = ProgressBar::new_spinner().with_message(text);
    spinner.enable_steady_tick(Duration::from_millis(100));
    let result = work();
    spinner.finish_and_clear();
    result
}

/// The error for something that `manager` does not offer.
pub(crate) fn not_offered(what: &str, uri: &KeyUri) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{}: {what} is not offered here", uri.scheme()))
        .with_hint("`kms capabilities` lists what is")
}
