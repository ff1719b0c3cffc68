//! Software key stores as an application sees them: through the registry, by URI.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kms_core::{
    DecryptionAlgorithm, ErrorKind, Key, KeyManager, KeySpec, KeyType, KeyUri, KeyUsage, OpenOptions, OperationPolicy,
    Registry, Result, Secret, SecretPrompt, SecretRequest, SignatureAlgorithm, block_on,
};
use kms_soft::Soft;
use tempfile::TempDir;

fn open_with(text: &str, options: OpenOptions) -> Arc<dyn KeyManager> {
    block_on(Registry::new().with(Soft::default()).with_options(options).open(&uri(text))).unwrap()
}

fn open(text: &str) -> Arc<dyn KeyManager> {
    open_with(text, OpenOptions::default())
}

fn uri(text: &str) -> KeyUri {
    KeyUri::parse(text).unwrap()
}

fn create(text: &str, key_type: KeyType) -> Result<Key> {
    block_on(open(text).create_key(&uri(text), &KeySpec::new(key_type)))
}

/// Opens the key anew and signs with it.
fn sign(text: &str) -> Result<()> {
    let manager = open(text);
    let signer = block_on(manager.signer(&uri(text), None))?;
    let signature = block_on(signer.sign(b"message"))?;
    block_on(manager.public_key(&uri(text)))?.verify(signer.algorithm(), b"message", signature.as_bytes())
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn files(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_key_type_signs_after_it_is_opened_anew() {
    let root = TempDir::new().unwrap();
    let directory = root.path().join("pki");
    for key_type in KeyType::CREATABLE {
        let text = format!("softkms:name={key_type};dir={}", directory.display());
        let key = create(&text, key_type).unwrap();
        assert_eq!(key.uri, uri(&text), "the URI is complete");
        assert_eq!(key.public_key.key_type(), key_type);
        let again = key.uri.to_exposed_string();
        assert_eq!(block_on(open(&again).public_key(&key.uri)).unwrap(), key.public_key);
        for algorithm in key_type.algorithms() {
            let signer = block_on(open(&again).signer(&key.uri, Some(*algorithm))).unwrap();
            let signature = block_on(signer.sign(b"message")).unwrap();
            key.public_key.verify(*algorithm, b"message", signature.as_bytes()).unwrap();
        }
        let file = directory.join(format!("{key_type}.key"));
        assert_eq!(mode(&file), 0o600);
        assert!(fs::read_to_string(&file).unwrap().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    }
    assert_eq!(mode(&directory), 0o700);
}

#[test]
fn a_key_may_be_a_file_of_its_own() {
    let root = TempDir::new().unwrap();
    let file = root.path().join("root.pem");
    let text = format!("softkms:{}", file.display());
    let key = create(&text, KeyType::EcP256).unwrap();
    sign(&text).unwrap();
    sign(&key.uri.to_string()).unwrap();
    assert_eq!(files(root.path()), ["root.pem"]);
    assert!(open("softkms:").as_key_searcher().is_none());
    assert_eq!(block_on(open("softkms:").public_key(&uri(&text))).unwrap(), key.public_key);
}

#[test]
fn memory_is_not_shared_between_managers() {
    let (one, other) = (open("softkms:mode=memory"), open("softkms:mode=memory"));
    let name = uri("softkms:name=root");
    let key = block_on(one.create_key(&name, &KeySpec::new(KeyType::Ed25519))).unwrap();
    assert_eq!(key.uri, uri("softkms:name=root;mode=memory"));
    let signer = block_on(one.signer(&key.uri, None)).unwrap();
    block_on(signer.sign(b"message")).unwrap();
    assert_eq!(block_on(other.signer(&key.uri, None)).unwrap_err().kind(), ErrorKind::NotFound);
    let twice = block_on(one.create_key(&name, &KeySpec::new(KeyType::EcP256))).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::AlreadyExists);
    assert_eq!(block_on(one.public_key(&name)).unwrap(), key.public_key);
    block_on(one.as_key_deleter().unwrap().delete_key(&name)).unwrap();
    let gone = block_on(one.as_key_deleter().unwrap().delete_key(&name)).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    block_on(signer.sign(b"a signer outlives its key's place")).unwrap();
}

#[test]
fn nothing_is_ever_overwritten() {
    let root = TempDir::new().unwrap();
    let text = format!("softkms:name=root;dir={}", root.path().display());
    create(&text, KeyType::EcP256).unwrap();
    let before = fs::read(root.path().join("root.key")).unwrap();
    let error = create(&text, KeyType::Rsa { bits: 4096 }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.context().contains("root.key") && error.hint().is_some(), "{error}");
    assert_eq!(fs::read(root.path().join("root.key")).unwrap(), before);

    symlink(root.path().join("elsewhere"), root.path().join("link.key")).unwrap();
    let link = format!("softkms:name=link;dir={}", root.path().display());
    assert_eq!(create(&link, KeyType::EcP256).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(files(root.path()), ["link.key", "root.key"]);
}

#[test]
fn of_many_that_create_one_key_one_succeeds() {
    let root = TempDir::new().unwrap();
    let text = format!("softkms:name=root;dir={}", root.path().join("new").display());
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let text = text.clone();
            std::thread::spawn(move || create(&text, KeyType::EcP256))
        })
        .collect();
    let results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let made: Vec<_> = results.iter().flatten().collect();
    assert_eq!(made.len(), 1);
    assert!(results.iter().filter_map(|result| result.as_ref().err()).all(|e| e.kind() == ErrorKind::AlreadyExists));
    assert_eq!(block_on(open(&text).public_key(&uri(&text))).unwrap(), made[0].public_key);
    assert_eq!(files(&root.path().join("new")), ["root.key"]);
}

#[test]
fn where_nothing_can_be_written_nothing_is() {
    let root = TempDir::new().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    for (directory, kind, remedy) in [
        (root.path().join("no/such"), ErrorKind::NotFound, "mkdir -p"),
        (file, ErrorKind::InvalidArgument, ""),
        // Not writable for any user.
        ("/sys/kernel".into(), ErrorKind::PermissionDenied, "writable"),
    ] {
        let error = create(&format!("softkms:name=root;dir={}", directory.display()), KeyType::EcP256).unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.context().contains(directory.to_str().unwrap()), "{error}");
        assert!(error.hint().unwrap_or_default().contains(remedy), "{error}");
    }
    assert_eq!(files(root.path()), ["file"]);
}

