//! Certificates that exist are reused, if they are what they must be.

use kmskit_tests::programs::Place;

use crate::chains::{VERIFY, keys};

#[test]
fn an_existing_root_and_intermediate_are_reused() {
    for place in Place::on_every_backend() {
        let [root, intermediate, leaf] = keys(&place, "ec-p256");
        place
            .ok(&format!("certificate_maker create a{root}{intermediate} --root-cert r.pem --intermediate-cert i.pem"));
        assert!(!place.path("leaf.pem").exists(), "no key, no leaf");
        let before = place.snapshot();

        place.ok(&format!(
            "certificate_maker create b{root}{intermediate}{leaf} --existing-root-cert r.pem --chain-cert c.pem"
        ));
        place.ok(&format!("{VERIFY} -CAfile r.pem -untrusted intermediate.pem leaf.pem"));
        assert!(!place.path("root.pem").exists());
        assert!(place.text("c.pem").ends_with(&place.text("r.pem")));
        place.shell("rm leaf.pem intermediate.pem c.pem");

        // Nobody asks for the root's key where the intermediate is there already.
        place.ok(&format!(
            "certificate_maker create c{intermediate}{leaf} --existing-root-cert r.pem --existing-intermediate-cert i.pem \
             --chain-cert c.pem"
        ));
        place.ok(&format!("{VERIFY} -CAfile r.pem -untrusted i.pem leaf.pem"));
        assert_eq!(place.text("c.pem"), place.text("leaf.pem") + &place.text("i.pem") + &place.text("r.pem"));
        place.shell("rm leaf.pem c.pem");

        place.ok(&format!("certificate_maker create d{intermediate}{leaf} --existing-intermediate-cert i.pem"));
        place.ok(&format!("{VERIFY} -CAfile r.pem -untrusted i.pem leaf.pem"));
        place.shell("rm leaf.pem");
        assert!(place.snapshot() == before);
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let place = Place::new();
    let [root, intermediate, leaf] = keys(&place, "ec-p256");
    let [other_root, other_intermediate, _] = keys(&place, "ec-p384");
    place.ok(&format!("certificate_maker create a{root}{intermediate}{leaf} --root-cert r.pem --intermediate-cert i.pem --leaf-cert l.pem"));
    place.ok(&format!("certificate_maker create a{other_root} --root-cert o.pem"));
    expired(&place, "e.pem");
    let before = place.snapshot();
    for (code, arguments, says) in [
        (
            1,
            format!("{other_root}{leaf} --existing-root-cert r.pem"),
            "r.pem: the CA certificate is not that of the key",
        ),
        (1, format!("{other_intermediate}{leaf} --existing-intermediate-cert i.pem"), "not that of the key"),
        (
            1,
            format!("{intermediate}{leaf} --existing-root-cert o.pem --existing-intermediate-cert i.pem"),
            "was not issued by",
        ),
        (1, format!("{other_root}{intermediate}{leaf} --existing-intermediate-cert i.pem"), "was not issued by"),
        (2, format!("{root}{leaf} --existing-root-cert e.pem"), "not in force now"),
        (2, format!("{leaf}{intermediate} --existing-intermediate-cert l.pem"), "not one of a CA"),
        (2, format!("{intermediate}{leaf} --existing-root-cert r.pem"), "its key is not known"),
        (2, format!("{leaf} --existing-intermediate-cert i.pem"), "its key is not known"),
        (2, format!("{intermediate}{leaf}"), "nobody to issue the intermediate"),
        (2, leaf.clone(), "nobody to issue the leaf"),
        (
            2,
            format!("{intermediate}{leaf} --existing-intermediate-cert i.pem --chain-cert c.pem"),
            "--existing-root-cert",
        ),
        (2, format!("{root}{leaf} --existing-root-cert keys/root-ec-p256.key"), "holds no CERTIFICATE"),
        (2, format!("{root}{leaf} --existing-root-cert softkms:r.pem"), "a key URI, where the path of a file is meant"),
        (3, format!("{root}{leaf} --existing-root-cert absent.pem"), "cannot read absent.pem"),
        (2, format!("{} --leaf-key-id {}", root, place.uri("root-ec-p256")), "the root and the leaf have the same key"),
        (2, format!("{root} --existing-root-cert r.pem"), "nothing to make"),
        (2, String::new(), "nothing to make"),
    ] {
        let said = place.fails(code, &format!("certificate_maker create a{arguments}"));
        assert!(said.contains(says), "{arguments}: {said}");
        assert!(place.snapshot() == before, "{arguments}: files changed");
    }
}

/// A root of the right key that was good once, by OpenSSL.
fn expired(place: &Place, file: &str) {
    place.write(
        "ca.conf",
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n\
         x509_extensions=e\n[p]\ncommonName=supplied\n[e]\nbasicConstraints=critical,CA:TRUE\n\
         subjectKeyIdentifier=hash\nkeyUsage=critical,keyCertSign\n",
    );
    place.write("index.txt", "");
    let key = "keys/root-ec-p256.key";
    place.ok(&format!("openssl req -new -key {key} -subj /CN=CA -out ca.csr"));
    place.ok(&format!(
        "openssl ca -batch -notext -config ca.conf -selfsign -keyfile {key} -in ca.csr -startdate 20200101000000Z \
         -enddate 20210101000000Z -out {file}"
    ));
}
