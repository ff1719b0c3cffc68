//! Keys that others made, and not as we would have.

use kms_core::{ErrorKind, block_on};
use kms_testkit::judge;

use crate::Case;
use crate::keys::fail;
use crate::place::{open, pkcs11_tool as tool, uri};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        ("objects::without_an_id", without_an_id),
        ("objects::without_a_public_key", without_a_public_key),
        ("objects::public_key_of_another_label", public_key_of_another_label),
        ("objects::of_another_key", of_another_key),
    ]
}

const PAIR: [&str; 5] = ["--keypairgen", "--key-type", "EC:prime256v1", "--label", "key"];

fn signs(token: &str, path: &str) {
    let manager = open(&uri(token, "", "")).unwrap_or_else(fail);
    let signer = block_on(manager.signer(&uri(token, path, ""), None)).unwrap_or_else(fail);
    let signature = block_on(signer.sign(b"message")).unwrap_or_else(fail);
    judge::verify(signer.public_key().spki_der(), signer.algorithm(), b"message", signature.as_bytes()).unwrap();
}

fn without_an_id() {
    let token = "ca";
    tool(token, &PAIR);
    signs(token, ";object=key");
    let manager = open(&uri(token, "", "")).unwrap_or_else(fail);
    let found = block_on(manager.as_key_searcher().unwrap().search_keys(&uri(token, "", ""))).unwrap_or_else(fail);
    assert_eq!(found.len(), 1);
    assert!(!found[0].uri.to_string().contains(";id="), "{}", found[0].uri);
    block_on(manager.as_key_deleter().unwrap().delete_key(&uri(token, ";object=key", ""))).unwrap_or_else(fail);
    let left = block_on(manager.as_key_searcher().unwrap().search_keys(&uri(token, ";type=public", "")));
    assert!(left.unwrap_or_else(fail).is_empty(), "the public key goes with the private one");
}

fn without_a_public_key() {
    let token = "ca";
    tool(token, &[&PAIR[..], &["--id", "0e"]].concat());
    tool(token, &["--delete-object", "--type", "pubkey", "--id", "0e"]);
    let manager = open(&uri(token, "", "")).unwrap_or_else(fail);
    let error = block_on(manager.signer(&uri(token, ";object=key", ""), None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnusable, "{error}");
    assert!(error.hint().unwrap().contains("its public key or its certificate"), "{error}");
}

fn public_key_of_another_label() {
    let token = "ca";
    tool(token, &[&PAIR[..], &["--id", "0f"]].concat());
    let manager = open(&uri(token, "", "")).unwrap_or_else(fail);
    let key = block_on(manager.public_key(&uri(token, ";id=%0F", ""))).unwrap_or_else(fail);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("public.der");
    std::fs::write(&file, key.spki_der()).unwrap();
    tool(token, &["--delete-object", "--type", "pubkey", "--id", "0f"]);
    let file = file.to_str().unwrap();
    tool(token, &["--write-object", file, "--type", "pubkey", "--id", "0f", "--label", "another"]);
    signs(token, ";object=key");
}

/// Public keys that bear the name of a private one and are another's: not taken for its own, nor deleted with it.
fn of_another_key() {
    let token = "ca";
    let manager = open(&uri(token, "", "")).unwrap_or_else(fail);
    let directory = tempfile::tempdir().unwrap();
    tool(token, &[&PAIR[..], &["--id", "11"]].concat());
    tool(token, &["--keypairgen", "--key-type", "EC:prime256v1", "--label", "other", "--id", "22"]);
    let other = block_on(manager.public_key(&uri(token, ";object=other", ""))).unwrap_or_else(fail);
    let file = directory.path().join("other.der");
    std::fs::write(&file, other.spki_der()).unwrap();
    let write = |label: &str, id: &str| {
        tool(token, &["--write-object", file.to_str().unwrap(), "--type", "pubkey", "--id", id, "--label", label]);
    };

    // Of its identifier: nothing tells which of the two is its own.
    write("neighbour", "11");
    let delete = |path: &str| block_on(manager.as_key_deleter().unwrap().delete_key(&uri(token, path, "")));
    let signer = block_on(manager.signer(&uri(token, ";object=key", ""), None)).unwrap_err();
    assert_eq!(signer.kind(), ErrorKind::Ambiguous, "{signer}");
    delete(";object=key").unwrap_or_else(fail);
    let left = block_on(manager.public_key(&uri(token, ";object=neighbour;type=public", "")));
    assert_eq!(left.unwrap_or_else(fail), other, "the neighbour's is left");

    // Of its label, and of another's identifier.
    tool(token, &[&PAIR[..], &["--id", "33"]].concat());
    tool(token, &["--delete-object", "--type", "pubkey", "--id", "33"]);
    write("key", "44");
    let signer = block_on(manager.signer(&uri(token, ";object=key", ""), None)).unwrap_err();
    assert_eq!(signer.kind(), ErrorKind::KeyUnusable, "{signer}");
    delete(";object=key;id=%33").unwrap_or_else(fail);
    let left = block_on(manager.public_key(&uri(token, ";object=key;type=public", "")));
    assert_eq!(left.unwrap_or_else(fail), other, "the neighbour's is left");
}
