//! The configuration file of a module: what it wraps and how it fails.
//!
//! A line is a setting `name=value`, a fault, or a comment after `#`:
//!
//! ```text
//! module=/usr/lib/softhsm/libsofthsm2.so      # the wrapped module; read once, when this one is loaded
//! log=true                                    # a line for every call in <own path>.log
//! cap-sessions=4                              # a fifth C_OpenSession: CKR_SESSION_COUNT
//! cap-sessions-rv=CKR_ARGUMENTS_BAD           # or another answer
//! require-context-login=true                  # every private key behaves as CKA_ALWAYS_AUTHENTICATE
//! hide-mechanism=CKM_ECDSA                    # not listed, and CKR_MECHANISM_INVALID; may stand repeatedly
//! stale-handles=LABEL                         # after a loss or re-initialisation old handles mean this key
//! ec-point=raw                                # CKA_EC_POINT as: raw, octet-string, bit-string, xy (no leading 04)
//! refuse-parallel-writes=true                 # two writes at a time: CKR_GENERAL_ERROR
//! flip-token-flags=0x2                        # these flags in C_GetTokenInfo, turned over
//!
//! fault C_Sign at=100 lose-sessions
//! fault C_SignInit,C_Sign times=3 rv=0x8000001A
//! fault * at=500 token-gone for=300
//! ```
//!
//! Values hold no white space. Everything is counted anew when the file changes, and what a fault left behind (a token
//! that is gone, a lost login) ends with the configuration that asked for it; closed sessions stay closed. The faults
//! are those of [`fault`].
//!
//! `require-context-login` wants `C_Login(CKU_CONTEXT_SPECIFIC)` with the user's PIN between `C_SignInit` and the call
//! that answers with the signature, and no other call in that session after it; else `CKR_USER_NOT_LOGGED_IN`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use cryptoki_sys::{CK_FLAGS, CK_MECHANISM_TYPE, CK_RV, CKR_SESSION_COUNT};

use crate::names;

pub mod fault;

pub use fault::{Action, Fault};

/// A configuration as it stands in the file.
#[derive(Debug)]
#[non_exhaustive]
pub struct Config {
    /// The wrapped module.
    pub module: PathBuf,
    /// Whether every call is logged.
    pub log: bool,
    /// How many sessions there may be at a time.
    pub cap_sessions: Option<usize>,
    /// What one more session is answered with.
    pub cap_sessions_rv: CK_RV,
    /// Whether every signature needs a login of its own.
    pub context_login: bool,
    /// Mechanisms that the token is to seem not to have.
    pub hidden_mechanisms: Vec<CK_MECHANISM_TYPE>,
    /// The label of the key that outdated object handles mean.
    pub stale_handles: Option<String>,
    /// The form in which points are answered.
    pub ec_point: Option<EcPoint>,
    /// Whether two writes at a time fail.
    pub refuse_parallel_writes: bool,
    /// Flags of the token that are turned over.
    pub flip_token_flags: CK_FLAGS,
    /// In the order of the file.
    pub faults: Vec<Fault>,
}

/// The form of `CKA_EC_POINT`: tokens differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EcPoint {
    /// The bare point: `04 x y`.
    Raw,
    /// The point in a DER OCTET STRING, as the standard wants it.
    OctetString,
    /// The point in a DER BIT STRING.
    BitString,
    /// The two coordinates alone.
    Xy,
}

impl FromStr for Config {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let mut config = Self {
            module: PathBuf::new(),
            log: false,
            cap_sessions: None,
            cap_sessions_rv: CKR_SESSION_COUNT,
            context_login: false,
            hidden_mechanisms: Vec::new(),
            stale_handles: None,
            ec_point: None,
            refuse_parallel_writes: false,
            flip_token_flags: 0,
            faults: Vec::new(),
        };
        for (number, line) in (1..).zip(text.lines()) {
            config.read_line(line).map_err(|reason| ConfigError { line: number, reason })?;
        }
        if config.module.as_os_str().is_empty() {
            return Err(ConfigError { line: text.lines().count(), reason: "no `module=`".into() });
        }
        Ok(config)
    }
}