#[test]
fn nothing_is_made_after_the_deadline() {
    let root = TempDir::new().unwrap();
    let late = OpenOptions::default().with_policy(OperationPolicy::default().with_timeout(Duration::ZERO));
    let text = format!("softkms:name=root;dir={}", root.path().display());
    let manager = open_with(&text, late);
    let error = block_on(manager.create_key(&uri(&text), &KeySpec::new(KeyType::EcP256))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    // The worker may still be at it.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(files(root.path()), Vec::<String>::new());
}

#[test]
fn an_encrypted_key_opens_with_its_password_only() {
    let root = TempDir::new().unwrap();
    let password = root.path().join("password");
    fs::write(&password, "canary\n").unwrap();
    let plain = format!("softkms:name=root;dir={}", root.path().display());
    let with_value = format!("{plain}?password-value=canary");
    let with_file = format!("{plain}?password-source=file:{}", password.display());

    let key = create(&with_value, KeyType::EcP256).unwrap();
    assert_eq!(key.uri, uri(&plain));
    let text = fs::read_to_string(root.path().join("root.key")).unwrap();
    assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    assert_eq!(mode(root.path().join("root.key")), 0o600);

    sign(&with_value).unwrap();
    sign(&with_file).unwrap();
    for bad in [
        plain.clone(),
        format!("{plain}?password-value=wrong"),
        format!("{plain}?password-source=file:/nonexistent"),
        format!("{plain}?password-source=env:KMS_SOFT_NEVER_SET"),
    ] {
        let error = sign(&bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{bad}");
        assert!(error.context().contains("root.key") || error.context().contains("password"), "{error}");
    }
    assert!(sign(&plain).unwrap_err().hint().unwrap().contains("password-source"));
    // A password that cannot be read makes no key, least of all a plain one.
    let unmade = format!("softkms:name=other;dir={}?password-source=file:/nonexistent", root.path().display());
    assert_eq!(create(&unmade, KeyType::EcP256).unwrap_err().kind(), ErrorKind::Unauthenticated);
    assert_eq!(files(root.path()), ["password", "root.key"]);
}

#[derive(Debug)]
struct Prompt(Arc<AtomicUsize>);

impl SecretPrompt for Prompt {
    fn prompt(&self, request: &SecretRequest) -> Result<Secret> {
        assert_eq!(request.name, "password");
        assert!(request.target.ends_with("/closed.key"), "{}", request.target);
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Secret::new("canary"))
    }
}

#[test]
fn a_prompt_is_asked_only_for_an_encrypted_file() {
    let root = TempDir::new().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let store = format!("softkms:dir={}", root.path().display());
    let manager = open_with(&store, OpenOptions::default().with_prompt(Prompt(Arc::clone(&asked))));
    let plain = uri("softkms:name=plain");
    block_on(manager.create_key(&plain, &KeySpec::new(KeyType::EcP256))).unwrap();
    assert!(fs::read_to_string(root.path().join("plain.key")).unwrap().contains("BEGIN PRIVATE KEY"));
    block_on(manager.signer(&plain, None)).unwrap();
    create(&format!("{store};name=closed?password-value=canary"), KeyType::EcP256).unwrap();
    let found = block_on(manager.as_key_searcher().unwrap().search_keys(&uri(&store))).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    block_on(manager.signer(&uri("softkms:name=closed"), None)).unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn a_search_lists_what_opens_and_matches() {
    let root = TempDir::new().unwrap();
    let directory = root.path().join("pki");
    let store = format!("softkms:dir={}", directory.display());
    let manager = open(&store);
    let searcher = manager.as_key_searcher().unwrap();
    let search = |text: &str| -> Vec<String> {
        let found = block_on(searcher.search_keys(&uri(text))).unwrap();
        found.iter().map(|key| key.uri.path().next().unwrap().text().unwrap().to_owned()).collect()
    };
    assert!(search(&store).is_empty(), "a directory still to be made is empty");

    for (name, key_type) in [("b", KeyType::EcP256), ("a", KeyType::Ed25519), ("c", KeyType::EcP384)] {
        create(&format!("{store};name={name}"), key_type).unwrap();
    }
    create(&format!("{store};name=closed?password-value=canary"), KeyType::EcP256).unwrap();
    fs::write(directory.join("garbage.key"), "garbage").unwrap();
    fs::write(directory.join("notes.txt"), "").unwrap();
    fs::set_permissions(directory.join("c.key"), fs::Permissions::from_mode(0o644)).unwrap();

    assert_eq!(search(&store), ["a", "b"]);
    assert_eq!(search("softkms:name=b"), ["b"]);
    assert!(search("softkms:name=none").is_empty());
    assert_eq!(search("softkms:alg=ed25519"), ["a"]);
    assert_eq!(search(&format!("{store}?password-value=canary")), ["a", "b", "closed"]);
    for bad in ["softkms:a.key", "softkms:dir=/elsewhere", "softkms:label=a"] {
        let error = block_on(searcher.search_keys(&uri(bad))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidUri, "{bad}");
    }
}

#[test]
fn exactly_the_key_is_deleted_and_only_a_key() {
    let root = TempDir::new().unwrap();
    let store = format!("softkms:dir={}", root.path().display());
    for name in ["root", "other"] {
        create(&format!("{store};name={name}"), KeyType::EcP256).unwrap();
    }
    create(&format!("{store};name=closed?password-value=canary"), KeyType::EcP256).unwrap();
    fs::write(root.path().join("root.crt"), "").unwrap();
    fs::write(root.path().join("notes.key"), "not a key").unwrap();
    let manager = open(&store);
    let delete =
        |name: &str| block_on(manager.as_key_deleter().unwrap().delete_key(&uri(&format!("softkms:name={name}"))));
    delete("root").unwrap();
    delete("closed").unwrap();
    let error = delete("root").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.hint().unwrap().contains("other.key"), "{error}");
    assert_eq!(delete("notes").unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(files(root.path()), ["notes.key", "other.key", "root.crt"]);
}

#[test]
fn what_is_more_or_less_than_one_key_is_not_deleted() {
    let root = TempDir::new().unwrap();
    let store = format!("softkms:dir={}", root.path().display());
    create(&format!("{store};name=root"), KeyType::EcP256).unwrap();
    let path = |name: &str| root.path().join(name);
    let key = fs::read_to_string(path("root.key")).unwrap();
    let certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    fs::write(path("chain.key"), format!("{key}{certificate}")).unwrap();
    fs::write(path("two.key"), key.repeat(2)).unwrap();
    std::os::unix::fs::symlink(path("root.key"), path("link.key")).unwrap();
    let all = files(root.path());
    let manager = open(&store);
    for (name, kind) in
        [("chain", ErrorKind::InvalidArgument), ("two", ErrorKind::Ambiguous), ("link", ErrorKind::InvalidArgument)]
    {
        let deleted = block_on(manager.as_key_deleter().unwrap().delete_key(&uri(&format!("softkms:name={name}"))));
        let error = deleted.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.hint().is_some(), "{error}");
    }
    assert_eq!(files(root.path()), all);
}

#[test]
fn an_algorithm_in_the_uri_is_checked_before_a_key_is_made_and_stays() {
    let root = TempDir::new().unwrap();
    let place = format!("softkms:dir={};name=root", root.path().display());
    let manager = open(&place);
    let spec = KeySpec::new(KeyType::Rsa { bits: 2048 });
    let create = |alg: &str| block_on(manager.create_key(&uri(&format!("{place};alg={alg}")), &spec));
    for (alg, kind) in [("nonsense", ErrorKind::InvalidUri), ("ed25519", ErrorKind::Unsupported)] {
        let error = create(alg).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    assert!(files(root.path()).is_empty());
    assert_eq!(create("PS256").unwrap().uri.alg(), Some("rsa-pss-sha256"));
    let error = block_on(manager.public_key(&uri(&format!("{place};alg=nonsense")))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidUri);
}

#[test]
fn a_key_is_imported_as_what_it_is() {
    let source = open("softkms:mode=memory");
    let root = TempDir::new().unwrap();
    let store = format!("softkms:dir={}", root.path().display());
    let manager = open(&store);
    let importer = manager.as_key_importer().unwrap();
    for key_type in KeyType::CREATABLE.into_iter().filter(|t| !matches!(t, KeyType::Rsa { bits: 3072.. })) {
        let name = uri(&format!("softkms:name={key_type}"));
        let made = create(&format!("{store};name=source"), key_type).unwrap();
        let text = fs::read_to_string(root.path().join("source.key")).unwrap();
        let (_, document) = der::SecretDocument::from_pem(&text).unwrap();
        let pkcs8 = Secret::new(document.as_bytes());
        let other = if key_type == KeyType::EcP256 { KeyType::EcP384 } else { KeyType::EcP256 };
        let error = block_on(importer.import_key(&name, &pkcs8, &KeySpec::new(other))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyMismatch);
        let key = block_on(importer.import_key(&name, &pkcs8, &KeySpec::new(key_type))).unwrap();
        assert_eq!(key.public_key, made.public_key);
        sign(&key.uri.to_string()).unwrap();
        let twice = block_on(importer.import_key(&name, &pkcs8, &KeySpec::new(key_type))).unwrap_err();
        assert_eq!(twice.kind(), ErrorKind::AlreadyExists);
        let memory = source.as_key_importer().unwrap();
        assert_eq!(
            block_on(memory.import_key(&name, &pkcs8, &KeySpec::new(key_type))).unwrap().public_key,
            made.public_key
        );
        block_on(manager.as_key_deleter().unwrap().delete_key(&made.uri)).unwrap();
    }
    let garbage =
        block_on(importer.import_key(&uri("softkms:name=x"), &Secret::new("x"), &KeySpec::new(KeyType::EcP256)));
    assert_eq!(garbage.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn what_a_key_cannot_do_is_unsupported() {
    let manager = open("softkms:mode=memory");
    let name = |name: &str| uri(&format!("softkms:name={name}"));
    let decrypt = KeySpec::new(KeyType::EcP256).with_usage(KeyUsage::Decrypt);
    assert_eq!(block_on(manager.create_key(&name("ec"), &decrypt)).unwrap_err().kind(), ErrorKind::Unsupported);
    let odd = KeySpec::new(KeyType::Rsa { bits: 1024 });
    assert_eq!(block_on(manager.create_key(&name("odd"), &odd)).unwrap_err().kind(), ErrorKind::Unsupported);

    let ec = block_on(manager.create_key(&name("ec"), &KeySpec::new(KeyType::EcP256))).unwrap();
    let rsa = KeySpec::new(KeyType::Rsa { bits: 2048 }).with_usage(KeyUsage::Decrypt);
    let rsa = block_on(manager.create_key(&name("rsa"), &rsa)).unwrap();
    let wrong = block_on(manager.signer(&ec.uri, Some(SignatureAlgorithm::EcdsaSha384))).unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Unsupported);
    let decrypter = manager.as_decrypter().unwrap();
    for (key, algorithm, kind) in [
        (&ec, DecryptionAlgorithm::RsaOaepSha256, ErrorKind::Unsupported),
        (&rsa, DecryptionAlgorithm::RsaPkcs1, ErrorKind::Unsupported),
        (&rsa, DecryptionAlgorithm::RsaOaepSha256, ErrorKind::InvalidArgument),
    ] {
        let error = block_on(decrypter.decrypt(&key.uri, algorithm, &[1; 256])).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    let short = block_on(decrypter.decrypt(&rsa.uri, DecryptionAlgorithm::RsaOaepSha256, &[1; 5])).unwrap_err();
    assert_eq!(short.kind(), ErrorKind::InvalidArgument);
}
