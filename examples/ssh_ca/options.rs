//! Critical options and extensions (`PROTOCOL.certkeys` of OpenSSH).

use std::net::IpAddr;

use clap::Args;
use kmskit::adapters::ssh::ssh_key::certificate::{Builder, CertType};
use kmskit::{Error, ErrorKind, Result};

/// What `ssh-keygen` gives a user's certificate when nothing is said.
const DEFAULT_EXTENSIONS: [&str; 5] =
    ["permit-X11-forwarding", "permit-agent-forwarding", "permit-port-forwarding", "permit-pty", "permit-user-rc"];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A critical option: `force-command=CMD`, `source-address=10.0.0.0/8,192.0.2.1`, `verify-required`, or your own
    /// `name@domain=value`
    #[arg(long = "critical-option", value_name = "NAME[=VALUE]")]
    critical: Vec<String>,
    /// An extension; those that `ssh-keygen` gives a user stand unless one is given: `permit-X11-forwarding`,
    /// `permit-agent-forwarding`, `permit-port-forwarding`, `permit-pty`, `permit-user-rc`
    #[arg(long = "extension", value_name = "NAME[=VALUE]", conflicts_with = "no_extensions")]
    extensions: Vec<String>,
    /// No extensions at all: nothing but a command without a terminal
    #[arg(long)]
    no_extensions: bool,
}

impl Options {
    /// Puts them into a certificate, if OpenSSH would not refuse it for them.
    pub(crate) fn apply(&self, builder: &mut Builder, cert_type: CertType) -> Result<()> {
        for option in &self.critical {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            check_critical(name, value, cert_type)?;
            builder.critical_option(name, value).map_err(|error| twice(name).with_source(error))?;
        }
        let defaults = cert_type.is_user() && self.extensions.is_empty() && !self.no_extensions;
        let defaults = DEFAULT_EXTENSIONS.into_iter().filter(|_| defaults);
        for extension in defaults.chain(self.extensions.iter().map(String::as_str)) {
            let (name, value) = extension.split_once('=').unwrap_or((extension, ""));
            check_extension(name, value, cert_type)?;
            builder.extension(name, value).map_err(|error| twice(name).with_source(error))?;
        }
        Ok(())
    }
}

fn check_critical(name: &str, value: &str, cert_type: CertType) -> Result<()> {
    match (name, value) {
        _ if is_private(name) => Ok(()),
        _ if cert_type.is_host() => {
            Err(bad(format!("no critical option `{name}` is defined for hosts"), "a host would be refused with it"))
        }
        ("force-command", "") => Err(bad("`force-command` without a command".to_owned(), "write force-command=CMD")),
        ("force-command", _) | ("verify-required", "") => Ok(()),
        ("source-address", list) if !list.is_empty() && list.split(',').all(is_network) => Ok(()),
        ("source-address", _) => Err(bad(
            format!("`{value}` is not a list of addresses"),
            "write source-address=10.0.0.0/8,192.0.2.1; networks in CIDR, separated by commas",
        )),
        _ => Err(bad(
            format!("OpenSSH knows no critical option `{name}`, or not with that value, and would refuse the user"),
            "known: force-command=CMD, source-address=LIST, verify-required, and your own name@domain",
        )),
    }
}

fn check_extension(name: &str, value: &str, cert_type: CertType) -> Result<()> {
    let known = (DEFAULT_EXTENSIONS.contains(&name) || name == "no-touch-required") && cert_type.is_user();
    if is_private(name) || known && value.is_empty() {
        return Ok(());
    }
    Err(bad(
        format!("OpenSSH knows no extension `{name}` for this kind of certificate, or not with that value"),
        "known, for users: permit-X11-forwarding, permit-agent-forwarding, permit-port-forwarding, permit-pty, \
         permit-user-rc, no-touch-required; and your own name@domain",
    ))
}

/// Names of others have their domain (RFC 4251 section 6).
fn is_private(name: &str) -> bool {
    name.split_once('@').is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty())
        && name.bytes().all(|octet| octet.is_ascii_graphic() && octet != b',')
}

/// An address, or a network whose address has no bit set outside its mask, as OpenSSH wants it.
fn is_network(text: &str) -> bool {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let Some(length) = length else { return true };
    let Ok(length) = length.parse::<u32>() else { return false };
    match address {
        IpAddr::V4(address) => length <= 32 && u32::from(address).checked_shl(length).unwrap_or(0) == 0,
        IpAddr::V6(address) => length <= 128 && u128::from(address).checked_shl(length).unwrap_or(0) == 0,
    }
}

fn twice(name: &str) -> Error {
    bad(format!("`{name}` is given twice"), "give it once")
}

fn bad(context: String, hint: &'static str) -> Error {
    Error::new(ErrorKind::InvalidArgument, context).with_hint(hint)
}
