//! What `sign_csr` refuses: each with its message, its exit code, and no certificate.

use kmskit_tests::programs::Place;

use crate::sign_csr::{INTERMEDIATE, ROOT, openssl_request};

const P256: &str = "ec -pkeyopt ec_paramgen_curve:P-256";
const GOOD: &str = "-subj /CN=www.example.com -addext subjectAltName=DNS:www.example.com";

/// A PKI, and a request that is good.
fn place() -> Place {
    let place = Place::new();
    place.ok("pki_init");
    openssl_request(&place, "good", P256, GOOD);
    place
}

/// Runs what must be refused, and looks that nothing came of it.
#[track_caller]
fn refused(place: &Place, code: i32, line: &str, says: &str) {
    let before = place.snapshot();
    let ended = place.run(&format!("{line} --out out.crt")).ended_with(code);
    assert!(ended.stderr().starts_with("error: ") && ended.stderr().contains(says), "{line}: {}", ended.stderr());
    assert_eq!(ended.stdout(), "", "{line}");
    assert!(place.snapshot() == before, "{line}: files changed");
}

#[test]
fn the_good_request_is_good() {
    let place = place();
    place.ok(&format!("{INTERMEDIATE} --csr good.csr --out out.crt"));
    place.ok(&format!("{ROOT} --profile subordinate-ca --csr good.csr --out sub.crt"));
}

#[test]
fn altered_requests() {
    let place = place();
    place.ok("openssl req -in good.csr -outform DER -out good.der");
    let good = place.read("good.der");
    let mut signature = good.clone();
    *signature.last_mut().unwrap() ^= 1;
    place.write("signature.csr", signature);
    let mut subject = good.clone();
    let at = subject.windows(15).position(|window| window == b"www.example.com").unwrap();
    subject[at] ^= 2;
    place.write("subject.csr", subject);
    for name in ["signature", "subject"] {
        refused(&place, 1, &format!("{INTERMEDIATE} --csr {name}.csr"), "the request's own signature");
    }
    let mut longer = good;
    longer.push(0);
    place.write("longer.csr", longer);
    refused(&place, 2, &format!("{INTERMEDIATE} --csr longer.csr"), "holds no certificate signing request");
}

#[test]
fn requests_for_more_than_the_profile_gives() {
    let place = place();
    let san = "subjectAltName=DNS:www.example.com";
    for (profile, asked, says) in [
        ("tls-server", "basicConstraints=critical,CA:TRUE", "asks to be a CA"),
        ("tls-client", "basicConstraints=critical,CA:TRUE", "asks to be a CA"),
        ("code-signer", "basicConstraints=CA:TRUE", "asks to be a CA"),
        ("subordinate-ca", "basicConstraints=critical,CA:TRUE,pathlen:3", "asks for 3 CAs below"),
        ("subordinate-ca", "basicConstraints=critical,CA:FALSE", "asks not to be a CA"),
        ("subordinate-ca", "extendedKeyUsage=serverAuth", "extended key usage 1.3.6.1.5.5.7.3.1"),
        ("tls-server", "extendedKeyUsage=serverAuth,clientAuth", "extended key usage 1.3.6.1.5.5.7.3.2"),
        ("tls-server", "keyUsage=digitalSignature,keyCertSign", "key usage"),
        ("tls-server", "keyUsage=keyEncipherment", "key usage"),
        ("code-signer", "keyUsage=nonRepudiation", "key usage"),
        ("tls-server", "1.2.3.4=DER:0500", "extension 1.2.3.4"),
        ("tls-server", "nameConstraints=permitted;DNS:example.com", "extension 2.5.29.30"),
    ] {
        openssl_request(&place, "greedy", P256, &format!("-subj /CN=a -addext {san} -addext {asked}"));
        refused(&place, 2, &format!("{ROOT} --profile {profile} --csr greedy.csr"), says);
    }
}

#[test]
fn names_that_are_none() {
    let place = place();
    for (names, says) in [
        ("-subj /CN=www.example.com", "must hold a DNS name or IP address"),
        ("-subj /CN=a -addext subjectAltName=email:a@example.com", "must hold a DNS name or IP address"),
        ("-subj /CN=a -addext subjectAltName=DNS:a..example.com", "`a..example.com` is not a DNS name"),
        ("-subj /CN=a -addext subjectAltName=DNS:*.*.example.com", "is not a DNS name"),
        ("-subj /CN=a -addext subjectAltName=DNS:a.example.com,otherName:1.2.3.4;UTF8:x", "a name that is no DNS name"),
        ("-subj /CN=a -addext subjectAltName=DNS:a.example.com,email:nobody", "is not a mail address"),
    ] {
        openssl_request(&place, "names", P256, names);
        refused(&place, 2, &format!("{INTERMEDIATE} --csr names.csr"), says);
    }
    openssl_request(&place, "nobody", P256, "-subj /");
    refused(&place, 2, &format!("{ROOT} --profile subordinate-ca --csr nobody.csr"), "names no subject");
    refused(&place, 2, &format!("{ROOT} --profile tls-client --csr nobody.csr"), "names no subject");
}

#[test]
fn weak_keys_and_hashes() {
    let place = place();
    openssl_request(&place, "short", "rsa:1024", GOOD);
    refused(&place, 7, &format!("{INTERMEDIATE} --csr short.csr"), "RSA key of 1024 bits");
    openssl_request(&place, "sha1", "rsa:2048", &format!("-sha1 {GOOD}"));
    refused(&place, 7, &format!("{INTERMEDIATE} --csr sha1.csr"), "1.2.840.113549.1.1.5");
    openssl_request(&place, "curve", "ec -pkeyopt ec_paramgen_curve:brainpoolP256r1", GOOD);
    refused(&place, 7, &format!("{INTERMEDIATE} --csr curve.csr"), "the request: ");
}

