//! Runs programs, ours and those that judge ours, in a directory of their own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use kms_testkit::aws::AwsKms;
use kms_testkit::gcp::GcpKms;
use kms_testkit::pkcs11::SoftHsm;
use tempfile::TempDir;

/// The examples that a test names like any other program.
const EXAMPLES: [&str; 10] = [
    "pki_init",
    "sign_csr",
    "csr",
    "kms",
    "code_sign",
    "sign_file",
    "timestamp_server",
    "ssh_ca",
    "certificate_maker",
    "step_config",
];

/// An empty directory in which programs run; gone at the end.
#[derive(Debug)]
pub struct Place {
    directory: TempDir,
    keys: Keys,
}

/// Where the keys of [`uri`](Place::uri) are.
#[derive(Debug)]
enum Keys {
    /// In files beside the rest.
    Files,
    SoftHsm(SoftHsm),
    Aws(AwsKms),
    Gcp(GcpKms),
    /// Another implementation, with a key ring for each place.
    OtherGcp {
        endpoint: String,
        number: u32,
    },
    /// Another implementation, which keeps its keys from test to test.
    OtherAws {
        endpoint: String,
        number: u32,
    },
}

/// The endpoint of another implementation of AWS KMS, to be tested in the place of the stand-in.
const OTHER_AWS: &str = "KMSKIT_TEST_AWS_ENDPOINT";

/// The endpoint of another implementation of Google Cloud KMS, to be tested in the place of the stand-in.
const OTHER_GCP: &str = "KMSKIT_TEST_GCP_ENDPOINT";

/// Where every program, and `gcloud`, looks for Cloud KMS.
pub const GCP_ENDPOINT: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS";

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// An empty one.
    pub fn new() -> Self {
        Self::with(Keys::Files)
    }

    /// One for each backend: what a test shows, it shows on all of them. One more backend is one more line.
    pub fn on_every_backend() -> [Self; 4] {
        let softhsm = SoftHsm::new().expect("a directory for SoftHSM");
        softhsm.init_token("test", "1234").expect("a SoftHSM token");
        [Self::new(), Self::with(Keys::SoftHsm(softhsm)), Self::on_aws(), Self::on_gcp()]
    }

    /// One whose keys are in a stand-in for AWS KMS; or in what `KMSKIT_TEST_AWS_ENDPOINT` says, with any credentials.
    pub fn on_aws() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        Self::with(match std::env::var(OTHER_AWS) {
            Ok(endpoint) => Keys::OtherAws { endpoint, number: NUMBER.fetch_add(1, Ordering::Relaxed) },
            Err(_) => Keys::Aws(AwsKms::start().expect("the stand-in for AWS KMS")),
        })
    }

    /// One whose keys are in a stand-in for Google Cloud KMS; or in what `KMSKIT_TEST_GCP_ENDPOINT` says.
    pub fn on_gcp() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        Self::with(match std::env::var(OTHER_GCP) {
            Ok(endpoint) => Keys::OtherGcp { endpoint, number: NUMBER.fetch_add(1, Ordering::Relaxed) },
            Err(_) => Keys::Gcp(GcpKms::start().expect("the stand-in for Cloud KMS")),
        })
    }

    /// The name of the key ring of a place [on Cloud KMS](Self::on_gcp); made with the first key, if it is not there.
    pub fn key_ring(&self) -> String {
        match self.keys {
            Keys::OtherGcp { number, .. } => {
                format!("projects/test/locations/global/keyRings/ca-{}-{number}", std::process::id())
            }
            _ => "projects/test/locations/global/keyRings/ca".to_owned(),
        }
    }

    fn with(keys: Keys) -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory"), keys }
    }

    /// The URI of a key in this place's backend, there or not.
    pub fn uri(&self, name: &str) -> String {
        match &self.keys {
            Keys::Files => format!("softkms:name={name};dir=keys"),
            Keys::SoftHsm(_) => {
                let module = SoftHsm::module().expect("SoftHSM");
                format!("pkcs11:token=test;object={name}?module-path={}&pin-value=1234", module.display())
            }
            Keys::Aws(_) => format!("awskms:name={name};region=us-east-1"),
            Keys::Gcp(_) | Keys::OtherGcp { .. } => {
                format!("cloudkms:{}/cryptoKeys/{name}/cryptoKeyVersions/1", self.key_ring())
            }
            Keys::OtherAws { number, .. } => {
                format!("awskms:name={name}-{}-{number};region=us-east-1", std::process::id())
            }
        }
    }

    /// Makes a key in this place's backend, and gives its URI.
    #[track_caller]
    pub fn key(&self, name: &str, key_type: &str) -> String {
        let uri = self.uri(name);
        self.ok(&format!("kms create {uri} --type {key_type}"));
        uri
    }

    /// Whether this place's backend makes keys of that type.
    pub fn makes(&self, key_type: &str) -> bool {
        !matches!(self.keys, Keys::Gcp(_) | Keys::OtherGcp { .. }) || key_type != "ec-p521"
    }

    /// Whether a key of this place's backend signs with another algorithm than it was made for.
    pub fn chooses_algorithms(&self) -> bool {
        !matches!(self.keys, Keys::Gcp(_) | Keys::OtherGcp { .. })
    }

    /// Whether this place's backend signs a message of so many octets with keys of that type.
    pub fn signs(&self, key_type: &str, length: usize) -> bool {
        key_type != "ed25519"
            || match self.keys {
                Keys::Files | Keys::SoftHsm(_) => true,
                Keys::Aws(_) | Keys::OtherAws { .. } => (1..=4096).contains(&length),
                Keys::Gcp(_) | Keys::OtherGcp { .. } => length <= 65_536,
            }
    }

    /// A program that runs here: an example of ours, or one on the `PATH`.
    pub fn command(&self, name: &str) -> Command {
        let program = if EXAMPLES.contains(&name) { example(name) } else { name.into() };
        let mut command = Command::new(program);
        command.current_dir(self.directory.path());
        match &self.keys {
            Keys::Files => {}
            Keys::SoftHsm(softhsm) => {
                command.env("SOFTHSM2_CONF", softhsm.conf());
            }
            Keys::Aws(server) => {
                command.envs(server.environment());
            }
            Keys::Gcp(server) => {
                command.env(GCP_ENDPOINT, server.endpoint()).env_remove("GOOGLE_APPLICATION_CREDENTIALS");
            }
            Keys::OtherGcp { endpoint, .. } => {
                command.env(GCP_ENDPOINT, endpoint).env_remove("GOOGLE_APPLICATION_CREDENTIALS");
            }
            Keys::OtherAws { endpoint, .. } => {
                command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_REGION", "us-east-1");
                command.envs(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| (name, "test")));
            }
        }
        command
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a program here, with nothing on stdin. The words of `line` are separated by single spaces; the first is the
    /// program: an example of ours, or one on the `PATH`.
    pub fn run(&self, line: &str) -> Ended {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let ran = self.command(name).args(words).stdin(Stdio::null()).output();
        let output =
            ran.unwrap_or_else(|error| panic!("cannot run {name}: {error}; scripts/test installs what is needed"));
        Ended { line: line.to_owned(), output }
    }

    /// Runs a program that must succeed, and gives its stdout.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        self.run(line).ended_with(0).stdout()
    }

    /// Runs a program that must end with that code, and gives its stderr.
    #[track_caller]
    pub fn fails(&self, code: i32, line: &str) -> String {
        self.run(line).ended_with(code).stderr()
    }

    /// Runs a shell script that must succeed, and gives its stdout.
    #[track_caller]
    pub fn shell(&self, script: &str) -> String {
        let output =
            Command::new("sh").args(["-ec", script]).current_dir(self.directory.path()).output().expect("a shell");
        Ended { line: script.to_owned(), output }.ended_with(0).stdout()
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("a temporary file is written");
    }

    /// Reads a file.
    #[track_caller]
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Reads a file of text.
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).expect("text")
    }

    /// Every file, with its content, and every directory, with none.
    pub fn snapshot(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        fn walk(directory: &Path, into: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
            for entry in fs::read_dir(directory).expect("a readable directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    into.insert(path.clone(), None);
                    walk(&path, into);
                } else {
                    into.insert(path.clone(), Some(fs::read(&path).expect("a readable file")));
                }
            }
        }
        let mut all = BTreeMap::new();
        walk(self.directory.path(), &mut all);
        all
    }
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    line: String,
    output: Output,
}

