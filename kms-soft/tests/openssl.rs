//! OpenSSL's command line beside ours: we use its keys, it reads ours and verifies what we sign.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use kms_core::{
    DecryptionAlgorithm, ErrorKind, KeyManager, KeySpec, KeyType, KeyUri, PublicKey, Registry, SignatureAlgorithm,
    Signer, block_on,
};
use kms_soft::Soft;
use tempfile::TempDir;

/// Runs `openssl` in a directory of its own.
struct OpenSsl(TempDir);

impl OpenSsl {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The command must succeed; key files it makes get mode 0600.
    fn run(&self, arguments: &str) -> String {
        let mut command = Command::new("openssl");
        let output =
            command.current_dir(self.0.path()).args(arguments.split(' ')).output().expect("openssl is installed");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
    }

    fn uri(&self, name: &str) -> String {
        format!("softkms:{}", self.path(name).display())
    }

    fn public_key(&self, name: &str) -> PublicKey {
        PublicKey::from_pem(&self.run(&format!("pkey -in {name} -passin pass:canary -pubout"))).unwrap()
    }

    /// We sign with each algorithm of the key; OpenSSL verifies.
    fn judge(&self, name: &str, uri: &str) {
        let expected = self.public_key(name);
        self.write("public.pem", expected.to_pem().as_bytes());
        self.write("message", b"message");
        for algorithm in expected.key_type().algorithms() {
            let signer = signer(uri, *algorithm);
            assert_eq!(*signer.public_key(), expected, "{name}");
            let signature = block_on(signer.sign(b"message")).unwrap();
            self.write("signature", signature.as_bytes());
            let verify = match algorithm.name() {
                "ed25519" => {
                    "pkeyutl -verify -pubin -inkey public.pem -rawin -in message -sigfile signature".to_owned()
                }
                name => {
                    let hash = &name[name.len() - 3..];
                    let padding = if name.contains("pss") {
                        "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest "
                    } else {
                        ""
                    };
                    format!("dgst -sha{hash} {padding}-verify public.pem -signature signature message")
                }
            };
            let answer = self.run(&verify);
            assert!(answer.contains("OK") || answer.contains("Successfully"), "{name} {algorithm}: {answer}");
        }
    }
}

fn manager(uri: &str) -> Arc<dyn KeyManager> {
    block_on(Registry::new().with(Soft::default()).open(&KeyUri::parse(uri).unwrap())).unwrap()
}

fn signer(uri: &str, algorithm: SignatureAlgorithm) -> Arc<dyn Signer> {
    block_on(manager(uri).signer(&KeyUri::parse(uri).unwrap(), Some(algorithm)))
        .unwrap_or_else(|e| panic!("{uri}: {e:?}"))
}

