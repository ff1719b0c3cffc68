//! From text to [`KeyUri`], in one pass over the bytes and with one buffer for all values.

use std::collections::HashSet;

use percent_encoding::percent_decode;
use zeroize::Zeroizing;

use super::scheme::{self, Class, Lead, Scheme};
use super::{KeyUri, MAX_LENGTH, Part, UriError};

/// Up to here a look at every earlier name is quicker than a hash.
const FEW: usize = 16;

pub(super) fn parse(text: &str) -> Result<KeyUri, UriError> {
    if text.len() > MAX_LENGTH {
        let fault = format!("longer than {MAX_LENGTH} bytes");
        return Err(UriError::new(fault).hint_with("keep what is long in a file and name the file"));
    }
    let colon = text.bytes().position(|byte| !scheme::is_scheme_byte(byte)).unwrap_or(text.len());
    let scheme = text[..colon].to_ascii_lowercase();
    if text.as_bytes().get(colon) != Some(&b':') || !scheme::is_scheme(&scheme) {
        return Err(no_scheme(text));
    }
    let path = colon + 1;
    let path_end = text.find('?').unwrap_or(text.len());
    let mut parser = Parser {
        text,
        rules: scheme::rules(&scheme),
        // All of a secret stays in this one allocation: the decoded values are never longer than the text.
        uri: KeyUri {
            scheme,
            names: String::new(),
            values: Zeroizing::new(Vec::with_capacity(text.len() - path)),
            entries: Vec::new(),
        },
        names: Vec::new(),
        name_set: HashSet::new(),
        after_secret: false,
    };
    parser.path(path, path_end)?;
    if path_end < text.len() {
        parser.part(Part::Query, path_end + 1, text.len())?;
    }
    Ok(parser.uri)
}

fn no_scheme(text: &str) -> UriError {
    const LOOKS: &str = "a key URI looks like `pkcs11:token=…;object=…`, `awskms:key-id=…`, `cloudkms:projects/…`, \
                         `yubikey:slot-id=9c` or `softkms:root.key`";
    const FILE: &str = "for a key in a file write `softkms:` before its path";
    let head = text.split([';', '?']).next().unwrap_or_default();
    let file_like = head.starts_with(['.', '~', '/'])
        || head.contains(['/', '\\'])
        || [".pem", ".key", ".der", ".p8", ".pk8"].iter().any(|suffix| head.ends_with(suffix));
    let (fault, hint) = match text.bytes().next() {
        None => ("empty text", LOOKS),
        Some(first) if first.is_ascii_whitespace() => ("white space before the scheme", "remove the white space"),
        Some(_) if file_like => ("no scheme", FILE),
        Some(_) => ("no scheme", LOOKS),
    };
    UriError::new(fault).at(0).hint_with(hint)
}

struct Parser<'t> {
    text: &'t str,
    rules: &'static Scheme,
    uri: KeyUri,
    /// The names of this part so far, while they are few.
    names: Vec<&'t str>,
    name_set: HashSet<&'t str>,
    /// What follows a secret may be the rest of it, cut by a raw delimiter.
    after_secret: bool,
}

impl<'t> Parser<'t> {
    fn path(&mut self, start: usize, end: usize) -> Result<(), UriError> {
        let path = &self.text.as_bytes()[start..end];
        let named = Class::Name.run(path);
        match path.get(named) {
            None if path.is_empty() => Ok(()),
            Some(b'=') => self.part(Part::Path, start, end),
            _ if path[0] == b';' => self.part(Part::Path, start, end),
            _ => {
                let end_of_value = self.positional(start, end)?;
                if end_of_value < end { self.rest(Part::Path, end_of_value + 1, end) } else { Ok(()) }
            }
        }
    }

