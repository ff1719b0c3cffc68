//! Logging in: once for a token, and never twice with a PIN that was refused.

use cryptoki_sys as sys;
use kms_core::{Error, ErrorKind, Result, Secret};

use crate::connection::Trouble;
use crate::info::TokenInfo;
use crate::library::Fault;
use crate::session::Session;

/// What is known of the PINs of one token.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    /// The one that logged in.
    accepted: Option<Secret>,
    /// Those that the token refused since then.
    refused: Vec<Secret>,
    /// One was sent, and the answer has not come yet.
    unanswered: bool,
}

impl Pins {
    /// Whether this PIN may be used with a login that stands: it is the one that made it, or somebody else in the
    /// process made it.
    ///
    /// # Errors
    /// `PinIncorrect` when it is not; the token is not asked.
    pub(crate) fn check(&self, pin: Option<&Secret>) -> Result<()> {
        match (pin, &self.accepted) {
            (Some(pin), Some(accepted)) if pin != accepted => {
                Err(Error::new(ErrorKind::PinIncorrect { tries_left: None }, "another PIN than the one logged in with")
                    .with_hint("the token was not asked; use the PIN that the process logged in with"))
            }
            (Some(pin), None) if self.refused.contains(pin) => Err(refused_before()),
            _ => Ok(()),
        }
    }

    /// Notes that this PIN is about to be sent.
    ///
    /// # Errors
    /// `PinIncorrect` when it was refused before; `Unavailable` while the answer to another is awaited, unless this one
    /// is known to be right.
    pub(crate) fn before(&mut self, pin: &Secret) -> Result<()> {
        if self.refused.contains(pin) {
            return Err(refused_before());
        }
        if self.unanswered && self.accepted.as_ref() != Some(pin) {
            return Err(Error::new(ErrorKind::Unavailable, "an earlier login has not been answered yet")
                .with_hint("the PIN is not sent again before it is"));
        }
        self.unanswered = true;
        Ok(())
    }

    /// Notes what the token answered.
    pub(crate) fn after(&mut self, pin: &Secret, answer: std::result::Result<(), Fault>) {
        self.unanswered = false;
        match answer.map_err(|fault| fault.code) {
            Ok(()) => {
                self.accepted = Some(pin.clone());
                self.refused.clear();
            }
            Err(sys::CKR_PIN_INCORRECT | sys::CKR_PIN_INVALID | sys::CKR_PIN_LEN_RANGE) => {
                self.accepted = self.accepted.take().filter(|accepted| accepted != pin);
                self.refused.push(pin.clone());
            }
            Err(_) => {}
        }
    }
}

/// Refuses to spend a try where it could be the last.
///
/// # Errors
/// `PinLocked` and, when a single try is left, `PinIncorrect`.
pub(crate) fn check_tries(token: &TokenInfo) -> Result<()> {
    if token.flags & sys::CKF_USER_PIN_LOCKED != 0 {
        return Err(Error::new(ErrorKind::PinLocked, "the token says that its PIN is locked")
            .with_hint("the security officer must set a new PIN"));
    }
    if token.flags & sys::CKF_USER_PIN_FINAL_TRY != 0 {
        return Err(Error::new(
            ErrorKind::PinIncorrect { tries_left: Some(1) },
            "a wrong PIN now would lock the token, so none is sent",
        )
        .with_hint("log in once with the right PIN: `pkcs11-tool --module … --login --test`"));
    }
    Ok(())
}

/// Logs in through `session`: one call of `C_Login`. Somebody's login that stands is as good.
pub(crate) fn log_in(session: &Session, pin: Option<&Secret>) -> std::result::Result<(), Fault> {
    match session.library().login(session.handle(), sys::CKU_USER, pin.map(Secret::expose)) {
        Err(Fault { code: sys::CKR_USER_ALREADY_LOGGED_IN, .. }) => Ok(()),
        other => other,
    }
}

/// The fault of a login, with the tries that are left where the token tells.
pub(crate) fn refusal(fault: Fault, token: Option<&TokenInfo>) -> Trouble {
    let flag = |flag| token.is_some_and(|token| token.flags & flag != 0);
    if fault.code == sys::CKR_PIN_INCORRECT {
        let tries_left = if flag(sys::CKF_USER_PIN_LOCKED) {
            Some(0)
        } else if flag(sys::CKF_USER_PIN_FINAL_TRY) {
            Some(1)
        } else {
            None
        };
        return Trouble::Error(
            Error::new(ErrorKind::PinIncorrect { tries_left }, "the token refused the PIN")
                .with_hint("it is not sent again; open with the right PIN")
                .with_source(fault),
        );
    }
    if fault.remedy() == crate::error::Remedy::None {
        return Trouble::Error(fault.in_context("log in"));
    }
    Trouble::Fault(fault)
}

/// Whether a session of this state is logged in as the user.
pub(crate) fn is_user(state: sys::CK_STATE) -> bool {
    matches!(state, sys::CKS_RO_USER_FUNCTIONS | sys::CKS_RW_USER_FUNCTIONS)
}

fn refused_before() -> Error {
    Error::new(ErrorKind::PinIncorrect { tries_left: None }, "the token refused this PIN before")
        .with_hint("it was not sent again; open with the right PIN")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Fault = Fault { call: "C_Login", code: sys::CKR_PIN_INCORRECT };

    fn kind(result: Result<()>) -> Option<ErrorKind> {
        result.err().map(|error| error.kind())
    }

    #[test]
    fn a_refused_pin_is_not_sent_again_and_another_is() {
        let (wrong, right) = (Secret::new("0000"), Secret::new("1234"));
        let mut pins = Pins::default();
        pins.before(&wrong).unwrap();
        pins.after(&wrong, Err(REFUSED));
        assert_eq!(kind(pins.before(&wrong)), Some(ErrorKind::PinIncorrect { tries_left: None }));
        assert_eq!(kind(pins.check(Some(&wrong))), Some(ErrorKind::PinIncorrect { tries_left: None }));
        pins.before(&right).unwrap();
        pins.after(&right, Ok(()));
        pins.check(Some(&right)).unwrap();
        assert_eq!(kind(pins.check(Some(&wrong))), Some(ErrorKind::PinIncorrect { tries_left: None }));
        // After a replug, the token may refuse the right one as well.
        pins.before(&right).unwrap();
        pins.after(&right, Err(REFUSED));
        assert_eq!(kind(pins.before(&right)), Some(ErrorKind::PinIncorrect { tries_left: None }));
        assert!(!format!("{pins:?}").contains("1234"));
    }

    #[test]
    fn a_pin_without_answer_is_not_sent_again_unless_it_is_known() {
        let pin = Secret::new("1234");
        let mut pins = Pins::default();
        pins.before(&pin).unwrap();
        assert_eq!(kind(pins.before(&pin)), Some(ErrorKind::Unavailable));
        pins.after(&pin, Ok(()));
        pins.before(&pin).unwrap();
        pins.before(&pin).unwrap();
    }

    #[test]
    fn the_last_try_is_not_spent() {
        let token = |flags| TokenInfo { flags, ..TokenInfo::default() };
        assert_eq!(kind(check_tries(&token(sys::CKF_USER_PIN_COUNT_LOW))), None);
        assert_eq!(kind(check_tries(&token(sys::CKF_USER_PIN_LOCKED))), Some(ErrorKind::PinLocked));
        let last = Some(ErrorKind::PinIncorrect { tries_left: Some(1) });
        assert_eq!(kind(check_tries(&token(sys::CKF_USER_PIN_FINAL_TRY))), last);
    }
}
