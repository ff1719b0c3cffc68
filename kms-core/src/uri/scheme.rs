//! What the schemes allow, in tables: characters, values without a name, the fixed forms of RFC 7512, secret names.

/// What sets one scheme apart.
pub(super) struct Scheme {
    pub(super) name: &'static str,
    /// RFC 7512 to the letter: no raw `/` in the path, fixed forms of three values, vendor query names may repeat.
    pub(super) strict: bool,
    pub(super) positional: Option<Positional>,
    /// What to write when the path does not start with an attribute the scheme can read.
    pub(super) hint: &'static str,
}

/// A value without a name, first in the path.
pub(super) struct Positional {
    /// The attribute it stands for.
    pub(super) attribute: &'static str,
    pub(super) lead: Lead,
}

/// The slashes between `scheme:` and a positional value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lead {
    /// None, and the value does not start with one: `cloudkms:projects/…`.
    None,
    /// Two: `gcpkms://projects/…`.
    Two,
    /// Three: `awskms:///alias/…`.
    Three,
    /// A path, relative or absolute. `//` in front would be a host.
    Path,
    /// As `Path`, and an empty host is skipped: `softkms:///abs`.
    FilePath,
}

static SCHEMES: [Scheme; 6] = [
    Scheme {
        name: "pkcs11",
        strict: true,
        positional: None,
        hint: "write `pkcs11:token=…;object=…`: in the path `/` is written `%2F`, \
               and `module-path=/…` goes after the `?`",
    },
    Scheme {
        name: "awskms",
        strict: false,
        positional: Some(Positional { attribute: "key-id", lead: Lead::Three }),
        hint: "write `awskms:///arn:…`, `awskms:///alias/…` or `awskms:key-id=…`; \
               an endpoint goes into `;endpoint-url=…`",
    },
    Scheme {
        name: "cloudkms",
        strict: false,
        positional: Some(Positional { attribute: "resource", lead: Lead::None }),
        hint: "write `cloudkms:projects/…`",
    },
    Scheme {
        name: "gcpkms",
        strict: false,
        positional: Some(Positional { attribute: "resource", lead: Lead::Two }),
        hint: "write `gcpkms://projects/…` or `cloudkms:projects/…`",
    },
    Scheme { name: "yubikey", strict: false, positional: None, hint: "write `yubikey:slot-id=9c`" },
    Scheme {
        name: "softkms",
        strict: false,
        positional: Some(Positional { attribute: "path", lead: Lead::FilePath }),
        hint: "write `softkms:` and the path of the file (`softkms:root.key`, `softkms:/etc/root.key`) or \
               `softkms:path=…`; there is no host",
    },
];

static OTHER: Scheme = Scheme {
    name: "",
    strict: false,
    positional: Some(Positional { attribute: "path", lead: Lead::Path }),
    hint: "write `scheme:name=value` or `scheme:path`, without `//`",
};

/// The rules for `name`, which is in lower case.
pub(super) fn rules(name: &str) -> &'static Scheme {
    SCHEMES.iter().find(|scheme| scheme.name == name).unwrap_or(&OTHER)
}

/// RFC 3986 §3.1.
pub(super) fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(is_scheme_byte)
}

pub(super) fn is_scheme_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

impl Lead {
    /// What stands between `scheme:` and the value in the canonical spelling.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::None | Self::Path | Self::FilePath => "",
            Self::Two => "//",
            Self::Three => "///",
        }
    }

    /// How many bytes to skip before a positional value; `None` if the spelling is not one the scheme reads.
    pub(super) fn skip(self, text: &[u8]) -> Option<usize> {
        let slashes = text.iter().take_while(|byte| **byte == b'/').count();
        match self {
            Self::None => (slashes == 0).then_some(0),
            Self::Two => (slashes == 2).then_some(2),
            Self::Three => (slashes == 3).then_some(3),
            Self::FilePath if slashes >= 3 => Some(2),
            Self::Path | Self::FilePath => (slashes < 2).then_some(0),
        }
    }

    /// Whether a value may start with a `/` of its own.
    pub(super) fn rooted(self) -> bool {
        matches!(self, Self::Path | Self::FilePath)
    }
}

/// Sets of bytes that stand for themselves.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Class {
    /// Names of attributes: `pk11-v-attr-nm-char`.
    Name = 1,
    /// Values in the path: `pk11-pchar` without escapes.
    Path = 2,
    /// Values in the path outside `pkcs11:`, where `/` needs no escape.
    PathSlash = 4,
    /// Values in the query: `pk11-qchar` without escapes.
    Query = 8,
}

impl Class {
    pub(super) fn has(self, byte: u8) -> bool {
        CLASSES[usize::from(byte)] & self as u8 != 0
    }

    /// How many bytes at the start of `bytes` are in the class.
    pub(super) fn run(self, bytes: &[u8]) -> usize {
        bytes.iter().position(|byte| !self.has(*byte)).unwrap_or(bytes.len())
    }
}

static CLASSES: [u8; 256] = {
    let (name, path) = (Class::Name as u8, Class::Path as u8 | Class::PathSlash as u8);
    let query = Class::Query as u8;
    let mut table = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name | path | query,
            b'.' | b'~' | b':' | b'[' | b']' | b'@' | b'!' | b'$' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' => {
                path | query
            }
            b'&' => path,
            b'/' => query | Class::PathSlash as u8,
            b'?' | b'|' => query,
            _ => 0,
        };
        byte += 1;
    }
    table
};

