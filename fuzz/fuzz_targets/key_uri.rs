//! Key URIs from arbitrary bytes: no panic, what parses formats back to itself, and no text shown depends on a secret.

#![no_main]

use kms_core::uri::KeyUri;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = str::from_utf8(data) {
        read(text);
    }
    write(data);
});

fn read(text: &str) {
    let uri = match KeyUri::parse(text) {
        Ok(uri) => uri,
        Err(error) => return assert!(error.position().is_none_or(|at| at <= text.len()), "{error}"),
    };
    assert_eq!(KeyUri::parse(&uri.to_exposed_string()).as_ref(), Ok(&uri));
    assert_eq!(rebuilt(&uri, None), uri);

    // Stronger than to search for the secret: with any other secret the text is the same. A value under an open name is
    // secret for the secret it swallowed, so the other one must have swallowed one too.
    assert_eq!(rebuilt(&uri, Some(b"another&pin-value=secret")).to_string(), rebuilt(&uri, None).to_string());
    assert_eq!(KeyUri::parse(&uri.to_string()).is_err(), uri.has_secret());
    let open = uri.without_secrets();
    assert!(!open.has_secret());
    assert_eq!(KeyUri::parse(&open.to_string()).as_ref(), Ok(&open));

    // Every attribute is taken or left over, never both.
    let empty = uri.path().chain(uri.query()).all(|attribute| attribute.name() == "alg" && uri.alg().is_some());
    assert!(uri.attributes().finish().is_err() || empty);
}

/// The same attributes by way of the builder, all with their names, and with `secret` for every secret.
fn rebuilt(uri: &KeyUri, secret: Option<&[u8]>) -> KeyUri {
    let mut builder = KeyUri::builder(uri.scheme());
    for attribute in uri.path() {
        let value = secret.filter(|_| attribute.is_secret()).unwrap_or(attribute.bytes());
        builder = builder.path(attribute.name(), value);
    }
    for attribute in uri.query() {
        let value = secret.filter(|_| attribute.is_secret()).unwrap_or(attribute.bytes());
        builder = builder.query(attribute.name(), value);
    }
    builder.build().expect("parsed attributes build")
}

/// Any bytes as values of every kind.
fn write(data: &[u8]) {
    const SCHEMES: [&str; 7] = ["pkcs11", "awskms", "cloudkms", "gcpkms", "yubikey", "softkms", "other"];
    let Some((choice, data)) = data.split_first() else { return };
    let scheme = SCHEMES[usize::from(*choice) % SCHEMES.len()];
    let mut builder = KeyUri::builder(scheme).path("id", data).query("x", data);
    let positional = !data.is_empty() && scheme != "pkcs11" && scheme != "yubikey";
    if positional {
        builder = builder.positional(data);
    }
    // Too long is the only fault left.
    let Ok(uri) = builder.build() else { return assert!(data.len() > 4096) };
    assert!(uri.path().chain(uri.query()).all(|attribute| attribute.bytes() == data));
    assert_eq!(uri.path().count(), 1 + usize::from(positional));
    assert_eq!(KeyUri::parse(&uri.to_exposed_string()), Ok(uri));
}
