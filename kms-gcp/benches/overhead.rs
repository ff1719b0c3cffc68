//! What a signature costs beyond the bare client of Google against the same stand-in, in this process.
//!
//! `cargo bench -p kms-gcp --bench overhead` prints a table; behind `--`, a number is how many rounds. In each round both
//! sides run one after the other, the first one changing, and what counts is the median of the rounds' own ratios. The
//! client does not try again, as ours does not when nothing fails, and sends the same checksums but checks none.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use google_cloud_auth::credentials::anonymous;
use google_cloud_gax::options::RequestOptionsBuilder as _;
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_kms_v1::client::KeyManagementService as Client;
use google_cloud_kms_v1::model::Digest;
use kms_core::{KeyManager, KeySpec, KeyType, OpenOptions, OperationPolicy, Signer, block_on};
use kms_gcp::Gcp;
use kms_testkit::gcp::{Fault, GcpKms};

const TURN: Duration = Duration::from_millis(500);
/// As quickly as a service in the same region answers.
const SERVICE: Duration = Duration::from_millis(10);
const ROUNDS: usize = 9;
const DIGEST: [u8; 32] = [7; 32];

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// What one side showed in one round.
#[derive(Clone, Copy)]
struct Sample {
    /// Microseconds.
    p50: f64,
    /// Signatures in a second.
    rate: f64,
}

fn main() -> Result<()> {
    let rounds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(ROUNDS).max(1);
    let server = GcpKms::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (name, unverified, verified) = signers(&server)?;
    let bare = runtime.block_on(bare(&server))?;
    let with_bare = |number| {
        let (client, name) = (bare.clone(), name.clone());
        runtime.block_on(many(number, move || {
            let (client, name) = (client.clone(), name.clone());
            async move { sign_bare(&client, &name).await }
        }))
    };
    let with = |signer: &Arc<dyn Signer>, number| {
        let signer = Arc::clone(signer);
        runtime.block_on(many(number, move || {
            let signer = Arc::clone(&signer);
            async move { drop(black_box(signer.sign_digest(&DIGEST).await.expect("a signature"))) }
        }))
    };
    println!("{:44}{:>12}{:>12}{:>9}{:>9}  goal", "medians of the rounds", "bare", "ours", "×", "+ µs");
    for (what, number, signer, fault) in [
        ("one at a time, p50 in µs", 1, &unverified, Fault::None),
        ("the same, each signature verified", 1, &verified, Fault::None),
        // All processors are busy, the server's share among them: this is a ratio of what each signature costs.
        ("64 at once, signatures in a second", 64, &unverified, Fault::None),
        ("the same, each signature verified", 64, &verified, Fault::None),
        ("64 at once, of a service that takes 10 ms", 64, &unverified, Fault::Delay(SERVICE)),
        ("the same, each signature verified", 64, &verified, Fault::Delay(SERVICE)),
    ] {
        server.set("AsymmetricSign", fault);
        with_bare(number);
        with(signer, number);
        let samples: Vec<_> = (0..rounds)
            .map(|round| {
                if round.is_multiple_of(2) {
                    let first = with_bare(number);
                    (first, with(signer, number))
                } else {
                    let second = with(signer, number);
                    (with_bare(number), second)
                }
            })
            .collect();
        let of = if number == 1 { |sample: Sample| sample.p50 } else { |sample: Sample| sample.rate };
        let [bare, ours, ratio, more] = [
            median(samples.iter().map(|(bare, _)| of(*bare))),
            median(samples.iter().map(|(_, ours)| of(*ours))),
            median(samples.iter().map(|(bare, ours)| of(*ours) / of(*bare))),
            median(samples.iter().map(|(bare, ours)| of(*ours) - of(*bare))),
        ];
        let (goal, met) = if number == 1 {
            ("≤ 1.05 or + 100 µs", ratio <= 1.05 || more <= 100.0)
        } else {
            ("≥ 0.95", ratio >= 0.95)
        };
        let verdict = if met { "met" } else { "MISSED" };
        println!("{what:44}{bare:12.0}{ours:12.0}{ratio:9.3}{more:9.0}  {goal}: {verdict}");
    }
    server.clear();
    requests(&server, &unverified);
    Ok(())
}

/// One request for each signature, counted by the server.
fn requests(server: &GcpKms, signer: &Arc<dyn Signer>) {
    let before = server.requests("AsymmetricSign");
    for _ in 0..100 {
        block_on(signer.sign_digest(&DIGEST)).expect("a signature");
    }
    println!(
        "requests for 100 signatures: {}; connections in all: {}",
        server.requests("AsymmetricSign") - before,
        server.connections()
    );
}

async fn bare(server: &GcpKms) -> Result<Client> {
    let client = Client::builder().with_endpoint(server.endpoint()).with_credentials(anonymous::Builder::new().build());
    Ok(client.with_retry_policy(NeverRetry).build().await?)
}

async fn sign_bare(client: &Client, name: &str) {
    let digest = google_cloud_kms_v1::model::digest::Digest::Sha256(DIGEST.to_vec().into());
    let request = client.asymmetric_sign().set_name(name).set_digest(Digest::new().set_digest(Some(digest)));
    let request = request.set_digest_crc32c(i64::from(crc32c::crc32c(&DIGEST)));
    let answer = request.with_attempt_timeout(Duration::from_secs(10)).send().await.expect("a signature");
    black_box(answer);
}

type Signers = (String, Arc<dyn Signer>, Arc<dyn Signer>);

/// The name of a version, and its signers without and with verification.
fn signers(server: &GcpKms) -> Result<Signers> {
    let place = server.uri("").parse()?;
    let open = |policy| block_on(Gcp::default().manager(&place, &OpenOptions::default().with_policy(policy)));
    let (plain, verifying) =
        (open(OperationPolicy::default().dangerous_without_verification())?, open(OperationPolicy::default())?);
    let key = block_on(plain.create_key(&server.uri("/cryptoKeys/bench").parse()?, &KeySpec::new(KeyType::EcP256)))?;
    let name = key.uri.path().find(|attribute| attribute.name() == "resource").and_then(|attribute| attribute.text());
    let name = name.ok_or("no name")?.to_owned();
    Ok((name, block_on(plain.signer(&key.uri, None))?, block_on(verifying.signer(&key.uri, None))?))
}

/// So many tasks, each waiting for its own signature.
async fn many<F>(number: usize, sign: impl Fn() -> F + Clone + Send + 'static) -> Sample
where
    F: Future<Output = ()> + Send,
{
    let start = Instant::now();
    let tasks: Vec<_> = (0..number)
        .map(|_| {
            let sign = sign.clone();
            tokio::spawn(async move {
                let mut times = Vec::new();
                while start.elapsed() < TURN {
                    let begun = Instant::now();
                    sign().await;
                    times.push(begun.elapsed().as_secs_f64() * 1e6);
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.expect("a task that signs"));
    }
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    Sample { p50: median(times), rate }
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
