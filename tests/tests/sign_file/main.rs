//! `sign_file`, judged by OpenSSL, on every backend.

use kmskit_tests::programs::{Place, python};

/// Type of key, what follows in its URI, and how OpenSSL verifies.
const ALGORITHMS: [(&str, &str, &str); 7] = [
    ("ec-p256", "", "dgst -sha256"),
    ("ec-p384", "", "dgst -sha384"),
    ("rsa-2048", "", "dgst -sha256"),
    ("rsa-2048", ";alg=rsa-pkcs1-sha512", "dgst -sha512"),
    ("rsa-2048", ";alg=rsa-pss-sha256", "dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32"),
    ("rsa-2048", ";alg=rsa-pss-sha384", "dgst -sha384 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:48"),
    ("ed25519", "", ""),
];

/// A URI with `;alg=` at the end of its path.
fn with_alg(uri: &str, alg: &str) -> String {
    match uri.split_once('?') {
        Some((path, query)) => format!("{path}{alg}?{query}"),
        None => format!("{uri}{alg}"),
    }
}

#[test]
fn signatures_over_files_of_every_size_verify() {
    for place in Place::on_every_backend() {
        // Up to 4 KiB whole, from there on by digest.
        for size in [0, 1, 4095, 4096, 4097, 300_000] {
            place.shell(&format!("head -c {size} /dev/urandom >{size}"));
        }
        for (key_type, alg, judge) in ALGORITHMS {
            if !place.path(key_type).exists() {
                let uri = place.key(key_type, key_type);
                place.write(key_type, place.ok(&format!("kms key {uri}")));
            }
            let uri = with_alg(&place.uri(key_type), alg);
            let stated = alg.strip_prefix(";alg=").map(|alg| format!(" --alg {alg}")).unwrap_or_default();
            if !alg.is_empty() && !place.chooses_algorithms() {
                place.fails(7, &format!("sign_file sign --key {uri} --out none 1"));
                continue;
            }
            for size in [0, 1, 4095, 4096, 4097, 300_000] {
                let what = format!("{uri} {size}");
                place.shell("rm -f sig");
                if !place.signs(key_type, size) {
                    place.fails(2, &format!("sign_file sign --key {uri} --out sig {size}"));
                    continue;
                }
                assert_eq!(place.ok(&format!("sign_file sign --key {uri} --out sig {size}")), "");
                // OpenSSL's one-shot algorithms take no empty input.
                if key_type != "ed25519" {
                    place.ok(&format!("openssl {judge} -verify {key_type} -signature sig {size}"));
                } else if size > 0 {
                    place.ok(&format!(
                        "openssl pkeyutl -verify -rawin -pubin -inkey {key_type} -sigfile sig -in {size}"
                    ));
                }
                let verify = format!("sign_file verify --signature sig{stated}");
                assert_eq!(place.ok(&format!("{verify} --remote {uri} {size}")), "OK\n", "{what}");
                assert_eq!(place.ok(&format!("{verify} --public-key {key_type} {size}")), "OK\n", "{what}");
                place.shell(&format!("cat {size} >altered; printf x >>altered"));
                for key in [format!("--remote {uri}"), format!("--public-key {key_type}")] {
                    let said = place.fails(1, &format!("{verify} {key} altered"));
                    assert!(said.contains("does not verify"), "{what}: {said}");
                }
            }
        }
    }
}

#[test]
fn signatures_by_openssl_verify() {
    let place = Place::new();
    place.shell("head -c 10000 /dev/urandom >file");
    place.ok("openssl ecparam -name prime256v1 -genkey -noout -out key.pem");
    place.ok("openssl pkey -in key.pem -pubout -out pub.pem");
    place.ok("openssl dgst -sha256 -sign key.pem -out sig file");
    assert_eq!(place.ok("sign_file verify --public-key pub.pem --signature sig file"), "OK\n");
}

