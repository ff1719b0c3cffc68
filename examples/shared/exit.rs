//! From a result to a message on stderr and an exit code, the same in every example.

use std::io::{self, Write};
use std::process::ExitCode;

use kmskit::{Error, ErrorKind, KeyUri};

/// The table of exit codes, for the end of `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the operation failed, or a signature does not verify
  2  wrong usage: bad arguments or a malformed URI
  3  not found
  4  exists already; nothing was changed
  5  PIN, password or credentials missing or refused, or no permission
  6  may work later: unavailable, throttled, timed out, device removed
  7  not supported by this key, backend or build";

/// Ends an example: quietly when all went well, else with the message and the code of the error.
pub(crate) fn exit(result: Result<(), Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::from(code(error.kind()))
        }
    }
}

/// Writes `error: …`, `  hint: …` and a line for each cause to stderr.
fn report(error: &Error) {
    let hint = error.hint().map(|hint| format!("  hint: {hint}\n"));
    let causes = causes(error).into_iter().map(|cause| format!("  cause: {cause}\n"));
    let lines: Vec<_> = [format!("error: {}\n", error.context())].into_iter().chain(hint).chain(causes).collect();
    // With stderr closed there is nobody left to tell.
    let _ = io::stderr().write_all(lines.concat().as_bytes());
}

/// The errors beneath, outermost first.
pub(crate) fn causes(error: &Error) -> Vec<String> {
    let below = std::error::Error::source(error);
    std::iter::successors(below, |cause| cause.source()).map(ToString::to_string).collect()
}

/// The arguments of the command line; or help, or what is wrong with them, and the end of the program.
#[allow(dead_code, reason = "`kms` ends in JSON as well")]
pub(crate) fn arguments<A: clap::Parser>() -> A {
    A::try_parse().unwrap_or_else(|error| {
        use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
        if matches!(error.kind(), DisplayHelp | DisplayVersion) {
            error.exit();
        }
        let _ = io::stderr().write_all(usage_text(&error).as_bytes());
        std::process::exit(2)
    })
}

/// What is wrong with the arguments. It repeats them, and they may be URIs with a PIN: those are redacted.
pub(crate) fn usage_text(error: &clap::Error) -> String {
    // An argument that is not UTF-8 is shown, if at all, as it is compared here.
    let arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    without_uris(&error.render().to_string(), arguments)
}

/// Each argument that looks like a URI in its redacted form, or not at all.
pub(crate) fn without_uris(text: &str, arguments: impl Iterator<Item = String>) -> String {
    let mut clean = text.to_owned();
    for argument in arguments {
        let value = argument.strip_prefix('-').and_then(|option| option.split_once('=')).map(|(_, value)| value);
        let looks_like_uri = |text: &&str| text.contains(':') && text.contains(['=', '?']);
        for secret in [Some(argument.as_str()), value].into_iter().flatten().filter(looks_like_uri) {
            let shown = KeyUri::parse(secret).map_or_else(|_| "<URI>".to_owned(), |uri| uri.to_string());
            clean = clean.replace(secret, &shown);
        }
    }
    clean
}

fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::InvalidUri | ErrorKind::InvalidArgument => 2,
        ErrorKind::NotFound => 3,
        ErrorKind::AlreadyExists => 4,
        ErrorKind::Unauthenticated
        | ErrorKind::PinIncorrect { .. }
        | ErrorKind::PinLocked
        | ErrorKind::PermissionDenied
        | ErrorKind::TouchRequired => 5,
        ErrorKind::Unavailable | ErrorKind::Throttled | ErrorKind::Timeout | ErrorKind::DeviceRemoved => 6,
        ErrorKind::Unsupported => 7,
        _ => 1,
    }
}
