//! How a URI names a key: by identifier, alias, or the ARN of either.

use std::fmt;
use std::str::FromStr;

/// Longest alias, `alias/` included.
const MAX_ALIAS: usize = 256;

/// A key's name, as AWS KMS takes it for `KeyId`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyId {
    /// `1234abcd-12ab-34cd-56ef-1234567890ab`, or `mrk-` and 32 hex digits for a multi-Region key.
    Key(String),
    /// `alias/` and a name; case counts.
    Alias(String),
    /// Either of them in an ARN.
    Arn(Arn),
}

/// `arn:PARTITION:kms:REGION:ACCOUNT:RESOURCE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arn {
    text: String,
    region: String,
    alias: bool,
}

/// What is wrong with a name, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misfit(pub(crate) &'static str);

impl KeyId {
    /// The alias of that name, which stands without `alias/` in front.
    ///
    /// # Errors
    /// For a name that AWS KMS does not take.
    pub(crate) fn named(name: &str) -> Result<Self, Misfit> {
        if name.starts_with("alias/") {
            return Err(Misfit("a name without `alias/` in front; `key-id` takes it with"));
        }
        let alias = format!("alias/{name}");
        if is_alias(&alias) {
            Ok(Self::Alias(alias))
        } else {
            Err(Misfit("1 to 250 letters, digits, `/`, `_` and `-`"))
        }
    }

    /// As AWS KMS takes it.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Key(text) | Self::Alias(text) | Self::Arn(Arn { text, .. }) => text,
        }
    }

    /// The region that an ARN states.
    pub(crate) fn region(&self) -> Option<&str> {
        match self {
            Self::Arn(arn) => Some(&arn.region),
            Self::Key(_) | Self::Alias(_) => None,
        }
    }

    /// Whether it can come to mean another key.
    pub(crate) fn is_alias(&self) -> bool {
        matches!(self, Self::Alias(_) | Self::Arn(Arn { alias: true, .. }))
    }

    /// Whether an answer about the key of that ARN can be an answer to a question about this name. What key an alias
    /// means only the service knows.
    pub(crate) fn may_be(&self, key_arn: &str) -> bool {
        match self {
            Self::Key(id) => key_arn.rsplit_once(":key/").is_some_and(|(_, answered)| answered == id),
            Self::Arn(arn) if !arn.alias => arn.text == key_arn,
            Self::Alias(_) | Self::Arn(_) => true,
        }
    }
}

impl FromStr for KeyId {
    type Err = Misfit;

    fn from_str(text: &str) -> Result<Self, Misfit> {
        if text.starts_with("arn:") {
            return Arn::parse(text).map(Self::Arn);
        }
        if is_key(text) {
            return Ok(Self::Key(text.to_owned()));
        }
        if is_alias(text) {
            return Ok(Self::Alias(text.to_owned()));
        }
        Err(Misfit(match text {
            _ if text.starts_with("alias/arn:") => "the ARN alone, without `alias/` in front of it",
            _ if text.starts_with("alias/") => {
                "`alias/` and 1 to 250 letters, digits, `/`, `_` and `-`; an alias is not the key's description"
            }
            _ if text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("arn:")) => "`arn:` in lower case",
            _ if text.strip_prefix("key/").is_some_and(is_key) => "the identifier alone, without `key/` in front of it",
            _ if text.starts_with("mrk-") => "`mrk-` and 32 hex digits for a multi-Region key",
            _ => "the key's identifier (a UUID), `alias/NAME`, or the ARN of either",
        }))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Arn {
    fn parse(text: &str) -> Result<Self, Misfit> {
        const FORM: Misfit =
            Misfit("an ARN as the service shows it: `arn:aws:kms:REGION:ACCOUNT:key/ID` or `…:alias/NAME`");
        let parts: Vec<_> = text.splitn(6, ':').collect();
        let [_, partition, service, region, account, resource] = parts[..] else { return Err(FORM) };
        if service != "kms" {
            return Err(Misfit("the ARN of a KMS key or alias, `arn:aws:kms:…`; this is one of another service"));
        }
        let word = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        check_region(region)?;
        if !word(partition) || account.is_empty() || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(FORM);
        }
        let alias = match resource.split_once('/') {
            Some(("key", id)) if is_key(id) => false,
            Some(("alias", _)) if is_alias(resource) => true,
            _ => return Err(FORM),
        };
        Ok(Self { text: text.to_owned(), region: region.to_owned(), alias })
    }
}

/// Whether the name can be that of a region; which there are, only the service knows.
pub(crate) fn check_region(text: &str) -> Result<(), Misfit> {
    let mut words = text.split('-');
    let good = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let last = text.rsplit('-').next().unwrap_or_default();
    if text.len() > 63 || text.split('-').count() < 3 || !words.all(good) {
        return Err(Misfit("the name of a region: `us-east-1`"));
    }
    match last.trim_end_matches(|end: char| end.is_ascii_lowercase()) {
        number if number == last && number.bytes().all(|byte| byte.is_ascii_digit()) => Ok(()),
        number if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(Misfit("a region (`us-east-1`), not a zone in it (`us-east-1a`)"))
        }
        _ => Err(Misfit("the name of a region: `us-east-1`")),
    }
}

