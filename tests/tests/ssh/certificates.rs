//! What `ssh-keygen -L` reads in certificates by `ssh_ca`.

use kmskit_tests::programs::Place;

/// `ssh-keygen -t`: a key to be signed.
pub(crate) fn subject(place: &Place, name: &str, options: &str) {
    place.shell(&format!("ssh-keygen -q -N '' -C {name}@example -f {name} {options}"));
}

/// The value of a line, or the lines below it.
fn shown(text: &str, name: &str) -> Vec<String> {
    let mut lines = text.lines().skip_while(|line| !line.trim_start().starts_with(&format!("{name}:")));
    let first = lines.next().unwrap_or_else(|| panic!("no {name} in {text}"));
    let value = first.trim_start()[name.len() + 1..].trim();
    if value.is_empty() {
        lines.take_while(|line| line.starts_with("                ")).map(|line| line.trim().to_owned()).collect()
    } else {
        vec![value.to_owned()]
    }
}

#[test]
fn every_key_type_signs_every_key_type() {
    for place in Place::on_every_backend() {
        for (name, options) in [("ed", "-t ed25519"), ("ec", "-t ecdsa -b 384"), ("rsa", "-t rsa -b 2048")] {
            subject(&place, name, options);
        }
        for (ca_type, alg, signed_with) in [
            ("ec-p256", "", "ecdsa-sha2-nistp256"),
            ("ec-p384", "", "ecdsa-sha2-nistp384"),
            ("ec-p521", "", "ecdsa-sha2-nistp521"),
            ("ed25519", "", "ssh-ed25519"),
            ("rsa-3072", "", "rsa-sha2-256"),
            ("rsa-3072", ";alg=rsa-pkcs1-sha512", "rsa-sha2-512"),
        ] {
            if !place.makes(ca_type) {
                place.fails(7, &format!("kms create {} --type {ca_type}", place.uri(ca_type)));
                continue;
            }
            if !place.path(&format!("{ca_type}.pub")).exists() {
                let uri = place.key(ca_type, ca_type);
                place
                    .write(&format!("{ca_type}.pub"), place.ok(&format!("ssh_ca public-key --key {uri} --comment ca")));
            }
            let uri = place.uri(ca_type);
            let (path, query) = uri.split_once('?').map_or((&*uri, String::new()), |(a, b)| (a, format!("?{b}")));
            let key = format!("{path}{alg}{query}");
            if !alg.is_empty() && !place.chooses_algorithms() {
                place.fails(7, &format!("ssh_ca user --key {key} --principal alice --out none ed.pub"));
                continue;
            }
            let fingerprint = place.ok(&format!("ssh-keygen -l -f {ca_type}.pub"));
            let fingerprint = fingerprint.split(' ').nth(1).unwrap();
            for name in ["ed", "ec", "rsa"] {
                place.shell(&format!("rm -f {name}-cert.pub"));
                place.ok(&format!("ssh_ca user --key {key} --principal alice {name}.pub"));
                // OpenSSH verifies the signature when it reads a certificate.
                let text = place.ok(&format!("ssh-keygen -L -f {name}-cert.pub"));
                let ca = &shown(&text, "Signing CA")[0];
                assert!(ca.contains(fingerprint) && ca.ends_with(&format!("(using {signed_with})")), "{ca}");
            }
        }
    }
}

#[test]
fn a_certificate_says_what_it_was_asked_to() {
    let place = Place::new();
    let uri = place.key("ca", "ec-p256");
    subject(&place, "user", "-t ed25519");
    let said = place.ok(&format!(
        "ssh_ca user --key {uri} --principal alice --principal bob -I ticket-7 --serial 18446744073709551615 \
         --valid-from 2030-01-31T12:00:00Z --valid-until 2030-02-01T00:00:00Z --critical-option force-command=/bin/date \
         --critical-option source-address=10.0.0.0/8,2001:db8::/32 --critical-option verify-required \
         --extension permit-pty --extension note@example.com=hello --out user.crt user.pub"
    ));
    assert_eq!(
        said,
        "Signed user key user.crt: id \"ticket-7\" serial 18446744073709551615 for alice,bob valid from \
         2030-01-31T12:00:00Z to 2030-02-01T00:00:00Z\n"
    );
    assert!(place.text("user.crt").ends_with(" user@example\n"));
    let text = place.shell("TZ=UTC ssh-keygen -L -f user.crt");
    assert_eq!(shown(&text, "Type"), ["ssh-ed25519-cert-v01@openssh.com user certificate"]);
    assert_eq!(shown(&text, "Key ID"), ["\"ticket-7\""]);
    assert_eq!(shown(&text, "Serial"), ["18446744073709551615"]);
    assert_eq!(shown(&text, "Valid"), ["from 2030-01-31T12:00:00 to 2030-02-01T00:00:00"]);
    assert_eq!(shown(&text, "Principals"), ["alice", "bob"]);
    assert_eq!(
        shown(&text, "Critical Options"),
        ["force-command /bin/date", "source-address 10.0.0.0/8,2001:db8::/32", "verify-required"]
    );
    let extensions = shown(&text, "Extensions");
    assert!(extensions[0].starts_with("note@example.com"), "{text}");
    assert_eq!(extensions[1..], ["permit-pty"], "{text}");
}

#[test]
fn what_is_not_said_is_as_ssh_keygen_has_it() {
    let place = Place::new();
    let uri = place.key("ca", "ed25519");
    place.shell("ssh-keygen -q -t ed25519 -N '' -f judge");
    for (kind, options) in [("user", ""), ("host", "-h ")] {
        subject(&place, kind, "-t ed25519");
        place.ok(&format!("ssh_ca {kind} --key {uri} --principal name.example {kind}.pub"));
        let ours = place.ok(&format!("ssh-keygen -L -f {kind}-cert.pub"));
        place.shell(&format!(
            "mv {kind}-cert.pub ours; ssh-keygen -q -s judge -I x {options}-n name.example {kind}.pub"
        ));
        let theirs = place.ok(&format!("ssh-keygen -L -f {kind}-cert.pub"));
        for field in ["Type", "Principals", "Critical Options", "Extensions"] {
            assert_eq!(shown(&ours, field), shown(&theirs, field), "{kind} {field}");
        }
        let serial: u64 = shown(&ours, "Serial")[0].parse().unwrap();
        assert_ne!(serial, 0, "a serial number of its own");
    }
    subject(&place, "narrow", "-t ed25519");
    place.ok(&format!("ssh_ca user --key {uri} --principal a --no-extensions narrow.pub"));
    assert_eq!(shown(&place.ok("ssh-keygen -L -f narrow-cert.pub"), "Extensions"), ["(none)"]);
}
