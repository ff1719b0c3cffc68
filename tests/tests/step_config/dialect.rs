//! step's own spelling of `pkcs11:`, on a SoftHSM token.

use kms_testkit::pkcs11::SoftHsm;
use kmskit_tests::programs::Place;

use crate::files::edit;

/// A token with an intermediate's key of identifier `73 71` and label `step ca`, its certificate, and a `ca.json` in step's spelling.
fn authority(pin: &str) -> Place {
    let [_, place, ..] = Place::on_every_backend();
    let module = SoftHsm::module().unwrap().display().to_string();
    let key = format!("pkcs11:token=test;id=%73%71;object=step%20ca?module-path={module}&pin-value=1234");
    place.ok(&format!("kms create {key} --type ec-p256"));
    place.ok("pki_init");
    place.ok(&format!("csr {key} --subject CN=CA --out ca.csr"));
    place.ok(
        "sign_csr --key softkms:name=root;dir=pki/keys --ca pki/root_ca.crt --profile subordinate-ca --csr ca.csr --out ca.crt",
    );
    place.write("pin", "1234\n");
    place.write(
        "ca.json",
        format!(
            r#"{{"root": "pki/root_ca.crt", "crt": "ca.crt", "key": "pkcs11:id=7371;object=step+ca",
                "kms": {{"type": "pkcs11", "uri": "pkcs11:module-path={module};token=test{pin}"}}}}"#
        ),
    );
    place
}

#[test]
fn the_key_opens_and_the_strict_uri_is_printed() {
    for (pin, kms_pin) in
        [("?pin-value=1234", ""), ("?pin-source=pin", ""), (";pin-source=file:pin", ""), ("", ", \"pin\": \"1234\"")]
    {
        let place = authority(pin);
        edit(&place, &format!("token=test{pin}\""), &format!("token=test{pin}\"{kms_pin}"));
        let said = place.ok("step_config ca.json");
        assert!(said.contains("is the key of `crt`") && !said.contains("1234"), "{said}");
        for part in ["`/` before the `?`", "an `id` in hex", "`+` is a plus"] {
            assert!(said.contains(&format!("converted from step's spelling: {part}")), "{said}");
        }
        let uri = said.lines().find_map(|line| line.trim().strip_prefix("URI: ")).unwrap();
        assert!(uri.starts_with("pkcs11:token=test;id=%73%71;object=step%20ca?module-path=/"), "{uri}");
        // It is what it says: a URI to use from now on, with the PIN from a file.
        let source = if uri.contains("pin-source") { "" } else { "&pin-source=file:pin" };
        let strict = format!("{uri}{source}");
        let before = place.text("ca.crt");
        place.write("key.pub", place.ok(&format!("kms key {strict}")));
        let certified = place.shell("openssl x509 -in ca.crt -noout -pubkey");
        assert_eq!(place.text("key.pub"), certified);
        assert_eq!(before, place.text("ca.crt"));
    }
}

#[test]
fn the_strict_parser_stays_strict_and_points_here() {
    let place = Place::new();
    let said = place.fails(2, "kms uri pkcs11:module-path=/usr/lib/x.so;token=test");
    assert!(said.contains("a raw `/`") && said.contains("step_config"), "{said}");
}

#[test]
fn what_step_would_pass_over_is_told_or_refused() {
    let place = authority("?pin-value=1234");
    // `+` is a space to step; the token is called `test`, and `other` in a key's name counts for nothing.
    edit(&place, "pkcs11:id=7371;object=step+ca", "pkcs11:token=other;id=0x73:71;object=step+ca");
    let said = place.ok("step_config ca.json");
    assert!(said.contains("left out, as step passes over it: `token`"), "{said}");
    for (name, says) in [
        ("pkcs11:id=7372", "NotFound"),
        ("pkcs11:id=%7", "a `%` without two hex digits"),
        ("pkcs11:token=test", "neither `id` nor `object`"),
        ("pkcs11:id=7371#x", "a `#`"),
    ] {
        edit(&place, "pkcs11:token=other;id=0x73:71;object=step+ca", name);
        let ended = place.run("step_config ca.json");
        assert!(!ended.succeeded() && ended.stdout().contains(says), "{name}: {}", ended.stdout());
        assert!(!ended.stdout().contains("1234"), "{}", ended.stdout());
        edit(&place, name, "pkcs11:token=other;id=0x73:71;object=step+ca");
    }
    edit(&place, "?pin-value=1234", "?pin-value=12;34");
    let said = place.run("step_config ca.json").ended_with(2).stdout();
    assert!(said.contains("kms.uri: a `;` after the `?`") && !said.contains("34"), "{said}");
}
