//! An SSH certificate authority with its key at a URI.

#[path = "../shared/exit.rs"]
mod exit;
mod options;
#[path = "../shared/outputs.rs"]
mod outputs;
#[path = "../shared/prompt.rs"]
mod prompt;
mod subject;
#[path = "../shared/text_file.rs"]
mod text_file;
#[path = "../shared/when.rs"]
mod when;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};
use kmskit::adapters::ssh::SshSigner;
use kmskit::adapters::ssh::ssh_key::certificate::{Builder, CertType};
use kmskit::adapters::ssh::ssh_key::{Certificate, PublicKey};
use kmskit::{Error, ErrorKind, OpenOptions, Result};

use crate::options::Options;

/// Sign the public keys of users and hosts into OpenSSH certificates.
///
/// A host trusts the users' CA by `TrustedUserCAKeys` in `sshd_config`, a user the hosts' CA by a line `@cert-authority`
/// in `known_hosts`; `ssh_ca public-key` prints what goes there.
#[derive(Debug, Parser)]
#[command(version, after_help = format!("\
Examples:
  ssh_ca user --key 'softkms:name=ssh-user;dir=pki/keys' --principal alice id_ed25519.pub
  ssh_ca host --key 'pkcs11:token=ca;object=ssh-host?pin-source=file:/run/pin' --principal www.example.com ssh_host_ed25519_key.pub
  ssh_ca public-key --key 'softkms:name=ssh-user;dir=pki/keys' >ssh_user_ca_key.pub

{}", exit::EXIT_CODES))]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sign the public key of a user
    User(Sign),
    /// Sign the public key of a host
    Host(Sign),
    /// Print the public key of the CA
    PublicKey {
        /// The CA's key
        #[arg(long, value_name = "URI")]
        key: String,
        /// What is written after it
        #[arg(long, default_value = "")]
        comment: String,
    },
}

#[derive(Debug, Args)]
struct Sign {
    /// The CA's key; `;alg=rsa-pkcs1-sha512` in it has an RSA key sign with that
    #[arg(long, value_name = "URI")]
    key: String,
    /// A user or host that the certificate is for; may be given again
    #[arg(long, short = 'n', value_name = "NAME", required = true)]
    principal: Vec<String>,
    /// What logs call the certificate [default: the principals]
    #[arg(long, short = 'I', value_name = "TEXT")]
    id: Option<String>,
    /// Serial number [default: random]
    #[arg(long, short = 'z', value_name = "NUMBER")]
    serial: Option<u64>,
    /// Lifetime, from a minute ago or from --valid-from on [default: 16h for a user, 720h for a host]
    #[arg(long, value_name = "LENGTH", conflicts_with = "valid_until")]
    valid_for: Option<String>,
    /// First moment: `2030-01-31T12:00:00Z`
    #[arg(long, value_name = "TIME")]
    valid_from: Option<String>,
    /// Last moment
    #[arg(long, value_name = "TIME")]
    valid_until: Option<String>,
    #[command(flatten)]
    options: Options,
    /// New file [default: that of the public key, with -cert.pub]
    #[arg(long, value_name = "FILE")]
    out: Option<OsString>,
    /// The public key, as in `id_ed25519.pub`
    #[arg(value_name = "FILE")]
    public_key: OsString,
}

fn main() -> ExitCode {
    exit::exit(match &exit::arguments::<Arguments>().command {
        Command::User(sign) => run(sign, CertType::User),
        Command::Host(sign) => run(sign, CertType::Host),
        Command::PublicKey { key, comment } => print_public_key(key, comment),
    })
}

fn print_public_key(key: &str, comment: &str) -> Result<()> {
    let mut public_key = PublicKey::from(open(key)?.public_key().clone());
    public_key.set_comment(comment);
    outputs::write_new(None, (public_key.to_openssh().map_err(cannot_encode)? + "\n").as_bytes())
}

