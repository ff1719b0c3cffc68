//! A small Cloud KMS for these tests: HTTP/1.1 on a port of its own, keys of `softkms:`, and answers that a test twists.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::store::Store;

/// What a test has the server do to a request, by its operation.
#[derive(Clone)]
#[allow(dead_code, reason = "each test uses some")]
pub(crate) enum Twist {
    /// Changes the answer.
    Answer(fn(&mut Value)),
    /// Changes what was asked before it is carried out.
    Request(fn(&mut Value)),
    /// A status of the API instead: HTTP, code, message, details.
    Refuse(u16, &'static str, &'static str, Value),
    /// A page of somebody else's.
    Html(u16),
    /// No answer.
    Hang,
    /// An answer after a while.
    Delay(Duration),
    /// The connection is closed.
    Cut,
}

/// The server; it ends with the process.
pub(crate) struct StandIn {
    endpoint: String,
    shared: Arc<Shared>,
}

struct Shared {
    store: Mutex<Store>,
    twists: Mutex<BTreeMap<String, Armed>>,
    requests: Mutex<BTreeMap<String, usize>>,
    connections: Mutex<usize>,
}

/// A twist, for which share of the requests, and for how many more.
struct Armed {
    twist: Twist,
    every: usize,
    seen: usize,
    left: usize,
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    body: Value,
}

#[allow(dead_code, reason = "each test uses some")]
impl StandIn {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            store: Mutex::new(Store::new()),
            twists: Mutex::default(),
            requests: Mutex::default(),
            connections: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                *lock(&shared.connections) += 1;
                thread::spawn(move || shared.serve(&connection));
            }
        });
        Self { endpoint, shared }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The URI of a key ring, or of what is in it.
    pub(crate) fn uri(&self, within: &str) -> String {
        format!("cloudkms:projects/test/locations/global/keyRings/ca{within}?endpoint-url={}", self.endpoint)
    }

    /// The certificate, DER, that vouches for its HSM.
    pub(crate) fn attestation_root(&self) -> Vec<u8> {
        lock(&self.shared.store).attestation_root()
    }

    /// How many looks at a new version find it pending.
    pub(crate) fn set_pending(&self, looks: usize) {
        lock(&self.shared.store).pending = looks;
    }

    /// Twists each request of an operation.
    pub(crate) fn twist(&self, operation: &str, twist: Twist) {
        self.arm(operation, twist, 1, usize::MAX);
    }

    /// Twists the next ones.
    pub(crate) fn twist_times(&self, operation: &str, twist: Twist, times: usize) {
        self.arm(operation, twist, 1, times);
    }

    /// Twists one of so many.
    pub(crate) fn twist_every(&self, operation: &str, twist: Twist, every: usize) {
        self.arm(operation, twist, every, usize::MAX);
    }

    fn arm(&self, operation: &str, twist: Twist, every: usize, left: usize) {
        lock(&self.shared.twists).insert(operation.to_owned(), Armed { twist, every, seen: 0, left });
    }

    pub(crate) fn clear(&self) {
        lock(&self.shared.twists).clear();
    }

    /// How many requests of that operation came, or of all: `*`.
    pub(crate) fn requests(&self, operation: &str) -> usize {
        let requests = lock(&self.shared.requests);
        if operation == "*" { requests.values().sum() } else { requests.get(operation).copied().unwrap_or_default() }
    }

    pub(crate) fn connections(&self) -> usize {
        *lock(&self.shared.connections)
    }
}

impl Shared {
    fn serve(&self, connection: &TcpStream) {
        let mut reader = BufReader::new(connection);
        let mut writer = connection;
        while let Some(mut request) = read(&mut reader) {
            let operation = operation(&request);
            *lock(&self.requests).entry(operation.clone()).or_default() += 1;
            let twist = self.twist(&operation);
            let (status, answer) = match twist {
                Some(Twist::Hang) => return thread::sleep(Duration::from_mins(5)),
                Some(Twist::Cut) => return,
                Some(Twist::Html(status)) => (status, "<html>canary</html>".to_owned()),
                Some(Twist::Refuse(http, code, message, details)) => {
                    (http, refusal(http, code, message, &details).to_string())
                }
                other => {
                    if let Some(Twist::Request(change)) = other {
                        change(&mut request.body);
                    }
                    if let Some(Twist::Delay(time)) = other {
                        thread::sleep(time);
                    }
                    let done = lock(&self.store).carry_out(&operation, &request.path, &request.query, &request.body);
                    match done {
                        Ok(mut answer) => {
                            if let Some(Twist::Answer(change)) = other {
                                change(&mut answer);
                            }
                            (200, answer.to_string())
                        }
                        Err((http, code, message)) => (http, refusal(http, code, &message, &json!([])).to_string()),
                    }
                }
            };
            let head = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
                answer.len()
            );
            if writer.write_all(head.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn twist(&self, operation: &str) -> Option<Twist> {
        let mut twists = lock(&self.twists);
        let name = if twists.contains_key(operation) { operation } else { "*" };
        let armed = twists.get_mut(name)?;
        armed.seen += 1;
        if armed.left == 0 || !armed.seen.is_multiple_of(armed.every) {
            return None;
        }
        armed.left -= 1;
        Some(armed.twist.clone())
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        match header.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    Some(Request {
        method,
        path: path.strip_prefix("/v1/")?.replace("%3A", ":"),
        query: query.map(|(name, value)| (name.to_owned(), value.replace("%2F", "/"))).collect(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}

fn operation(request: &Request) -> String {
    let path = &request.path;
    if let Some((_, verb)) = path.rsplit_once(':') {
        return match verb {
            "import" => "Import",
            "destroy" => "Destroy",
            "restore" => "Restore",
            "asymmetricSign" => "AsymmetricSign",
            "asymmetricDecrypt" => "AsymmetricDecrypt",
            _ => "Unknown",
        }
        .to_owned();
    }
    if path.ends_with("/publicKey") {
        return "GetPublicKey".to_owned();
    }
    let parts: Vec<_> = path.split('/').collect();
    let collection = if parts.len() % 2 == 0 { parts[parts.len() - 2] } else { parts[parts.len() - 1] };
    let verb = match (&*request.method, parts.len() % 2) {
        ("GET", 0) => "Get",
        ("GET", _) => "List",
        ("PATCH", _) => "Update",
        _ => "Create",
    };
    format!("{verb} {collection}")
}

fn refusal(http: u16, code: &str, message: &str, details: &Value) -> Value {
    json!({ "error": { "code": http, "status": code, "message": message, "details": details } })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