fn close(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

const GENERATE: [(&str, &str); 8] = [
    ("p256", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"),
    ("p384", "-algorithm EC -pkeyopt ec_paramgen_curve:P-384"),
    ("p521", "-algorithm EC -pkeyopt ec_paramgen_curve:P-521"),
    ("secp256k1", "-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1"),
    ("rsa2048", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
    // No size that is made here, but one that is read.
    ("rsa2560", "-algorithm RSA -pkeyopt rsa_keygen_bits:2560"),
    ("rsa3072", "-algorithm RSA -pkeyopt rsa_keygen_bits:3072"),
    ("ed25519", "-algorithm ED25519"),
];

#[test]
fn keys_of_openssl_sign_and_openssl_verifies() {
    let openssl = OpenSsl::new();
    for (name, options) in GENERATE {
        openssl.run(&format!("genpkey {options} -out {name}"));
        openssl.judge(name, &openssl.uri(name));

        openssl.run(&format!("pkey -in {name} -outform DER -out der"));
        // `pkey` writes the traditional form in DER; `pkcs8` writes PKCS #8.
        openssl.run(&format!("pkcs8 -topk8 -nocrypt -in {name} -outform DER -out der"));
        close(&openssl.path("der"));
        openssl.judge("der", &openssl.uri("der"));

        if name != "ed25519" {
            openssl.run(&format!("pkey -in {name} -traditional -out traditional"));
            let text = fs::read_to_string(openssl.path("traditional")).unwrap();
            assert!(text.contains("BEGIN RSA PRIVATE KEY") || text.contains("BEGIN EC PRIVATE KEY"));
            close(&openssl.path("traditional"));
            openssl.judge("traditional", &openssl.uri("traditional"));
        }
    }
}

#[test]
fn a_key_with_its_parameters_in_front_is_read() {
    let openssl = OpenSsl::new();
    for curve in ["prime256v1", "secp384r1", "secp521r1", "secp256k1"] {
        openssl.run(&format!("ecparam -name {curve} -genkey -out key"));
        assert!(fs::read_to_string(openssl.path("key")).unwrap().starts_with("-----BEGIN EC PARAMETERS"));
        close(&openssl.path("key"));
        openssl.judge("key", &openssl.uri("key"));
        fs::remove_file(openssl.path("key")).unwrap();
    }
}

#[test]
fn der_of_every_kind_is_read() {
    let openssl = OpenSsl::new();
    openssl.run("ecparam -name prime256v1 -genkey -noout -out key");
    openssl.run("ec -in key -outform DER -out ec.der");
    openssl.run("pkcs8 -topk8 -nocrypt -in key -outform DER -out pkcs8.der");
    openssl.run("genrsa -out key 2048");
    openssl.run("rsa -in key -traditional -outform DER -out rsa.der");
    for name in ["ec.der", "pkcs8.der", "rsa.der"] {
        close(&openssl.path(name));
        openssl.judge(name, &openssl.uri(name));
    }
}

#[test]
fn encrypted_keys_of_openssl_open_with_their_password() {
    let openssl = OpenSsl::new();
    openssl.run("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out plain");
    openssl.run("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa");
    for options in [
        "-in plain",
        "-in rsa",
        "-in plain -v2 aes-128-cbc",
        "-in plain -v2 aes-192-cbc",
        "-in plain -v2 aes-256-cbc -v2prf hmacWithSHA512",
        "-in plain -v2 aes-256-cbc -iter 100000",
        "-in plain -scrypt",
        "-in plain -outform DER",
    ] {
        openssl.run(&format!("pkcs8 -topk8 {options} -passout pass:canary -out encrypted"));
        close(&openssl.path("encrypted"));
        let uri = openssl.uri("encrypted");
        openssl.judge("encrypted", &format!("{uri}?password-value=canary"));
        for wrong in ["", "?password-value=wrong"] {
            let uri = format!("{uri}{wrong}");
            let error = block_on(manager(&uri).public_key(&KeyUri::parse(&uri).unwrap())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{options}: {error}");
            assert!(error.context().contains("encrypted"), "{error}");
        }
    }
}

#[test]
fn encryption_that_is_too_old_is_unsupported_with_a_remedy() {
    let openssl = OpenSsl::new();
    openssl.run("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out plain");
    for convert in [
        "pkcs8 -topk8 -in plain -v1 PBE-SHA1-3DES -passout pass:canary -out old",
        "pkcs8 -topk8 -in plain -v2 des3 -passout pass:canary -out old",
        "pkcs8 -topk8 -in plain -v2 aes256 -v2prf hmacWithSHA1 -passout pass:canary -out old",
        "ec -in plain -aes256 -passout pass:canary -out old",
    ] {
        openssl.run(convert);
        close(&openssl.path("old"));
        let uri = format!("{}?password-value=canary", openssl.uri("old"));
        let error = block_on(manager(&uri).public_key(&KeyUri::parse(&uri).unwrap())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{convert}: {error:?}");
        assert!(error.hint().unwrap_or_default().contains("openssl pkcs8 -topk8"), "{convert}: {error}");
    }
}

#[test]
fn our_files_are_read_by_openssl() {
    let openssl = OpenSsl::new();
    for query in ["", "?password-value=canary"] {
        for key_type in KeyType::CREATABLE.into_iter().filter(|key_type| !key_type.to_string().starts_with("ml-dsa")) {
            let name = format!("{key_type}{}.pem", query.len());
            let uri = format!("{}{query}", openssl.uri(&name));
            let key = KeyUri::parse(&uri).unwrap();
            let made = block_on(manager(&uri).create_key(&key, &KeySpec::new(key_type))).unwrap();
            openssl.run(&format!("pkey -check -noout -in {name} -passin pass:canary"));
            assert_eq!(openssl.public_key(&name), made.public_key, "{key_type}");
        }
    }
}

#[test]
fn what_openssl_encrypts_is_decrypted() {
    let openssl = OpenSsl::new();
    openssl.run("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key");
    openssl.write("message", b"canary");
    let uri = KeyUri::parse(&openssl.uri("key")).unwrap();
    let manager = manager(&openssl.uri("key"));
    let decrypter = manager.as_decrypter().unwrap();
    let hash = |algorithm| match algorithm {
        DecryptionAlgorithm::RsaOaepSha1 => Some("sha1"),
        DecryptionAlgorithm::RsaOaepSha256 => Some("sha256"),
        DecryptionAlgorithm::RsaOaepSha384 => Some("sha384"),
        DecryptionAlgorithm::RsaOaepSha512 => Some("sha512"),
        _ => None,
    };
    for (algorithm, name) in DecryptionAlgorithm::ALL {
        let Some(hash) = hash(algorithm) else { continue };
        openssl.run(&format!(
            "pkeyutl -encrypt -inkey key -in message -out block -pkeyopt rsa_padding_mode:oaep \
             -pkeyopt rsa_oaep_md:{hash} -pkeyopt rsa_mgf1_md:{hash}"
        ));
        let mut block = fs::read(openssl.path("block")).unwrap();
        let plain = block_on(decrypter.decrypt(&uri, algorithm, &block)).unwrap();
        assert_eq!(plain.expose(), b"canary", "{name}");
        block[9] ^= 1;
        let error = block_on(decrypter.decrypt(&uri, algorithm, &block)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name}");
    }
}

#[test]
fn certificates_of_openssl_are_kept_beside_their_keys() {
    let openssl = OpenSsl::new();
    let certificate = |key: &str| {
        openssl.run(&format!("req -x509 -new -key {key} -passin pass:canary -subj /CN={key} -outform DER -out crt"));
        fs::read(openssl.path("crt")).unwrap()
    };
    let memory = manager("softkms:mode=memory");
    for key_type in [KeyType::EcP256, KeyType::Rsa { bits: 2048 }, KeyType::Ed25519] {
        let name = format!("{key_type}.key");
        let uri = KeyUri::parse(&openssl.uri(&name)).unwrap();
        let manager = manager(&openssl.uri(&name));
        block_on(manager.create_key(&uri, &KeySpec::new(key_type))).unwrap();
        openssl.run(&format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {key_type}.other"));
        let (own, issuer) = (certificate(&name), certificate(&format!("{key_type}.other")));

        let certificates = manager.as_certificate_manager().unwrap();
        let store = |chain: &[Vec<u8>]| block_on(certificates.store_certificates(&uri, chain));
        let kind = |result: kms_core::Result<()>| result.unwrap_err().kind();
        assert_eq!(block_on(certificates.load_certificates(&uri)).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(kind(store(&[])), ErrorKind::InvalidArgument);
        assert_eq!(kind(store(&[b"not a certificate".to_vec()])), ErrorKind::InvalidArgument);
        assert_eq!(kind(store(&[own.clone(), own[1..].to_vec()])), ErrorKind::InvalidArgument);
        assert_eq!(kind(store(&[issuer.clone(), own.clone()])), ErrorKind::KeyMismatch);
        assert!(!openssl.path(&format!("{key_type}.crt")).exists());

        store(&[own.clone(), issuer.clone()]).unwrap();
        assert_eq!(kind(store(std::slice::from_ref(&own))), ErrorKind::AlreadyExists);
        assert_eq!(block_on(certificates.load_certificates(&uri)).unwrap(), [own.clone(), issuer.clone()]);
        let subject = openssl.run(&format!("x509 -in {key_type}.crt -noout -subject"));
        assert!(subject.contains(&name), "the key's own certificate comes first: {subject}");

        block_on(manager.as_key_deleter().unwrap().delete_key(&uri)).unwrap();
        assert!(openssl.path(&format!("{key_type}.crt")).exists(), "certificates stay");
        block_on(certificates.delete_certificates(&uri)).unwrap();
        assert_eq!(kind(block_on(certificates.delete_certificates(&uri))), ErrorKind::NotFound);
    }

    let name = KeyUri::parse("softkms:name=root").unwrap();
    block_on(memory.create_key(&name, &KeySpec::new(KeyType::EcP256))).unwrap();
    openssl.run("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out other");
    let certificates = memory.as_certificate_manager().unwrap();
    let mismatch = block_on(certificates.store_certificates(&name, &[certificate("other")])).unwrap_err();
    assert_eq!(mismatch.kind(), ErrorKind::KeyMismatch);
}
