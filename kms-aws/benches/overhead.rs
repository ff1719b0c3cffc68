//! What a signature costs beyond the bare SDK against the same server, the stand-in, in this process.
//!
//! `cargo bench -p kms-aws --bench overhead` prints a table; behind `--`, a number is how many rounds. In each round both
//! sides run one after the other, the first one changing, and what counts is the median of the rounds' own ratios. The SDK
//! has retries and timeouts as ours has them (one attempt with a time limit), so that the same is compared.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use aws_smithy_http_client::Builder as HttpClientBuilder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use kms_aws::Aws;
use kms_core::{KeyManager, KeySpec, KeyType, OpenOptions, OperationPolicy, Signer, block_on};
use kms_testkit::aws::{AwsKms, Credentials as Known};

const TURN: Duration = Duration::from_millis(500);
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
    let server = AwsKms::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let bare = bare(&server);
    let (arn, unverified, verified) = signers(&server)?;
    let with_sdk = |number| {
        let (client, arn) = (bare.clone(), arn.clone());
        runtime.block_on(many(number, move || {
            let (client, arn) = (client.clone(), arn.clone());
            async move { sign_bare(&client, &arn).await }
        }))
    };
    let with = |signer: &Arc<dyn Signer>, number| {
        let signer = Arc::clone(signer);
        runtime.block_on(many(number, move || {
            let signer = Arc::clone(&signer);
            async move { drop(black_box(signer.sign_digest(&DIGEST).await.expect("a signature"))) }
        }))
    };
    println!("{:44}{:>12}{:>12}{:>9}{:>9}  goal", "medians of the rounds", "SDK", "ours", "×", "+ µs");
    for (name, number, signer) in [
        ("one at a time, p50 in µs", 1, &unverified),
        ("the same, each signature verified", 1, &verified),
        ("64 at once, signatures in a second", 64, &unverified),
        ("the same, each signature verified", 64, &verified),
    ] {
        with_sdk(number);
        with(signer, number);
        let samples: Vec<_> = (0..rounds)
            .map(|round| {
                if round.is_multiple_of(2) {
                    let first = with_sdk(number);
                    (first, with(signer, number))
                } else {
                    let second = with(signer, number);
                    (with_sdk(number), second)
                }
            })
            .collect();
        let of = if number == 1 { |sample: Sample| sample.p50 } else { |sample: Sample| sample.rate };
        let [sdk, ours, ratio, more] = [
            median(samples.iter().map(|(sdk, _)| of(*sdk))),
            median(samples.iter().map(|(_, ours)| of(*ours))),
            median(samples.iter().map(|(sdk, ours)| of(*ours) / of(*sdk))),
            median(samples.iter().map(|(sdk, ours)| of(*ours) - of(*sdk))),
        ];
        let (goal, met) = if number == 1 {
            ("≤ 1.05 or + 100 µs", ratio <= 1.05 || more <= 100.0)
        } else {
            ("≥ 0.95", ratio >= 0.95)
        };
        let verdict = if met { "met" } else { "MISSED" };
        println!("{name:44}{sdk:12.0}{ours:12.0}{ratio:9.3}{more:9.0}  {goal}: {verdict}");
    }
    requests(&server, &unverified);
    Ok(())
}

/// One request for each signature, counted by the server.
fn requests(server: &AwsKms, signer: &Arc<dyn Signer>) {
    let before = server.requests("*");
    for _ in 0..100 {
        block_on(signer.sign_digest(&DIGEST)).expect("a signature");
    }
    println!(
        "requests for 100 signatures: {}; connections in all: {}",
        server.requests("*") - before,
        server.connections()
    );
}

fn bare(server: &AwsKms) -> Client {
    let known = Known::example();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(3100))
        .operation_attempt_timeout(Duration::from_secs(10))
        .build();
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(HttpClientBuilder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https())
        .region(Region::new("us-east-1"))
        .endpoint_url(server.endpoint())
        .credentials_provider(Credentials::new(known.access_key_id, known.secret_access_key, None, None, "bench"))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .build();
    Client::from_conf(config)
}

async fn sign_bare(client: &Client, arn: &str) {
    let request = client.sign().key_id(arn).message(Blob::new(DIGEST)).message_type(MessageType::Digest);
    let answer = request.signing_algorithm(SigningAlgorithmSpec::EcdsaSha256).send().await.expect("a signature");
    black_box(answer);
}

type Signers = (String, Arc<dyn Signer>, Arc<dyn Signer>);

/// The ARN of a key, and its signers without and with verification.
fn signers(server: &AwsKms) -> Result<Signers> {
    let place = server.uri().parse()?;
    let open = |policy| block_on(Aws::default().manager(&place, &OpenOptions::default().with_policy(policy)));
    let (plain, verifying) =
        (open(OperationPolicy::default().dangerous_without_verification())?, open(OperationPolicy::default())?);
    let key = block_on(plain.create_key(&place, &KeySpec::new(KeyType::EcP256)))?;
    let arn = key.uri.path().find(|attribute| attribute.name() == "key-id").and_then(|attribute| attribute.text());
    let arn = arn.ok_or("no ARN")?.to_owned();
    Ok((arn, block_on(plain.signer(&key.uri, None))?, block_on(verifying.signer(&key.uri, None))?))
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
