//! The server: requests in, answers out, and the switches.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName};
use hyper::{Request, Response, StatusCode};
use serde_json::json;
use tempfile::TempDir;

use crate::http::{Closed, Reply, Serve, Server, Switches, lock};

use super::answer::{Answer, Input, Refusal};
use super::credentials::Credentials;
use super::fault::Fault;
use super::key::State;
use super::operation::{Call, carry_out};
use super::sigv4::{Caller, authenticate};
use super::store::Store;
use super::{sts, usage};

/// Largest body of a request, in octets.
const MAX_BODY: usize = 64 * 1024;
/// The region that it suggests; it has every other as well.
const REGION: &str = "us-east-1";
/// The file with the credentials.
const CREDENTIALS: &str = "credentials";

/// A running stand-in; it ends when this is dropped.
pub struct AwsKms {
    shared: Arc<Shared>,
    server: Server,
    directory: TempDir,
}

#[derive(Default)]
struct Shared {
    store: Mutex<Store>,
    credentials: Mutex<Vec<Credentials>>,
    expired: Mutex<Vec<String>>,
    switches: Mutex<Switches<Fault>>,
    log: bool,
}

impl AwsKms {
    /// Starts one on a free port of this machine. It knows [`Credentials::example`].
    ///
    /// # Errors
    /// Those of the socket and the thread.
    pub fn start() -> io::Result<Self> {
        Self::start_on(0, false)
    }

