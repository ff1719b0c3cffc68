//! What is wrong is said, with its kind and a remedy.

use kms_core::{Error, ErrorKind, KeySpec, KeyType, KeyUri, block_on};

use crate::Case;
use crate::keys::create;
use crate::place::{bare, manager, module, open, pkcs11_tool, uri};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        ("errors::module", no_module),
        ("errors::token", no_such_token),
        ("errors::uninitialised", uninitialised),
        ("errors::slot_is_no_number", slot_is_no_number),
        ("errors::hex_id", hex_id),
        ("errors::ambiguous", ambiguous),
        ("errors::key_elsewhere", key_elsewhere),
        ("errors::class", class),
        ("errors::allow_list", allow_list),
    ]
}

fn refused(uri: &KeyUri) -> Error {
    open(uri).map(drop).expect_err("it must not open")
}

fn no_module() {
    for (path, kind, says) in [
        ("/nonexistent/module.so", ErrorKind::NotFound, "/nonexistent/module.so"),
        ("/etc/passwd", ErrorKind::InvalidArgument, "invalid ELF header"),
        ("/etc", ErrorKind::InvalidArgument, "the loader says"),
    ] {
        let error = refused(&format!("pkcs11:token=ca?module-path={path}").parse().unwrap());
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let library = std::fs::read_dir("/usr/lib/x86_64-linux-gnu")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libz.so")));
    if let Some(library) = library {
        let error = refused(&format!("pkcs11:token=ca?module-path={}", library.display()).parse().unwrap());
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.to_string().contains("C_GetFunctionList"), "{error}");
    }
    let error = refused(&"pkcs11:token=ca?module-name=no-such-module".parse().unwrap());
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

fn no_such_token() {
    let error = refused(&bare("token=absent"));
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("token=ca;serial="), "{error}");
    let error = refused(&bare(""));
    assert_eq!(error.kind(), ErrorKind::Ambiguous, "{error}");
    assert!(error.to_string().contains("token=second"), "{error}");
    let error = refused(&bare("token=absent;library-manufacturer=SoftHSM"));
    assert!(error.to_string().contains("library-manufacturer=SoftHSM"), "{error}");
    open(&bare("token=ca;manufacturer=SoftHSM%20project;model=SoftHSM%20v2;library-version=2.6")).unwrap();
}

/// SoftHSM has one in its last slot.
fn uninitialised() {
    let listed = refused(&bare("token=absent")).to_string();
    let (_, slot) = listed.split_once("an uninitialised token in slot ").expect(&listed);
    let slot: String = slot.chars().take_while(char::is_ascii_digit).collect();
    let error = refused(&bare(&format!("slot-id={slot}")));
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("not initialised"), "{error}");
    assert!(error.hint().unwrap().contains("--init-token"), "{error}");
}

fn slot_is_no_number() {
    for slot in ["x", "0x1", "-1", "", "1.0"] {
        let parsed = KeyUri::parse(&format!("pkcs11:slot-id={slot};object=a"));
        let error = parsed.map_err(Error::from).and_then(|uri| open(&uri).map(drop)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidUri, "{slot}: {error}");
        assert!(error.to_string().contains("decimal"), "{slot}: {error}");
    }
}

fn hex_id() {
    let manager = manager();
    create(&*manager, ";object=hex;id=sq", KeyType::EcP256);
    let error = block_on(manager.signer(&uri("ca", ";id=7371", ""), None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.hint().unwrap().contains("`id=%73%71`, which is there"), "{error}");
    assert!(error.hint().unwrap().contains("object="), "{error}");
    let error = block_on(manager.signer(&uri("ca", ";id=7372", ""), None)).unwrap_err();
    assert!(error.hint().unwrap().contains("`id=%73%72`;"), "{error}");
}

fn ambiguous() {
    let manager = open(&uri("same", "", "")).unwrap();
    let tool = |id: &str| {
        pkcs11_tool("same", &["--keypairgen", "--key-type", "EC:prime256v1", "--label", "same", "--id", id]);
    };
    tool("0c01");
    tool("0c02");
    let by_label = uri("same", ";object=same", "");
    for error in [
        block_on(manager.signer(&by_label, None)).unwrap_err(),
        block_on(manager.public_key(&by_label)).unwrap_err(),
        block_on(manager.as_key_deleter().unwrap().delete_key(&by_label)).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Ambiguous, "{error}");
        assert!(error.to_string().contains("id=%0C%01") && error.to_string().contains("id=%0C%02"), "{error}");
    }
    let signer = block_on(manager.signer(&uri("same", ";object=same;id=%0C%02", ""), None)).unwrap();
    block_on(signer.sign(b"message")).unwrap();
}

fn key_elsewhere() {
    let manager = manager();
    for text in [
        "pkcs11:token=second;object=x",
        "pkcs11:serial=77;object=x",
        "pkcs11:slot-id=424242;object=x",
        "pkcs11:library-version=9.9;object=x",
        "pkcs11:object=x?module-path=/etc/passwd",
        "pkcs11:object=x?module-name=no-such-module",
        "pkcs11:object=x?certificate-dir=/elsewhere",
        "softkms:x",
    ] {
        let key: KeyUri = text.parse().unwrap();
        for error in [
            block_on(manager.public_key(&key)).unwrap_err(),
            block_on(manager.signer(&key, None)).unwrap_err(),
            block_on(manager.create_key(&key, &KeySpec::new(KeyType::EcP256))).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidUri, "{text}: {error}");
        }
    }
}

fn class() {
    let manager = manager();
    create(&*manager, ";object=classy", KeyType::EcP256);
    for (path, kind) in [
        (";object=classy;type=public", ErrorKind::InvalidUri),
        (";object=classy;type=cert", ErrorKind::InvalidUri),
        (";object=classy;type=data", ErrorKind::InvalidUri),
    ] {
        let error = block_on(manager.signer(&uri("ca", path, ""), None)).unwrap_err();
        assert_eq!(error.kind(), kind, "{path}: {error}");
    }
    let error = block_on(manager.public_key(&uri("ca", ";object=classy;type=cert", ""))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

fn allow_list() {
    let allowed = kms_pkcs11::Pkcs11::default().with_allowed_modules(["/usr/lib/no-such-directory"]);
    let registry = kms_core::Registry::new().with(allowed);
    let error = block_on(registry.open(&uri("ca", "", ""))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    let allowed = kms_pkcs11::Pkcs11::default().with_allowed_modules([module()]);
    block_on(kms_core::Registry::new().with(allowed).open(&uri("ca", "", ""))).unwrap();
}
