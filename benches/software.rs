//! What kmskit adds to a software key: ratios against bare aws-lc-rs, measured in turns within one run.
//!
//! `cargo bench --bench software` prints a table. Each row alternates the two sides for some rounds and compares the
//! medians, so that a busy neighbour slows both alike.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self as lc, KeyPair as _, ParsedPublicKey};
use kmskit::signature::{self, Signer as _};
use kmskit::{
    AsyncSigner, Deadline, KeyManager, KeySpec, KeyType, KeyUri, OpenOptions, OperationPolicy, PublicKey, Secret,
    SignInput, Signature, SignatureAlgorithm, Signer, SyncSigner, block_on,
};

const MESSAGE: &[u8] = b"to be signed: a certificate has about this many octets, give or take";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let keys = [Bare::p256()?, Bare::rsa2048()?, Bare::ed25519()?];
    println!("{:<58} {:>10} {:>10} {:>7}  goal", "median of one operation", "bare µs", "ours µs", "ratio");
    for bare in &keys {
        let name = bare.key_type;
        let unverified = bare.signer(false)?;
        let facade = SyncSigner::new(Arc::clone(&unverified));

        let [bare_sign, ours] = in_turns(|| bare.sign(), || sign(&facade));
        row(&format!("{name}: sign, verification off"), bare_sign, ours, "rate ≥ 0.95 × bare");
        let [direct, through] = in_turns(|| drop(black_box(block_on(unverified.sign(MESSAGE)))), || sign(&facade));
        row(&format!("{name}: signer → SyncSigner"), direct, through, "≤ + 2 µs");

        // With the signature at hand, so that the noise of making one does not drown what is measured.
        let public = ParsedPublicKey::new(bare.verification, bare.spki())?;
        let made = block_on(unverified.sign(MESSAGE))?;
        let [off, on] =
            [unverified, bare.signer(true)?].map(|signer| SyncSigner::new(Arc::new(Canned(signer, made.clone())) as _));
        let [nothing, checked] = in_turns(|| sign(&off), || sign(&on));
        let [verify, _] = in_turns(|| _ = black_box(public.verify_sig(MESSAGE, made.as_bytes())), || ());
        row(
            &format!("{name}: bare verify → added by verification"),
            verify,
            checked.saturating_sub(nothing),
            "≤ 1.1 × bare",
        );
        row(&format!("{name}: nothing → all that is not the signature"), Duration::ZERO, nothing, "≤ 2 µs");
    }
    asynchronous(&keys[0])?;
    allocations(&keys)?;
    Ok(())
}

/// The asynchronous path on a runtime of the application's, against the same signer called directly.
fn asynchronous(bare: &Bare) -> Result<(), Box<dyn std::error::Error>> {
    let signer = bare.signer(false)?;
    let adapter = AsyncSigner::new(Arc::clone(&signer));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    let [direct, awaited] = in_turns(|| bare.sign(), || runtime.block_on(sign_async(&adapter)));
    row(&format!("{}: awaited in a runtime", bare.key_type), direct, awaited, "≤ + 15 µs");
    Ok(())
}

fn allocations(keys: &[Bare]) -> Result<(), Box<dyn std::error::Error>> {
    println!("\n{:<40} {:>12} {:>12} {:>12}", "allocations in one signature", "bare", "verify off", "verify on");
    for bare in keys {
        let [off, on] = [bare.signer(false)?, bare.signer(true)?].map(SyncSigner::new);
        sign(&off);
        sign(&on);
        let hundred = |work: &dyn Fn()| allocation_counter::measure(|| (0..100).for_each(|_| work())).count_total;
        let count = |work: &dyn Fn()| format!("{}.{:02}", hundred(work) / 100, hundred(work) % 100);
        println!(
            "{:<40} {:>12} {:>12} {:>12}",
            bare.key_type.to_string(),
            count(&|| bare.sign()),
            count(&|| sign(&off)),
            count(&|| sign(&on))
        );
    }
    Ok(())
}

/// A key pair as aws-lc-rs has it.
struct Bare {
    key_type: KeyType,
    key: BareKey,
    verification: &'static dyn lc::VerificationAlgorithm,
    random: SystemRandom,
}

enum BareKey {
    Ecdsa(lc::EcdsaKeyPair),
    Rsa(lc::RsaKeyPair),
    Ed25519(lc::Ed25519KeyPair),
}

