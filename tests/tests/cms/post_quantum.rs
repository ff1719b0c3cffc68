//! ML-DSA signatures (RFC 9882), which neither OpenSSL 3.0 nor Debian's GnuTLS can judge: Python's `cryptography` does.

use der::Encode as _;
use kmskit::SyncSigner;
use kmskit_tests::programs::{Place, python};

use crate::certified::{self, Certified};

/// Verifies the `SignedData` in the first file over the content in the second, with the ML-DSA certificate it holds.
const JUDGE: &str = r#"
import hashlib, sys
from cryptography import x509
from cryptography.exceptions import InvalidSignature

def children(der):
    found, at = [], 0
    while at < len(der):
        length, start = der[at + 1], at + 2
        if length & 0x80:
            octets = length & 0x7F
            length, start = int.from_bytes(der[start:start + octets], "big"), start + octets
        found.append((der[at], der[at:start + length], der[start:start + length]))
        at = start + length
    return found

outer = children(open(sys.argv[1], "rb").read())[0][2]
signed_data = children(children(children(outer)[1][2])[0][2])
certificates = [x509.load_der_x509_certificate(whole) for _, whole, _ in children(signed_data[3][2])]
signer = children(children(signed_data[4][2])[0][2])
keys = [certificate.public_key() for certificate in certificates]
key = [key for key in keys if "MLDSA" in type(key).__name__][0]
attributes = dict((children(value)[0][2], children(children(value)[1][2])[0][2]) for _, _, value in children(signer[3][2]))
digest = attributes[bytes.fromhex("2a864886f70d010904")]
if digest != hashlib.sha512(open(sys.argv[2], "rb").read()).digest():
    sys.exit("other content")
try:
    key.verify(signer[5][2], b"\x31" + signer[3][1][1:])
except InvalidSignature:
    sys.exit("signature refused")
print(type(key).__name__, signer[2][2].hex(), signer[4][2].hex())
"#;

#[test]
fn ml_dsa_signatures_verify() {
    let (place, python) = (Place::new(), python());
    place.ok("pki_init");
    place.write("judge.py", JUDGE);
    place.write("content", "content");
    place.write("other", "other");
    for (key_type, class, arc) in
        [("ml-dsa-44", "MLDSA44", "11"), ("ml-dsa-65", "MLDSA65", "12"), ("ml-dsa-87", "MLDSA87", "13")]
    {
        let Certified { builder, signer } = certified::make(&place, key_type, "");
        let signed = builder.detached(&SyncSigner::new(signer), &b"content"[..]).unwrap().to_der().unwrap();
        place.write("signed", &signed);
        // SHA-512 and the key's own algorithm, both without parameters.
        let expected = format!("{class}PublicKey 0609608648016503040203 06096086480165030403{arc}\n");
        assert_eq!(place.ok(&format!("{python} judge.py signed content")), expected);

        assert_eq!(place.fails(1, &format!("{python} judge.py signed other")), "other content\n");
        let mut altered = signed;
        *altered.last_mut().unwrap() ^= 1;
        place.write("signed", altered);
        assert_eq!(place.fails(1, &format!("{python} judge.py signed content")), "signature refused\n");
    }
}
