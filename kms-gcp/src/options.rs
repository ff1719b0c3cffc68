//! From a URI to typed options.

use std::fs::File;
use std::path::PathBuf;

use kms_core::uri::{Attributes, KeyUriBuilder};
use kms_core::{Error, ErrorKind, KeyUri, Result, SignatureAlgorithm};
use url::{Host, Url};

use crate::error::bad_uri;
use crate::resource_name::ResourceName;

/// The scheme in which sigstore writes the names.
const SIGSTORE: &str = "gcpkms";

/// Where `gcloud` takes the service's address from, if it is not Google's own.
const ENDPOINT: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS";

/// What one URI states, each attribute taken.
#[derive(Clone, Debug)]
pub(crate) struct Stated {
    /// The scheme that the URI has, in which others are handed out.
    pub(crate) scheme: &'static str,
    pub(crate) place: Place,
    pub(crate) name: Option<ResourceName>,
    pub(crate) filter: Filter,
}

/// With whose rights keys are used, and where the service is. What is not stated, the environment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) credentials_file: Option<PathBuf>,
    pub(crate) impersonate: Option<String>,
    pub(crate) endpoint_url: Option<String>,
}

/// What else than the name a search asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) label: Option<(String, String)>,
}

impl Stated {
    /// Reads a URI. No call, no file.
    ///
    /// # Errors
    /// `InvalidUri` for an attribute that is unknown or wrong; for an endpoint that is neither https nor on this
    /// machine, unless `any_endpoint`.
    pub(crate) fn read(uri: &KeyUri, any_endpoint: bool) -> Result<Self> {
        let Some(scheme) = crate::SCHEMES.iter().copied().find(|scheme| *scheme == uri.scheme()) else {
            return Err(bad_uri(format!("`{}:` is not for Cloud KMS", uri.scheme())).with_hint("write `cloudkms:`"));
        };
        SignatureAlgorithm::stated(uri, None)?;
        let mut attributes = uri.attributes();
        let resource = attributes.path("resource")?;
        let filter = Filter::take(&mut attributes)?;
        let place = Place::take(&mut attributes, any_endpoint)?;
        attributes.finish()?;
        let name = match resource {
            Some(value) => {
                let text = value.text()?;
                let name = if scheme == SIGSTORE { ResourceName::parse_sigstore(text) } else { text.parse() };
                Some(name.map_err(|misfit| value.misfit(misfit.0))?)
            }
            None => None,
        };
        Ok(Self { scheme, place, name, filter })
    }
}

impl Place {
    fn take(attributes: &mut Attributes<'_>, any_endpoint: bool) -> Result<Self> {
        let credentials_file = attributes.either("credentials-file")?;
        let impersonate = attributes.either("impersonate-service-account")?;
        let endpoint_url = attributes.either("endpoint-url")?;
        let credentials_file = match credentials_file {
            // Made absolute, so that a URI handed out means the same file from anywhere.
            Some(value) => Some(std::path::absolute(value.file()?).map_err(|_| value.misfit("the path of a file"))?),
            None => None,
        };
        let impersonate = match impersonate {
            Some(value) if is_account(value.text()?) => Some(value.text()?.to_owned()),
            Some(value) => return Err(value.misfit("a service account: `NAME@PROJECT.iam.gserviceaccount.com`")),
            None => None,
        };
        let endpoint_url = match endpoint_url {
            Some(value) => Some(endpoint(value.text()?, any_endpoint).map_err(|expected| value.misfit(expected))?),
            None => None,
        };
        Ok(Self { credentials_file, impersonate, endpoint_url })
    }

    /// With the endpoint that the environment says, unless the URI does.
    ///
    /// # Errors
    /// `InvalidArgument` for one that is neither https nor on this machine, unless `any_endpoint`.
    pub(crate) fn with_ambient_endpoint(mut self, any_endpoint: bool) -> Result<Self> {
        if self.endpoint_url.is_none()
            && let Ok(text) = std::env::var(ENDPOINT)
            && !text.is_empty()
        {
            self.endpoint_url = Some(endpoint(&text, any_endpoint).map_err(|expected| {
                Error::new(ErrorKind::InvalidArgument, format!("cloudkms: the value of {ENDPOINT} is not understood"))
                    .with_hint(format!("it takes {expected}"))
            })?);
        }
        Ok(self)
    }

