//! What `pki_init` makes.

use std::os::unix::fs::PermissionsExt;

use kmskit_tests::programs::Place;

const VERIFY: &str = "openssl verify -x509_strict -check_ss_sig";

/// OpenSSL's verdict on root, intermediate and leaf, each with a control that must fail.
#[track_caller]
pub(crate) fn openssl_accepts(place: &Place, directory: &str) {
    let anchored = format!("{VERIFY} -CAfile {directory}/root_ca.crt");
    place.ok(&format!("{anchored} {directory}/root_ca.crt"));
    place.ok(&format!("{anchored} {directory}/intermediate_ca.crt"));
    let leaf = format!("-purpose sslserver -verify_hostname localhost {directory}/leaf.crt");
    place.ok(&format!("{anchored} -untrusted {directory}/intermediate_ca.crt {leaf}"));
    assert!(!place.run(&format!("{anchored} {leaf}")).succeeded(), "a leaf without its issuer");
    let as_client =
        format!("{anchored} -untrusted {directory}/intermediate_ca.crt -purpose sslclient {directory}/leaf.crt");
    assert!(!place.run(&as_client).succeeded(), "a server's certificate for a client");
}

#[track_caller]
fn gnutls_accepts(place: &Place, directory: &str) {
    let verdict = place.ok(&format!("certtool --verify-chain --infile {directory}/chain.pem"));
    assert!(verdict.contains("Chain verification output: Verified. The certificate is trusted."), "{verdict}");
    let files = ["leaf.crt", "root_ca.crt"].map(|file| place.text(&format!("{directory}/{file}")));
    place.write("gap.pem", files.concat());
    let verdict = place.run("certtool --verify-chain --infile gap.pem");
    assert!(!verdict.stdout().contains("Verified. The certificate is trusted."), "a chain with a gap");
}

#[test]
fn one_command_makes_a_pki_that_others_accept() {
    let place = Place::new();
    let said = place.ok("pki_init --ssh");
    let keys = place.path("pki/keys").canonicalize().unwrap().display().to_string();
    let expected = format!(
        "Creating PKI ...\n\
         ✔ Root Key: softkms:name=root;dir={keys}\n\
         ✔ Root Certificate: ./pki/root_ca.crt\n\
         ✔ Intermediate Key: softkms:name=intermediate;dir={keys}\n\
         ✔ Intermediate Certificate: ./pki/intermediate_ca.crt\n\
         ✔ Leaf Key: softkms:name=leaf;dir={keys}\n\
         ✔ Leaf Certificate: ./pki/leaf.crt\n\
         ✔ Certificate Chain: ./pki/chain.pem\n\
         \n\
         Creating SSH Keys ...\n\
         ✔ SSH User Public Key: ./pki/ssh_user_ca_key.pub\n\
         ✔ SSH User Private Key: softkms:name=ssh-user;dir={keys}\n\
         ✔ SSH Host Public Key: ./pki/ssh_host_ca_key.pub\n\
         ✔ SSH Host Private Key: softkms:name=ssh-host;dir={keys}\n"
    );
    assert_eq!(said, expected);
    openssl_accepts(&place, "pki");
    gnutls_accepts(&place, "pki");

    let parts = ["leaf.crt", "intermediate_ca.crt", "root_ca.crt"].map(|file| place.text(&format!("pki/{file}")));
    assert_eq!(place.text("pki/chain.pem"), parts.concat(), "leaf first");
    let mode = |file: &str| place.path(file).metadata().unwrap().permissions().mode() & 0o7777;
    for file in ["root_ca.crt", "chain.pem", "ssh_user_ca_key.pub"] {
        assert_eq!(mode(&format!("pki/{file}")), 0o644, "{file}");
    }
    for name in ["root", "intermediate", "leaf", "ssh-user", "ssh-host"] {
        assert_eq!(mode(&format!("pki/keys/{name}.key")), 0o600, "{name}");
        // Each URI as it was printed opens the key.
        place.ok(&format!("kms key softkms:name={name};dir={keys}"));
    }
    let listed: Vec<_> = place.path("pki").read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(listed.len(), 7, "nothing else is left: {listed:?}");
}

#[test]
fn ssh_keys_are_those_of_their_uris() {
    let place = Place::new();
    place.ok("pki_init --ssh");
    for (kind, title) in [("user", "User"), ("host", "Host")] {
        let shown = place.ok(&format!("ssh-keygen -l -f pki/ssh_{kind}_ca_key.pub"));
        assert!(shown.starts_with("256 SHA256:"), "{shown}");
        assert!(shown.ends_with(&format!(" Example SSH {title} CA (ECDSA)\n")), "{shown}");
        place.write("spki.pem", place.ok(&format!("kms key softkms:name=ssh-{kind};dir=pki/keys")));
        let of_uri = place.ok("ssh-keygen -i -m PKCS8 -f spki.pem");
        assert!(place.text(&format!("pki/ssh_{kind}_ca_key.pub")).starts_with(of_uri.trim_end()), "{of_uri}");
    }
}

