//! Makes a PKI: a root, an intermediate and a leaf, each with its key at a URI.

#[path = "../shared/exit.rs"]
mod exit;
#[path = "../shared/names.rs"]
mod names;
#[path = "../shared/outputs.rs"]
mod outputs;
mod plan;
#[path = "../shared/profile.rs"]
mod profile;
#[path = "../shared/prompt.rs"]
mod prompt;
#[path = "../shared/ssh.rs"]
mod ssh;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use der::EncodePem;
use der::pem::LineEnding;
use kmskit::{Error, ErrorKind, KeyType, KeyUri, Result};
use x509_cert::Certificate;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::outputs::Outputs;
use crate::plan::{Plan, Ready};
use crate::profile::{Issuer, Purpose, Request};

const DAY: Duration = Duration::from_hours(24);

/// What is written; the last two with `--ssh`.
const FILES: [&str; 6] =
    ["root_ca.crt", "intermediate_ca.crt", "leaf.crt", "chain.pem", "ssh_user_ca_key.pub", "ssh_host_ca_key.pub"];

/// Make a root CA, an intermediate CA and a leaf certificate, and optionally two SSH CA keys.
///
/// The keys are made where the URIs say; certificates and public keys are written to files. Nothing that exists is ever
/// overwritten: a second run says what is there and stops.
#[derive(Debug, Parser)]
#[command(version, after_help = format!("\
Examples:
  pki_init
  pki_init --ssh --out /etc/ca --kms 'softkms:dir=/etc/ca/keys?password-source=file:/run/secrets/ca'
  pki_init --root 'softkms:/media/usb/root.key' --type ec-p384 --leaf-type ec-p256

{}", exit::EXIT_CODES))]
struct Arguments {
    /// Where all keys are made that have no URI of their own [default: softkms: in OUT/keys]
    #[arg(long, value_name = "URI")]
    kms: Option<KeyUri>,
    /// The root's key
    #[arg(long, value_name = "URI")]
    root: Option<KeyUri>,
    /// The intermediate's key
    #[arg(long, value_name = "URI")]
    intermediate: Option<KeyUri>,
    /// The leaf's key
    #[arg(long, value_name = "URI")]
    leaf: Option<KeyUri>,
    /// Make SSH CA keys for users and hosts as well
    #[arg(long)]
    ssh: bool,
    /// The SSH user CA's key
    #[arg(long, value_name = "URI", requires = "ssh")]
    ssh_user: Option<KeyUri>,
    /// The SSH host CA's key
    #[arg(long, value_name = "URI", requires = "ssh")]
    ssh_host: Option<KeyUri>,
    /// Use keys that exist instead of stopping; those that do not are made
    #[arg(long)]
    existing_keys: bool,
    /// Type of the keys made: ec-p256, ec-p384, ec-p521, rsa-2048, rsa-3072, rsa-4096, ed25519, ml-dsa-44, -65, -87
    #[arg(long = "type", value_name = "TYPE", default_value = "ec-p256")]
    key_type: KeyType,
    /// Type of the leaf's key, where it differs
    #[arg(long, value_name = "TYPE")]
    leaf_type: Option<KeyType>,
    /// Type of the SSH keys, where it differs
    #[arg(long, value_name = "TYPE", requires = "ssh")]
    ssh_type: Option<KeyType>,
    /// What the PKI is called in its certificates
    #[arg(long, default_value = "Example")]
    name: String,
    /// DNS names of the leaf
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    dns: Vec<String>,
    /// Directory for the files
    #[arg(long, value_name = "DIRECTORY", default_value = "./pki")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let arguments: Arguments = exit::arguments();
    let mut made = Vec::new();
    let result = run(&arguments, &mut made);
    if result.is_err() && !made.is_empty() {
        eprintln!("These keys were made before it failed, and stay; run again with --existing-keys to use them:");
        for uri in made {
            eprintln!("  {uri}");
        }
    }
    exit::exit(result)
}

