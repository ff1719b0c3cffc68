//! How Cloud KMS names things: location, key ring, key, version, each a type of its own.

use std::fmt;
use std::str::FromStr;

/// The collections of a name, outermost first.
const COLLECTIONS: [&str; 5] = ["projects", "locations", "keyRings", "cryptoKeys", "cryptoKeyVersions"];
/// The form of a version's name.
const FORM: &str = "`projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY/cryptoKeyVersions/NUMBER`";

/// `projects/P/locations/L`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LocationName {
    project: String,
    location: String,
}

/// `projects/P/locations/L/keyRings/R`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyRingName {
    pub(crate) location: LocationName,
    pub(crate) id: String,
}

/// `projects/P/locations/L/keyRings/R/cryptoKeys/K`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyName {
    pub(crate) key_ring: KeyRingName,
    pub(crate) id: String,
}

/// `projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N`: what signs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct VersionName {
    pub(crate) key: KeyName,
    pub(crate) number: u64,
}

/// Any of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ResourceName {
    Location(LocationName),
    KeyRing(KeyRingName),
    Key(KeyName),
    Version(VersionName),
}

/// What to write instead of a name that is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misfit(pub(crate) String);

impl LocationName {
    /// The key ring of that identifier in it, which is known to be good.
    fn key_ring(self, id: String) -> KeyRingName {
        KeyRingName { location: self, id }
    }
}

impl KeyName {
    /// Its version of that number.
    pub(crate) fn version(&self, number: u64) -> VersionName {
        VersionName { key: self.clone(), number }
    }
}

impl ResourceName {
    /// As [`FromStr`], but takes sigstore's `…/cryptoKeys/K/versions/N` too.
    ///
    /// # Errors
    /// What to write instead.
    pub(crate) fn parse_sigstore(text: &str) -> Result<Self, Misfit> {
        match text.rsplit_once("/versions/") {
            Some((key, number)) if !number.contains('/') => format!("{key}/cryptoKeyVersions/{number}").parse(),
            _ => text.parse(),
        }
    }

    /// The version of that name, as the service writes it in its answers.
    pub(crate) fn version(text: &str) -> Option<VersionName> {
        match text.parse() {
            Ok(Self::Version(version)) => Some(version),
            _ => None,
        }
    }

    /// The location.
    pub(crate) fn location(&self) -> &LocationName {
        match self {
            Self::Location(location) => location,
            Self::KeyRing(key_ring) => &key_ring.location,
            Self::Key(key) => &key.key_ring.location,
            Self::Version(version) => &version.key.key_ring.location,
        }
    }

    /// The key ring, if it names one.
    pub(crate) fn key_ring(&self) -> Option<&KeyRingName> {
        match self {
            Self::Location(_) => None,
            Self::KeyRing(key_ring) => Some(key_ring),
            Self::Key(key) => Some(&key.key_ring),
            Self::Version(version) => Some(&version.key.key_ring),
        }
    }

    /// Whether another is in the same key ring, or the same location where this names no key ring.
    pub(crate) fn has_in_its_place(&self, other: &Self) -> bool {
        self.location() == other.location()
            && self.key_ring().is_none_or(|ours| other.key_ring().is_none_or(|theirs| ours == theirs))
    }
}

impl FromStr for ResourceName {
    type Err = Misfit;

    fn from_str(text: &str) -> Result<Self, Misfit> {
        let parts: Vec<_> = text.split('/').collect();
        let right = parts.len() % 2 == 0
            && parts.chunks(2).zip(COLLECTIONS).filter(|(pair, name)| pair[0] == *name).count() == parts.len() / 2;
        if !right {
            return Err(near_miss(text));
        }
        let ids: Vec<_> = parts.chunks(2).map(|pair| pair[1]).collect();
        for (id, collection) in ids.iter().zip(COLLECTIONS) {
            check(collection, id)?;
        }
        let owned = |at: usize| ids.get(at).map(|id| (*id).to_owned());
        let (Some(project), Some(location)) = (owned(0), owned(1)) else {
            return Err(Misfit(format!("the location too: `{text}/locations/LOCATION/keyRings/…`")));
        };
        let location = LocationName { project, location };
        let Some(key_ring) = owned(2) else { return Ok(Self::Location(location)) };
        let key_ring = location.key_ring(key_ring);
        let Some(id) = owned(3) else { return Ok(Self::KeyRing(key_ring)) };
        let key = KeyName { key_ring, id };
        Ok(match ids.get(4).and_then(|number| number.parse().ok()) {
            Some(number) => Self::Version(key.version(number)),
            None => Self::Key(key),
        })
    }
}