impl Bare {
    fn p256() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let key = BareKey::Ecdsa(lc::EcdsaKeyPair::generate(&lc::ECDSA_P256_SHA256_ASN1_SIGNING)?);
        Ok(Self {
            key_type: KeyType::EcP256,
            key,
            verification: &lc::ECDSA_P256_SHA256_ASN1,
            random: SystemRandom::new(),
        })
    }

    fn rsa2048() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let key = BareKey::Rsa(lc::RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048)?);
        let (key_type, random) = (KeyType::Rsa { bits: 2048 }, SystemRandom::new());
        Ok(Self { key_type, key, verification: &lc::RSA_PKCS1_2048_8192_SHA256, random })
    }

    fn ed25519() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let key = BareKey::Ed25519(lc::Ed25519KeyPair::generate()?);
        Ok(Self { key_type: KeyType::Ed25519, key, verification: &lc::ED25519, random: SystemRandom::new() })
    }

    fn sign(&self) {
        match &self.key {
            BareKey::Ecdsa(key) => drop(black_box(key.sign(&self.random, MESSAGE))),
            BareKey::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                let _ = black_box(key.sign(&lc::RSA_PKCS1_SHA256, &self.random, MESSAGE, &mut signature));
                black_box(signature);
            }
            BareKey::Ed25519(key) => drop(black_box(key.sign(MESSAGE))),
        }
    }

    fn spki(&self) -> Vec<u8> {
        match &self.key {
            BareKey::Ecdsa(key) => key.public_key().as_der().map(|der| der.as_ref().to_vec()),
            BareKey::Rsa(key) => key.public_key().as_der().map(|der| der.as_ref().to_vec()),
            BareKey::Ed25519(key) => key.public_key().as_der().map(|der| der.as_ref().to_vec()),
        }
        .unwrap_or_default()
    }

    /// The same key behind `softkms:`.
    fn signer(&self, verify: bool) -> Result<Arc<dyn Signer>, Box<dyn std::error::Error>> {
        let pkcs8 = match &self.key {
            BareKey::Ecdsa(key) => key.to_pkcs8v1()?.as_ref().to_vec(),
            BareKey::Rsa(key) => key.as_der()?.as_ref().to_vec(),
            BareKey::Ed25519(key) => key.to_pkcs8v1()?.as_ref().to_vec(),
        };
        let policy = OperationPolicy::default();
        let policy = if verify { policy } else { policy.dangerous_without_verification() };
        let registry = kmskit::registry().with_options(OpenOptions::default().with_policy(policy));
        let uri: KeyUri = "softkms:name=bench;mode=memory".parse()?;
        let manager: Arc<dyn KeyManager> = block_on(registry.open(&uri))?;
        let importer = manager.as_key_importer().ok_or("softkms imports keys")?;
        block_on(importer.import_key(&uri, &Secret::new(pkcs8), &KeySpec::new(self.key_type)))?;
        Ok(block_on(manager.signer(&uri, None))?)
    }
}

/// A signer that has its answer ready: what remains is what the library does around a signature.
#[derive(Debug)]
struct Canned(Arc<dyn Signer>, Signature);

#[async_trait::async_trait]
impl Signer for Canned {
    fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }

    fn policy(&self) -> &OperationPolicy {
        self.0.policy()
    }

    async fn sign_input(&self, _: SignInput<'_>, _: Deadline) -> kmskit::Result<Signature> {
        Ok(self.1.clone())
    }
}

fn sign(signer: &SyncSigner) {
    let signature: Result<Signature, _> = signer.try_sign(MESSAGE);
    assert!(black_box(signature).is_ok());
}

async fn sign_async(signer: &AsyncSigner) {
    let signature = signature::AsyncSigner::<Signature>::sign_async(signer, MESSAGE).await;
    assert!(black_box(signature).is_ok());
}

/// Runs both sides in turns, some milliseconds each, and gives the median of each side's time for one operation.
fn in_turns(mut left: impl FnMut(), mut right: impl FnMut()) -> [Duration; 2] {
    const ROUNDS: usize = 41;
    let times = [calibrate(&mut left), calibrate(&mut right)];
    let mut results = [Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS)];
    for _ in 0..ROUNDS {
        results[0].push(time(&mut left, times[0]));
        results[1].push(time(&mut right, times[1]));
    }
    results.map(|mut side| {
        side.sort();
        side[ROUNDS / 2]
    })
}

fn calibrate(work: &mut impl FnMut()) -> u32 {
    let once = time(work, 3).max(Duration::from_nanos(20));
    u32::try_from(Duration::from_millis(8).as_nanos() / once.as_nanos()).unwrap_or(1).max(1)
}

fn time(work: &mut impl FnMut(), times: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        work();
    }
    start.elapsed() / times
}

fn row(what: &str, bare: Duration, ours: Duration, goal: &str) {
    let [bare, ours] = [bare, ours].map(|time| time.as_secs_f64() * 1e6);
    let ratio = if bare > 0.0 { format!("{:.3}", ours / bare) } else { String::new() };
    println!("{what:<58} {bare:>10.2} {ours:>10.2} {ratio:>7}  {goal}");
}