#[test]
fn every_type_of_key_makes_a_pki() {
    let place = Place::new();
    for (key_type, ssh) in [
        ("rsa-2048", "2048 SHA256:"),
        ("ec-p384", "384 SHA256:"),
        ("ec-p521", "521 SHA256:"),
        ("ed25519", "256 SHA256:"),
    ] {
        place.ok(&format!("pki_init --type {key_type} --ssh --out {key_type}"));
        openssl_accepts(&place, key_type);
        gnutls_accepts(&place, key_type);
        for kind in ["user", "host"] {
            let shown = place.ok(&format!("ssh-keygen -l -f {key_type}/ssh_{kind}_ca_key.pub"));
            assert!(shown.starts_with(ssh), "{shown}");
        }
    }
    // GnuTLS does not know the curve.
    place.ok("pki_init --type ec-secp256k1 --out k1");
    openssl_accepts(&place, "k1");
    place.ok("pki_init --type ec-p384 --leaf-type ed25519 --ssh --ssh-type rsa-2048 --out mixed");
    openssl_accepts(&place, "mixed");
    assert!(place.ok("openssl x509 -in mixed/leaf.crt -noout -text").contains("Public Key Algorithm: ED25519"));
    assert!(place.ok("ssh-keygen -l -f mixed/ssh_user_ca_key.pub").starts_with("2048 "));
}

#[test]
fn certificates_say_what_rfc_5280_wants() {
    let place = Place::new();
    place.ok("pki_init --dns www.example.com --dns *.example.org");
    let text = |file: &str| place.ok(&format!("openssl x509 -in pki/{file} -noout -text"));
    let root = text("root_ca.crt");
    assert!(root.contains("Basic Constraints: critical\n                CA:TRUE\n"), "{root}");
    assert!(root.contains("Key Usage: critical\n                Certificate Sign, CRL Sign\n"), "{root}");
    let intermediate = text("intermediate_ca.crt");
    assert!(
        intermediate.contains("Basic Constraints: critical\n                CA:TRUE, pathlen:0\n"),
        "{intermediate}"
    );
    let leaf = text("leaf.crt");
    assert!(leaf.contains("DNS:www.example.com, DNS:*.example.org\n"), "{leaf}");
    assert!(leaf.contains("Key Usage: critical\n                Digital Signature\n"), "{leaf}");
    assert!(leaf.contains("Extended Key Usage: \n                TLS Web Server Authentication\n"), "{leaf}");
    assert!(!leaf.contains("CA:TRUE"), "{leaf}");
}

#[test]
fn a_second_run_stops_and_changes_nothing() {
    let place = Place::new();
    place.ok("pki_init --ssh");
    let before = place.snapshot();
    let said = place.fails(4, "pki_init --ssh");
    for file in
        ["root_ca.crt", "intermediate_ca.crt", "leaf.crt", "chain.pem", "ssh_user_ca_key.pub", "ssh_host_ca_key.pub"]
    {
        assert!(said.contains(&format!("./pki/{file}")), "{said}");
    }
    for key in ["root", "intermediate", "leaf", "ssh-user", "ssh-host"] {
        assert!(said.contains(&format!("name={key}")), "{said}");
    }
    assert!(said.contains("hint: "), "{said}");
    place.fails(4, "pki_init --existing-keys");
    assert_eq!(place.snapshot(), before);

    // One key in the way is enough, and it alone is named.
    place.ok("kms create softkms:name=leaf;dir=other");
    let before = place.snapshot();
    let said = place.fails(4, "pki_init --kms softkms:dir=other --out new");
    assert!(said.contains("name=leaf") && !said.contains("name=root"), "{said}");
    assert_eq!(place.snapshot(), before);
}

#[test]
fn each_key_may_be_at_a_uri_of_its_own() {
    let place = Place::new();
    place.shell("mkdir usb");
    place.ok("pki_init --root softkms:usb/root.key --leaf softkms:leaf.key --kms softkms:dir=keys");
    openssl_accepts(&place, "pki");
    for key in ["usb/root.key", "leaf.key", "keys/intermediate.key"] {
        assert!(place.path(key).is_file(), "{key}");
    }
    assert!(!place.path("pki/keys").exists() && !place.path("keys/root.key").exists());
}

#[test]
fn existing_keys_are_used_when_told_to() {
    let place = Place::new();
    place.ok("pki_init --out first");
    place.shell("rm first/keys/leaf.key");
    let old_root = place.read("first/keys/root.key");
    place.ok("pki_init --out second --kms softkms:dir=first/keys --existing-keys");
    openssl_accepts(&place, "second");
    assert_eq!(place.read("first/keys/root.key"), old_root);
    let key_of = |file| place.ok(&format!("openssl x509 -in {file} -noout -pubkey"));
    assert_eq!(key_of("first/root_ca.crt"), key_of("second/root_ca.crt"));
    assert_ne!(key_of("first/leaf.crt"), key_of("second/leaf.crt"), "the missing one was made");
    // The new intermediate is of the same key and name, so the old root, too, vouches for the new leaf.
    place.ok(&format!("{VERIFY} -CAfile first/root_ca.crt -untrusted second/intermediate_ca.crt second/leaf.crt"));
}

#[test]
fn keys_are_encrypted_when_a_password_source_is_given() {
    let place = Place::new();
    place.write("password", "canary-secret\n");
    let source = format!("password-source=file:{}", place.path("password").display());
    let said = place.run(&format!("pki_init --kms softkms:dir=keys?{source}")).ended_with(0);
    assert!(!(said.stdout() + &said.stderr()).contains("canary"));
    openssl_accepts(&place, "pki");
    for key in ["root", "intermediate", "leaf"] {
        assert!(place.text(&format!("keys/{key}.key")).starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        place.ok(&format!("openssl pkey -in keys/{key}.key -passin pass:canary-secret -noout"));
    }
    let said = place.fails(4, &format!("pki_init --kms softkms:dir=keys?{source} --out new"));
    assert!(said.contains("name=root") && !said.contains("canary"), "{said}");
    // Without the password it is known that there is a key, not which: nothing is made.
    place.fails(5, "pki_init --kms softkms:dir=keys --out new");
    assert!(!place.path("new").exists());
}
