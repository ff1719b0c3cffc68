//! The server: requests in, answers out, and the switches.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::form_urlencoded;

use super::answer::{Answer, Input, Refusal, invalid};
use super::credentials::{self, Tokens};
use super::enumeration::to_numbers;
use super::fault::Fault;
use super::operation::{Call, carry_out, members};
use super::route::route;
use super::store::Store;
use super::usage::spoil;
use crate::http::{Closed, Reply, Serve, Server, Switches, lock};

/// Largest body of a request, in octets.
const MAX_BODY: usize = 256 * 1024;
/// The key ring of [`GcpKms::uri`], which is there from the beginning.
const KEY_RING: &str = "projects/test/locations/global/keyRings/ca";
/// What a front end of Google's answers to what is none of the API.
const NOT_FOUND: &str =
    "<!DOCTYPE html><html lang=en><title>Error 404 (Not Found)!!1</title><p>That\u{2019}s an error.";

/// A running stand-in; it ends when this is dropped.
pub struct GcpKms {
    shared: Arc<Shared>,
    server: Server,
    directory: TempDir,
}

struct Shared {
    store: Mutex<Store>,
    tokens: Mutex<Tokens>,
    switches: Mutex<Switches<Fault>>,
    log: bool,
}

impl GcpKms {
    /// Starts one on a free port of this machine. It asks nobody who he is.
    ///
    /// # Errors
    /// Those of the socket and the thread.
    pub fn start() -> io::Result<Self> {
        Self::start_on(0, false)
    }

    /// Starts one on that port; 0 for any. With `log`, each request is a line on stderr: call, outcome and name.
    ///
    /// # Errors
    /// Those of the socket and the thread.
    pub fn start_on(port: u16, log: bool) -> io::Result<Self> {
        let mut store = Store::new().map_err(io::Error::other)?;
        store.key_rings.insert(KEY_RING.to_owned(), std::time::SystemTime::now());
        let (store, tokens, switches) = (Mutex::new(store), Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { store, tokens, switches, log });
        let server = Server::start("gcp-kms", port, Arc::clone(&shared))?;
        let this = Self { shared, server, directory: tempfile::tempdir()? };
        std::fs::write(this.credentials_file(), credentials::user_file(&this.endpoint()).to_string())?;
        let acting = credentials::impersonating_file(&this.endpoint()).to_string();
        std::fs::write(this.impersonating_credentials_file(), acting)?;
        Ok(this)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    /// `cloudkms:` with a key ring, what is `within` it (`/cryptoKeys/root`, or nothing), and the endpoint. More
    /// parameters can be added to it.
    pub fn uri(&self, within: &str) -> String {
        format!("cloudkms:{KEY_RING}{within}?endpoint-url={}", self.endpoint())
    }

    /// A file of credentials, `authorized_user`, which this server turns into access tokens. There as long as the server.
    pub fn credentials_file(&self) -> PathBuf {
        self.directory.path().join("user.json")
    }

    /// A file of credentials, `impersonated_service_account`: that user acts as a service account.
    pub fn impersonating_credentials_file(&self) -> PathBuf {
        self.directory.path().join("impersonating.json")
    }

    /// From now on requests need an access token.
    pub fn require_credentials(&self) {
        lock(&self.shared.tokens).required = true;
    }

    /// Ends all access tokens that were given out.
    pub fn expire_credentials(&self) {
        lock(&self.shared.tokens).expire();
    }

    /// Sets how requests for that call go wrong (`AsymmetricSign`, `GetPublicKey`, …); `*` is for those that have no fault
    /// of their own.
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

    /// Sets how many looks at a new version, or import job, find it pending; 1 unless set.
    pub fn set_pending(&self, looks: usize) {
        lock(&self.shared.store).pending = looks;
    }

    /// Sets how many entries a page has at most; 100 unless set.
    pub fn set_page_limit(&self, entries: usize) {
        lock(&self.shared.store).page = entries.max(1);
    }

    /// The certificate, DER, of who vouches for the HSM in which the keys of level HSM are said to be.
    pub fn attestation_root(&self) -> Vec<u8> {
        lock(&self.shared.store).partition.root.clone()
    }

    /// How many requests for that call came, refused ones among them; `*` for all.
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

impl fmt::Debug for GcpKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcpKms").field("endpoint", &self.endpoint()).finish_non_exhaustive()
    }
}

