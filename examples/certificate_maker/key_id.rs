//! Key ids, as Certificate Maker takes them, as URIs.

use clap::ValueEnum;
use kmskit::{Error, ErrorKind, KeyUri, Result};

use crate::text_file;

/// Whose the key ids are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KmsType {
    Awskms,
    Gcpkms,
    Azurekms,
    Hashivault,
}

/// What goes with a key id.
#[derive(Debug)]
pub(crate) struct Kms<'a> {
    pub(crate) kind: Option<KmsType>,
    pub(crate) aws_region: Option<&'a str>,
    pub(crate) gcp_credentials_file: Option<&'a str>,
}

impl Kms<'_> {
    /// The URI of a key id. What is a URI already is taken as it is, whatever the type. `option` names the place.
    pub(crate) fn uri(&self, option: &str, id: &str) -> Result<KeyUri> {
        let uri = match self.kind {
            Some(KmsType::Azurekms) if text_file::is_key_uri(id) => azure(id),
            _ if text_file::is_key_uri(id) => KeyUri::parse(id).map_err(Error::from),
            Some(KmsType::Awskms) => self.aws(id),
            Some(KmsType::Gcpkms) => self.gcp(id),
            Some(KmsType::Azurekms) => azure(id),
            Some(KmsType::Hashivault) => vault(id),
            None if id.starts_with("arn:") || id.starts_with("alias/") || id.starts_with("projects/") => {
                Err(bad("a key id without the type of its KMS").with_hint("give --kms-type, or a key URI"))
            }
            None => KeyUri::parse(id).map_err(Error::from),
        };
        uri.map_err(|error| error.in_context(option))
    }

    /// ARN, alias or id. An ARN states its region, which must be the one stated otherwise.
    fn aws(&self, id: &str) -> Result<KeyUri> {
        let mut region = self.aws_region;
        if let Some(arn) = id.strip_prefix("arn:") {
            let parts: Vec<_> = arn.splitn(5, ':').collect();
            let [_, "kms", stated, _, resource] = parts[..] else {
                return Err(bad("not the ARN of a KMS key")
                    .with_hint("expected arn:aws:kms:REGION:ACCOUNT:key/ID or …:alias/NAME"));
            };
            if !resource.starts_with("key/") && !resource.starts_with("alias/") {
                return Err(bad("not the ARN of a KMS key").with_hint("it ends in key/ID or alias/NAME"));
            }
            if region.is_some_and(|region| region != stated) {
                return Err(bad(format!("the ARN is of region {stated}, not of the region given"))
                    .with_hint("leave out --aws-region and AWS_REGION, or give that of the ARN"));
            }
            region = None;
        } else {
            let is_id = |id: &str| id.len() >= 32 && id.bytes().all(|octet| octet.is_ascii_hexdigit() || octet == b'-');
            let alias = id.strip_prefix("alias/").is_some_and(|name| !name.is_empty());
            if !alias && !is_id(id.strip_prefix("mrk-").unwrap_or(id)) {
                return Err(bad("neither an ARN nor an alias nor the id of an AWS key")
                    .with_hint("write arn:aws:kms:…, alias/NAME or the id; for a key in a file a URI, `softkms:…`"));
            }
            if region.is_none() {
                return Err(bad("an AWS key id without a region").with_hint("give --aws-region or AWS_REGION"));
            }
        }
        let builder = KeyUri::builder("awskms").positional(id);
        Ok(region.into_iter().fold(builder, |builder, region| builder.path("region", region)).build()?)
    }

    fn gcp(&self, id: &str) -> Result<KeyUri> {
        let names: Vec<_> = id.split('/').collect();
        let whole = match names[..] {
            ["projects", _, "locations", _, "keyRings", _, "cryptoKeys", _, "cryptoKeyVersions", _] => {
                names.iter().all(|name| !name.is_empty())
            }
            _ => false,
        };
        if !whole {
            return Err(bad("not the whole name of a version of a Google Cloud key")
                .with_hint("expected projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/V"));
        }
        let builder = KeyUri::builder("gcpkms").positional(id);
        let file = self.gcp_credentials_file.into_iter();
        Ok(file.fold(builder, |builder, file| builder.query("credentials-file", file)).build()?)
    }
}