fn run(arguments: &Arguments, made: &mut Vec<KeyUri>) -> Result<()> {
    // All that can be wrong with the arguments shows before anything is made.
    let names = Names::new(arguments)?;
    let plan = Plan::new(arguments)?;
    let files = if arguments.ssh { &FILES[..] } else { &FILES[..4] };
    plan.check_absent(&arguments.out, files)?;
    let mut outputs = Outputs::new(&arguments.out)?;

    say("Creating PKI ...")?;
    let mut lines = make_certificates(&names, &plan, &mut outputs, made)?;
    if arguments.ssh {
        lines.push("\nCreating SSH Keys ...".to_owned());
        for (name, file, title) in [("ssh-user", FILES[4], "SSH User"), ("ssh-host", FILES[5], "SSH Host")] {
            let key = plan.key(name, made)?;
            outputs.add(file, ssh::authorized_key(&key.public_key, &format!("{} {title} CA", arguments.name))?)?;
            lines.push(format!("✔ {title} Public Key: {}", outputs.path(file).display()));
            lines.push(format!("✔ {title} Private Key: {}", key.uri));
        }
    }
    outputs.commit()?;
    made.clear();
    lines.iter().try_for_each(|line| say(line))
}

/// Makes three keys and their certificates, and gives the lines that tell of them.
fn make_certificates(names: &Names, plan: &Plan, outputs: &mut Outputs, made: &mut Vec<KeyUri>) -> Result<Vec<String>> {
    let root = plan.key("root", made)?;
    let own = Issuer { certificate: None, signer: Arc::clone(&root.signer) };
    let root_certificate = certify(Purpose::Root, &names.root, &[], &root, &own, DAY * 3650)?;
    let issuer = Issuer { certificate: Some(&root_certificate), signer: root.signer };

    let intermediate = plan.key("intermediate", made)?;
    let purpose = Purpose::SubordinateCa { path_len: 0 };
    let intermediate_certificate = certify(purpose, &names.intermediate, &[], &intermediate, &issuer, DAY * 1825)?;
    let issuer = Issuer { certificate: Some(&intermediate_certificate), signer: intermediate.signer };

    let leaf = plan.key("leaf", made)?;
    let leaf_certificate = certify(Purpose::TlsServer, &names.leaf, &names.hosts, &leaf, &issuer, DAY * 365)?;

    let [root_pem, intermediate_pem, leaf_pem] =
        [pem(&root_certificate)?, pem(&intermediate_certificate)?, pem(&leaf_certificate)?];
    let chain = [&*leaf_pem, &*intermediate_pem, &*root_pem].concat();
    let mut lines = Vec::new();
    for (title, uri, file, content) in [
        ("Root", root.uri, FILES[0], root_pem),
        ("Intermediate", intermediate.uri, FILES[1], intermediate_pem),
        ("Leaf", leaf.uri, FILES[2], leaf_pem),
    ] {
        outputs.add(file, content)?;
        lines.push(format!("✔ {title} Key: {uri}"));
        lines.push(format!("✔ {title} Certificate: {}", outputs.path(file).display()));
    }
    outputs.add(FILES[3], chain)?;
    lines.push(format!("✔ Certificate Chain: {}", outputs.path(FILES[3]).display()));
    Ok(lines)
}

/// What the certificates are called.
struct Names {
    root: Name,
    intermediate: Name,
    leaf: Name,
    hosts: Vec<GeneralName>,
}

impl Names {
    fn new(arguments: &Arguments) -> Result<Self> {
        let hosts = arguments.dns.iter().map(|name| names::dns(name)).collect::<Result<Vec<_>>>()?;
        // A common name is limited to 64 characters (RFC 5280 appendix A.1); the names above have none.
        let leaf = arguments.dns.iter().find(|name| name.len() <= 64);
        Ok(Self {
            root: names::common(&format!("{} Root CA", arguments.name))?,
            intermediate: names::common(&format!("{} Intermediate CA", arguments.name))?,
            leaf: leaf.map_or_else(|| Ok(Name::default()), |name| names::common(name))?,
            hosts,
        })
    }
}

fn certify(
    purpose: Purpose,
    subject: &Name,
    hosts: &[GeneralName],
    key: &Ready,
    issuer: &Issuer<'_>,
    lifetime: Duration,
) -> Result<Certificate> {
    let request = Request {
        purpose,
        subject: subject.clone(),
        alternative_names: hosts.to_vec(),
        key_usage: purpose.key_usage(&key.public_key),
        key: &key.public_key,
        lifetime,
    };
    profile::issue(request, issuer)
}

fn pem(certificate: &Certificate) -> Result<String> {
    certificate
        .to_pem(LineEnding::LF)
        .map_err(|error| Error::new(ErrorKind::Other, "cannot write a certificate as PEM").with_source(error))
}

fn say(line: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")
        .map_err(|error| Error::new(ErrorKind::Other, "cannot write to stdout").with_source(error))
}