#[test]
fn verification_by_the_public_key_needs_no_key() {
    let place = Place::new();
    let uri = place.key("key", "ec-p256");
    place.write("key.pub", place.ok(&format!("kms key {uri}")));
    place.write("file", "content");
    place.ok(&format!("sign_file sign --key {uri} --out sig file"));
    place.shell("rm -r keys");
    assert_eq!(place.ok("sign_file verify --public-key key.pub --signature sig file"), "OK\n");
    assert!(place.fails(3, &format!("sign_file verify --remote {uri} --signature sig file")).contains("key"));
}

#[test]
fn a_file_that_is_larger_than_the_memory_is_signed() {
    for place in Place::on_every_backend() {
        let uri = place.key("key", "ec-p256");
        place.write("key.pub", place.ok(&format!("kms key {uri}")));
        let program = kmskit_tests::programs::example("sign_file").display().to_string();
        // As much memory as a signature of an empty file needs, give or take, against a file of 1 GB.
        let limit = "truncate -s 1000000000 file; ulimit -v 400000";
        let mut sign = place.command("sh");
        let ended =
            sign.args(["-ec", &format!("{limit}; {program} sign --key '{uri}' --out sig file")]).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        place.shell(&format!("{limit}; {program} verify --public-key key.pub --signature sig file"));
        place.ok("openssl dgst -sha256 -verify key.pub -signature sig file");
    }
}

#[test]
fn ml_dsa_signatures_verify() {
    let (place, python) = (Place::new(), python());
    let uri = place.key("key", "ml-dsa-65");
    place.write("key.pub", place.ok(&format!("kms key {uri}")));
    place.shell("head -c 10000 /dev/urandom >file");
    place.ok(&format!("sign_file sign --key {uri} --out sig file"));
    place.write(
        "judge.py",
        "from cryptography.hazmat.primitives.serialization import load_pem_public_key as load\n\
         load(open('key.pub', 'rb').read()).verify(open('sig', 'rb').read(), open('file', 'rb').read())",
    );
    place.ok(&format!("{python} judge.py"));
    place.write("file", "other");
    assert!(place.fails(1, &format!("{python} judge.py")).contains("InvalidSignature"));
}

#[test]
fn bad_input_is_refused() {
    let place = Place::new();
    let uri = place.key("key", "ec-p256");
    place.write("key.pub", place.ok(&format!("kms key {uri}")));
    place.write("file", "content");
    place.write("there", "mine");
    place.write("empty", "");
    let before = place.snapshot();
    let sign = format!("sign_file sign --key {uri}");
    let verify = "sign_file verify --public-key key.pub";
    for (code, line, says) in [
        (4, format!("{sign} --out there file"), "cannot write there"),
        (3, format!("{sign} --out sig absent"), "absent"),
        (2, format!("{sign} --out sig keys"), "keys is a directory"),
        (3, format!("{sign} --out absent/sig file"), "absent/sig"),
        (2, "sign_file sign --key keys/key.key --out sig file".to_owned(), "--key"),
        (3, "sign_file sign --key softkms:name=absent;dir=keys --out sig file".to_owned(), "absent"),
        (7, format!("{sign};alg=ed25519 --out sig file"), "ed25519"),
        (2, "sign_file verify --signature there file".to_owned(), "--remote"),
        (2, format!("{verify} --remote {uri} --signature there file"), "cannot be used with"),
        (2, "sign_file verify --public-key keys/key.key --signature there file".to_owned(), "PUBLIC KEY"),
        (3, format!("sign_file verify --public-key {uri} --signature there file"), "softkms:"),
        (1, format!("{verify} --signature there file"), "does not verify"),
        (1, format!("{verify} --signature empty file"), "does not verify"),
        (7, format!("{verify} --alg rsa-pss-sha256 --signature there file"), "rsa-pss-sha256"),
        (3, format!("{verify} --signature absent file"), "absent"),
    ] {
        let said = place.fails(code, &line);
        assert!(said.contains(says), "{line}: {said}");
        assert!(place.snapshot() == before, "{line}");
    }
}