    /// Whether a key's URI, as far as it says with whose rights and where, means this place.
    ///
    /// # Errors
    /// `InvalidUri` when it does not.
    pub(crate) fn check(&self, key: &Self) -> Result<()> {
        fn differ<T: PartialEq>(of_key: Option<&T>, ours: Option<&T>) -> bool {
            of_key.is_some() && of_key != ours
        }
        let difference = if differ(key.credentials_file.as_ref(), self.credentials_file.as_ref()) {
            "credentials-file"
        } else if differ(key.impersonate.as_ref(), self.impersonate.as_ref()) {
            "impersonate-service-account"
        } else if differ(key.endpoint_url.as_ref(), self.endpoint_url.as_ref()) {
            "endpoint-url"
        } else {
            return Ok(());
        };
        Err(bad_uri(format!("the `{difference}` of the key's URI is not that of the manager")).with_hint(ANOTHER))
    }

    /// Whether the file that is to give the credentials can be read.
    ///
    /// # Errors
    /// `NotFound` or `PermissionDenied`.
    pub(crate) fn check_file(&self) -> Result<()> {
        let Some(path) = &self.credentials_file else { return Ok(()) };
        let is_file = File::open(path).and_then(|file| file.metadata()).map(|metadata| metadata.is_file());
        let (kind, source) = match is_file {
            Ok(true) => return Ok(()),
            Ok(false) => (ErrorKind::InvalidArgument, None),
            Err(error) => match error.kind() {
                std::io::ErrorKind::NotFound => (ErrorKind::NotFound, Some(error)),
                std::io::ErrorKind::PermissionDenied => (ErrorKind::PermissionDenied, Some(error)),
                _ => (ErrorKind::Other, Some(error)),
            },
        };
        let error = Error::new(kind, format!("cloudkms: cannot read the credentials file {}", path.display()));
        Err(match source {
            Some(source) => error.with_source(source),
            None => error.with_hint("it is no file"),
        })
    }

    /// Adds to a URI what says with whose rights and where.
    pub(crate) fn write(&self, mut builder: KeyUriBuilder) -> KeyUriBuilder {
        if let Some(path) = &self.credentials_file {
            builder = builder.query("credentials-file", path.as_os_str().as_encoded_bytes());
        }
        if let Some(account) = &self.impersonate {
            builder = builder.query("impersonate-service-account", account);
        }
        if let Some(endpoint) = &self.endpoint_url {
            builder = builder.query("endpoint-url", endpoint);
        }
        builder
    }
}

/// What to do about a URI of elsewhere.
pub(crate) const ANOTHER: &str = "open a manager for it: both can be used side by side";

impl Filter {
    fn take(attributes: &mut Attributes<'_>) -> Result<Self> {
        let label = match attributes.path("label")? {
            Some(value) => match value.text()?.split_once('=') {
                Some((name, content)) if !name.is_empty() => Some((name.to_owned(), content.to_owned())),
                _ => return Err(value.misfit("a label's key and value: `label=KEY=VALUE`")),
            },
            None => None,
        };
        Ok(Self { label })
    }

    /// For calls that are about one key.
    ///
    /// # Errors
    /// `InvalidUri` when it asks for anything.
    pub(crate) fn check_none(&self) -> Result<()> {
        if *self == Self::default() {
            return Ok(());
        }
        Err(bad_uri("`label` is for searching").with_hint("name the key: `cloudkms:projects/…`"))
    }
}

fn is_account(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    text.split_once('@').is_some_and(|(name, domain)| {
        !name.is_empty() && domain.contains('.') && name.bytes().all(good) && domain.bytes().all(good)
    })
}

/// An endpoint to which access tokens may be sent, or what to write. `url` reads more than a URL is, but says itself what
/// it understood.
fn endpoint(text: &str, any_endpoint: bool) -> Result<String, &'static str> {
    const FORM: &str = "`https://HOST` or, on this machine, `http://127.0.0.1:PORT`";
    let url = Url::parse(text).map_err(|_| FORM)?;
    let plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    let written = || url.as_str().trim_end_matches('/').to_owned();
    match url.scheme() {
        _ if !plain || text.contains(char::is_whitespace) => Err("a URL without user, `?` or `#`"),
        "https" if url.host().is_some() => Ok(written()),
        "http" if is_local(&url) || any_endpoint => Ok(written()),
        "http" => Err("https, unless the endpoint is on this machine"),
        _ => Err(FORM),
    }
}

fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "projects/p/locations/global/keyRings/r/cryptoKeys/k";

    fn stated(text: &str) -> Result<Stated> {
        Stated::read(&KeyUri::parse(text)?, false)
    }

    #[test]
    fn good_uris_are_read() {
        let version = format!("{KEY}/cryptoKeyVersions/1");
        for (text, name) in [
            ("cloudkms:", None),
            ("cloudkms:projects/p/locations/global", Some("projects/p/locations/global")),
            (&format!("cloudkms:{KEY}"), Some(KEY)),
            (&format!("cloudkms:resource={KEY}"), Some(KEY)),
            (&format!("CLOUDKMS:{version};alg=ecdsa-sha256"), Some(&version)),
            (&format!("gcpkms://{version}"), Some(&version)),
            (&format!("gcpkms://{KEY}/versions/1"), Some(&version)),
            (&format!("cloudkms:{KEY}?credentials-file=/etc/gcp.json"), Some(KEY)),
            (&format!("cloudkms:{KEY};endpoint-url=http://127.0.0.1:8080"), Some(KEY)),
            ("cloudkms:?endpoint-url=http://[::1]:1", None),
            ("cloudkms:endpoint-url=https://cloudkms.internal.example", None),
            ("cloudkms:?impersonate-service-account=ca@p.iam.gserviceaccount.com", None),
            ("cloudkms:projects/p/locations/global;label=env=prod", Some("projects/p/locations/global")),
        ] {
            let stated = stated(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(stated.name.map(|name| name.to_string()).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn bad_uris_are_refused_with_a_remedy() {
        for (text, remedy) in [
            (format!("cloudkms:{KEY}/versions/1"), format!("{KEY}/cryptoKeyVersions/1")),
            (format!("cloudkms:{KEY}/"), KEY.to_owned()),
            ("cloudkms:resource=".into(), "projects/PROJECT".into()),
            ("cloudkms:root".into(), "projects/".into()),
            ("cloudkms:projects/p/keyRings/r".into(), "locations/LOCATION".into()),
            (format!("cloudkms:{KEY};credentials-file="), "path".into()),
            (format!("cloudkms:{KEY};impersonate-service-account=ca"), "gserviceaccount".into()),
            (format!("cloudkms:{KEY};endpoint-url=http://kms.example"), "https".into()),
            (format!("cloudkms:{KEY};endpoint-url=http://169.254.169.254/x"), "https".into()),
            (format!("cloudkms:{KEY};endpoint-url=http://localhost@evil.example"), "without user".into()),
            (format!("cloudkms:{KEY};endpoint-url=https://u:canary@kms.example"), "without user".into()),
            (format!("cloudkms:{KEY};endpoint-url=ftp://127.0.0.1"), "https://HOST".into()),
            (format!("cloudkms:{KEY};endpoint-url=kms.example"), "https://HOST".into()),
            (format!("cloudkms:{KEY};label=env"), "label=KEY=VALUE".into()),
            (format!("cloudkms:{KEY};key-id=1"), "known".into()),
            (format!("cloudkms:{KEY};access-token=canary"), "known".into()),
            (format!("cloudkms:{KEY};alg=md5"), "ecdsa-sha256".into()),
            ("softkms:name=a".into(), "cloudkms:".into()),
        ] {
            let error = stated(&text).expect_err(&text);
            assert_eq!(error.kind(), ErrorKind::InvalidUri, "{text}");
            assert!(error.hint().unwrap_or_default().contains(&remedy), "{text}: {error}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{text}");
        }
        assert!(Stated::read(&"cloudkms:endpoint-url=http://kms.example".parse().unwrap(), true).is_ok());
    }

    #[test]
    fn a_key_elsewhere_is_not_of_the_manager() {
        let manager = stated("cloudkms:?credentials-file=/a.json&endpoint-url=http://127.0.0.1:1").unwrap().place;
        for (text, same) in [
            (format!("cloudkms:{KEY}"), true),
            (format!("cloudkms:{KEY}?credentials-file=/a.json"), true),
            (format!("cloudkms:{KEY}?credentials-file=/b.json"), false),
            (format!("cloudkms:{KEY}?endpoint-url=http://127.0.0.1:2"), false),
            (format!("cloudkms:{KEY}?impersonate-service-account=a@p.iam.gserviceaccount.com"), false),
        ] {
            assert_eq!(manager.check(&stated(&text).unwrap().place).is_ok(), same, "{text}");
        }
    }
}