#[test]
fn files_that_hold_no_request() {
    let place = place();
    let pem = place.text("good.csr");
    place.write("truncated.csr", &pem[..pem.len() / 2]);
    place.write("damaged.csr", pem.replacen("MII", "M!I", 1));
    place.write("empty.csr", "");
    place.write("huge.csr", "x".repeat(2_000_000));
    place.write("der.csr", [0x30, 0x03, 0x02, 0x01, 0x00]);
    for (code, file, says) in [
        (2, "truncated.csr", "truncated.csr holds no CERTIFICATE REQUEST"),
        (2, "damaged.csr", "damaged"),
        (2, "empty.csr", "holds no CERTIFICATE REQUEST"),
        (2, "huge.csr", "longer than 1024 KiB"),
        (2, "der.csr", "holds no certificate signing request"),
        (2, "pki/leaf.crt", "holds no CERTIFICATE REQUEST"),
        (3, "absent.csr", "cannot read absent.csr"),
        (1, "pki", "cannot read pki"),
    ] {
        refused(&place, code, &format!("{INTERMEDIATE} --csr {file}"), says);
    }
}

#[test]
fn authorities_that_may_not_issue() {
    let place = place();
    let key = |name: &str| format!("sign_csr --csr good.csr --key softkms:name={name};dir=pki/keys");
    refused(&place, 1, &format!("{} --ca pki/root_ca.crt", key("intermediate")), "not that of the key");
    refused(&place, 2, &format!("{} --ca pki/leaf.crt", key("leaf")), "not one of a CA");
    refused(&place, 2, &format!("{INTERMEDIATE} --profile subordinate-ca --csr good.csr"), "pathlen 0");
    refused(&place, 2, &format!("{} --ca good.csr", key("root")), "good.csr holds no CERTIFICATE");
    refused(&place, 3, &format!("{} --ca absent.crt", key("root")), "cannot read absent.crt");
    refused(&place, 3, &format!("{} --ca pki/root_ca.crt", key("absent")), "absent");
    for (name, start, end, extensions, says) in [
        ("expired", "20200101000000Z", "20210101000000Z", "keyUsage=critical,keyCertSign", "not in force now"),
        ("future", "20700101000000Z", "20710101000000Z", "keyUsage=critical,keyCertSign", "not in force now"),
        ("crl-only", "20200101000000Z", "20700101000000Z", "keyUsage=critical,cRLSign", "does not allow signing"),
    ] {
        ca_certificate(&place, name, start, end, extensions);
        refused(&place, 2, &format!("{} --ca {name}.crt", key("root")), says);
    }
    // The control: made in the same way, and good.
    ca_certificate(&place, "sound", "20200101000000Z", "20700101000000Z", "keyUsage=critical,keyCertSign");
    place.ok(&format!("{} --ca sound.crt --out out.crt", key("root")));
    // Its key identifier is a SHA-1, unlike ours, and what it issues refers to it as it stands.
    place.ok("openssl verify -x509_strict -check_ss_sig -CAfile sound.crt out.crt");
}

/// A CA certificate of the root's key as OpenSSL makes it.
fn ca_certificate(place: &Place, name: &str, start: &str, end: &str, extensions: &str) {
    let config = format!(
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\n\
         policy=p\nx509_extensions=e\nunique_subject=no\n[p]\ncommonName=supplied\n\
         [e]\nbasicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\n{extensions}\n"
    );
    place.write("ca.conf", config);
    place.write("index.txt", "");
    place.ok("openssl req -new -key pki/keys/root.key -subj /CN=CA -out ca.csr");
    let dates = format!("-startdate {start} -enddate {end}");
    let sign = "openssl ca -batch -notext -config ca.conf -selfsign -keyfile pki/keys/root.key -in ca.csr";
    place.ok(&format!("{sign} {dates} -out {name}.crt"));
}

#[test]
fn keys_that_are_not_kept_well() {
    let place = place();
    place.shell("chmod 644 pki/keys/intermediate.key");
    refused(&place, 5, &format!("{INTERMEDIATE} --csr good.csr"), "chmod 600");
    place.shell("openssl pkey -in pki/keys/root.key -pubout -out public.key && chmod 600 public.key");
    let public = "sign_csr --key softkms:public.key --ca pki/root_ca.crt --csr good.csr";
    refused(&place, 2, public, "a public key, where the private key is needed");
}

#[test]
fn an_output_that_exists_or_cannot_be_made() {
    let place = place();
    place.write("there.crt", "mine");
    let before = place.snapshot();
    for (code, out, says) in [
        (4, "there.crt", "cannot write there.crt"),
        (4, "pki", "cannot write pki"),
        (3, "absent/out.crt", "cannot write absent/out.crt"),
        (2, "good.csr/out.crt", "cannot write good.csr/out.crt"),
    ] {
        let said = place.fails(code, &format!("{INTERMEDIATE} --csr good.csr --out {out}"));
        assert!(said.contains(says) && said.contains("hint: "), "{said}");
        assert!(place.snapshot() == before, "{out}");
    }
    let program = kmskit_tests::programs::example("sign_csr").display().to_string();
    let line = INTERMEDIATE.replace("sign_csr", &program).replace("softkms:name=intermediate;dir=pki/keys", "\"$KEY\"");
    let key = "softkms:name=intermediate;dir=pki/keys";
    place.shell(&format!("KEY='{key}'; {line} --csr good.csr >/dev/full 2>said && exit 1 || [ $? = 1 ]"));
    assert!(place.text("said").contains("cannot write stdout"), "{}", place.text("said"));
}
