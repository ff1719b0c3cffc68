//! `kms bench`: how fast a key signs, and whether every signature is right.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kmskit::{
    Deadline, Error, ErrorKind, Execution, KeyUri, OperationPolicy, PublicKey, SignInput, Signature,
    SignatureAlgorithm, Signer, block_on,
};
use serde_json::{Value, json};

use crate::bench::load::{Limit, Measurement, Mode};
use crate::context::{Context, registry, with_spinner};
use crate::failure::{Failure, Outcome};

mod check;
mod load;
#[cfg(all(test, feature = "soft"))]
mod tests;

/// The end of `kms bench --help`.
const HELP: &str = "\
Fields with --json:
  ops_s           good calls per second
  p50_us, p99_us  time of a good call
  cpu_us_op       CPU time of this process per good call
  count, failed   calls, and those of them that failed
  wrong           signatures that do not verify
  errors          failed calls by kind

Example: kms bench softkms:root.key --threads 2 --seconds 5 --json";

/// Measure how fast a key signs
///
/// Opens the key once; every thread signs different messages with it. Afterwards, outside the timing,
/// a library that the backends do not use verifies every signature. Failed calls are counted by kind;
/// wrong signatures end with exit code 1.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = HELP)]
pub(crate) struct Args {
    /// The key
    uri: String,
    /// Threads, or tasks with --async, that sign at the same time
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// How long [default: 3]
    #[arg(long, value_name = "S", conflicts_with = "count", value_parser = seconds)]
    seconds: Option<Duration>,
    /// How many signatures, over all threads
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Give up a call after that many milliseconds [default: that of --timeout]
    #[arg(long, value_name = "MS", value_parser = crate::milliseconds)]
    deadline: Option<Duration>,
    #[command(flatten)]
    way: Way,
    /// As for `kms sign`
    #[arg(long, value_name = "ALGORITHM")]
    alg: Option<SignatureAlgorithm>,
}

/// How the key is called.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
struct Way {
    /// Do not verify each signature before it is handed out
    #[arg(long)]
    no_verify: bool,
    /// Call the device on the calling thread, unguarded against a call that hangs
    #[arg(long)]
    direct: bool,
    /// Threads that block on each call; the default
    #[arg(long)]
    sync: bool,
    /// Tasks on a multi-threaded runtime
    #[arg(long = "async", conflicts_with = "sync")]
    asynchronous: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let uri = KeyUri::parse(&args.uri)?;
    let signer = open(args, &uri, context)?;
    let limit = match args.count {
        Some(count) => Limit::Count(count),
        None => Limit::Time(args.seconds.unwrap_or(Duration::from_secs(3))),
    };
    let mode = if args.way.asynchronous { Mode::Async } else { Mode::Sync };
    let measured = with_spinner("signing".to_owned(), || load::run(&signer, args.threads.into(), limit, mode))?;
    let wrong = with_spinner(format!("verifying {} signatures", measured.samples.len()), || {
        check::count_wrong(&signer, &measured.samples)
    });
    let result = Summary::new(&measured, wrong);
    context.print(&result.text(), &result.json(args, &*signer))?;
    if wrong > 0 {
        let context = format!("{wrong} signatures do not verify");
        return Err(Failure::Reported(Error::new(ErrorKind::Integrity, context)));
    }
    Ok(())
}

fn open(args: &Args, uri: &KeyUri, context: &Context) -> Result<Arc<dyn Signer>, Error> {
    let mut policy = context.policy();
    if args.way.no_verify {
        policy = policy.dangerous_without_verification();
    }
    if args.way.direct {
        policy = policy.with_execution(Execution::Direct);
    }
    let opening = policy.clone();
    let signer = block_on(async { registry(opening).open(uri).await?.signer(uri, args.alg).await })?;
    Ok(match args.deadline {
        // For the signatures alone: to open may take its time.
        Some(deadline) => Arc::new(Hurried { signer, policy: policy.with_timeout(deadline) }),
        None => signer,
    })
}

/// A signer with a deadline of its own.
#[derive(Debug)]
struct Hurried {
    signer: Arc<dyn Signer>,
    policy: OperationPolicy,
}

#[async_trait::async_trait]
impl Signer for Hurried {
    fn public_key(&self) -> &PublicKey {
        self.signer.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.signer.algorithm()
    }

    fn policy(&self) -> &OperationPolicy {
        &self.policy
    }

    async fn sign_input(&self, input: SignInput<'_>, deadline: Deadline) -> Result<Signature, Error> {
        self.signer.sign_input(input, deadline).await
    }
}

/// The numbers that are printed; `None` where no call went well.
struct Summary<'a> {
    ops_s: f64,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    cpu_us_op: Option<f64>,
    count: u64,
    failed: u64,
    wrong: u64,
    seconds: f64,
    errors: &'a BTreeMap<&'static str, u64>,
}

impl<'a> Summary<'a> {
    #[allow(clippy::cast_precision_loss)] // Exact up to 2^53 calls.
    fn new(measured: &'a Measurement, wrong: u64) -> Self {
        let mut times: Vec<Duration> = measured.samples.iter().map(|sample| sample.time).collect();
        times.sort_unstable();
        let good = times.len();
        let failed = measured.errors.values().sum();
        let seconds = measured.elapsed.as_secs_f64();
        let cpu = measured.cpu.filter(|_| good > 0);
        Self {
            ops_s: good as f64 / seconds,
            p50_us: percentile(&times, 50),
            p99_us: percentile(&times, 99),
            cpu_us_op: cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / good as f64),
            count: good as u64 + failed,
            failed,
            wrong,
            seconds,
            errors: &measured.errors,
        }
    }

    fn json(&self, args: &Args, signer: &dyn Signer) -> Value {
        json!({
            "ops_s": rounded(self.ops_s),
            "p50_us": self.p50_us.map(rounded),
            "p99_us": self.p99_us.map(rounded),
            "cpu_us_op": self.cpu_us_op.map(rounded),
            "count": self.count,
            "failed": self.failed,
            "wrong": self.wrong,
            "errors": self.errors,
            "algorithm": signer.algorithm().name(),
            "threads": args.threads,
            "seconds": self.seconds,
            "verify": !args.way.no_verify,
            "mode": if args.way.asynchronous { "async" } else { "sync" },
            "execution": if args.way.direct { "direct" } else { "guarded" },
        })
    }

    fn text(&self) -> String {
        let micros = |time: Option<f64>| time.map_or("-".to_owned(), |time| format!("{time:.1} µs"));
        let numbers = format!(
            "{:.1} signatures/s\np50 {}, p99 {}, CPU {} a signature\n{} calls in {:.2} s, {} failed, {} wrong\n",
            self.ops_s,
            micros(self.p50_us),
            micros(self.p99_us),
            micros(self.cpu_us_op),
            self.count,
            self.seconds,
            self.failed,
            self.wrong,
        );
        let errors = self.errors.iter().map(|(kind, count)| format!("  {kind}: {count}\n"));
        std::iter::once(numbers).chain(errors).collect()
    }
}

/// The nearest-rank percentile of sorted times, in microseconds.
fn percentile(sorted: &[Duration], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map(|time| time.as_secs_f64() * 1e6)
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = "expected seconds above 0, like 5 or 0.5";
    let time = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| !time.is_zero()).ok_or_else(|| wrong.to_owned())
}