    /// Starts one on that port; 0 for any. With `log`, each request is a line on stderr: operation and outcome.
    ///
    /// # Errors
    /// Those of the socket and the thread.
    pub fn start_on(port: u16, log: bool) -> io::Result<Self> {
        let shared =
            Arc::new(Shared { credentials: Mutex::new(vec![Credentials::example()]), log, ..Shared::default() });
        let server = Server::start("aws-kms", port, Arc::clone(&shared))?;
        let directory = tempfile::tempdir()?;
        std::fs::write(directory.path().join(CREDENTIALS), Credentials::example().to_file())?;
        Ok(Self { shared, server, directory })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    /// `awskms:region=…`, with the endpoint and a file of the credentials, which is there as long as the server: what a
    /// test without variables needs. More attributes can be added to it.
    pub fn uri(&self) -> String {
        let file = self.directory.path().join(CREDENTIALS);
        format!("awskms:region={REGION};endpoint-url={};credentials-file={}", self.endpoint(), file.display())
    }

    /// The variables by which every AWS tool finds it and signs for it.
    pub fn environment(&self) -> [(&'static str, String); 6] {
        let credentials = Credentials::example();
        [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", credentials.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// Makes credentials known.
    pub fn add_credentials(&self, credentials: Credentials) {
        lock(&self.shared.credentials).push(credentials);
    }

    /// Lets credentials expire: their requests are answered with `ExpiredTokenException`.
    pub fn expire_credentials(&self, access_key_id: &str) {
        lock(&self.shared.expired).push(access_key_id.to_owned());
    }

    /// Sets how requests for that operation go wrong; `*` is for those that have no fault of their own.
    pub fn set(&self, operation: &str, fault: Fault) {
        lock(&self.shared.switches).set(operation, fault, None);
    }

    /// The same for the next `times` requests.
    pub fn set_times(&self, operation: &str, fault: Fault, times: usize) {
        lock(&self.shared.switches).set(operation, fault, Some(times));
    }

    /// Ends all faults.
    pub fn clear(&self) {
        lock(&self.shared.switches).clear();
    }

    /// Sets how long new keys and aliases are not found, at first always, then now and then.
    pub fn set_consistency_delay(&self, delay: Duration) {
        lock(&self.shared.store).settles = delay;
    }

    /// Puts a key into the state of one whose key store is not connected.
    pub fn disconnect(&self, key_arn: &str) {
        let parts: Vec<_> = key_arn.splitn(6, ':').collect();
        let [_, _, _, region, account, resource] = parts[..] else { return };
        let [account, region, service, access_key_id] = [account, region, "kms", ""].map(str::to_owned);
        let caller = Caller { account, region, service, access_key_id };
        let id = resource.trim_start_matches("key/");
        if let Some(key) = lock(&self.shared.store).region(&caller).keys.get_mut(id) {
            key.state = State::Unavailable;
        }
    }

    /// How many requests for that operation came, refused ones among them; `*` for all.
    pub fn requests(&self, operation: &str) -> usize {
        lock(&self.shared.switches).requests(operation)
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// Waits until the server ends, which it does not by itself: for a program that is nothing else.
    pub fn wait(self) {
        self.server.wait();
    }
}

impl fmt::Debug for AwsKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKms").field("endpoint", &self.endpoint()).finish_non_exhaustive()
    }
}

impl Serve for Shared {
    async fn answer(&self, request: Request<Incoming>) -> Result<Reply, Closed> {
        let (parts, body) = request.into_parts();
        let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
            return Ok(reply(413, "application/x-amz-json-1.1", String::new()));
        };
        let body = body.to_bytes();
        let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let operation = target.and_then(|target| target.strip_prefix("TrentService.")).unwrap_or_default().to_owned();
        lock(&self.switches).count(&operation);

        let caller = authenticate(&parts, &body, &lock(&self.credentials)).and_then(|caller| {
            let expired = lock(&self.expired).contains(&caller.access_key_id);
            if expired {
                return super::answer::refuse(
                    "ExpiredTokenException",
                    "The security token included in the request is expired",
                );
            }
            Ok(caller)
        });
        if caller.as_ref().is_ok_and(|caller| caller.service == "sts") {
            return Ok(self.assume_role(&body));
        }
        let fault = lock(&self.switches).next(&operation);
        match &fault {
            Fault::Delay(time) => tokio::time::sleep(*time).await,
            Fault::Hang => std::future::pending().await,
            Fault::Html => return Ok(reply(200, "text/html", "<html>Please log in</html>".into())),
            _ => {}
        }
        let outcome = caller.and_then(|caller| self.carry_out(&operation, &caller, &body, &fault));
        if self.log {
            let outcome = outcome.as_ref().map_or_else(|refusal| refusal.code, |_| "ok");
            eprintln!("{operation} {outcome}");
        }
        match outcome {
            _ if matches!(fault, Fault::Cut) => Err(Closed),
            Ok(text) => Ok(reply(200, "application/x-amz-json-1.1", text)),
            Err(refusal) => Ok(refused(&refusal)),
        }
    }
}

impl Shared {
    fn carry_out(&self, operation: &str, caller: &Caller, body: &[u8], fault: &Fault) -> Answer<String> {
        match fault {
            Fault::Throttle { .. } => {
                return super::answer::refuse(
                    "ThrottlingException",
                    "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
                );
            }
            Fault::Refuse { status, code } => {
                return Err(Refusal { status: *status, code, message: "as the test wants it".into() });
            }
            _ => {}
        }
        if caller.service != "kms" {
            return super::answer::refuse(
                "InvalidSignatureException",
                "Credential should be scoped to correct service: 'kms'.",
            );
        }
        let call = Call { store: &self.store, caller, input: Input::parse(body)? };
        let mut answer = carry_out(operation, &call)?;
        usage::spoil(&call, fault, &mut answer)?;
        Ok(if answer.is_null() { String::new() } else { answer.to_string() })
    }

    fn assume_role(&self, body: &[u8]) -> Reply {
        match sts::assume_role(body) {
            Ok((credentials, xml)) => {
                lock(&self.credentials).push(credentials);
                reply(200, "text/xml", xml)
            }
            Err(refusal) => reply(refusal.status, "text/xml", sts::error(refusal.code, &refusal.message)),
        }
    }
}

fn refused(refusal: &Refusal) -> Reply {
    let mut body = json!({ "__type": refusal.code });
    if !refusal.message.is_empty() {
        body["message"] = refusal.message.as_str().into();
    }
    reply(refusal.status, "application/x-amz-json-1.1", body.to_string())
}

fn reply(status: u16, content_type: &'static str, body: String) -> Reply {
    let mut id = [0; 8];
    // Without randomness all requests have one name.
    let _ = getrandom::fill(&mut id);
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    if let Ok(id) = hyper::header::HeaderValue::from_str(&super::sigv4::hex(&id)) {
        headers.insert(HeaderName::from_static("x-amzn-requestid"), id);
    }
    reply
}
