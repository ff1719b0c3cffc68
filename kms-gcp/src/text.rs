//! What others say, fit to be shown.

use std::error::Error as StdError;

/// Longest text that is kept.
const MAX_TEXT: usize = 600;

/// The texts of an error of the client and all beneath, each once.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        // What a token endpoint answered may be what it was sent, and is no news to who can read it.
        let text = error.to_string();
        let text = text.split("body=").next().unwrap_or_default().trim_end_matches([',', ' ']).to_owned();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        next = error.source();
    }
    clean(&texts.join(": "))
}

/// A text of others, fit to be shown: one line, not too long, and nothing at all where it may repeat credentials.
pub(crate) fn clean(text: &str) -> String {
    const OF_CREDENTIALS: [&str; 8] = [
        "bearer ",
        "authorization:",
        "ya29.",
        "private_key",
        "private key",
        "refresh_token",
        "client_secret",
        "access_token",
    ];
    let lower = text.to_ascii_lowercase();
    if OF_CREDENTIALS.iter().any(|word| lower.contains(word)) {
        return "the text is withheld, since it may repeat credentials".into();
    }
    let line = text.chars().map(|char| if char.is_control() { ' ' } else { char });
    line.take(MAX_TEXT).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_one_line_and_not_too_long() {
        assert_eq!(clean("a\nb\u{1b}c "), "a b c");
        assert_eq!(clean(&"x".repeat(10_000)).len(), MAX_TEXT);
    }
}
