//! The `cms` adapter, judged by OpenSSL, GnuTLS and Python's `cryptography`.

mod certified;
mod post_quantum;

use std::io::{self, Read};
use std::time::{Duration, SystemTime};

use der::asn1::ObjectIdentifier;
use der::{Decode as _, Encode as _};
use futures_lite::future::block_on;
use kmskit::adapters::cms::{SignedDataBuilder, content_hash};
use kmskit::{AsyncSigner, ErrorKind, SyncSigner};
use kmskit_tests::programs::Place;

use crate::certified::Certified;

const CONTENT: &[u8] = b"what is signed\r\nand not text\0\n";

/// Type of key, algorithm, whether OpenSSL 3.0 and whether GnuTLS can judge it.
const ALGORITHMS: [(&str, &str, bool, bool); 11] = [
    ("ec-p256", "", true, true),
    ("ec-p384", "", true, true),
    ("ec-p521", "", true, true),
    ("ec-secp256k1", "", true, false),
    ("rsa-2048", "", true, true),
    ("rsa-2048", ";alg=rsa-pkcs1-sha384", true, true),
    ("rsa-2048", ";alg=rsa-pkcs1-sha512", true, true),
    ("rsa-2048", ";alg=rsa-pss-sha256", true, true),
    // GnuTLS 3.7 takes every RSASSA-PSS for one with SHA-256.
    ("rsa-2048", ";alg=rsa-pss-sha384", true, false),
    ("rsa-2048", ";alg=rsa-pss-sha512", true, false),
    ("ed25519", "", false, true),
];

/// The judges of a detached signature over `content`; its purpose is not the usual one, so it is named.
fn verdicts(place: &Place, openssl: bool, gnutls: bool) -> Vec<bool> {
    let by_openssl = "openssl cms -verify -binary -inform DER -in signed -content content -CAfile pki/root_ca.crt -purpose any -out out";
    let by_gnutls = "certtool --p7-verify --inder --infile signed --load-data content --load-ca-certificate pki/root_ca.crt --verify-purpose 1.3.6.1.5.5.7.3.3";
    let judges = [(openssl, by_openssl), (gnutls, by_gnutls)];
    judges.into_iter().filter(|(can, _)| *can).map(|(_, line)| place.run(line).succeeded()).collect()
}

#[test]
fn detached_and_attached_signatures_of_every_algorithm_verify() {
    let place = Place::new();
    place.ok("pki_init");
    for (key_type, alg, openssl, gnutls) in ALGORITHMS {
        let what = format!("{key_type}{alg}");
        let Certified { builder, signer } = certified::make(&place, key_type, alg);
        let signer = SyncSigner::new(signer);
        place.write("signed", builder.detached(&signer, CONTENT).unwrap().to_der().unwrap());
        place.write("content", CONTENT);
        assert!(verdicts(&place, openssl, gnutls).iter().all(|good| *good), "{what}");
        place.write("content", b"what is signed\r\nand not text\0\r");
        assert!(verdicts(&place, openssl, gnutls).iter().all(|good| !good), "{what}: other content");
        place.write("content", CONTENT);
        let mut altered = place.read("signed");
        *altered.last_mut().unwrap() ^= 1;
        place.write("signed", altered);
        assert!(verdicts(&place, openssl, gnutls).iter().all(|good| !good), "{what}: altered signature");

        place.write("signed", builder.attached(&signer, CONTENT).unwrap().to_der().unwrap());
        place.write("out", "");
        if openssl {
            place.ok("openssl cms -verify -inform DER -in signed -CAfile pki/root_ca.crt -purpose any -out out");
            assert_eq!(place.read("out"), CONTENT, "{what}");
        }
        if gnutls {
            place.ok("certtool --p7-verify --inder --infile signed --load-ca-certificate pki/root_ca.crt");
        }
    }
}

#[test]
fn the_certificate_is_one_for_its_purpose_only() {
    let place = Place::new();
    place.ok("pki_init");
    let Certified { builder, signer } = certified::make(&place, "ec-p256", "");
    place.write("signed", builder.attached(&SyncSigner::new(signer), CONTENT).unwrap().to_der().unwrap());
    let verify = "openssl cms -verify -inform DER -in signed -CAfile pki/root_ca.crt -out out -purpose";
    place.ok(&format!("{verify} any"));
    assert!(!place.run(&format!("{verify} smimesign")).succeeded());
}

