//! How a command ends when it does not end well.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind as UsageErrorKind;
use kmskit::uri::UriError;
use kmskit::{Error, ErrorKind};
use serde_json::{Value, json};

use crate::context::print_json;
use crate::exit;

/// What a command returns.
pub(crate) type Outcome = Result<(), Failure>;

pub(crate) enum Failure {
    /// Something failed; `position` is the offset in bytes of a fault in a URI.
    Error { error: Error, position: Option<usize> },
    /// Something failed, and stdout has it already.
    Reported(Error),
    /// The reader of stdout went away, having seen enough.
    ClosedPipe,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error { error, position: None }
    }
}

impl From<UriError> for Failure {
    fn from(error: UriError) -> Self {
        Self::Error { position: error.position(), error: error.into() }
    }
}

/// Tells how it ended, on stderr and with `json` on stdout, and gives the exit code.
pub(crate) fn exit(outcome: Outcome, json: bool) -> ExitCode {
    match outcome {
        Ok(()) | Err(Failure::ClosedPipe) => ExitCode::SUCCESS,
        Err(Failure::Reported(error)) => exit::exit(Err(error)),
        Err(Failure::Error { error, position }) => {
            if json {
                let mut object = error_json(&error);
                if let Some(position) = position {
                    object["position"] = position.into();
                }
                // Whether or not anybody reads it, the exit code tells the same.
                let _ = print_json(&object);
            }
            exit::exit(Err(error))
        }
    }
}

/// An error as `{"error", "kind", "hint", "causes"}`.
pub(crate) fn error_json(error: &Error) -> Value {
    json!({
        "error": error.context(),
        "kind": error.kind().name(),
        "hint": error.hint(),
        "causes": exit::causes(error),
    })
}

/// Ends on what clap found: help on stdout with 0, or a usage error with 2.
pub(crate) fn exit_usage(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), UsageErrorKind::DisplayHelp | UsageErrorKind::DisplayVersion) {
        return match error.print().and_then(|()| io::stdout().flush()) {
            Err(fault) if fault.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        };
    }
    let text = exit::usage_text(error);
    if env::args_os().any(|argument| argument == "--json") {
        let text = text.trim_start_matches("error: ");
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let hint = rest.split("\n\n").next().unwrap_or_default().trim();
        let usage = Error::new(ErrorKind::InvalidArgument, first.trim().to_owned());
        let usage = if hint.is_empty() { usage } else { usage.with_hint(hint.to_owned()) };
        let _ = print_json(&error_json(&usage));
    }
    let _ = io::stderr().write_all(text.as_bytes());
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use crate::exit::without_uris;

    #[test]
    fn a_usage_error_shows_no_secret_of_its_arguments() {
        let uri = "softkms:a?password-value=canary";
        let in_path = "softkms:a;password-value=canary";
        let bad = "softkms:a?password-value=canary&%";
        for (argument, shown) in [
            (uri, "softkms:a?password-value=<redacted>"),
            (in_path, "softkms:a;password-value=<redacted>"),
            (bad, "<URI>"),
        ] {
            let option = format!("--type={argument}");
            let text = format!("invalid value '{argument}'");
            for argument in [argument.to_owned(), option] {
                assert_eq!(without_uris(&text, [argument].into_iter()), format!("invalid value '{shown}'"));
            }
        }
    }
}