/// What was meant, as far as it can be told: other case, other order, other words, too many slashes.
fn near_miss(text: &str) -> Misfit {
    let from = text.find("projects/").unwrap_or_default();
    let parts: Vec<_> = text[from..].split('/').filter(|part| !part.is_empty()).collect();
    let mut found: [Option<&str>; 5] = [None; 5];
    for pair in parts.chunks(2) {
        let (Some(at), [_, id]) = (collection(pair[0]), pair) else { return Misfit(form(text)) };
        if found[at].is_some() || check(COLLECTIONS[at], id).is_err() {
            return Misfit(form(text));
        }
        found[at] = Some(id);
    }
    let depth = found.iter().take_while(|id| id.is_some()).count();
    if depth < 2 || found[depth..].iter().any(Option::is_some) {
        return Misfit(form(text));
    }
    let pairs = COLLECTIONS.iter().zip(found).filter_map(|(name, id)| Some(format!("{name}/{}", id?)));
    Misfit(format!("`{}`", pairs.collect::<Vec<_>>().join("/")))
}

fn form(text: &str) -> String {
    if text.contains('/') { FORM.to_owned() } else { format!("the whole name, {FORM}") }
}

/// Which collection a word may mean.
fn collection(word: &str) -> Option<usize> {
    let word = word.to_ascii_lowercase();
    Some(match word.as_str() {
        "projects" | "project" => 0,
        "locations" | "location" => 1,
        "keyrings" | "keyring" => 2,
        "cryptokeys" | "cryptokey" | "keys" | "key" => 3,
        "cryptokeyversions" | "cryptokeyversion" | "versions" | "version" => 4,
        _ => return None,
    })
}

/// Whether the identifier can be one of that collection; which there are, only the service knows.
fn check(collection: &str, id: &str) -> Result<(), Misfit> {
    let all = |good: fn(u8) -> bool| !id.is_empty() && id.len() <= 63 && id.bytes().all(good);
    let (good, expected) = match collection {
        // An old project has the domain in front: `example.com:project`.
        "projects" => (
            all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':')) && !id.starts_with('.'),
            "a project's identifier or number",
        ),
        "locations" => (
            all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
            "a location in lower case: `global`, `europe`, `us-east1`",
        ),
        "cryptoKeyVersions" => (
            all(|byte| byte.is_ascii_digit()) && !id.starts_with('0') && id.parse::<u64>().is_ok(),
            "the version's number: `cryptoKeyVersions/1`",
        ),
        _ => (
            all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')),
            "1 to 63 letters, digits, `_` and `-` for key ring and key",
        ),
    };
    if good { Ok(()) } else { Err(Misfit(expected.to_owned())) }
}

impl fmt::Display for LocationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "projects/{}/locations/{}", self.project, self.location)
    }
}

