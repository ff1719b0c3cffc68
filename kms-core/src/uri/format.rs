//! From [`KeyUri`] back to text: the one canonical spelling, with or without its secrets.

use std::fmt::{self, Write};

use percent_encoding::percent_encode_byte;
use zeroize::Zeroizing;

use super::scheme::{self, Class, Lead};
use super::{Attribute, MAX_LENGTH, Part};

/// Stands for a secret. `<` is outside the grammar: such a text cannot be parsed back and spend a try of a PIN.
const REDACTED: &str = "<redacted>";

/// The text of `attributes`, path before query, secrets included.
pub(super) fn exposed<'a>(scheme: &str, attributes: impl Iterator<Item = Attribute<'a>> + Clone) -> Zeroizing<String> {
    // Never grown, for growing would leave a copy of a secret behind.
    let mut text = Zeroizing::new(String::with_capacity(longest(scheme, attributes.clone())));
    let result = write(&mut *text, scheme, attributes, false);
    debug_assert!(result.is_ok(), "a String takes everything");
    text
}

/// The text of `attributes`, with [`REDACTED`] for the value of every secret.
pub(super) fn redacted<'a>(
    out: &mut impl Write,
    scheme: &str,
    attributes: impl Iterator<Item = Attribute<'a>> + Clone,
) -> fmt::Result {
    write(out, scheme, attributes, true)
}

fn write<'a>(
    out: &mut impl Write,
    scheme: &str,
    attributes: impl Iterator<Item = Attribute<'a>> + Clone,
    redact: bool,
) -> fmt::Result {
    let rules = scheme::rules(scheme);
    // RFC 7512 §2.3 recommends to escape all of an `id`. Left out where the text would outgrow what is parsed.
    let whole_id = rules.strict && longest(scheme, attributes.clone()) <= MAX_LENGTH;
    write!(out, "{scheme}:")?;
    let mut before = None;
    for attribute in attributes {
        match (before, attribute.part) {
            (None, Part::Path) => {}
            (None | Some(Part::Path), Part::Query) => out.write_char('?')?,
            (Some(_), Part::Path) => out.write_char(';')?,
            (Some(Part::Query), Part::Query) => out.write_char('&')?,
        }
        before = Some(attribute.part);
        let redact = redact && attribute.secret;
        if attribute.positional
            && !redact
            && let Some(positional) = &rules.positional
        {
            write_positional(out, positional.lead, attribute.value)?;
            continue;
        }
        write!(out, "{}=", attribute.name)?;
        if redact {
            out.write_str(REDACTED)?;
        } else if whole_id && attribute.part == Part::Path && attribute.name == "id" {
            attribute.value.iter().try_for_each(|byte| out.write_str(percent_encode_byte(*byte)))?;
        } else {
            write_value(out, attribute.part.class(rules.strict), attribute.value)?;
        }
    }
    Ok(())
}

/// Escapes what would make the value read as slashes of the spelling or as `name=`.
fn write_positional(out: &mut impl Write, lead: Lead, value: &[u8]) -> fmt::Result {
    out.write_str(lead.prefix())?;
    let name = Class::Name.run(value);
    let rest = match value {
        [b'/', rest @ ..] if !lead.rooted() || rest.first() == Some(&b'/') => {
            out.write_str("%2F")?;
            rest
        }
        _ if value.get(name) == Some(&b'=') => {
            write_value(out, Class::Name, &value[..=name])?;
            &value[name + 1..]
        }
        _ => value,
    };
    write_value(out, Class::PathSlash, rest)
}

fn write_value(out: &mut impl Write, plain: Class, mut value: &[u8]) -> fmt::Result {
    while let Some(&byte) = value.first() {
        let run = plain.run(value);
        if run == 0 {
            out.write_str(percent_encode_byte(byte))?;
            value = &value[1..];
        } else {
            let (text, rest) = value.split_at(run);
            // Every class is ASCII, so nothing is lost here.
            out.write_str(str::from_utf8(text).unwrap_or_default())?;
            value = rest;
        }
    }
    Ok(())
}

/// A bound on the length of the text, every byte of every value escaped.
fn longest<'a>(scheme: &str, attributes: impl Iterator<Item = Attribute<'a>>) -> usize {
    // For each attribute `=` and a delimiter; for all `:` and the slashes of a positional value.
    attributes.map(|attribute| attribute.name.len() + 3 * attribute.value.len() + 2).sum::<usize>() + scheme.len() + 4
}