impl Ended {
    /// Checks the exit code.
    #[track_caller]
    pub fn ended_with(self, code: i32) -> Self {
        let is = self.output.status.code();
        assert_eq!(is, Some(code), "{}\nstdout: {}\nstderr: {}", self.line, self.stdout(), self.stderr());
        self
    }

    /// Checks that the exit code is one of these.
    #[track_caller]
    pub fn ended_with_one_of(self, codes: &[i32]) -> Self {
        let is = self.output.status.code();
        let one_of = is.is_some_and(|code| codes.contains(&code));
        assert!(one_of, "{}: {is:?}\nstdout: {}\nstderr: {}", self.line, self.stdout(), self.stderr());
        self
    }

    /// Whether the exit code is 0.
    pub fn succeeded(&self) -> bool {
        self.output.status.success()
    }

    /// What it wrote to stdout.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// What it wrote to stderr.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }
}

/// An example, as cargo put it beside this test.
pub fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.parent().and_then(Path::parent).expect("target/PROFILE/deps");
    let program = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(program.is_file(), "{} is missing; make it: cargo build --examples", program.display());
    program
}

/// A Python that has `cryptography`, the judge of ML-DSA: `KMSKIT_PYTHON`, or `.judges` beside the workspace.
pub fn python() -> String {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../.judges/bin/python3").display().to_string();
    let python = std::env::var("KMSKIT_PYTHON").unwrap_or_else(|_| default());
    let asked = Command::new(&python).args(["-c", "import cryptography; print(cryptography.__version__)"]).output();
    let version = asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    assert!(
        version.starts_with("50."),
        "{python} has no cryptography 50; make it: python3 -m venv .judges && .judges/bin/pip install cryptography==50.0.2"
    );
    python
}