/// `azurekms:name=KEY;vault=VAULT`.
fn azure(id: &str) -> Result<KeyUri> {
    let hint = "expected azurekms:name=KEY;vault=VAULT";
    let uri = KeyUri::parse(id).map_err(|error| Error::from(error).with_hint(hint))?;
    let has = |name| uri.path().any(|part| part.name() == name && part.text().is_some_and(|text| !text.is_empty()));
    if uri.scheme() == "azurekms" && has("name") && has("vault") {
        Ok(uri)
    } else {
        Err(bad("not an Azure key").with_hint(hint))
    }
}

/// Just the key's name.
fn vault(id: &str) -> Result<KeyUri> {
    if id.is_empty() || id.contains('/') {
        return Err(bad("not the name of a key in Vault").with_hint("give the name alone, without a path"));
    }
    Ok(KeyUri::builder("hashivault").path("name", id).build()?)
}

fn bad(context: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: &str = "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1";
    const ID: &str = "be468355-ca7a-40d9-a28b-8ae1c4c7f936";

    fn uri(kms_type: Option<KmsType>, region: Option<&str>, id: &str) -> Result<String> {
        let kms = Kms { kind: kms_type, aws_region: region, gcp_credentials_file: Some("/etc/gcp.json") };
        kms.uri("--root-key-id", id).map(|uri| uri.to_exposed_string().to_string())
    }

    #[test]
    fn key_ids_become_uris() {
        let arn = format!("arn:aws:kms:eu-west-1:123456789012:key/{ID}");
        for (kms_type, region, id, expected) in [
            (Some(KmsType::Awskms), Some("eu-west-1"), arn.as_str(), format!("awskms:///{arn}")),
            (Some(KmsType::Awskms), None, &arn, format!("awskms:///{arn}")),
            (Some(KmsType::Awskms), Some("r"), "alias/Root", "awskms:///alias/Root;region=r".to_owned()),
            (Some(KmsType::Awskms), Some("r"), ID, format!("awskms:///{ID};region=r")),
            (Some(KmsType::Gcpkms), None, VERSION, format!("gcpkms://{VERSION}?credentials-file=/etc/gcp.json")),
            (Some(KmsType::Azurekms), None, "azurekms:name=k;vault=v", "azurekms:name=k;vault=v".to_owned()),
            (Some(KmsType::Hashivault), None, "k", "hashivault:name=k".to_owned()),
            (Some(KmsType::Awskms), None, "softkms:root.key", "softkms:root.key".to_owned()),
            (None, None, "pkcs11:object=root", "pkcs11:object=root".to_owned()),
            (None, None, "third:party", "third:party".to_owned()),
        ] {
            assert_eq!(uri(kms_type, region, id).unwrap_or_else(|error| panic!("{id}: {error}")), expected);
        }
    }

    #[test]
    fn what_is_no_key_id_is_refused() {
        for (kms_type, region, id, says) in [
            (Some(KmsType::Awskms), None, "alias/root", "without a region"),
            (Some(KmsType::Awskms), Some("a"), "arn:aws:kms:b:1:key/x", "region b"),
            (Some(KmsType::Awskms), Some("a"), "arn:aws:s3:a:1:key/x", "ARN"),
            (Some(KmsType::Awskms), Some("a"), "alias/", "neither"),
            (Some(KmsType::Awskms), Some("a"), "root.key", "softkms:"),
            (Some(KmsType::Gcpkms), None, "projects/p/locations/l/keyRings/r/cryptoKeys/k", "cryptoKeyVersions"),
            (Some(KmsType::Azurekms), None, "azurekms:name=k", "vault=VAULT"),
            (Some(KmsType::Azurekms), None, "k", "vault=VAULT"),
            (Some(KmsType::Hashivault), None, "transit/keys/k", "without a path"),
            (None, None, "alias/root", "--kms-type"),
            (None, None, "root.key", "softkms:"),
            (None, None, "/etc/root.key", "softkms:"),
        ] {
            let error = uri(kms_type, region, id).unwrap_err();
            assert!(
                error.to_string().contains(says) && error.to_string().starts_with("--root-key-id: "),
                "{id}: {error}"
            );
        }
    }
}