impl fmt::Display for KeyRingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/keyRings/{}", self.location, self.id)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/cryptoKeys/{}", self.key_ring, self.id)
    }
}

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/cryptoKeyVersions/{}", self.key, self.number)
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Location(name) => name.fmt(f),
            Self::KeyRing(name) => name.fmt(f),
            Self::Key(name) => name.fmt(f),
            Self::Version(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "projects/p/locations/global/keyRings/r/cryptoKeys/k";

    #[test]
    fn good_names_read_back() {
        for text in [
            "projects/my-project/locations/europe-west3",
            "projects/123456789012/locations/us",
            "projects/example.com:ca/locations/global/keyRings/Ring_1",
            KEY,
            &format!("{KEY}/cryptoKeyVersions/1"),
            &format!("{KEY}/cryptoKeyVersions/4294967296"),
        ] {
            let name: ResourceName = text.parse().unwrap_or_else(|misfit| panic!("{text}: {misfit:?}"));
            assert_eq!(name.to_string(), text);
            assert_eq!(ResourceName::parse_sigstore(text), Ok(name));
        }
        let version = ResourceName::parse_sigstore(&format!("{KEY}/versions/7")).unwrap();
        assert_eq!(version.to_string(), format!("{KEY}/cryptoKeyVersions/7"));
    }

    #[test]
    fn near_misses_say_what_to_write() {
        let version = format!("`{KEY}/cryptoKeyVersions/1`");
        for (text, remedy) in [
            (format!("{KEY}/versions/1"), &*version),
            (format!("{KEY}/cryptoKeyVersions/1/"), &version),
            (format!("/{KEY}/cryptoKeyVersions/1"), &version),
            (format!("{KEY}/"), &format!("`{KEY}`")),
            (format!("//cloudkms.googleapis.com/{KEY}"), &format!("`{KEY}`")),
            (format!("https://cloudkms.googleapis.com/v1/{KEY}/cryptoKeyVersions/1"), &version),
            (format!("{KEY}//cryptoKeyVersions/1"), &version),
            ("projects/p/locations/global/keyrings/r/cryptokeys/k".into(), &format!("`{KEY}`")),
            ("projects/p/locations/global/keyRings/r/keys/k/versions/1".into(), &version),
            ("locations/global/projects/p/keyRings/r/cryptoKeys/k".into(), "PROJECT"),
            ("projects/p/keyRings/r/locations/global/cryptoKeys/k".into(), &format!("`{KEY}`")),
            ("projects/p/locations/global/cryptoKeys/k/keyRings/r".into(), &format!("`{KEY}`")),
            ("projects/p/locations/global/cryptoKeys/k".into(), "keyRings/RING"),
            ("projects/p/keyRings/r".into(), "locations/LOCATION"),
            ("projects/p".into(), "projects/p/locations/LOCATION"),
            ("projects".into(), "the whole name"),
            ("root".into(), "the whole name"),
            (String::new(), "the whole name"),
            ("keyRings/r/cryptoKeys/k".into(), "PROJECT"),
            (format!("{KEY}/cryptoKeyVersions"), "NUMBER"),
            (format!("{KEY}/cryptoKeyVersions/0"), "number"),
            (format!("{KEY}/cryptoKeyVersions/01"), "number"),
            (format!("{KEY}/cryptoKeyVersions/latest"), "number"),
            (format!("{KEY}/cryptoKeyVersions/99999999999999999999"), "number"),
            (format!("{KEY}/cryptoKeyVersions/1/cryptoKeyVersions/1"), "NUMBER"),
            ("projects/p/locations/Global".into(), "lower case"),
            ("projects/p q/locations/global".into(), "project"),
            ("projects/../locations/global".into(), "project"),
            ("projects/p/locations/global/keyRings/r.x".into(), "letters"),
            (format!("projects/p/locations/global/keyRings/{}", "r".repeat(64)), "63"),
            ("projects/p/locations/global/keyRings/r/cryptoKeys/k:asymmetricSign".into(), "letters"),
        ] {
            let misfit = text.parse::<ResourceName>().expect_err(&text);
            assert!(misfit.0.contains(remedy), "{text}: {misfit:?}");
        }
    }

    #[test]
    fn a_place_has_its_keys() {
        let key: ResourceName = KEY.parse().unwrap();
        for (place, has) in [
            ("projects/p/locations/global", true),
            ("projects/p/locations/global/keyRings/r", true),
            ("projects/p/locations/global/keyRings/r/cryptoKeys/other", true),
            ("projects/p/locations/global/keyRings/s", false),
            ("projects/p/locations/europe", false),
            ("projects/q/locations/global", false),
        ] {
            assert_eq!(place.parse::<ResourceName>().unwrap().has_in_its_place(&key), has, "{place}");
        }
    }

    proptest! {
        /// What is read is written as it was, and what is proposed instead is right.
        #[test]
        fn every_text_is_a_name_or_gets_a_remedy(
            words in proptest::collection::vec(
                prop_oneof![
                    prop::sample::select(&COLLECTIONS[..]).prop_map(ToOwned::to_owned),
                    "[a-z0-9_:.A-Z-]{0,5}",
                    prop::sample::select(vec!["versions", "keyrings", "1", "", "p"]).prop_map(ToOwned::to_owned),
                ],
                0..12,
            ),
        ) {
            let text = words.join("/");
            match text.parse::<ResourceName>() {
                Ok(name) => prop_assert_eq!(name.to_string(), text),
                Err(Misfit(remedy)) => {
                    let proposed = remedy.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
                    if let Some(proposed) = proposed.filter(|it| !it.contains("PROJECT") && it.starts_with("projects/")) {
                        prop_assert!(proposed.parse::<ResourceName>().is_ok(), "{text}: {proposed}");
                    }
                }
            }
        }

        #[test]
        fn no_text_is_too_odd(text: String) {
            let _ = (text.parse::<ResourceName>(), ResourceName::parse_sigstore(&text));
        }
    }
}