/// The names RFC 7512 §2.4 gives to the query.
pub(super) fn is_standard_query(name: &str) -> bool {
    matches!(name, "pin-source" | "pin-value" | "module-name" | "module-path")
}

/// What RFC 7512 §2.3 wants of the raw value of a path attribute, if `raw` is not that.
pub(super) fn misfit(name: &str, raw: &[u8]) -> Option<&'static str> {
    const TYPES: [&[u8]; 5] = [b"public", b"private", b"cert", b"secret-key", b"data"];
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    match name {
        "type" if !TYPES.iter().any(|known| raw.eq_ignore_ascii_case(known)) => {
            Some("`type` is one of `public`, `private`, `cert`, `secret-key`, `data`")
        }
        "slot-id" if !digits(raw) => Some("`slot-id` is a decimal number"),
        "library-version" if !raw.splitn(2, |byte| *byte == b'.').all(digits) => {
            Some("`library-version` is a number, or two with a `.` between")
        }
        _ => None,
    }
}

/// `name` if it is one of the vocabulary, and so safe to print: nothing typed by mistake is.
pub(super) fn printable(name: &str) -> Option<&'static str> {
    const NAMES: &str = "token manufacturer serial model library-manufacturer library-version library-description \
        object type id slot-description slot-manufacturer slot-id pin-source pin-value module-name module-path \
        id-hex max-sessions alg key-id name region profile credentials-file role-arn endpoint-url resource \
        touch-policy pin-policy management-key management-key-source path dir password password-source";
    NAMES.split(' ').find(|known| *known == name)
}

/// Whether a decoded value holds the `name=` of a secret behind a delimiter: a secret that was meant as an attribute of
/// its own, but written behind `&` in the path or a second `?`.
pub(super) fn swallows_secret(value: &[u8]) -> bool {
    value.split(|byte| matches!(byte, b'&' | b';' | b'?')).skip(1).any(|piece| {
        let name = Class::Name.run(piece);
        piece.get(name) == Some(&b'=') && str::from_utf8(&piece[..name]).is_ok_and(is_secret)
    })
}

/// Whether the value of `name` must never be printed, wherever it stands; `_` counts as `-`. Names of places where a
/// secret is found (`…-source`, `…-file`) are not secret.
pub(super) fn is_secret(name: &str) -> bool {
    const WHOLE: [&str; 11] = [
        "pin-value",
        "pinvalue",
        "pin",
        "puk",
        "pin-code",
        "pincode",
        "passcode",
        "pass",
        "passwd",
        "pwd",
        "management-key",
    ];
    const WITHIN: [&str; 7] =
        ["password", "passphrase", "secret", "pin-value", "access-key", "session-token", "private-key"];
    let name = name.as_bytes();
    let starts = |text: &[u8], word: &str| {
        let same = |(byte, want): (&u8, u8)| byte.to_ascii_lowercase() == want || (*byte == b'_' && want == b'-');
        text.len() >= word.len() && text.iter().zip(word.bytes()).all(same)
    };
    let ends = |word: &str| name.len() >= word.len() && starts(&name[name.len() - word.len()..], word);
    let within = || {
        let initial = |byte: u8| matches!(byte.to_ascii_lowercase(), b'p' | b's' | b'a');
        (0..name.len()).any(|at| initial(name[at]) && WITHIN.iter().any(|word| starts(&name[at..], word)))
    };
    WHOLE.iter().any(|word| name.len() == word.len() && starts(name, word))
        || ends("-pin")
        || ends("-puk")
        || (within() && !ends("-source") && !ends("-file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_secret_or_not() {
        const SECRET: &str = "pin-value PIN-Value pin_value pin puk so-pin user_pin pass passwd management-key \
            management_key password old-password db_password_2 \
            Passphrase client-secret x-pin-value secret-access-key session-token private-key-pem";
        const OPEN: &str = "pin-source password-source password-file PASSWORD-FILE pin-policy pins spin puk-source \
            management-key-source key-id token private";
        assert_eq!(SECRET.split(' ').find(|name| !is_secret(name)), None);
        assert_eq!(OPEN.split(' ').find(|name| is_secret(name)), None);
    }

    #[test]
    fn a_secret_in_another_value_is_seen() {
        for value in ["pki&password-value=x", "a?pin-value=x", "a;b=c;PIN=x", "a&pin_value=", "&pin=1"] {
            assert!(swallows_secret(value.as_bytes()), "{value}");
        }
        for value in ["", "pin-value=x", "a&b=c", "R&D", "file:/pin", "a&pin", "a&pin-source=env:PIN", "=&==?"] {
            assert!(!swallows_secret(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn classes_are_those_of_rfc_7512() {
        let extra = |class: Class| -> String {
            (0..=255_u8).filter(|b| class.has(*b) && !b.is_ascii_alphanumeric()).map(char::from).collect()
        };
        assert_eq!(extra(Class::Name), "-_");
        assert_eq!(extra(Class::Path), "!$&'()*+,-.:=@[]_~");
        assert_eq!(extra(Class::PathSlash), "!$&'()*+,-./:=@[]_~");
        assert_eq!(extra(Class::Query), "!$'()*+,-./:=?@[]_|~");
    }
}
