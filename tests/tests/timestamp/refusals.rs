//! What the server does not start with.

use kmskit_tests::programs::Place;

use crate::authority::{EXTENSIONS, certify, root};

#[test]
fn it_does_not_start_with_what_does_not_fit() {
    for place in Place::on_every_backend() {
        root(&place);
        let uri = place.key("tsa", "ec-p256");
        let other = place.key("other", "ec-p256");
        certify(&place, "tsa", &uri, EXTENSIONS);
        certify(&place, "none", &uri, "keyUsage=digitalSignature");
        certify(&place, "lax", &uri, "extendedKeyUsage=timeStamping");
        certify(&place, "more", &uri, "extendedKeyUsage=critical,timeStamping,codeSigning");
        certify(&place, "usage", &uri, "keyUsage=critical,keyEncipherment\nextendedKeyUsage=critical,timeStamping");
        certify(&place, "authority", &uri, "basicConstraints=CA:TRUE\nextendedKeyUsage=critical,timeStamping");
        place.write("empty", "");
        place.write("cut", &place.text("tsa.pem")[..1000]);
        place.shell(
            "cat root.crt ca.crt tsa.crt >reversed; cat tsa.crt root.crt >gap; cat tsa.crt ca.crt >rootless
             mv root.crt first.crt; cat ca.key >key
             openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout root2.key -out root2.crt -subj /CN=Root -days 30
             cat tsa.crt ca.crt root2.crt >impostor; mv first.crt root.crt",
        );
        place.write("leaf.ext", EXTENSIONS);
        place.shell(
            "openssl x509 -req -in tsa.csr -CA ca.crt -CAkey ca.key -days 0 -extfile leaf.ext -out old.crt
             cat old.crt ca.crt root.crt >expired; sleep 2",
        );
        let chain_as_uri = format!("--certificate-chain-path={uri} --kms-key-resource={uri}");
        let chain = |file: &str| format!("--certificate-chain-path={file} --kms-key-resource={uri}");
        for (code, arguments, says) in [
            (1, format!("--certificate-chain-path=tsa.pem --kms-key-resource={other}"), "is not that of the key"),
            (2, chain("none.pem"), "not one for time stamping"),
            (2, chain("lax.pem"), "must be critical"),
            (2, chain("more.pem"), "timeStamping alone"),
            (2, chain("usage.pem"), "allows no signatures"),
            (1, chain("authority.pem"), "does not lead up to the root"),
            (2, chain("expired"), "not in force"),
            (2, chain("empty"), "empty holds no certificate"),
            (2, chain("cut"), "cut off"),
            (2, chain("reversed"), "does not lead from the key's certificate up to a root"),
            (2, chain("gap"), "does not lead from the key's certificate up to a root"),
            (2, chain("rootless"), "does not lead from the key's certificate up to a root"),
            (1, chain("impostor"), "does not lead up to the root"),
            (2, chain("key"), "key holds no certificate"),
            (3, chain("absent"), "absent"),
            (3, chain_as_uri, "cannot read"),
            (3, format!("--certificate-chain-path=tsa.pem --kms-key-resource={}", place.uri("absent")), "absent"),
            (2, "--certificate-chain-path=tsa.pem --kms-key-resource=ca.key".to_owned(), "--kms-key-resource"),
            (2, format!("{} --timestamp-signer=memory", chain("tsa.pem")), "possible values: kms"),
            (2, format!("{} --policy=policy", chain("tsa.pem")), "--policy"),
            (2, format!("{} --accuracy=0", chain("tsa.pem")), "--accuracy"),
            (1, format!("{} --host=192.0.2.1", chain("tsa.pem")), "cannot listen there"),
        ] {
            let line = format!("timestamp_server serve --port=0 {arguments}");
            let said = place.fails(code, &line);
            assert!(said.contains(says), "{line}: {said}");
        }
    }
}

#[test]
fn keys_of_other_schemes_go_to_their_backends() {
    let place = Place::new();
    root(&place);
    let uri = place.key("tsa", "ec-p256");
    certify(&place, "tsa", &uri, EXTENSIONS);
    let arn = "awskms:///arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let line = format!("timestamp_server serve --port=0 --certificate-chain-path=tsa.pem --kms-key-resource={arn}");
    let ended = place.run(&line);
    // It is a well-formed URI (a malformed one ends with 2); what comes of it is the backend's to say.
    assert!(ended.stderr().contains("awskms"), "{}", ended.stderr());
    ended.ended_with_one_of(&[5, 6, 7]);
    let wrong = line.replace("awskms:///", "awskms://");
    assert!(place.fails(2, &wrong).contains("--kms-key-resource"));
}