#[test]
fn asynchronous_callers_get_the_same() {
    let place = Place::new();
    place.ok("pki_init");
    for key_type in ["ec-p256", "rsa-2048", "ed25519"] {
        let Certified { builder, signer } = certified::make(&place, key_type, "");
        let hash = content_hash(signer.algorithm());
        let signer = AsyncSigner::new(signer);
        let signed = block_on(builder.detached_async(&signer, &hash.digest(CONTENT))).unwrap();
        place.write("signed", signed.to_der().unwrap());
        place.write("content", CONTENT);
        assert_eq!(verdicts(&place, false, true), [true], "{key_type}");
        let attached = block_on(builder.attached_async(&signer, CONTENT)).unwrap();
        place.write("signed", attached.to_der().unwrap());
        place.ok("certtool --p7-verify --inder --infile signed --load-ca-certificate pki/root_ca.crt");

        let other = if hash.output_len() == 64 { kmskit::HashAlgorithm::Sha256 } else { kmskit::HashAlgorithm::Sha512 };
        let error = block_on(builder.detached_async(&signer, &other.digest(CONTENT))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
}

#[test]
fn the_signed_attributes_are_those_asked_for() {
    let place = Place::new();
    place.ok("pki_init");
    let Certified { builder, signer } = certified::make(&place, "ec-p256", "");
    let signer = SyncSigner::new(signer);
    let print = |builder: &SignedDataBuilder| {
        place.write("signed", builder.attached(&signer, CONTENT).unwrap().to_der().unwrap());
        place.ok("openssl cms -cmsout -noout -print -inform DER -in signed")
    };
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let text = print(&builder.clone().with_signing_time(time));
    for attribute in ["contentType", "messageDigest", "signingTime"] {
        assert_eq!(text.matches(&format!("object: {attribute} (")).count(), 1, "{attribute}: {text}");
    }
    assert!(text.contains("UTCTIME:Nov 14 22:13:20 2023 GMT"), "{text}");
    assert!(!text.contains("signingCertificateV2") && text.contains("eContentType: pkcs7-data"), "{text}");
    assert_eq!(text.matches("version: 1").count(), 2, "of the SignedData and the SignerInfo: {text}");

    // From 2050 on, GeneralizedTime (RFC 5652 section 11.3).
    let late = SystemTime::UNIX_EPOCH + Duration::from_secs(2_600_000_000);
    assert!(print(&builder.clone().with_signing_time(late)).contains("GENERALIZEDTIME:May 22 14:13:20 2052 GMT"));

    let info = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
    let text = print(&builder.clone().with_content_type(info).with_signing_certificate().unwrap());
    assert!(text.contains("signingCertificateV2") && text.contains("eContentType: id-smime-ct-TSTInfo"), "{text}");
    assert!(text.contains("version: 3"), "{text}");
    let hash = place.shell("openssl x509 -in ec-p256.pem -outform DER | openssl dgst -sha256 -r | cut -c1-64");
    assert!(hex::encode(place.read("signed")).contains(hash.trim()), "the certificate's SHA-256 is not signed");
    place.ok("openssl cms -verify -inform DER -in signed -CAfile pki/root_ca.crt -purpose any -cades -out out");
}

#[test]
fn certificates_can_be_left_out() {
    let place = Place::new();
    place.ok("pki_init");
    let Certified { builder, signer } = certified::make(&place, "ec-p384", "");
    let signed = builder.without_certificates().attached(&SyncSigner::new(signer), CONTENT).unwrap();
    place.write("signed", signed.to_der().unwrap());
    place.shell("cat pki/root_ca.crt pki/intermediate_ca.crt >authorities.pem");
    let verify = "openssl cms -verify -inform DER -in signed -CAfile authorities.pem -purpose any -out out";
    assert!(!place.run(verify).succeeded());
    place.ok(&format!("{verify} -certfile ec-p384.pem"));
}

#[test]
fn repeated_certificates_go_in_once() {
    let place = Place::new();
    place.ok("pki_init");
    let Certified { builder, signer } = certified::make(&place, "ec-p256", "");
    let chain = certified::chain(&place, "ec-p256.pem");
    let builder = builder.with_certificates(&chain).with_certificates(&chain);
    let signed = builder.attached(&SyncSigner::new(signer), CONTENT).unwrap();
    let data: cms::signed_data::SignedData = signed.content.decode_as().unwrap();
    assert_eq!(data.certificates.unwrap().0.len(), 2);
    assert_eq!(cms::content_info::ContentInfo::from_der(&signed.to_der().unwrap()).unwrap(), signed);
}

/// Gives more than is in memory, and notes the largest piece asked for.
struct Endless {
    left: usize,
    largest: usize,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.left);
        buffer[..count].fill(0);
        self.left -= count;
        self.largest = self.largest.max(buffer.len());
        Ok(count)
    }
}

#[test]
fn content_is_read_in_pieces() {
    const LENGTH: usize = 300_000_000;
    let place = Place::new();
    place.ok("pki_init");
    let Certified { builder, signer } = certified::make(&place, "ec-p256", "");
    let mut content = Endless { left: LENGTH, largest: 0 };
    let signed = builder.detached(&SyncSigner::new(signer), &mut content).unwrap();
    assert!(content.left == 0 && content.largest <= 64 * 1024, "{} at once", content.largest);
    place.write("signed", signed.to_der().unwrap());
    place.shell(&format!("truncate -s {LENGTH} content"));
    assert_eq!(verdicts(&place, true, false), [true]);
}

/// A file that cannot be read.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is gone"))
    }
}

#[test]
fn what_cannot_be_right_is_refused() {
    let place = Place::new();
    place.ok("pki_init");
    let one = certified::make(&place, "ec-p256", "");
    let other = certified::make(&place, "ec-p384", "");
    let signer = SyncSigner::new(other.signer);
    let mut content = Endless { left: 1, largest: 0 };
    let error = one.builder.detached(&signer, &mut content).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyMismatch);
    assert_eq!(content.left, 1, "the content was read");
    assert_eq!(one.builder.attached(&signer, CONTENT).unwrap_err().kind(), ErrorKind::KeyMismatch);

    let error = other.builder.detached(&signer, Broken).unwrap_err();
    assert!(error.kind() == ErrorKind::Other && error.chain().contains("the disk is gone"), "{error:?}");
}