fn run(sign: &Sign, cert_type: CertType) -> Result<()> {
    let file = text_file::path("FILE", &sign.public_key)?;
    let out = match &sign.out {
        Some(out) => text_file::path("--out", out)?.to_owned(),
        None => subject::certificate_path(file),
    };
    outputs::check_absent(&out)?;
    let subject = subject::read(file)?;
    let (valid_after, valid_before) = validity(sign, cert_type)?;
    let serial = sign.serial.map_or_else(|| random().map(u64::from_be_bytes), Ok)?;
    let id = sign.id.clone().unwrap_or_else(|| sign.principal.join(","));

    let mut builder =
        Builder::new(random::<32>()?, subject.key_data().clone(), valid_after, valid_before).map_err(cannot_encode)?;
    builder.cert_type(cert_type).and_then(|builder| builder.serial(serial)).map_err(cannot_encode)?;
    builder.key_id(id).map_err(cannot_encode)?;
    for principal in &sign.principal {
        subject::check_principal(principal)?;
        builder.valid_principal(principal).map_err(cannot_encode)?;
    }
    sign.options.apply(&mut builder, cert_type)?;

    let ca = open(&sign.key)?;
    if ca.public_key() == subject.key_data() {
        return Err(bad("the CA's key, which shall certify others, not itself"));
    }
    let mut certificate = kmskit::block_on(ca.certify(builder))?;
    certificate.set_comment(subject.comment().clone());
    let text = certificate.to_openssh().map_err(cannot_encode)? + "\n";
    outputs::write_new(Some(&out), text.as_bytes())?;
    say(&format!("Signed {} key {}: {}", name(cert_type), out.display(), describe(&certificate)?))
}

fn open(key: &str) -> Result<SshSigner> {
    let uri = text_file::key_uri("--key", key)?;
    let registry = kmskit::registry().with_options(prompt::ask_on_terminal(OpenOptions::default()));
    SshSigner::new(kmskit::block_on(registry.signer(&uri))?)
}

/// The first second, and the one after the last, since 1970.
fn validity(sign: &Sign, cert_type: CertType) -> Result<(u64, u64)> {
    let default = Duration::from_hours(if cert_type.is_host() { 720 } else { 16 });
    // A minute, for clocks that run behind.
    let now = SystemTime::now();
    let start = match &sign.valid_from {
        Some(from) => when::instant(from)?,
        None => now.checked_sub(Duration::from_mins(1)).unwrap_or(now),
    };
    let end = match (&sign.valid_until, &sign.valid_for) {
        (Some(until), _) => when::instant(until)?,
        (None, Some(length)) => {
            start.checked_add(when::length(length)?).ok_or_else(|| bad("a lifetime without end"))?
        }
        (None, None) => start.checked_add(default).ok_or_else(|| bad("a lifetime without end"))?,
    };
    if end <= start {
        return Err(bad("the certificate would end before it begins"));
    }
    if end <= now {
        return Err(bad("the certificate would be expired from the start"));
    }
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map(|since| since.as_secs());
    match (seconds(start), seconds(end)) {
        (Ok(start), Ok(end)) => Ok((start, end)),
        _ => Err(bad("SSH certificates know no time before 1970")),
    }
}

fn describe(certificate: &Certificate) -> Result<String> {
    let time = |seconds| when::text(UNIX_EPOCH + Duration::from_secs(seconds));
    Ok(format!(
        "id \"{}\" serial {} for {} valid from {} to {}",
        certificate.key_id(),
        certificate.serial(),
        certificate.valid_principals().join(","),
        time(certificate.valid_after())?,
        time(certificate.valid_before())?
    ))
}

fn name(cert_type: CertType) -> &'static str {
    if cert_type.is_host() { "host" } else { "user" }
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH]> {
    let mut octets = [0; LENGTH];
    getrandom::fill(&mut octets)
        .map_err(|error| Error::new(ErrorKind::Other, "no random octets").with_source(error))?;
    Ok(octets)
}

fn say(line: &str) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{line}")
        .map_err(|error| Error::new(ErrorKind::Other, "cannot write to stdout").with_source(error))
}

fn bad(context: &'static str) -> Error {
    Error::new(ErrorKind::InvalidArgument, context)
}

fn cannot_encode(error: kmskit::adapters::ssh::ssh_key::Error) -> Error {
    bad("cannot be written in OpenSSH's form").with_source(error)
}