impl Serve for Shared {
    async fn answer(&self, request: Request<Incoming>) -> Result<Reply, Closed> {
        let (parts, body) = request.into_parts();
        let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
            return Ok(refused(&Refusal::new(413, "INVALID_ARGUMENT", "The request is too large.")));
        };
        let body = body.to_bytes();
        let path = percent_decode_str(parts.uri.path()).decode_utf8_lossy().into_owned();
        if let Some(answer) = self.token(&parts, &path, &body) {
            return Ok(answer);
        }
        let path = path.strip_prefix("/v1/").unwrap_or_default();
        let Some((operation, name)) = route(parts.method.as_str(), path) else {
            return Ok(reply(404, "text/html; charset=UTF-8", NOT_FOUND.into()));
        };
        let fault = {
            let mut switches = lock(&self.switches);
            switches.count(operation);
            switches.next(operation)
        };
        match &fault {
            Fault::Delay(time) => tokio::time::sleep(*time).await,
            Fault::Hang => std::future::pending().await,
            Fault::Html(status) => return Ok(reply(*status, "text/html", "<html>Please log in</html>".into())),
            _ => {}
        }
        let outcome = self.carry_out(operation, &name, &parts, &body, &fault);
        if self.log {
            let outcome = outcome.as_ref().map_or_else(|refusal| refusal.code, |_| "OK");
            eprintln!("{operation} {outcome} {name}");
        }
        match outcome {
            _ if matches!(fault, Fault::Cut) => Err(Closed),
            Ok(answer) => Ok(reply(200, "application/json; charset=UTF-8", answer.to_string())),
            Err(refusal) => Ok(refused(&refusal)),
        }
    }
}

impl Shared {
    fn carry_out(&self, operation: &str, name: &str, parts: &Parts, body: &[u8], fault: &Fault) -> Answer {
        match fault {
            Fault::Throttle { .. } => {
                let message = "Quota exceeded for quota metric 'Cryptographic requests' and limit 'Cryptographic \
                               requests per minute' of service 'cloudkms.googleapis.com'.";
                return Err(Refusal::new(429, "RESOURCE_EXHAUSTED", message));
            }
            Fault::Refuse { status, code, message, details } => {
                let (message, details) = (message.clone(), details.clone());
                return Err(Refusal { status: *status, code, message, details });
            }
            _ => {}
        }
        lock(&self.tokens).check(&parts.headers)?;
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let query: std::collections::BTreeMap<String, String> = form_urlencoded::parse(query).into_owned().collect();
        let numbers = query.get("$alt").is_some_and(|alt| alt.ends_with("enum-encoding=int"));
        let mut body = read(operation, body)?;
        if let Fault::Request(change) = fault {
            change(&mut body);
        }
        let call = Call { store: &self.store, name, input: Input { query, body } };
        let mut answer = carry_out(operation, &call)?;
        spoil(&call, fault, &mut answer)?;
        if numbers {
            to_numbers(&mut answer);
        }
        Ok(answer)
    }

    /// The answer to a request for an access token, if it is one.
    fn token(&self, parts: &Parts, path: &str, body: &[u8]) -> Option<Reply> {
        if path == "/token" {
            let (status, answer) = match lock(&self.tokens).refresh(body) {
                Ok(answer) => (200, answer),
                Err(answer) => (400, answer),
            };
            return Some(reply(status, "application/json; charset=UTF-8", answer.to_string()));
        }
        let account = path.strip_prefix("/v1/projects/-/serviceAccounts/")?.strip_suffix(":generateAccessToken")?;
        Some(match lock(&self.tokens).impersonate(account, &parts.headers) {
            Ok(answer) => reply(200, "application/json; charset=UTF-8", answer.to_string()),
            Err(refusal) => refused(&refusal),
        })
    }
}

/// The body of a request, whose members are all known.
fn read(operation: &str, body: &[u8]) -> Answer {
    let Some(known) = members(operation) else { return Ok(Value::Null) };
    let body = match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => members,
        Err(_) if body.is_empty() => serde_json::Map::new(),
        _ => return invalid("Invalid JSON payload received."),
    };
    match body.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => {
            invalid(format!("Invalid JSON payload received. The stand-in does not know the field \"{name}\"."))
        }
        None => Ok(json!(body)),
    }
}

fn refused(refusal: &Refusal) -> Reply {
    reply(refusal.status, "application/json; charset=UTF-8", refusal.to_json().to_string())
}

fn reply(status: u16, content_type: &'static str, body: String) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}
