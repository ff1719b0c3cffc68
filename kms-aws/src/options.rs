//! From a URI to typed options.

use std::fs::File;
use std::path::PathBuf;

use kms_core::uri::{Attributes, KeyUriBuilder, Value};
use kms_core::{Error, ErrorKind, KeyUri, Result, SignatureAlgorithm};
use url::{Host, Url};

use crate::algorithm;
use crate::error::bad_uri;
use crate::key_id::{KeyId, Misfit, check_region};

/// What one `awskms:` URI states, each attribute taken.
#[derive(Clone, Debug)]
pub(crate) struct Stated {
    pub(crate) place: Place,
    pub(crate) key: Option<KeyId>,
    pub(crate) filter: Filter,
}

/// Where keys are, and with whose rights they are used. What is not stated, the environment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) region: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) credentials_file: Option<PathBuf>,
    pub(crate) role_arn: Option<String>,
    pub(crate) endpoint_url: Option<String>,
}

/// What else than the name a search asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) tag: Option<(String, String)>,
    pub(crate) key_spec: Option<String>,
}

impl Stated {
    /// Reads a URI. No call, no file.
    ///
    /// # Errors
    /// `InvalidUri` for an attribute that is unknown, wrong or contradicts another; for an endpoint that is neither
    /// https nor on this machine, unless `any_endpoint`.
    pub(crate) fn read(uri: &KeyUri, any_endpoint: bool) -> Result<Self> {
        if uri.scheme() != crate::SCHEME {
            return Err(bad_uri(format!("`{}:` is not for AWS KMS", uri.scheme())).with_hint("write `awskms:`"));
        }
        SignatureAlgorithm::stated(uri, None)?;
        let mut attributes = uri.attributes();
        let key_id = attributes.path("key-id")?;
        let name = attributes.path("name")?;
        let filter = Filter::take(&mut attributes)?;
        let place = Place::take(&mut attributes, any_endpoint)?;
        attributes.finish()?;

        let key = match (key_id, name) {
            (Some(_), Some(_)) => {
                return Err(bad_uri("both `key-id` and `name` are given").with_hint("give one of them"));
            }
            (Some(value), None) => Some(value.text()?.parse().map_err(|misfit| refuse(&value, &misfit))?),
            (None, Some(value)) => Some(KeyId::named(value.text()?).map_err(|misfit| refuse(&value, &misfit))?),
            (None, None) => None,
        };
        let mut stated = Self { place, key, filter };
        if let Some(of_arn) = stated.key.as_ref().and_then(KeyId::region) {
            match &stated.place.region {
                Some(region) if region != of_arn => {
                    return Err(bad_uri(format!("the ARN is of a key in {of_arn}, and `region` is {region}"))
                        .with_hint("leave `region` out; the ARN has it"));
                }
                _ => stated.place.region = Some(of_arn.to_owned()),
            }
        }
        Ok(stated)
    }
}

impl Place {
    fn take(attributes: &mut Attributes<'_>, any_endpoint: bool) -> Result<Self> {
        let region = attributes.either("region")?;
        let profile = attributes.either("profile")?;
        let credentials_file = attributes.either("credentials-file")?;
        let role_arn = attributes.either("role-arn")?;
        let endpoint_url = attributes.either("endpoint-url")?;
        let region = match region {
            Some(value) => {
                let text = value.text()?;
                check_region(text).map_err(|misfit| refuse(&value, &misfit))?;
                Some(text.to_owned())
            }
            None => None,
        };
        let profile = match profile {
            Some(value) if value.text()?.is_empty() => return Err(value.misfit("the name of a profile")),
            Some(value) => Some(value.text()?.to_owned()),
            None => None,
        };
        let credentials_file = match credentials_file {
            // Made absolute, so that a URI handed out means the same file from anywhere.
            Some(value) => Some(std::path::absolute(value.file()?).map_err(|_| value.misfit("the path of a file"))?),
            None => None,
        };
        let role_arn = match role_arn {
            Some(value) if is_role(value.text()?) => Some(value.text()?.to_owned()),
            Some(value) => return Err(value.misfit("the ARN of a role: `arn:aws:iam::ACCOUNT:role/NAME`")),
            None => None,
        };
        let endpoint_url = match endpoint_url {
            Some(value) => Some(endpoint(&value, any_endpoint)?),
            None => None,
        };
        Ok(Self { region, profile, credentials_file, role_arn, endpoint_url })
    }

