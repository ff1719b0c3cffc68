//! What `ssh_ca` refuses: each with its message, its exit code, and no certificate.

use kmskit_tests::programs::Place;

use crate::certificates::subject;

#[track_caller]
fn refused(place: &Place, code: i32, line: &str, says: &str) {
    let before = place.snapshot();
    let ended = place.run(line).ended_with(code);
    assert!(ended.stderr().starts_with("error: ") && ended.stderr().contains(says), "{line}: {}", ended.stderr());
    assert!(!ended.stderr().contains("canary") && !ended.stdout().contains("canary"), "{line}");
    assert!(place.snapshot() == before, "{line}: files changed");
}

#[test]
fn options_that_openssh_would_not_take() {
    let place = Place::new();
    let uri = place.key("ca", "ed25519");
    subject(&place, "id", "-t ed25519");
    let user = format!("ssh_ca user --key {uri} --principal a id.pub");
    let host = format!("ssh_ca host --key {uri} --principal a id.pub");
    for (line, option, says) in [
        (&user, "--critical-option force-comand=ls", "knows no critical option `force-comand`"),
        (&user, "--critical-option force-command", "without a command"),
        (&user, "--critical-option source-address=10.0.0.1/8", "not a list of addresses"),
        (&user, "--critical-option source-address=10.0.0.0/33", "not a list of addresses"),
        (&user, "--critical-option source-address=", "not a list of addresses"),
        (&user, "--critical-option verify-required=yes", "knows no critical option"),
        (&host, "--critical-option force-command=ls", "defined for hosts"),
        (&host, "--extension permit-pty", "knows no extension"),
        (&user, "--extension permit-everything", "knows no extension"),
        (&user, "--extension permit-pty=yes", "knows no extension"),
        (&user, "--extension permit-pty --extension permit-pty", "given twice"),
        (&user, "--principal b,c", "not the name of one user"),
        (&user, "--valid-until 2030-02-30T00:00:00Z", "not a date that exists"),
        (&user, "--valid-until 2030-01-31", "not a date"),
        (&user, "--valid-until 2020-01-31T00:00:00Z", "end before it begins"),
        (&user, "--valid-from 2019-01-01T00:00:00Z --valid-for 1h", "expired from the start"),
        (&user, "--valid-for 16", "not a length of time"),
        (&user, "--valid-for 0h", "not a length of time"),
    ] {
        refused(&place, 2, &format!("{line} {option}"), says);
    }
    place.ok(&format!("{user} --critical-option source-address=10.0.0.0/8 --valid-for 1h30m"));
    refused(&place, 4, &user, "cannot write id-cert.pub");
}

#[test]
fn files_and_keys_that_are_others() {
    let place = Place::new();
    let uri = place.key("ca", "ed25519");
    subject(&place, "id", "-t ed25519");
    subject(&place, "short", "-t rsa -b 1024");
    place.ok(&format!("ssh_ca user --key {uri} --principal a --out cert.pub id.pub"));
    place.write("two.pub", place.text("id.pub").repeat(2));
    place.write("empty.pub", "");
    place.write("cut.pub", &place.text("id.pub")[..40]);
    place.write("ca.pub", place.ok(&format!("ssh_ca public-key --key {uri}")));
    let sign = |file: &str| format!("ssh_ca user --key {uri} --principal a {file}");
    for (code, file, says) in [
        (2, "id", "is a private key"),
        (2, "cert.pub", "is a certificate already"),
        (2, "two.pub", "does not hold one public key"),
        (2, "empty.pub", "does not hold one public key"),
        (2, "cut.pub", "holds no public key"),
        (2, "short.pub", "too weak"),
        (2, "ca.pub", "not itself"),
        (3, "absent.pub", "cannot read absent.pub"),
        (2, "softkms:id.pub?password-value=canary", "a key URI, where the path of a file is meant"),
    ] {
        refused(&place, code, &sign(file), says);
    }
    refused(&place, 2, &format!("{} --out pkcs11:object=x?pin-value=canary", sign("id.pub")), "a key URI, where");
    for (code, key, says) in [
        (2, "id", "--key: key URI: no scheme"),
        (2, "keys/ca.key", "for a key in a file write `softkms:`"),
        (2, "softkms:name=ca;dir=keys?password-value=canary;x", "--key: key URI"),
        (3, "softkms:name=absent;dir=keys", "absent"),
        (7, "tpmkms:name=x", "no backend"),
    ] {
        refused(&place, code, &format!("ssh_ca user --key {key} --principal a id.pub"), says);
    }
}

#[test]
fn keys_that_openssh_does_not_know() {
    let place = Place::new();
    subject(&place, "id", "-t ed25519");
    for (key_type, alg, says) in [
        ("ec-secp256k1", "", "knows no keys of type ec-secp256k1"),
        ("ml-dsa-44", "", "knows no keys of type ml-dsa-44"),
        ("rsa-2048", ";alg=rsa-pss-sha256", "knows no signatures by rsa-pss-sha256"),
        ("rsa-2048", ";alg=rsa-pkcs1-sha384", "knows no signatures by rsa-pkcs1-sha384"),
    ] {
        if !place.path(&format!("keys/{key_type}.key")).exists() {
            place.key(key_type, key_type);
        }
        let uri = place.uri(key_type);
        refused(&place, 7, &format!("ssh_ca user --key {uri}{alg} --principal a id.pub"), says);
    }
}
