//! Certificates that others put on the token, and those beside it.

use std::path::Path;
use std::process::Command;

use kms_core::{ErrorKind, KeySpec, KeyType, KeyUri, block_on};

use crate::Case;
use crate::keys::{create, fail};
use crate::place::{open, pkcs11_tool, uri};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        ("certificates::chained_by_issuers", chained_by_issuers),
        ("certificates::named_by_id_and_label", named_by_id_and_label),
        ("certificates::in_a_directory", in_a_directory),
    ]
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A root, an intermediate and a certificate for the key in `public.pem`, all DER.
fn chain(directory: &Path, public: &str) -> Vec<Vec<u8>> {
    let path = |name: &str| directory.join(name).to_str().expect("UTF-8").to_owned();
    std::fs::write(path("public.pem"), public).unwrap();
    std::fs::write(path("ca.ext"), "basicConstraints=critical,CA:true\n").unwrap();
    let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let files = |name: &str| [path(&format!("{name}.key")), path(&format!("{name}.csr")), path(&format!("{name}.pem"))];
    let [root_key, _, root] = files("root");
    let [middle_key, middle_csr, middle] = files("middle");
    let [leaf_key, leaf_csr, leaf] = files("leaf");
    run(
        "openssl",
        &[&["req", "-x509", "-subj", "/CN=root", "-keyout", &root_key, "-out", &root], &new_key[..]].concat(),
    );
    for (subject, key, csr) in [("/CN=middle", &middle_key, &middle_csr), ("/CN=leaf", &leaf_key, &leaf_csr)] {
        run("openssl", &[&["req", "-new", "-subj", subject, "-keyout", key, "-out", csr], &new_key[..]].concat());
    }
    let extensions = path("ca.ext");
    let issue = ["x509", "-req", "-CA", &root, "-CAkey", &root_key, "-CAcreateserial", "-extfile", &extensions];
    run("openssl", &[&issue[..], &["-in", &middle_csr, "-out", &middle]].concat());
    let issue = ["x509", "-req", "-CA", &middle, "-CAkey", &middle_key, "-CAcreateserial"];
    run("openssl", &[&issue[..], &["-in", &leaf_csr, "-force_pubkey", &path("public.pem"), "-out", &leaf]].concat());
    [leaf, middle, root]
        .iter()
        .map(|pem| {
            let der = pem.replace(".pem", ".der");
            run("openssl", &["x509", "-in", pem, "-outform", "DER", "-out", &der]);
            std::fs::read(der).unwrap()
        })
        .collect()
}

fn chained_by_issuers() {
    let manager = open(&uri("ca", "", "")).unwrap_or_else(fail);
    let key = uri("ca", ";object=chained;id=%0D%01", "");
    let key = block_on(manager.create_key(&key, &KeySpec::new(KeyType::EcP256))).unwrap_or_else(fail);
    let directory = tempfile::tempdir().unwrap();
    let chain = chain(directory.path(), &key.public_key.to_pem());
    // In any order, with names of their own, as people do it.
    for (name, id) in [("root", "0d11"), ("leaf", "0d01"), ("middle", "0d12")] {
        let file = directory.path().join(format!("{name}.der"));
        let write = ["--write-object", file.to_str().unwrap(), "--type", "cert", "--label", name, "--id", id];
        pkcs11_tool("ca", &write);
    }
    let certificates = manager.as_certificate_manager().unwrap();
    assert_eq!(block_on(certificates.load_certificates(&key.uri)).unwrap_or_else(fail), chain);
    let by_certificate = uri("ca", ";object=leaf;type=cert", "");
    assert_eq!(block_on(manager.public_key(&by_certificate)).unwrap_or_else(fail), key.public_key);
    let error = block_on(certificates.store_certificates(&key.uri, &chain)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    // Only the key's own is deleted: the others may be the issuers of many.
    block_on(certificates.delete_certificates(&key.uri)).unwrap_or_else(fail);
    let error = block_on(certificates.load_certificates(&key.uri)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let root = block_on(manager.public_key(&uri("ca", ";object=root;type=cert", "")));
    assert!(root.is_ok(), "{root:?}");
}

/// A certificate is taken only if all that is stated of it is so; one that is named itself, and not that of the key.
fn named_by_id_and_label() {
    let token = "ca";
    let manager = open(&uri(token, "", "")).unwrap_or_else(fail);
    let key = uri(token, ";object=key;id=%0C%01", "");
    let key = block_on(manager.create_key(&key, &KeySpec::new(KeyType::EcP256))).unwrap_or_else(fail);
    let directory = tempfile::tempdir().unwrap();
    let chain = chain(directory.path(), &key.public_key.to_pem());
    let certificates = manager.as_certificate_manager().unwrap();
    block_on(certificates.store_certificates(&key.uri, &chain)).unwrap_or_else(fail);
    // A trusted root that somebody gave the label of the key.
    let file = directory.path().join("root.der");
    let write = ["--write-object", file.to_str().unwrap(), "--type", "cert", "--label", "key", "--id", "0c09"];
    pkcs11_tool(token, &write);

    let another = uri(token, ";object=another;id=%0C%01", "");
    for refused in [
        block_on(certificates.load_certificates(&another)).map(drop),
        block_on(certificates.delete_certificates(&another)),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
    }
    let root = uri(token, ";object=key;id=%0C%09;type=cert", "");
    assert_eq!(block_on(certificates.load_certificates(&root)).unwrap_or_else(fail), chain[2..]);
    let either = block_on(certificates.delete_certificates(&uri(token, ";object=key;type=cert", ""))).unwrap_err();
    assert_eq!(either.kind(), ErrorKind::Ambiguous, "{either}");
    block_on(certificates.delete_certificates(&root)).unwrap_or_else(fail);
    assert_eq!(block_on(certificates.load_certificates(&key.uri)).unwrap_or_else(fail), chain);
}

fn in_a_directory() {
    let (work, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let query = format!("&certificate-dir={}", kept.path().display());
    let manager = open(&uri("ca", "", &query)).unwrap_or_else(fail);
    let key = create(&*manager, ";object=beside;id=%0E%01", KeyType::EcP256);
    assert!(key.uri.to_string().contains("certificate-dir="), "{}", key.uri);
    let chain = chain(work.path(), &key.public_key.to_pem());
    let certificates = manager.as_certificate_manager().unwrap();
    let refused = |uri: &KeyUri| block_on(certificates.load_certificates(uri)).unwrap_err().kind();
    assert_eq!(refused(&key.uri), ErrorKind::NotFound);
    let error = block_on(certificates.store_certificates(&key.uri, &chain[1..])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyMismatch, "{error}");
    block_on(certificates.store_certificates(&key.uri, &chain)).unwrap_or_else(fail);
    assert!(kept.path().join("0e01.crt").exists());
    let error = block_on(certificates.store_certificates(&key.uri, &chain)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    assert_eq!(block_on(certificates.load_certificates(&key.uri)).unwrap_or_else(fail), chain);
    block_on(certificates.delete_certificates(&key.uri)).unwrap_or_else(fail);
    assert_eq!(refused(&key.uri), ErrorKind::NotFound);
    assert_eq!(std::fs::read_dir(kept.path()).unwrap().count(), 0);
}