fn is_key(text: &str) -> bool {
    let hex = |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(id) = text.strip_prefix("mrk-") {
        return hex(id, 32);
    }
    let parts: Vec<_> = text.split('-').collect();
    parts.len() == 5 && parts.iter().zip([8, 4, 4, 4, 12]).all(|(part, length)| hex(part, length))
}

fn is_alias(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-');
    text.len() <= MAX_ALIAS
        && text.strip_prefix("alias/").is_some_and(|name| !name.is_empty() && name.bytes().all(good))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";
    const MRK: &str = "mrk-1234abcd12ab34cd56ef1234567890ab";

    #[test]
    fn good_names_are_read() {
        for (text, region, alias) in [
            (ID, None, false),
            (MRK, None, false),
            ("alias/Root_CA/2026-a", None, true),
            ("alias/aws/ebs", None, true),
            (&format!("arn:aws:kms:us-east-1:123456789012:key/{ID}"), Some("us-east-1"), false),
            (&format!("arn:aws-cn:kms:cn-north-1:123456789012:key/{MRK}"), Some("cn-north-1"), false),
            (&format!("arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/{ID}"), Some("us-gov-west-1"), false),
            (&format!("arn:aws-eusc:kms:eusc-de-east-1:123456789012:key/{ID}"), Some("eusc-de-east-1"), false),
            ("arn:aws-iso:kms:us-iso-east-1:123456789012:alias/Root", Some("us-iso-east-1"), true),
        ] {
            let id: KeyId = text.parse().unwrap_or_else(|misfit| panic!("{text}: {misfit:?}"));
            assert_eq!((id.as_str(), id.region(), id.is_alias()), (text, region, alias));
        }
        assert_eq!(KeyId::named("Root").unwrap(), "alias/Root".parse().unwrap());
    }

    #[test]
    fn near_misses_say_what_to_write() {
        for (text, remedy) in [
            ("", "UUID"),
            ("root", "alias/NAME"),
            ("alias/", "alias/"),
            ("alias/a b", "letters"),
            ("alias/arn:aws:kms:us-east-1:123456789012:alias/a", "ARN alone"),
            (&format!("key/{ID}"), "without `key/`"),
            (&ID[1..], "UUID"),
            ("mrk-12", "32 hex"),
            (&format!("ARN:aws:kms:us-east-1:123456789012:key/{ID}"), "lower case"),
            (&format!("arn:aws:s3:us-east-1:123456789012:key/{ID}"), "another service"),
            (&format!("arn:aws:kms::123456789012:key/{ID}"), "region"),
            (&format!("arn:aws:kms:us-east-1a:123456789012:key/{ID}"), "zone"),
            (&format!("arn:aws:kms:us-east-1:12345678901x:key/{ID}"), "arn:aws:kms:REGION"),
            (&format!("arn:aws:kms:us-east-1:123456789012:{ID}"), "arn:aws:kms:REGION"),
            (&format!("arn:aws:kms:us-east-1:123456789012:key/{ID}/x"), "arn:aws:kms:REGION"),
            (&format!("arn::kms:us-east-1:123456789012:key/{ID}"), "arn:aws:kms:REGION"),
            ("arn:aws:kms:us-east-1", "arn:aws:kms:REGION"),
            (&format!("alias/{}", "a".repeat(251)), "250"),
        ] {
            let misfit = text.parse::<KeyId>().expect_err(text);
            assert!(misfit.0.contains(remedy), "{text}: {misfit:?}");
        }
        for name in ["", "alias/x", "a b", "ä", &"a".repeat(251)] {
            assert!(KeyId::named(name).is_err(), "{name}");
        }
    }

    #[test]
    fn regions_are_told_from_zones() {
        for region in ["us-east-1", "eu-central-2", "us-gov-west-1", "eusc-de-east-1", "ap-southeast-10"] {
            assert_eq!(check_region(region), Ok(()), "{region}");
        }
        for wrong in
            ["", "us", "useast1", "us-east", "us-east-1a", "US-EAST-1", "us-east-1.evil.example", "us--1", "us-east-1/"]
        {
            assert!(check_region(wrong).is_err(), "{wrong}");
        }
        assert!(check_region("us-east-1a").unwrap_err().0.contains("zone"));
    }

    #[test]
    fn an_answer_is_about_the_key_that_was_named() {
        let arn = format!("arn:aws:kms:us-east-1:123456789012:key/{ID}");
        let other = format!("arn:aws:kms:us-east-1:123456789012:key/{MRK}");
        for (name, same, another) in
            [(ID, true, false), (MRK, false, true), ("alias/a", true, true), (&arn, true, false), (&other, false, true)]
        {
            let id: KeyId = name.parse().unwrap();
            assert_eq!((id.may_be(&arn), id.may_be(&other)), (same, another), "{name}");
        }
    }
}