    /// Whether a key's URI, as far as it says where the key is, means this place.
    ///
    /// # Errors
    /// `InvalidUri` when it does not.
    pub(crate) fn check(&self, key: &Self) -> Result<()> {
        fn differ<T: PartialEq>(of_key: Option<&T>, ours: Option<&T>) -> bool {
            of_key.is_some() && of_key != ours
        }
        let difference = if differ(key.region.as_ref(), self.region.as_ref()) {
            "region"
        } else if differ(key.profile.as_ref(), self.profile.as_ref()) {
            "profile"
        } else if differ(key.credentials_file.as_ref(), self.credentials_file.as_ref()) {
            "credentials-file"
        } else if differ(key.role_arn.as_ref(), self.role_arn.as_ref()) {
            "role-arn"
        } else if differ(key.endpoint_url.as_ref(), self.endpoint_url.as_ref()) {
            "endpoint-url"
        } else {
            return Ok(());
        };
        Err(bad_uri(format!("the `{difference}` of the key's URI is not that of the manager"))
            .with_hint("open a manager for it: both can be used side by side"))
    }

    /// Whether the file that is to give the credentials can be read.
    ///
    /// # Errors
    /// `NotFound` or `PermissionDenied`.
    pub(crate) fn check_file(&self) -> Result<()> {
        let Some(path) = &self.credentials_file else { return Ok(()) };
        let is_file = File::open(path).and_then(|file| file.metadata()).map(|metadata| metadata.is_file());
        match is_file {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("awskms: the credentials file {} is no file", path.display()),
            )),
            Err(error) => {
                let kind = match error.kind() {
                    std::io::ErrorKind::NotFound => ErrorKind::NotFound,
                    std::io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
                    _ => ErrorKind::Other,
                };
                Err(Error::new(kind, format!("awskms: cannot read the credentials file {}", path.display()))
                    .with_source(error))
            }
        }
    }

    /// Adds to a URI what says where the key is, but for the region, which its ARN has.
    pub(crate) fn write(&self, mut builder: KeyUriBuilder) -> KeyUriBuilder {
        if let Some(profile) = &self.profile {
            builder = builder.path("profile", profile);
        }
        if let Some(path) = &self.credentials_file {
            builder = builder.path("credentials-file", path.as_os_str().as_encoded_bytes());
        }
        if let Some(role) = &self.role_arn {
            builder = builder.path("role-arn", role);
        }
        if let Some(endpoint) = &self.endpoint_url {
            builder = builder.path("endpoint-url", endpoint);
        }
        builder
    }
}

impl Filter {
    fn take(attributes: &mut Attributes<'_>) -> Result<Self> {
        let tag = match attributes.path("tag")? {
            Some(value) => match value.text()?.split_once('=') {
                Some((name, content)) if !name.is_empty() => Some((name.to_owned(), content.to_owned())),
                _ => return Err(value.misfit("a tag's key and value: `tag=KEY=VALUE`")),
            },
            None => None,
        };
        let key_spec = match attributes.path("key-spec")? {
            Some(value) if algorithm::is_key_spec(value.text()?) => Some(value.text()?.to_owned()),
            Some(value) => return Err(value.misfit("a key spec of AWS KMS: `ECC_NIST_P256`, `RSA_2048`, …")),
            None => None,
        };
        Ok(Self { tag, key_spec })
    }

    /// For calls that are about one key.
    ///
    /// # Errors
    /// `InvalidUri` when it asks for anything.
    pub(crate) fn check_none(&self) -> Result<()> {
        if *self == Self::default() {
            return Ok(());
        }
        Err(bad_uri("`tag` and `key-spec` are for searching").with_hint("name the key: `key-id=…` or `name=…`"))
    }
}

fn refuse(value: &Value<'_>, misfit: &Misfit) -> Error {
    value.misfit(misfit.0)
}

fn is_role(text: &str) -> bool {
    let parts: Vec<_> = text.splitn(6, ':').collect();
    matches!(parts[..], ["arn", partition, "iam", "", account, resource]
        if !partition.is_empty()
            && !account.is_empty()
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && resource.strip_prefix("role/").is_some_and(|name| !name.is_empty() && !name.contains(char::is_whitespace)))
}

