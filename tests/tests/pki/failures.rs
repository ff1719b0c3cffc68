//! `pki_init` where it cannot work: a typed error, and nothing half-written.

use kmskit_tests::programs::{Place, example};

#[test]
fn bad_arguments_show_before_anything_is_made() {
    let place = Place::new();
    let long = format!("pki_init --name {}", "x".repeat(64));
    for (code, line, says) in [
        (2, "pki_init --dns bad..name", "`bad..name` is not a DNS name"),
        (2, &*long, "common name"),
        (2, "pki_init --kms softkms:dir=keys;colour=red", "colour"),
        (2, "pki_init --root softkms:name=%zz", "--root"),
        (2, "pki_init --type rsa-1024", "rsa-2048"),
        (2, "pki_init --ssh-type ed25519", "--ssh"),
        (2, "pki_init --root softkms:a.key --leaf softkms:a.key", "the same URI"),
        (7, "pki_init --ssh --type ml-dsa-65", "--ssh-type"),
        (7, "pki_init --ssh --type ec-secp256k1", "--ssh-type"),
        (7, "pki_init --kms nokms:x", "nokms"),
        (3, "pki_init --kms softkms:dir=absent/keys", "absent"),
    ] {
        let said = place.fails(code, line);
        assert!(said.contains(says), "{line}: {said}");
        let left = place.snapshot();
        assert!(left.is_empty(), "{line}: {left:?}");
    }
}

#[test]
fn a_key_that_cannot_be_made_leaves_no_file() {
    let place = Place::new();
    // The root can be made, the intermediate cannot.
    let said = place.fails(3, "pki_init --root softkms:root.key --kms softkms:dir=absent/keys");
    assert!(said.contains("intermediate key: ") && said.contains("absent"), "{said}");
    // What was made is reported, and stays: keys are never deleted.
    assert!(said.contains("softkms:path=") && said.contains("root.key") && said.contains("--existing-keys"), "{said}");
    let left = place.snapshot();
    assert!(left.keys().eq([&place.path("root.key")]), "{left:?}");
    // What the message says to do works.
    place.ok("pki_init --root softkms:root.key --kms softkms:dir=keys --existing-keys");
    place.ok("openssl verify -x509_strict -CAfile pki/root_ca.crt -untrusted pki/intermediate_ca.crt pki/leaf.crt");
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let place = Place::new();
    place.write("file", "a file");
    let before = place.snapshot();
    for (out, code) in [("file", 4), ("file/below", 2), ("/proc/below", 3)] {
        let said = place.fails(code, &format!("pki_init --kms softkms:dir=keys --out {out}"));
        assert!(said.contains(&format!("cannot write {out}")) && said.contains("hint: "), "{said}");
        assert_eq!(place.snapshot(), before, "{out}");
    }
}

#[test]
fn a_directory_without_permission_is_named() {
    let place = Place::new();
    std::fs::copy(example("pki_init"), place.path("program")).unwrap();
    // Modes do not bind root, so root becomes nobody for this.
    let said = place.shell(
        "chmod 755 . && mkdir -m 555 locked && cd locked
         run() { if [ $(id -u) = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"; else \"$@\"; fi; }
         run ../program --out pki 2>&1 && exit 1; echo code $?
         run ../program --out . --kms softkms:dir=/tmp/absent/keys 2>&1 && exit 1; echo code $?",
    );
    assert_eq!(said.matches("code 5\n").count(), 2, "{said}");
    assert!(said.contains("cannot write pki") && said.contains("hint: "), "{said}");
    assert!(place.path("locked").read_dir().unwrap().next().is_none());
}

/// A file system of so many KiB, in a name space of its own; else a limit on each file's size, which fails in the same
/// place with another reason.
#[test]
fn a_full_disk_leaves_nothing_half_written() {
    for (kibibytes, keys) in [(4, 1), (8, 2), (16, 3)] {
        let place = Place::new();
        place.shell("mkdir disk");
        let program = example("pki_init").display().to_string();
        let said = place.shell(&format!(
            "if unshare -Urm true 2>/dev/null; then
               unshare -Urm sh -ec '
                 mount -t tmpfs -o size={kibibytes}k none disk; cd disk
                 \"$0\" 2>&1 && exit 1; echo code $?; find . -type f | sort' {program}
             else
               cd disk; trap '' XFSZ; (ulimit -f 0; {program} 2>&1 && exit 1; echo code $?); find . -type f | sort
             fi"
        ));
        assert!(said.contains("code 1\n") && said.contains("full"), "{said}");
        let files: Vec<_> = said.lines().filter(|line| line.starts_with("./")).collect();
        // Whole keys, each of them reported, and not one certificate.
        assert!(files.len() <= keys, "{said}");
        for file in files {
            let key = file.strip_prefix("./pki/keys/").and_then(|name| name.strip_suffix(".key"));
            assert!(key.is_some_and(|key| said.contains(&format!("softkms:name={key};dir="))), "{said}");
        }
    }
}

#[test]
fn stdout_that_is_full_or_closed_is_an_error() {
    let place = Place::new();
    let program = example("pki_init").display().to_string();
    place.shell(&format!("{program} >/dev/full 2>said && exit 1 || [ $? = 1 ]"));
    assert!(place.text("said").contains("stdout"), "{}", place.text("said"));
    assert_eq!(place.snapshot().len(), 1, "nothing was made: {:?}", place.snapshot());
}
