//! From method and path to the call of the API, and the name that it is about.

/// The call, as the reference names it, and the name: of the parent, for what creates and lists.
pub(crate) fn route(method: &str, path: &str) -> Option<(&'static str, String)> {
    let (resource, verb) = match path.rsplit_once(':') {
        Some((resource, verb)) if !verb.contains('/') => (resource, verb),
        _ => (path, ""),
    };
    let segments: Vec<_> = resource.split('/').collect();
    if segments.iter().any(|segment| segment.is_empty()) {
        return None;
    }
    let collections: Vec<_> = segments.iter().step_by(2).copied().collect();
    let whole = segments.len().is_multiple_of(2);
    let call = match (&*collections, whole, method, verb) {
        (["projects", "locations", "keyRings"], _, _, _) => match (whole, method, verb) {
            (false, "POST", "") => "CreateKeyRing",
            (false, "GET", "") => "ListKeyRings",
            (true, "GET", "") => "GetKeyRing",
            _ => return None,
        },
        (["projects", "locations", "keyRings", "importJobs"], _, _, _) => match (whole, method, verb) {
            (false, "POST", "") => "CreateImportJob",
            (false, "GET", "") => "ListImportJobs",
            (true, "GET", "") => "GetImportJob",
            _ => return None,
        },
        (["projects", "locations", "keyRings", "cryptoKeys"], _, _, _) => match (whole, method, verb) {
            (false, "POST", "") => "CreateCryptoKey",
            (false, "GET", "") => "ListCryptoKeys",
            (true, "GET", "") => "GetCryptoKey",
            (true, "PATCH", "") => "UpdateCryptoKey",
            _ => return None,
        },
        (["projects", "locations", "keyRings", "cryptoKeys", "cryptoKeyVersions"], _, _, _) => {
            match (whole, method, verb) {
                (false, "POST", "") => "CreateCryptoKeyVersion",
                (false, "POST", "import") => "ImportCryptoKeyVersion",
                (false, "GET", "") => "ListCryptoKeyVersions",
                (true, "GET", "") => "GetCryptoKeyVersion",
                (true, "PATCH", "") => "UpdateCryptoKeyVersion",
                (true, "POST", "destroy") => "DestroyCryptoKeyVersion",
                (true, "POST", "restore") => "RestoreCryptoKeyVersion",
                (true, "POST", "asymmetricSign") => "AsymmetricSign",
                (true, "POST", "asymmetricDecrypt") => "AsymmetricDecrypt",
                _ => return None,
            }
        }
        (["projects", "locations", "keyRings", "cryptoKeys", "cryptoKeyVersions", "publicKey"], false, "GET", "") => {
            "GetPublicKey"
        }
        _ => return None,
    };
    let of_parent = segments.len() - usize::from(!whole);
    Some((call, segments[..of_parent].join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_apart() {
        let key = "projects/p/locations/l/keyRings/r/cryptoKeys/k";
        for (method, path, call, name) in [
            ("POST", "projects/p/locations/l/keyRings", "CreateKeyRing", "projects/p/locations/l"),
            ("GET", key, "GetCryptoKey", key),
            ("GET", &format!("{key}/cryptoKeyVersions"), "ListCryptoKeyVersions", key),
            ("POST", &format!("{key}/cryptoKeyVersions:import"), "ImportCryptoKeyVersion", key),
            (
                "GET",
                &format!("{key}/cryptoKeyVersions/1/publicKey"),
                "GetPublicKey",
                &format!("{key}/cryptoKeyVersions/1"),
            ),
            (
                "POST",
                &format!("{key}/cryptoKeyVersions/1:asymmetricSign"),
                "AsymmetricSign",
                &format!("{key}/cryptoKeyVersions/1"),
            ),
            (
                "GET",
                "projects/example.com:p/locations/l/keyRings/r",
                "GetKeyRing",
                "projects/example.com:p/locations/l/keyRings/r",
            ),
        ] {
            assert_eq!(route(method, path), Some((call, name.to_owned())), "{method} {path}");
        }
        for (method, path) in [
            ("DELETE", key.to_owned()),
            ("GET", "projects/p/locations/l/cryptoKeys/k".into()),
            ("GET", format!("{key}/cryptoKeyVersions/1:asymmetricSign")),
            ("GET", format!("{key}//cryptoKeyVersions")),
            ("POST", format!("{key}/cryptoKeyVersions/1:sing")),
        ] {
            assert_eq!(route(method, &path), None, "{method} {path}");
        }
    }
}