    /// Reads the value without a name that starts the path and returns where it ends.
    fn positional(&mut self, start: usize, end: usize) -> Result<usize, UriError> {
        let refused = |fault| Err(UriError::new(fault).at(start).hint_with(self.rules.hint));
        let path = &self.text.as_bytes()[start..end];
        if path.starts_with(b"/") && self.rules.positional.is_none() {
            return refused("`/` after the scheme");
        }
        let Some(positional) = &self.rules.positional else {
            // A character out of place says more than a missing `=`, where there is one to blame.
            let name = &path[..path.iter().position(|byte| matches!(byte, b';' | b'=')).unwrap_or(path.len())];
            let bad = Class::Name.run(name);
            let blame =
                name.get(bad).is_some_and(|byte| path.get(name.len()) == Some(&b'=') || !byte.is_ascii_graphic());
            return if blame { Err(self.bad_name(start + bad)) } else { refused("an attribute without `=`") };
        };
        let Some(skip) = positional.lead.skip(path) else {
            return refused("a value that this scheme does not read in this spelling");
        };
        let value = &path[skip..];
        if matches!(value.first(), None | Some(b';')) {
            return refused("an empty value");
        }
        let named = Class::Name.run(value);
        if matches!(positional.lead, Lead::Two | Lead::Three) && value.get(named) == Some(&b'=') {
            return refused("an attribute after slashes");
        }
        let attribute = positional.attribute;
        self.names.push(attribute);
        let end_of_value = self.value(Part::Path, attribute, start + skip, end)?;
        if let Some(entry) = self.uri.entries.last_mut() {
            entry.positional = true;
        }
        Ok(end_of_value)
    }

    fn part(&mut self, part: Part, start: usize, end: usize) -> Result<(), UriError> {
        self.names.clear();
        self.name_set.clear();
        if start == end { Ok(()) } else { self.rest(part, start, end) }
    }

    /// Attributes up to `end`, at least one.
    fn rest(&mut self, part: Part, start: usize, end: usize) -> Result<(), UriError> {
        let mut at = start;
        loop {
            at = self.attribute(part, at, end)?;
            if at == end {
                return Ok(());
            }
            at += 1;
        }
    }

    /// Reads `name=value` and returns where it ends: at a delimiter or at `end`.
    fn attribute(&mut self, part: Part, start: usize, end: usize) -> Result<usize, UriError> {
        let text = self.text;
        let bytes = &text.as_bytes()[..end];
        let equals = start + Class::Name.run(&bytes[start..]);
        let name = &text[start..equals];
        let found = bytes.get(equals).copied();
        match found {
            Some(b'=') if !name.is_empty() => {}
            Some(b'=') => {
                return Err(UriError::new("an attribute without a name").at(start).hint_with("write `name=value`"));
            }
            None if name.is_empty() => return Err(part.empty_attribute(start)),
            Some(byte) if byte == part.delimiter() && name.is_empty() => return Err(part.empty_attribute(start)),
            None => return Err(part.no_equals(start)),
            Some(byte) if byte == part.delimiter() => return Err(part.no_equals(start)),
            Some(_) => return Err(self.bad_name(equals)),
        }
        if self.repeats(part, name, end - start) {
            let named = scheme::printable(name).map_or_else(|| "an attribute".to_owned(), |name| format!("`{name}`"));
            return Err(UriError::new(format!("{named} given a second time"))
                .at(start)
                .hint_with("give each attribute once"));
        }
        let end_of_value = self.value(part, name, equals + 1, end)?;
        if self.rules.strict
            && part == Part::Path
            && let Some(want) = scheme::misfit(name, &bytes[equals + 1..end_of_value])
        {
            return Err(UriError::new("a value that is not of its form").at(equals + 1).hint_with(want));
        }
        Ok(end_of_value)
    }

    /// Notes `name`; says whether the scheme allows it once and it was there before.
    fn repeats(&mut self, part: Part, name: &'t str, left: usize) -> bool {
        if self.rules.strict && part == Part::Query && !scheme::is_standard_query(name) {
            return false;
        }
        if self.names.len() < FEW {
            let repeated = self.names.contains(&name);
            self.names.push(name);
            return repeated;
        }
        if self.name_set.is_empty() {
            // The shortest attributes are of four bytes, `ab=;`, once the one-letter names are used up.
            self.name_set.reserve(FEW + left / 4);
            self.name_set.extend(&self.names);
        }
        !self.name_set.insert(name)
    }

