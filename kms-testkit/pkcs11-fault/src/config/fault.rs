//! One fault: where, when and what.
//!
//! ```text
//! fault FUNCTION[,FUNCTION…]|*  [at=N] [every=N] [times=K] [for=MS]  ACTION
//! ```
//!
//! `at` counts the calls of the functions named, from 1, since the configuration was read. With `at` alone a fault
//! happens once, with `times` that often, with `every` at each N-th call from there; with none of them at every call.
//! With `for` it goes on for that many milliseconds from its first call. Faults due at one call are taken in the order
//! of the file.
//!
//! | action | what happens |
//! |---|---|
//! | `rv=CKR_…`, `rv=0x…` | that answer, the wrapped module is not called (so an operation begun stays active) |
//! | `rv-after=CKR_…` | the wrapped module is called, its answer lost and this given |
//! | `pin-incorrect`, `pin-locked` | `rv=CKR_PIN_INCORRECT`, `rv=CKR_PIN_LOCKED` |
//! | `lose-sessions` | all sessions are closed |
//! | `logout` | the user is logged out; until `C_Login` the use of keys is `CKR_USER_NOT_LOGGED_IN` |
//! | `not-initialized` | the library is finalised: `CKR_CRYPTOKI_NOT_INITIALIZED` until `C_Initialize` |
//! | `token-gone` | sessions closed; `CKR_DEVICE_REMOVED` and `CKR_TOKEN_NOT_PRESENT` for `for=MS`, or for good |
//! | `token-gone-until-initialize` | the same, and it is seen again only after a new `C_Initialize` |
//! | `hang`, `hang=MS` | the call does not return before that time, or before the configuration changes |
//! | `slow=MS` | the call takes that much longer |
//! | `flip-bit`, `flip-bit=N` | a signature with bit N (from the first octet's highest) turned over |
//! | `short`, `short=N` | a signature without its last N octets |
//! | `der` | an ECDSA signature in DER where r‖s is due |
//! | `other-key=LABEL` | a signature by another key |
//!
//! The four events happen once if nothing else is said, before the call in question is passed on. The last four concern
//! `C_Sign` and `C_SignFinal` alone (`other-key` only `C_Sign`), and a call that asks for the length counts as one.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cryptoki_sys::{CK_RV, CKR_PIN_INCORRECT, CKR_PIN_LOCKED};

use crate::names::{self, Function};

/// A line `fault …`.
#[derive(Debug)]
pub struct Fault {
    /// None named: all.
    functions: Vec<Function>,
    at: u64,
    every: u64,
    times: u64,
    lasting: Option<Duration>,
    action: Action,
    calls: AtomicU64,
    began: OnceLock<Instant>,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Answers with this, without the wrapped module.
    Answer(CK_RV),
    /// Answers with this, after the wrapped module.
    AnswerAfter(CK_RV),
    /// Closes all sessions.
    LoseSessions,
    /// Logs the user out.
    Logout,
    /// Finalises the library.
    NotInitialized,
    /// Takes the token away for a time, or until the configuration changes.
    TokenGone {
        /// How long.
        lasting: Option<Duration>,
        /// Whether its return is noticed only by a library initialised anew.
        until_initialize: bool,
    },
    /// Does not return for that time, or until the configuration changes.
    Hang(Option<Duration>),
    /// Takes that much longer.
    Slow(Duration),
    /// Turns over a bit of the signature: this, or one in the middle.
    FlipBit(Option<usize>),
    /// Leaves off that many octets of the signature.
    Short(usize),
    /// Puts the signature into DER.
    Der,
    /// Lets the key of that label sign.
    OtherKey(String),
}

