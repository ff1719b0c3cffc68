//! Files that are not what a key file should be: each a typed error that names the file and the remedy.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kms_core::{Error, ErrorKind, KeySpec, KeyType, KeyUri, OpenOptions, OperationPolicy, Registry, block_on};
use kms_soft::Soft;
use tempfile::TempDir;

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
const OPENSSH: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nMAA=\n-----END OPENSSH PRIVATE KEY-----\n";
const LEGACY: &str = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMAA=\n\
                      -----END EC PRIVATE KEY-----\n";
// X25519, RFC 8410 section 10.3 with another OID.
const X25519: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                      -----END PRIVATE KEY-----\n";

fn open(path: &Path) -> Error {
    let uri = KeyUri::builder("softkms").path("path", path.to_str().unwrap()).build().unwrap();
    let policy = OperationPolicy::default().with_timeout(Duration::from_secs(5));
    let registry = Registry::new().with(Soft::default()).with_options(OpenOptions::default().with_policy(policy));
    block_on(registry.signer(&uri)).unwrap_err()
}

fn good_key() -> (TempDir, PathBuf, String) {
    let root = TempDir::new().unwrap();
    let path = root.path().join("root.key");
    let uri = KeyUri::parse(&format!("softkms:{}", path.display())).unwrap();
    let registry = Registry::new().with(Soft::default());
    let manager = block_on(registry.open(&uri)).unwrap();
    let key = block_on(manager.create_key(&uri, &KeySpec::new(KeyType::EcP256))).unwrap();
    (root, path, key.public_key.to_pem())
}

#[test]
fn what_is_no_private_key_is_refused() {
    let (root, path, public) = good_key();
    let good = fs::read_to_string(&path).unwrap();
    let bad = root.path().join("bad.key");
    let body = good.lines().nth(1).unwrap();
    for (what, content, kind, said) in [
        ("empty", String::new(), ErrorKind::InvalidArgument, "PEM"),
        ("garbage", "garbage".into(), ErrorKind::InvalidArgument, "PEM"),
        ("zeros", "\0".repeat(1000), ErrorKind::InvalidArgument, "PEM"),
        ("public key", public, ErrorKind::InvalidArgument, "public key"),
        ("certificate", CERTIFICATE.into(), ErrorKind::InvalidArgument, "CERTIFICATE"),
        ("cut off", good[..good.len() / 2].into(), ErrorKind::InvalidArgument, "cut off"),
        ("a line less", good.replacen(&format!("{body}\n"), "", 1), ErrorKind::InvalidArgument, "damaged"),
        (
            "one character",
            good.replacen(body, &body.replacen(&body[9..10], "!", 1), 1),
            ErrorKind::InvalidArgument,
            "damaged",
        ),
        ("first line", good.replacen("PRIVATE KEY-----", "PRIVATE\nKEY-----", 1), ErrorKind::InvalidArgument, "broken"),
        ("not DER", "\x30\x03abc".into(), ErrorKind::InvalidArgument, "damaged"),
        ("other label", good.replace("PRIVATE", "EC PRIVATE"), ErrorKind::InvalidArgument, ""),
        ("not encrypted", good.replace("PRIVATE", "ENCRYPTED PRIVATE"), ErrorKind::InvalidArgument, "damaged"),
        ("two keys", good.repeat(2), ErrorKind::Ambiguous, "of its own"),
        ("OpenSSH", OPENSSH.into(), ErrorKind::Unsupported, "ssh-keygen -p -m PKCS8"),
        ("legacy", LEGACY.into(), ErrorKind::Unsupported, "openssl pkcs8 -topk8"),
        ("X25519", X25519.into(), ErrorKind::Unsupported, "1.3.101.110"),
        ("too long", format!("{good}{}", "\n".repeat(64 * 1024)), ErrorKind::InvalidArgument, "64 KiB"),
    ] {
        fs::write(&bad, content).unwrap();
        fs::set_permissions(&bad, fs::Permissions::from_mode(0o600)).unwrap();
        let error = open(&bad);
        assert_eq!(error.kind(), kind, "{what}: {error:?}");
        assert!(error.context().contains("bad.key"), "{what}: {error}");
        assert!(error.hint().is_some(), "{what}: {error}");
        assert!(error.to_string().contains(said), "{what}: {error}");
        assert!(!error.chain().contains(body), "{what}");
    }
    // What may stand around a key.
    for content in [
        format!("A comment\n{good}"),
        format!("{CERTIFICATE}{good}"),
        format!("{good}{CERTIFICATE}"),
        good.replace('\n', "\r\n"),
        good.trim_end().to_owned(),
    ] {
        fs::write(&path, content).unwrap();
        let uri = KeyUri::parse(&format!("softkms:{}", path.display())).unwrap();
        block_on(Registry::new().with(Soft::default()).signer(&uri)).unwrap();
    }
}

#[test]
fn a_short_rsa_key_is_refused() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("short.key");
    for traditional in ["", "-traditional"] {
        let script = format!("umask 077; openssl genrsa {traditional} -out {} 1024", path.display());
        assert!(Command::new("sh").args(["-c", &script]).output().unwrap().status.success());
        let error = open(&path);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(error.hint().unwrap().contains("2048"), "{error}");
    }
}

#[test]
fn a_file_open_to_others_is_refused() {
    let (_root, path, _) = good_key();
    for mode in [0o640, 0o604, 0o644, 0o660, 0o601, 0o777] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = open(&path);
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{mode:o}");
        assert!(error.hint().unwrap().contains(&format!("chmod 600 {}", path.display())), "{error}");
    }
    // Of what a link leads to, not of the link.
    let link = path.with_file_name("link.key");
    symlink(&path, &link).unwrap();
    assert_eq!(open(&link).kind(), ErrorKind::PermissionDenied);
}

#[test]
fn what_is_no_regular_file_is_not_opened() {
    let (root, _, _) = good_key();
    let pipe = root.path().join("pipe.key");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let start = Instant::now();
    for (path, said) in [
        (root.path(), "directory"),
        (&pipe, "pipe"),
        (Path::new("/dev/zero"), "device"),
        (Path::new("/dev/null"), "device"),
    ] {
        let error = open(path);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error:?}");
        assert!(error.context().contains(said) && error.context().contains(path.to_str().unwrap()), "{error}");
    }
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_missing_file_is_answered_with_those_that_are_there() {
    let (root, path, _) = good_key();
    let error = open(&root.path().join("rot.key"));
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.context().contains("rot.key") && error.hint().unwrap().contains("root.key"), "{error}");
    assert_eq!(open(&root.path().join("no/such.key")).kind(), ErrorKind::NotFound);
    assert_eq!(open(&path.join("below.key")).kind(), ErrorKind::InvalidArgument);
    symlink("nowhere", root.path().join("link.key")).unwrap();
    assert_eq!(open(&root.path().join("link.key")).kind(), ErrorKind::NotFound);
}
