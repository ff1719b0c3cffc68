//! Certificates, CSRs and CRLs by the synchronous and the asynchronous builders, from one handle.

use std::future::Future;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use der::EncodePem;
use der::pem::LineEnding;
use kmskit::adapters::cause;
use kmskit::{AsyncSigner, ErrorKind, KeyType, Signature, Signer, SyncSigner, block_on};
use kmskit_tests::programs::Place;
use kmskit_tests::{create, memory};
use spki::SubjectPublicKeyInfo;
use x509_cert::Certificate;
use x509_cert::builder::profile::cabf::Root;
use x509_cert::builder::{AsyncBuilder, Builder, CertificateBuilder, CrlBuilder};
use x509_cert::crl::RevokedCert;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{CrlNumber, SubjectAltName};
use x509_cert::request::RequestBuilder;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};

use crate::counting::every_signer;

/// One time for all, so that what is made twice differs in nothing but its signature.
static NOW: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);

fn root(signer: &dyn Signer) -> CertificateBuilder<Root> {
    let profile = Root::new(false, "CN=Root,O=Example,C=CH".parse().unwrap()).unwrap();
    let now = *NOW;
    let time = |time: SystemTime| Time::try_from(time).unwrap();
    let validity = Validity::new(time(now - Duration::from_mins(1)), time(now + Duration::from_hours(24)));
    let key = SubjectPublicKeyInfo::from_key(signer.public_key()).unwrap();
    CertificateBuilder::new(profile, SerialNumber::from(42_u32), validity, key).unwrap()
}

fn request() -> RequestBuilder {
    let mut builder = RequestBuilder::new("CN=www.example.com".parse().unwrap()).unwrap();
    let name = GeneralName::DnsName(der::asn1::Ia5String::new("www.example.com").unwrap());
    builder.add_extension(&SubjectAltName(vec![name])).unwrap();
    builder
}

fn crl(issuer: &Certificate) -> CrlBuilder {
    let this_update = issuer.tbs_certificate().validity().not_before;
    let revoked = RevokedCert {
        serial_number: SerialNumber::from(7_u32),
        revocation_date: this_update,
        crl_entry_extensions: None,
    };
    CrlBuilder::new_with_this_update(issuer, CrlNumber::try_from(1_u32).unwrap(), this_update)
        .unwrap()
        .with_next_update(Some(issuer.tbs_certificate().validity().not_after))
        .with_certificates([revoked].into_iter())
}

fn pem(object: &impl EncodePem) -> String {
    object.to_pem(LineEnding::LF).unwrap()
}

/// Certificate, CSR and CRL in PEM.
type Built = [String; 3];

fn built(signer: &Arc<dyn Signer>) -> Built {
    let signer = SyncSigner::new(Arc::clone(signer));
    let certificate = root(&**signer.inner()).build::<_, Signature>(&signer).unwrap();
    let crl = crl(&certificate).build::<_, Signature>(&signer).unwrap();
    [pem(&certificate), pem(&request().build::<_, Signature>(&signer).unwrap()), pem(&crl)]
}

/// The same by the asynchronous builders; that the future may move between threads is part of the claim.
fn built_async(signer: &Arc<dyn Signer>) -> impl Future<Output = Built> + Send + 'static {
    let signer = AsyncSigner::new(Arc::clone(signer));
    async move {
        let certificate = root(&**signer.inner()).build_async::<_, Signature>(&signer).await.unwrap();
        let crl = crl(&certificate).build_async::<_, Signature>(&signer).await.unwrap();
        [pem(&certificate), pem(&request().build_async::<_, Signature>(&signer).await.unwrap()), pem(&crl)]
    }
}

/// OpenSSL's verdict on certificate, CSR and CRL, the latter two told on stderr.
fn verdict(place: &Place, [certificate, request, crl]: &Built) -> [bool; 3] {
    place.write("root.crt", certificate);
    place.write("a.csr", request);
    place.write("root.crl", crl);
    let says = |line: &str, text: &str| place.run(line).stderr().contains(text);
    [
        place.run("openssl verify -x509_strict -check_ss_sig -CAfile root.crt root.crt").succeeded(),
        says("openssl req -in a.csr -verify -noout", "self-signature verify OK"),
        says("openssl crl -in root.crl -CAfile root.crt -verify -noout", "verify OK"),
    ]
}