impl Fault {
    /// What happens.
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// Counts a call of `function`; whether the fault is due at it.
    pub(crate) fn is_due(&self, function: Function) -> bool {
        if !self.functions.is_empty() && !self.functions.contains(&function) {
            return false;
        }
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(since) = call.checked_sub(self.at) else { return false };
        match self.lasting {
            Some(lasting) => self.began.get_or_init(Instant::now).elapsed() < lasting,
            None => since % self.every == 0 && since / self.every < self.times,
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let functions = functions(words.next().unwrap_or_default())?;
        let (mut at, mut every, mut times, mut lasting, mut action) = (None, None, None, None, None);
        for word in words {
            let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            match name {
                "at" => at = Some(positive(name, value)?),
                "every" => every = Some(positive(name, value)?),
                "times" => times = Some(positive(name, value)?),
                "for" => lasting = Some(Duration::from_millis(positive(name, value)?)),
                _ if action.is_some() => return Err(format!("a second action, `{word}`")),
                _ => action = Some(Action::read(name, value)?),
            }
        }
        let mut action = action.ok_or("no action")?;
        if let Action::TokenGone { lasting: outage, .. } = &mut action {
            *outage = lasting.take();
        }
        let once = at.is_some() && every.is_none() || action.is_event();
        Ok(Self {
            functions,
            at: at.unwrap_or(1),
            every: every.unwrap_or(1),
            times: times.unwrap_or(if once && every.is_none() { 1 } else { u64::MAX }),
            lasting,
            action,
            calls: AtomicU64::new(0),
            began: OnceLock::new(),
        })
    }
}

fn functions(names: &str) -> Result<Vec<Function>, String> {
    if names == "*" {
        return Ok(Vec::new());
    }
    names.split(',').map(|name| Function::from_name(name).ok_or_else(|| format!("no function `{name}`"))).collect()
}

fn positive(name: &str, value: Option<&str>) -> Result<u64, String> {
    let number = value.and_then(|value| value.parse().ok()).filter(|number| *number > 0);
    number.ok_or_else(|| format!("`{name}` wants a number from 1"))
}

fn count(name: &str, value: &str) -> Result<usize, String> {
    value.parse().map_err(|_| format!("`{name}` wants a number"))
}

impl Action {
    fn read(name: &str, value: Option<&str>) -> Result<Self, String> {
        let rv = |value: &str| names::rv_from_name(value).ok_or_else(|| format!("`{value}` is no return value"));
        let duration = || positive(name, value).map(Duration::from_millis);
        match (name, value) {
            ("rv", Some(value)) => rv(value).map(Self::Answer),
            ("rv-after", Some(value)) => rv(value).map(Self::AnswerAfter),
            ("pin-incorrect", None) => Ok(Self::Answer(CKR_PIN_INCORRECT)),
            ("pin-locked", None) => Ok(Self::Answer(CKR_PIN_LOCKED)),
            ("lose-sessions", None) => Ok(Self::LoseSessions),
            ("logout", None) => Ok(Self::Logout),
            ("not-initialized", None) => Ok(Self::NotInitialized),
            ("token-gone", None) => Ok(Self::TokenGone { lasting: None, until_initialize: false }),
            ("token-gone-until-initialize", None) => Ok(Self::TokenGone { lasting: None, until_initialize: true }),
            ("hang", None) => Ok(Self::Hang(None)),
            ("hang", Some(_)) => Ok(Self::Hang(Some(duration()?))),
            ("slow", Some(_)) => Ok(Self::Slow(duration()?)),
            ("flip-bit", None) => Ok(Self::FlipBit(None)),
            ("flip-bit", Some(value)) => Ok(Self::FlipBit(Some(count(name, value)?))),
            ("short", None) => Ok(Self::Short(1)),
            ("short", Some(value)) => Ok(Self::Short(count(name, value)?)),
            ("der", None) => Ok(Self::Der),
            ("other-key", Some(label)) => Ok(Self::OtherKey(label.to_owned())),
            _ => Err(format!("no action `{name}`{}", if value.is_some() { " with a value" } else { "" })),
        }
    }

    /// Whether it is something that happens, and not a way to answer.
    fn is_event(&self) -> bool {
        matches!(self, Self::LoseSessions | Self::Logout | Self::NotInitialized | Self::TokenGone { .. })
    }
}

/// As in the file, for the log.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(rv) => write!(f, "rv={}", names::rv_name(*rv)),
            Self::AnswerAfter(rv) => write!(f, "rv-after={}", names::rv_name(*rv)),
            Self::LoseSessions => f.write_str("lose-sessions"),
            Self::Logout => f.write_str("logout"),
            Self::NotInitialized => f.write_str("not-initialized"),
            Self::TokenGone { until_initialize: false, .. } => f.write_str("token-gone"),
            Self::TokenGone { until_initialize: true, .. } => f.write_str("token-gone-until-initialize"),
            Self::Hang(_) => f.write_str("hang"),
            Self::Slow(time) => write!(f, "slow={}", time.as_millis()),
            Self::FlipBit(_) => f.write_str("flip-bit"),
            Self::Short(octets) => write!(f, "short={octets}"),
            Self::Der => f.write_str("der"),
            Self::OtherKey(label) => write!(f, "other-key={label}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(fault: &str, calls: u64) -> Vec<u64> {
        let fault: Fault = fault.parse().unwrap();
        (1..=calls).filter(|_| fault.is_due(Function::C_Sign)).collect::<Vec<_>>()
    }

    #[test]
    fn schedules() {
        assert_eq!(due("C_Sign rv=CKR_OK", 4), [1, 2, 3, 4]);
        assert_eq!(due("C_Sign at=3 rv=CKR_OK", 6), [3]);
        assert_eq!(due("C_Sign at=2 times=2 rv=CKR_OK", 6), [2, 3]);
        assert_eq!(due("C_Sign at=2 every=3 rv=CKR_OK", 9), [2, 5, 8]);
        assert_eq!(due("C_SignInit,C_Sign every=2 times=2 rv=CKR_OK", 9), [1, 3]);
        assert_eq!(due("* lose-sessions", 4), [1]);
        assert_eq!(due("* every=2 lose-sessions", 4), [1, 3]);
        assert_eq!(due("C_Login rv=CKR_OK", 4), [0; 0]);
        assert_eq!(due("C_Sign at=2 for=60000 rv=CKR_OK", 4), [2, 3, 4]);
    }

    #[test]
    fn an_outage_has_the_time_and_happens_once() {
        let fault: Fault = "C_Sign at=3 token-gone for=300".parse().unwrap();
        let lasting = Some(Duration::from_millis(300));
        assert_eq!(*fault.action(), Action::TokenGone { lasting, until_initialize: false });
        assert_eq!(due("C_Sign at=3 token-gone for=300", 9), [3]);
    }

    #[test]
    fn refused() {
        let table = [
            ("C_Sign", "no action"),
            ("C_Sign at=0 hang", "`at` wants a number from 1"),
            ("C_Sign rv=CKR_NO", "`CKR_NO` is no return value"),
            ("C_Sign hang short", "a second action, `short`"),
            ("C_Sign logout=3", "no action `logout` with a value"),
            ("C_Sign explode", "no action `explode`"),
            ("C_Sign,C_X hang", "no function `C_X`"),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<Fault>().unwrap_err(), error);
        }
    }
}
