//! ML-DSA certificates (RFC 9881), which Debian's OpenSSL cannot judge: Python's `cryptography` does.

use kmskit_tests::programs::{Place, python};

/// Verifies that the certificate in the first file was signed by the key in the second's, and prints the algorithms.
const JUDGE: &str = r#"
import sys
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mldsa

subject, issuer = (x509.load_pem_x509_certificate(open(name, "rb").read()) for name in sys.argv[1:3])
key = issuer.public_key()
assert isinstance(key, (mldsa.MLDSA44PublicKey, mldsa.MLDSA65PublicKey, mldsa.MLDSA87PublicKey)), key
assert subject.issuer == issuer.subject
try:
    key.verify(subject.signature, subject.tbs_certificate_bytes)
except InvalidSignature:
    sys.exit("signature refused")
print(subject.signature_algorithm_oid.dotted_string, type(key).__name__, type(subject.public_key()).__name__)
"#;

#[test]
fn a_post_quantum_root_and_intermediate_with_a_classical_leaf() {
    let (place, python) = (Place::new(), python());
    place.write("judge.py", JUDGE);
    for (key_type, oid, class) in [
        ("ml-dsa-44", "2.16.840.1.101.3.4.3.17", "MLDSA44"),
        ("ml-dsa-65", "2.16.840.1.101.3.4.3.18", "MLDSA65"),
        ("ml-dsa-87", "2.16.840.1.101.3.4.3.19", "MLDSA87"),
    ] {
        place.ok(&format!("pki_init --type {key_type} --leaf-type ec-p256 --out {key_type}"));
        let [root, intermediate, leaf] =
            ["root_ca.crt", "intermediate_ca.crt", "leaf.crt"].map(|file| format!("{key_type}/{file}"));
        for (subject, issuer, of_subject) in
            [(&root, &root, class), (&intermediate, &root, class), (&leaf, &intermediate, "")]
        {
            let verdict = place.ok(&format!("{python} judge.py {subject} {issuer}"));
            assert!(verdict.starts_with(&format!("{oid} {class}PublicKey {of_subject}")), "{subject}: {verdict}");
        }
        let p256 = place.ok(&format!("openssl x509 -in {leaf} -noout -pubkey"));
        assert!(p256.starts_with("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"), "{p256}");

        // A judge that accepts everything would pass all of the above.
        for (file, issuer) in [(&root, &root), (&leaf, &intermediate)] {
            place.write("altered.pem", with_a_bit_flipped(&place, file));
            let said = place.fails(1, &format!("{python} judge.py altered.pem {issuer}"));
            assert_eq!(said, "signature refused\n", "{file}");
        }
    }
}

#[test]
fn requests_and_their_certificates() {
    let (place, python) = (Place::new(), python());
    place.write("judge.py", JUDGE);
    place.ok("pki_init --type ml-dsa-65 --leaf-type ec-p256");
    // A classical subordinate CA of OpenSSL's below a post-quantum root.
    place.ok("openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout sub.key -out sub.csr -subj /CN=Sub");
    let root = "--key softkms:name=root;dir=pki/keys --ca pki/root_ca.crt --profile subordinate-ca";
    place.ok(&format!("sign_csr {root} --csr sub.csr --out sub.crt"));
    place.ok(&format!("{python} judge.py sub.crt pki/root_ca.crt"));

    // A post-quantum request, its own signature judged, and the certificate for it.
    place.ok("kms create softkms:name=online;dir=pki/keys --type ml-dsa-44");
    place.ok("csr softkms:name=online;dir=pki/keys --subject CN=Online --out online.csr");
    place.write(
        "request.py",
        "import sys\nfrom cryptography import x509\n\
         request = x509.load_pem_x509_csr(open(sys.argv[1], 'rb').read())\n\
         sys.exit(0 if request.is_signature_valid else 1)\n",
    );
    place.ok(&format!("{python} request.py online.csr"));
    place.ok(&format!("sign_csr {root} --csr online.csr --out online.crt"));
    let verdict = place.ok(&format!("{python} judge.py online.crt pki/root_ca.crt"));
    assert!(verdict.ends_with(" MLDSA65PublicKey MLDSA44PublicKey\n"), "{verdict}");

    place.ok("openssl req -in online.csr -outform DER -out der");
    let mut altered = place.read("der");
    *altered.last_mut().unwrap() ^= 1;
    place.write("der", altered);
    place.ok("openssl req -inform DER -in der -out altered.csr");
    place.fails(1, &format!("{python} request.py altered.csr"));
    let said = place.fails(1, &format!("sign_csr {root} --csr altered.csr --out altered.crt"));
    assert!(said.contains("the request's own signature"), "{said}");
}

/// The certificate with the last bit of its signature flipped.
fn with_a_bit_flipped(place: &Place, file: &str) -> String {
    place.ok(&format!("openssl x509 -in {file} -outform DER -out whole.der"));
    let mut der = place.read("whole.der");
    *der.last_mut().unwrap() ^= 1;
    place.write("altered.der", der);
    place.ok("openssl x509 -inform DER -in altered.der")
}