/// Debian's OpenSSL has no ML-DSA; `cryptography` judges that elsewhere.
fn known_to_openssl() -> impl Iterator<Item = Arc<dyn Signer>> {
    every_signer().into_iter().filter(|signer| !signer.algorithm().name().starts_with("ml-dsa"))
}

#[test]
fn openssl_accepts_what_both_builders_make_with_every_algorithm() {
    let place = Place::new();
    let mut seen = 0;
    for signer in known_to_openssl() {
        let what = format!("{} {}", signer.public_key().key_type(), signer.algorithm());
        let one = built(&signer);
        let other = block_on(built_async(&signer));
        assert_eq!(verdict(&place, &one), [true; 3], "{what}");
        assert_eq!(verdict(&place, &other), [true; 3], "{what}, asynchronous");
        let deterministic = matches!(
            signer.algorithm().name(),
            "ed25519" | "rsa-pkcs1-sha256" | "rsa-pkcs1-sha384" | "rsa-pkcs1-sha512"
        );
        assert_eq!(one == other, deterministic, "{what}: the same octets by both ways");
        seen += 1;
    }
    assert_eq!(seen, 4 + 6 + 1, "four curves, RSA in six ways, Ed25519");
}

#[test]
fn openssl_refuses_what_another_key_signed() {
    let place = Place::new();
    let manager = memory();
    let open = |name| block_on(manager.signer(&create(&manager, name, KeyType::EcP256).uri, None)).unwrap();
    let (right, wrong) = (open("right"), open("wrong"));
    let [certificate, _, _] = built(&right);
    let [_, request, crl] = built(&wrong);
    assert_eq!(verdict(&place, &[certificate, request, crl]), [true, true, false], "the CRL is of another key");
    let forged = root(&*right).build::<_, Signature>(&SyncSigner::new(Arc::clone(&wrong))).unwrap();
    let [_, request, crl] = built(&right);
    assert!(!verdict(&place, &[pem(&forged), request, crl])[0], "a certificate of one key, signed by another");
}

#[test]
fn the_asynchronous_builder_needs_no_particular_executor() {
    let place = Place::new();
    for signer in known_to_openssl().filter(|signer| signer.algorithm().is_ecdsa()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // Without I/O or time driver; as the main future, as a task among others, and the synchronous one inside.
        let direct = runtime.block_on(built_async(&signer));
        let (one, other) = runtime.block_on(async {
            let tasks = (tokio::spawn(built_async(&signer)), tokio::spawn(built_async(&signer)));
            (tasks.0.await.unwrap(), tasks.1.await.unwrap())
        });
        let parked = runtime.block_on(async { built(&signer) });
        let elsewhere = futures_lite::future::block_on(built_async(&signer));
        for (how, built) in
            [("direct", direct), ("task", one), ("task", other), ("parked", parked), ("lite", elsewhere)]
        {
            assert_eq!(verdict(&place, &built), [true; 3], "{how}");
        }
    }
}

#[test]
fn a_form_that_is_not_the_keys_fails_in_the_builder_with_our_error() {
    let manager = memory();
    let signer = block_on(manager.signer(&create(&manager, "key", KeyType::EcP384).uri, None)).unwrap();
    let certificate = root(&*signer).build::<_, p384::ecdsa::DerSignature>(&SyncSigner::new(Arc::clone(&signer)));
    assert_eq!(certificate.unwrap().signature_algorithm(), &signer.algorithm().algorithm_identifier());
    let error =
        root(&*signer).build::<_, p256::ecdsa::DerSignature>(&SyncSigner::new(Arc::clone(&signer))).unwrap_err();
    assert_eq!(cause(&error).map(kmskit::Error::kind), Some(ErrorKind::Unsupported), "{error}");
    let adapter = AsyncSigner::new(Arc::clone(&signer));
    let error = block_on(root(&*signer).build_async::<_, p256::ecdsa::DerSignature>(&adapter)).unwrap_err();
    assert_eq!(cause(&error).map(kmskit::Error::kind), Some(ErrorKind::Unsupported), "{error}");
}
