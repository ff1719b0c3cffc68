//! `kms doctor`: whether a key works, step by step.

use std::time::{Duration, Instant};

use kms_testkit::judge;
use kmskit::{Error, ErrorKind, KeyManager, KeyUri, SignatureAlgorithm, block_on};
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::{Failure, Outcome, error_json};

const STEPS: [&str; 6] = ["parse", "open", "find", "signer", "sign", "verify"];

/// Check a key step by step: open its place, find it, sign, verify
///
/// Says what each step took, what is missing, and where it failed; then the exit code is that of the
/// failure. Makes one signature, over a short text of its own, and has it verified by a library that
/// the backends do not use.
#[derive(clap::Args)]
#[command(verbatim_doc_comment, after_help = "Example: kms doctor 'pkcs11:token=ca;object=root?pin-source=env:PIN'")]
pub(crate) struct Args {
    /// The key
    uri: String,
    /// As for `kms sign`
    #[arg(long, value_name = "ALGORITHM")]
    alg: Option<SignatureAlgorithm>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Outcome {
    let mut report = Report::default();
    let result = examine(args, context, &mut report);
    context.print(&report.text(), &report.json())?;
    result.map_err(Failure::Reported)
}

fn examine(args: &Args, context: &Context, report: &mut Report) -> Result<(), Error> {
    let uri = report.step("parse", || Ok(KeyUri::parse(&args.uri)?), ToString::to_string)?;
    let manager = report.step("open", || context.open(&uri), |_| format!("scheme {}", uri.scheme()))?;
    report.missing = manager.capabilities().into_iter().filter(|(_, able)| !able).map(|(name, _)| name).collect();
    let found = report.step(
        "find",
        || block_on(manager.public_key(&uri)),
        |key| format!("{}, key identifier {}", key.key_type(), hex::encode(key.key_identifier())),
    )?;
    report.certificates = certificates(&*manager, &uri);
    let open = || block_on(manager.signer(&uri, args.alg));
    let signer = report.step("signer", open, |signer| signer.algorithm().to_string())?;
    let message = format!("kms doctor {:?}", Instant::now());
    let sign = || block_on(signer.sign(message.as_bytes()));
    let signature = report.step("sign", sign, |signature| format!("{} octets", signature.as_bytes().len()))?;
    let verify = || {
        judge::verify(found.spki_der(), signature.algorithm(), message.as_bytes(), signature.as_bytes())
            .map_err(|reason| Error::new(ErrorKind::Integrity, "the signature does not verify").with_source(reason))
    };
    report.step("verify", verify, |()| "by an independent library".to_owned())
}

/// How many certificates are kept with the key, where the manager keeps any.
fn certificates(manager: &dyn KeyManager, uri: &KeyUri) -> Option<String> {
    let loaded = block_on(manager.as_certificate_manager()?.load_certificates(uri));
    Some(match loaded {
        Ok(chain) => chain.len().to_string(),
        Err(error) if error.kind() == ErrorKind::NotFound => "none".to_owned(),
        Err(error) => error.to_string(),
    })
}

#[derive(Default)]
struct Report {
    steps: Vec<Step>,
    certificates: Option<String>,
    missing: Vec<&'static str>,
}

struct Step {
    name: &'static str,
    time: Duration,
    /// What came of it: a word on it, or the error for people and for programs.
    result: Result<String, (String, Value)>,
}

impl Report {
    /// Takes the time of `work` and notes what came of it.
    fn step<T>(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<T, Error>,
        detail: impl FnOnce(&T) -> String,
    ) -> Result<T, Error> {
        let start = Instant::now();
        let outcome = work();
        let time = start.elapsed();
        let result = match &outcome {
            Ok(value) => Ok(detail(value)),
            Err(error) => Err((error.to_string(), error_json(error))),
        };
        self.steps.push(Step { name, time, result });
        outcome
    }

    fn text(&self) -> String {
        let steps = self.steps.iter().map(|Step { name, time, result }| {
            let (mark, detail) = match result {
                Ok(detail) => ("ok", detail),
                Err((message, _)) => ("FAILED", message),
            };
            format!("{mark:<7} {name:<7} {:>10}  {detail}\n", shown(*time))
        });
        let lists = [("not tried", self.untried()), ("not offered", &self.missing)];
        let lists = lists.into_iter().filter(|(_, names)| !names.is_empty());
        let lists = lists.map(|(label, names)| format!("{label}: {}\n", names.join(", ")));
        let certificates = self.certificates.iter().map(|found| format!("certificates: {found}\n"));
        steps.chain(lists).chain(certificates).collect()
    }

    fn json(&self) -> Value {
        let steps = self.steps.iter().map(|Step { name, time, result }| {
            let micros = time.as_secs_f64() * 1e6;
            match result {
                Ok(detail) => json!({ "step": name, "ok": true, "us": micros, "detail": detail }),
                Err((_, error)) => {
                    let mut object = json!({ "step": name, "ok": false, "us": micros });
                    if let (Some(object), Some(error)) = (object.as_object_mut(), error.as_object()) {
                        object.extend(error.clone());
                    }
                    object
                }
            }
        });
        json!({
            "ok": self.steps.iter().all(|step| step.result.is_ok()),
            "steps": steps.collect::<Vec<_>>(),
            "not_tried": self.untried(),
            "missing": self.missing,
            "certificates": self.certificates,
        })
    }

    fn untried(&self) -> &'static [&'static str] {
        &STEPS[self.steps.len()..]
    }
}

fn shown(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 1000.0 { format!("{micros:.0} µs") } else { format!("{:.1} ms", micros / 1e3) }
}
