//! Asks for PINs and passwords on the terminal.

use std::io::{self, IsTerminal};

use kmskit::{Error, ErrorKind, OpenOptions, Result, Secret, SecretPrompt, SecretRequest};

/// Lets a person be asked for a secret that the URI does not give; leaves `options` as they are where nobody sits at a
/// terminal, so that a script gets an error instead of a question that hangs.
pub(crate) fn ask_on_terminal(options: OpenOptions) -> OpenOptions {
    // The question and the answer go through the controlling terminal: stdin may well be the message.
    if io::stdin().is_terminal() || io::stderr().is_terminal() { options.with_prompt(TerminalPrompt) } else { options }
}

#[derive(Debug)]
struct TerminalPrompt;

impl SecretPrompt for TerminalPrompt {
    fn prompt(&self, request: &SecretRequest) -> Result<Secret> {
        let tries = request.tries_left.map(|left| format!(" ({left} tries left)")).unwrap_or_default();
        let question = format!("{} for {}{tries}: ", request.name, request.target);
        let answer = rpassword::prompt_password(question).map_err(|error| {
            Error::new(ErrorKind::Unauthenticated, format!("no {} was entered", request.name)).with_source(error)
        })?;
        Ok(Secret::new(answer))
    }
}
