//! Where the keys are: one more backend is one more line.

use std::process::Command;

use kms_testkit::aws::AwsKms;
use kms_testkit::gcp::GcpKms;
use kms_testkit::pkcs11::SoftHsm;

use crate::process::{self, Ended, Server};

/// A place that makes keys.
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    /// Types of keys to try.
    pub(crate) key_types: &'static [&'static str],
    /// With the key's name in place of `NAME`.
    uri: String,
    softhsm: Option<SoftHsm>,
    aws: Option<AwsKms>,
    gcp: Option<GcpKms>,
    /// Keys in files are made here.
    _directory: Option<tempfile::TempDir>,
}

impl Backend {
    /// All of them.
    pub(crate) fn all() -> [Self; 4] {
        [Self::soft(), Self::softhsm(), Self::aws(), Self::gcp()]
    }

    pub(crate) fn soft() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let uri = format!("softkms:name=NAME;dir={}", directory.path().display());
        let key_types = &["ec-p256", "ec-p384", "ec-p521", "rsa-2048", "ed25519"];
        Self { name: "softkms", key_types, uri, softhsm: None, aws: None, gcp: None, _directory: Some(directory) }
    }

    pub(crate) fn softhsm() -> Self {
        Self::softhsm_by(&SoftHsm::module().unwrap().display().to_string())
    }

    /// A token behind a module that is given.
    pub(crate) fn softhsm_by(module: &str) -> Self {
        let softhsm = SoftHsm::new().unwrap();
        softhsm.init_token("tls", "1234").unwrap();
        let uri = format!("pkcs11:token=tls;object=NAME?module-path={module}&max-sessions=64&pin-value=1234");
        let key_types = &["ec-p256", "rsa-2048"];
        Self { name: "SoftHSM", key_types, uri, softhsm: Some(softhsm), aws: None, gcp: None, _directory: None }
    }

    fn aws() -> Self {
        let uri = "awskms:name=NAME;region=us-east-1".to_owned();
        let key_types = &["ec-p256", "ec-p384", "rsa-2048", "ed25519"];
        let aws = Some(AwsKms::start().unwrap());
        Self { name: "AWS-KMS", key_types, uri, softhsm: None, aws, gcp: None, _directory: None }
    }

    fn gcp() -> Self {
        let uri = "cloudkms:projects/test/locations/global/keyRings/ca/cryptoKeys/NAME/cryptoKeyVersions/1".to_owned();
        let key_types = &["ec-p256", "ec-p384", "rsa-2048", "ed25519"];
        let gcp = Some(GcpKms::start().unwrap());
        Self { name: "Cloud-KMS", key_types, uri, softhsm: None, aws: None, gcp, _directory: None }
    }

    /// The URI of a key, there or not.
    pub(crate) fn uri(&self, name: &str) -> String {
        self.uri.replace("NAME", name)
    }

    /// Makes a key and gives its URI.
    pub(crate) fn key(&self, name: &str, key_type: &str) -> String {
        let mut uri = self.uri(name);
        if self.gcp.is_some() && key_type.starts_with("rsa-") {
            // A key of Cloud KMS has one algorithm, and TLS 1.3 wants this one.
            uri.push_str(";alg=rsa-pss-sha256");
        }
        self.run("kms", &["create", &uri, "--type", key_type]).ended_with(0);
        uri
    }

    /// Whether its RSA keys sign by that scheme of TLS.
    pub(crate) fn signs_by(&self, scheme: &str) -> bool {
        self.gcp.is_none() || scheme == "rsa_pss_rsae_sha256"
    }

    /// An example of ours that sees these keys.
    pub(crate) fn command(&self, example: &str) -> Command {
        let program = kmskit_tests::programs::example(example);
        let mut command = self.softhsm.as_ref().map_or_else(|| Command::new(&program), |hsm| hsm.command(&program));
        command.envs(self.aws.iter().flat_map(AwsKms::environment));
        command.envs(self.gcp.iter().map(|server| (kmskit_tests::programs::GCP_ENDPOINT, server.endpoint())));
        // Two, whatever the machine has.
        command.env("TOKIO_WORKER_THREADS", "2");
        command
    }

    /// Runs an example to its end.
    pub(crate) fn run(&self, example: &str, arguments: &[&str]) -> Ended {
        process::run(self.command(example).args(arguments), b"")
    }

    /// Starts our server with one of these keys, on a free port.
    pub(crate) fn serve(&self, uri: &str, chain: &str, more: &[&str]) -> Server {
        let mut command = self.command("tls_server");
        command.args([uri, "--listen", "127.0.0.1:0", "--cert", chain]).args(more);
        Server::start(&mut command, "listening on ")
    }
}