/// An endpoint to which signed requests may be sent. `url` reads more than a URL is, but says itself what it understood.
fn endpoint(value: &Value<'_>, any_endpoint: bool) -> Result<String> {
    const FORM: &str = "`https://HOST` or, on this machine, `http://127.0.0.1:PORT`";
    let text = value.text()?;
    let url = Url::parse(text).map_err(|_| value.misfit(FORM))?;
    let plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(value.misfit(FORM)),
    };
    match url.scheme() {
        _ if !plain || text.contains(char::is_whitespace) => Err(value.misfit("a URL without user, `?` or `#`")),
        "https" => Ok(url.into()),
        "http" if local || any_endpoint => Ok(url.into()),
        "http" => Err(value.misfit("https, unless the endpoint is on this machine")),
        _ => Err(value.misfit(FORM)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

    fn stated(text: &str) -> Result<Stated> {
        Stated::read(&KeyUri::parse(text)?, false)
    }

    #[test]
    fn good_uris_are_read() {
        for (text, key, region) in [
            ("awskms:", None, None),
            ("awskms:region=us-east-1", None, Some("us-east-1")),
            (&format!("awskms:key-id={ID}"), Some(ID), None),
            ("awskms:key-id=alias/Root;region=eu-west-3", Some("alias/Root"), Some("eu-west-3")),
            ("awskms:key-id=alias/Root?region=eu-west-3&profile=ca", Some("alias/Root"), Some("eu-west-3")),
            ("awskms:name=Root", Some("alias/Root"), None),
            ("awskms:///alias/Root", Some("alias/Root"), None),
            (&format!("awskms:///{ID}"), Some(ID), None),
            (
                "awskms:///arn:aws:kms:us-west-2:123456789012:alias/r;region=us-west-2",
                Some("arn:aws:kms:us-west-2:123456789012:alias/r"),
                Some("us-west-2"),
            ),
            ("AWSKMS:tag=env=prod;key-spec=ECC_NIST_P256", None, None),
            ("awskms:region=us-east-1;endpoint-url=http://127.0.0.1:4566", None, Some("us-east-1")),
            ("awskms:endpoint-url=https://kms.internal.example", None, None),
            ("awskms:endpoint-url=http://[::1]:4566;role-arn=arn:aws:iam::123456789012:role/ca/signer", None, None),
        ] {
            let stated = stated(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(stated.key.as_ref().map(KeyId::as_str), key, "{text}");
            assert_eq!(stated.place.region.as_deref(), region, "{text}");
        }
    }

    #[test]
    fn bad_uris_are_refused_with_a_remedy() {
        for (text, remedy) in [
            ("awskms:key-id=", "UUID"),
            ("awskms:key-id=root", "alias/NAME"),
            ("awskms:///root", "alias/NAME"),
            ("awskms:name=alias/x", "without `alias/`"),
            ("awskms:name=a%20b", "letters"),
            ("awskms:name=a;key-id=alias/a", "one of them"),
            ("awskms:region=us-east-1a", "zone"),
            ("awskms:region=", "region"),
            ("awskms:key-id=arn:aws:kms:us-west-2:123456789012:alias/r;region=us-east-1", "leave `region` out"),
            ("awskms:profile=", "profile"),
            ("awskms:credentials-file=", "path"),
            ("awskms:role-arn=signer", "arn:aws:iam"),
            ("awskms:role-arn=arn:aws:iam::123456789012:user/x", "role"),
            ("awskms:endpoint-url=http://kms.example", "https"),
            ("awskms:endpoint-url=http://169.254.169.254/latest", "https"),
            ("awskms:endpoint-url=http://127.0.0.1.evil.example", "https"),
            ("awskms:endpoint-url=http://localhost@evil.example", "without user"),
            ("awskms:endpoint-url=https://user:pw@kms.example", "without user"),
            ("awskms:endpoint-url=https://kms.example%3Fa=b", "`?`"),
            ("awskms:endpoint-url=ftp://127.0.0.1", "https://HOST"),
            ("awskms:endpoint-url=kms.example", "https://HOST"),
            ("awskms:tag=env", "tag=KEY=VALUE"),
            ("awskms:key-spec=P256", "ECC_NIST_P256"),
            ("awskms:keyid=x", "`key-id`"),
            ("awskms:key-id=alias/a;access-key-id=canary", "known"),
            ("awskms:key-id=alias/a;alg=md5", "ecdsa-sha256"),
            ("softkms:name=a", "awskms:"),
        ] {
            let error = stated(text).expect_err(text);
            assert_eq!(error.kind(), ErrorKind::InvalidUri, "{text}");
            assert!(error.hint().unwrap_or_default().contains(remedy), "{text}: {error}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{text}");
        }
        assert!(Stated::read(&"awskms:endpoint-url=http://kms.example".parse().unwrap(), true).is_ok());
    }

    #[test]
    fn a_key_elsewhere_is_not_of_the_manager() {
        let manager = stated("awskms:region=us-east-1;profile=ca;endpoint-url=http://127.0.0.1:1").unwrap().place;
        for (text, same) in [
            ("awskms:name=a", true),
            ("awskms:name=a;region=us-east-1;profile=ca", true),
            ("awskms:name=a;region=us-east-2", false),
            ("awskms:name=a;profile=other", false),
            ("awskms:name=a;endpoint-url=http://127.0.0.1:2", false),
            ("awskms:name=a;role-arn=arn:aws:iam::123456789012:role/x", false),
            ("awskms:key-id=arn:aws:kms:us-east-2:123456789012:alias/r", false),
        ] {
            assert_eq!(manager.check(&stated(text).unwrap().place).is_ok(), same, "{text}");
        }
    }
}
