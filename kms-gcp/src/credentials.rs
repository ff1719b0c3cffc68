//! Whose rights: a file, an account to act as, or what the environment has.

use std::path::Path;

use google_cloud_auth::build_errors::Error as BuildError;
use google_cloud_auth::credentials::external_account::Builder as ExternalAccount;
use google_cloud_auth::credentials::impersonated::Builder as Impersonated;
use google_cloud_auth::credentials::service_account::Builder as ServiceAccount;
use google_cloud_auth::credentials::user_account::Builder as UserAccount;
use google_cloud_auth::credentials::{Builder as Ambient, Credentials, anonymous};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::error::Fault;
use crate::options::Place;

/// Names a file with credentials, for every Google client.
const VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";

/// Makes the credentials; tokens are fetched when they are first needed. Reads files; on the library's runtime only.
///
/// # Errors
/// A fault about credentials, without the text of the file.
pub(crate) fn load(place: &Place) -> Result<Credentials, Fault> {
    let base = match &place.credentials_file {
        Some(path) => from_file(path)?,
        // The machine's own token is not for whoever listens on a local port.
        None if place.endpoint_url.as_ref().is_some_and(|url| url.starts_with("http:"))
            && std::env::var_os(VARIABLE).is_none()
            && place.impersonate.is_none() =>
        {
            anonymous::Builder::new().build()
        }
        None => Ambient::default().build().map_err(|error| refused("the application default credentials", &error))?,
    };
    let Some(account) = &place.impersonate else { return Ok(base) };
    let acting = Impersonated::from_source_credentials(base).with_target_principal(account).build();
    acting.map_err(|error| refused("the account to act as", &error))
}

fn from_file(path: &Path) -> Result<Credentials, Fault> {
    let unusable = |why: &str| Fault::credentials(format!("the credentials file {} {why}", path.display()));
    let text = std::fs::read(path).map(Zeroizing::new);
    let text = text.map_err(|error| unusable(&format!("cannot be read: {}", error.kind())))?;
    let json: Value = serde_json::from_slice(&text).map_err(|_| unusable("is not JSON"))?;
    let built = match json.get("type").and_then(Value::as_str) {
        Some("service_account") => ServiceAccount::new(json).build(),
        Some("authorized_user") => UserAccount::new(json).build(),
        Some("impersonated_service_account") => Impersonated::new(json).build(),
        Some("external_account") => ExternalAccount::new(json).build(),
        _ => {
            return Err(unusable(
                "has no `type` that is known: service_account, authorized_user, \
             impersonated_service_account, external_account",
            ));
        }
    };
    built.map_err(|error| refused(&format!("the credentials file {}", path.display()), &error))
}

/// The client's own texts may repeat what is in the file.
fn refused(what: &str, error: &BuildError) -> Fault {
    let why = match error {
        _ if error.is_missing_field() => "lacks a field",
        _ if error.is_unknown_type() || error.is_not_supported() => "is of a type that is not known",
        _ if error.is_loading() => "cannot be read",
        _ => "cannot be used: it is not as such files are",
    };
    Fault::credentials(format!("{what} {why}"))
}