impl Config {
    fn read_line(&mut self, line: &str) -> Result<(), String> {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            return Ok(());
        }
        if let Some(fault) = line.strip_prefix("fault ") {
            self.faults.push(fault.parse()?);
            return Ok(());
        }
        let (name, value) = line.split_once('=').ok_or("neither `name=value` nor `fault …`")?;
        match name {
            "module" => self.module = PathBuf::from(value),
            "log" => self.log = flag(value)?,
            "cap-sessions" => self.cap_sessions = Some(number(value)?),
            "cap-sessions-rv" => self.cap_sessions_rv = rv(value)?,
            "require-context-login" => self.context_login = flag(value)?,
            "hide-mechanism" => {
                let mechanism = names::mechanism_from_name(value).ok_or_else(|| format!("no mechanism `{value}`"))?;
                self.hidden_mechanisms.push(mechanism);
            }
            "stale-handles" => self.stale_handles = Some(value.to_owned()),
            "ec-point" => self.ec_point = Some(value.parse()?),
            "refuse-parallel-writes" => self.refuse_parallel_writes = flag(value)?,
            "flip-token-flags" => self.flip_token_flags = rv(value)?,
            _ => return Err(format!("unknown setting `{name}`")),
        }
        Ok(())
    }
}

fn flag(value: &str) -> Result<bool, String> {
    value.parse().map_err(|_| format!("`{value}` is neither `true` nor `false`"))
}

fn number<N: FromStr>(value: &str) -> Result<N, String> {
    value.parse().map_err(|_| format!("`{value}` is not a number"))
}

fn rv(value: &str) -> Result<CK_RV, String> {
    names::rv_from_name(value).ok_or_else(|| format!("`{value}` is no return value"))
}

impl FromStr for EcPoint {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, String> {
        match value {
            "raw" => Ok(Self::Raw),
            "octet-string" => Ok(Self::OctetString),
            "bit-string" => Ok(Self::BitString),
            "xy" => Ok(Self::Xy),
            _ => Err(format!("`{value}` is none of raw, octet-string, bit-string, xy")),
        }
    }
}

/// What is wrong in a configuration, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    line: usize,
    reason: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings() {
        let text = "# all\nmodule=/m.so # wrapped\nlog=true\ncap-sessions=4\ncap-sessions-rv=CKR_ARGUMENTS_BAD\n\
                    hide-mechanism=CKM_ECDSA\nhide-mechanism=0x80000001\nec-point=bit-string\nstale-handles=b\n\n\
                    require-context-login=true\nrefuse-parallel-writes=true\n\
                    flip-token-flags=0x2\nfault C_Sign rv=CKR_DEVICE_ERROR\n";
        let config: Config = text.parse().unwrap();
        assert_eq!(config.module, PathBuf::from("/m.so"));
        assert!(config.log && config.context_login && config.refuse_parallel_writes);
        assert_eq!(config.flip_token_flags, 2);
        assert_eq!((config.cap_sessions, config.cap_sessions_rv), (Some(4), 7));
        assert_eq!(config.hidden_mechanisms, [0x1041, 0x8000_0001]);
        assert_eq!((config.ec_point, config.stale_handles.as_deref()), (Some(EcPoint::BitString), Some("b")));
        assert_eq!(config.faults.len(), 1);
    }

    #[test]
    fn refused_with_the_line() {
        let table = [
            ("", "line 0: no `module=`"),
            ("module=/m\nlog=yes", "line 2: `yes` is neither `true` nor `false`"),
            ("module=/m\nsessions=4", "line 2: unknown setting `sessions`"),
            ("module=/m\nfaults", "line 2: neither `name=value` nor `fault …`"),
            ("module=/m\nhide-mechanism=CKM_EC", "line 2: no mechanism `CKM_EC`"),
            ("module=/m\nec-point=der", "line 2: `der` is none of raw, octet-string, bit-string, xy"),
            ("module=/m\nfault C_Sing hang", "line 2: no function `C_Sing`"),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<Config>().unwrap_err().to_string(), error);
        }
    }
}