    /// Decodes the value that starts at `start`, adds the attribute, and returns where the value ends.
    fn value(&mut self, part: Part, name: &str, start: usize, end: usize) -> Result<usize, UriError> {
        let bytes = &self.text.as_bytes()[..end];
        let class = part.class(self.rules.strict);
        let mut secret = scheme::is_secret(name);
        let (mut at, mut escaped) = (start, false);
        while let Some(&byte) = bytes.get(at) {
            if class.has(byte) {
                at += 1;
            } else if byte == part.delimiter() {
                break;
            } else if byte == b'%' && bytes[at..].get(1..3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)) {
                at += 3;
                escaped = true;
            } else {
                return Err(self.bad_value(part, name, secret, at));
            }
        }
        let from = self.uri.values.len();
        let raw = &bytes[start..at];
        if escaped {
            self.uri.values.extend(percent_decode(raw));
        } else {
            self.uri.values.extend_from_slice(raw);
        }
        secret |= scheme::swallows_secret(&self.uri.values[from..]);
        self.uri.note(part, name, from, secret, false);
        self.after_secret |= secret;
        Ok(at)
    }

    fn bad_name(&self, at: usize) -> UriError {
        let fault = match self.text.as_bytes()[at] {
            _ if self.after_secret => "a character that no attribute name has",
            byte if byte.is_ascii_whitespace() => "white space in an attribute name",
            _ => "a character that no attribute name has",
        };
        UriError::new(fault).at(at).hint_with(
            "names are of letters, digits, `-` and `_`; `;` separates attributes in the path, `&` after the `?`, \
             and inside a value they are written `%3B` and `%26`",
        )
    }

    fn bad_value(&self, part: Part, name: &str, secret: bool, at: usize) -> UriError {
        const ESCAPE: &str = "percent-encode it: `%` and two hex digits for each byte";
        if secret || self.after_secret {
            return UriError::new("a character that must be percent-encoded")
                .at(at)
                .hint_with("percent-encode every byte of a secret that is not a letter or a digit");
        }
        let byte = self.text.as_bytes()[at];
        let (fault, hint) = match byte {
            b'%' => ("`%` without two hex digits", "write `%25` for a percent sign"),
            b'/' if scheme::is_standard_query(name) => (
                "a raw `/` in the path",
                "`module-path`, `module-name` and `pin-source` go after the `?`; \
                 kmskit's example `step_config` converts a step-ca configuration",
            ),
            b'/' => ("a raw `/` in the path", "in the path `/` is written `%2F`"),
            b';' if part == Part::Query => {
                ("a raw `;` after the `?`", "after the `?`, `&` separates attributes; in a value `;` is written `%3B`")
            }
            b'\n' | b'\r' if self.text[at..].trim().is_empty() => ("a line break at the end", "remove it"),
            b' ' | b'\t' | b'\n' | b'\r' => ("white space", "a space in a value is written `%20`"),
            0..=31 | 127 => ("a control character", ESCAPE),
            128.. => ("a character that is not ASCII", "percent-encode each byte of its UTF-8"),
            _ => {
                let shown = format!("a raw `{}`", char::from(byte));
                let hint = format!("in a value it is written `%{byte:02X}`");
                return UriError::new(shown).at(at).hint_with(hint);
            }
        };
        UriError::new(fault).at(at).hint_with(hint)
    }
}

impl Part {
    fn delimiter(self) -> u8 {
        match self {
            Self::Path => b';',
            Self::Query => b'&',
        }
    }

    pub(super) fn class(self, strict: bool) -> Class {
        match self {
            Self::Path if strict => Class::Path,
            Self::Path => Class::PathSlash,
            Self::Query => Class::Query,
        }
    }

    fn empty_attribute(self, at: usize) -> UriError {
        let hint = match self {
            Self::Path => "`;` stands only between two attributes; remove the extra one",
            Self::Query => "`&` stands only between two attributes; remove the extra one",
        };
        UriError::new("an empty attribute").at(at).hint_with(hint)
    }

    fn no_equals(self, at: usize) -> UriError {
        let hint = match self {
            Self::Path => "write `name=value`; inside a value `;` is written `%3B`",
            Self::Query => "write `name=value`; inside a value `&` is written `%26`",
        };
        UriError::new("an attribute without `=`").at(at).hint_with(hint)
    }
}
