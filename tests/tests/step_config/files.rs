//! Keys in files, as `step ca init` leaves them.

use kmskit_tests::programs::Place;

/// A PKI and SSH keys, and the `ca.json` that names them.
pub(crate) fn authority() -> Place {
    let place = Place::new();
    place.ok("pki_init --ssh");
    place.write(
        "ca.json",
        r#"{"root": "pki/root_ca.crt", "crt": "pki/intermediate_ca.crt", "key": "pki/keys/intermediate.key",
            "address": ":443", "dnsNames": ["ca.example"], "authority": {"provisioners": []},
            "ssh": {"hostKey": "softkms:pki/keys/ssh-host.key", "userKey": "softkms:path=pki/keys/ssh-user.key"}}"#,
    );
    place
}

/// Replaces a text in `ca.json`.
pub(crate) fn edit(place: &Place, from: &str, to: &str) {
    let json = place.text("ca.json");
    assert!(json.contains(from), "{from}");
    place.write("ca.json", json.replace(from, to));
}

#[test]
fn keys_in_files_work_and_match() {
    let place = authority();
    let before = place.snapshot();
    let said = place.ok("step_config ca.json");
    let public_key =
        |name: &str| place.text(&format!("pki/{name}.pub")).split(' ').take(2).collect::<Vec<_>>().join(" ");
    let expected = format!(
        "✔ root pki/root_ca.crt\n✔ crt pki/intermediate_ca.crt\n\
         ✔ key\n    URI: softkms:path=pki/keys/intermediate.key\n    signs with ecdsa-sha256 (ec-p256)\n    is the key of `crt`\n\
         ✔ ssh.hostKey\n    URI: softkms:pki/keys/ssh-host.key\n    signs with ecdsa-sha256 (ec-p256)\n    {}\n\
         ✔ ssh.userKey\n    URI: softkms:path=pki/keys/ssh-user.key\n    signs with ecdsa-sha256 (ec-p256)\n    {}\n",
        public_key("ssh_host_ca_key"),
        public_key("ssh_user_ca_key")
    );
    assert_eq!(said, expected);
    assert!(place.snapshot() == before, "nothing is written");
}

#[test]
fn an_encrypted_key_wants_its_password() {
    let place = authority();
    place.write("password", "secret canary\n");
    place.shell(
        "openssl pkcs8 -topk8 -v2 aes-256-cbc -passout pass:'secret canary' -in pki/keys/intermediate.key -out e.key && chmod 600 e.key",
    );
    edit(&place, "pki/keys/intermediate.key", "e.key");
    let ended = place.run("step_config ca.json").ended_with(5);
    assert!(ended.stdout().contains("✘ key\n"), "{}", ended.stdout());
    // The other keys are in the clear, and need none.
    let said = place.run("step_config ca.json --password-file password").stdout();
    assert!(said.contains("✔ key\n") && !said.contains("canary"), "{said}");
}

#[test]
fn a_key_that_is_not_the_certificates_is_seen() {
    let place = authority();
    edit(&place, "pki/keys/intermediate.key", "pki/keys/leaf.key");
    let ended = place.run("step_config ca.json").ended_with(1);
    let said = ended.stdout();
    assert!(
        said.contains("✘ key\n") && said.contains("KeyMismatch: the CA certificate is not that of the key"),
        "{said}"
    );
    assert!(said.contains("✔ ssh.hostKey") && said.contains("✔ ssh.userKey"), "the others are looked at too: {said}");
    assert!(ended.stderr().contains("1 of the checks failed"), "{}", ended.stderr());

    let place = authority();
    place.shell("mkdir other && cd other && true");
    place.ok("pki_init --out other/pki");
    edit(&place, "pki/root_ca.crt", "other/pki/root_ca.crt");
    let said = place.run("step_config ca.json").ended_with(1).stdout();
    assert!(said.contains("✘ crt pki/intermediate_ca.crt\n    KeyMismatch:"), "{said}");
    assert!(said.contains("✔ key"), "{said}");
    // Where one of several roots is the right one, all is well.
    edit(&place, "\"other/pki/root_ca.crt\"", "[\"other/pki/root_ca.crt\", \"pki/root_ca.crt\"]");
    place.ok("step_config ca.json");
}
