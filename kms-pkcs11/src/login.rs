//! Logging in: once for a token, and never twice with a PIN that was refused.

use cryptoki_sys as sys;
use kms_core::{Error, ErrorKind, Result, Secret};

use crate::connection::Trouble;
use crate::error::Remedy;
use crate::info::TokenInfo;
use crate::library::Fault;

/// What is known of the PINs of one token.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    /// The one that logged in.
    accepted: Option<Secret>,
    /// Those that the token refused, with how: none is sent again, whatever happens meanwhile.
    refused: Vec<(Secret, Fault)>,
    /// One was sent, and the answer has not come yet.
    unanswered: bool,
}

impl Pins {
    /// Whether this PIN may be used with a login that stands: it is the one that made it, or somebody else in the
    /// process made it.
    ///
    /// # Errors
    /// That of its refusal, or `PinIncorrect`, when it is not; the token is not asked.
    pub(crate) fn check(&self, pin: Option<&Secret>) -> Result<()> {
        match (pin, &self.accepted) {
            (Some(pin), Some(accepted)) if pin != accepted => {
                Err(Error::new(ErrorKind::PinIncorrect { tries_left: None }, "another PIN than the one logged in with")
                    .with_hint("the token was not asked; use the PIN that the process logged in with"))
            }
            (Some(pin), None) => self.check_not_refused(pin),
            _ => Ok(()),
        }
    }

    /// Notes that this PIN is about to be sent.
    ///
    /// # Errors
    /// That of its refusal when it was refused before; `Unavailable` while the answer to another is awaited, unless this
    /// one is known to be right.
    pub(crate) fn before(&mut self, pin: &Secret) -> Result<()> {
        self.check_not_refused(pin)?;
        if self.unanswered && self.accepted.as_ref() != Some(pin) {
            return Err(Error::new(ErrorKind::Unavailable, "an earlier login has not been answered yet")
                .with_hint("the PIN is not sent again before it is"));
        }
        self.unanswered = true;
        Ok(())
    }

    /// Notes what the token answered, and says whether this PIN may be sent again. `tries_spent` is what the token says of
    /// wrong PINs after the answer.
    pub(crate) fn after(
        &mut self,
        pin: &Secret,
        answer: std::result::Result<(), Fault>,
        tries_spent: bool,
    ) -> std::result::Result<(), Refused> {
        self.unanswered = false;
        let Err(fault) = answer else {
            self.accepted = Some(pin.clone());
            return Ok(());
        };
        let refused = match verdict(fault) {
            Verdict::Unjudged => false,
            Verdict::Refused => true,
            // A device in trouble answers so, and one that does not keep to the standard, of a wrong PIN. One that logged
            // in before is right, as long as the token counts no wrong ones.
            Verdict::Doubtful => self.accepted.as_ref() != Some(pin) || tries_spent,
        };
        if !refused {
            return Ok(());
        }
        self.accepted = self.accepted.take().filter(|accepted| accepted != pin);
        self.refused.push((pin.clone(), fault));
        Err(Refused)
    }

    fn check_not_refused(&self, pin: &Secret) -> Result<()> {
        match self.refused.iter().find(|(refused, _)| refused == pin) {
            Some((_, fault)) => Err(fault
                .in_context("the token refused this PIN before")
                .with_hint("it was not sent again; open with another")),
            None => Ok(()),
        }
    }
}

/// The PIN is not to be sent again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// What the answer to a login says of the PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Refused,
    /// Nothing: it was not looked at.
    Unjudged,
    Doubtful,
}

fn verdict(fault: Fault) -> Verdict {
    match fault.code {
        sys::CKR_PIN_INCORRECT
        | sys::CKR_PIN_INVALID
        | sys::CKR_PIN_LEN_RANGE
        | sys::CKR_PIN_EXPIRED
        | sys::CKR_PIN_LOCKED => Verdict::Refused,
        sys::CKR_USER_ALREADY_LOGGED_IN
        | sys::CKR_USER_ANOTHER_ALREADY_LOGGED_IN
        | sys::CKR_USER_TOO_MANY_TYPES
        | sys::CKR_USER_TYPE_INVALID
        | sys::CKR_USER_PIN_NOT_INITIALIZED
        | sys::CKR_USER_NOT_LOGGED_IN
        | sys::CKR_SESSION_HANDLE_INVALID
        | sys::CKR_SESSION_CLOSED
        | sys::CKR_SESSION_READ_ONLY_EXISTS
        | sys::CKR_SESSION_READ_WRITE_SO_EXISTS
        | sys::CKR_OPERATION_NOT_INITIALIZED
        | sys::CKR_OPERATION_ACTIVE
        | sys::CKR_FUNCTION_NOT_SUPPORTED
        | sys::CKR_CRYPTOKI_NOT_INITIALIZED
        | sys::CKR_DEVICE_ERROR
        | sys::CKR_DEVICE_REMOVED
        | sys::CKR_TOKEN_NOT_PRESENT
        | sys::CKR_SLOT_ID_INVALID => Verdict::Unjudged,
        _ => Verdict::Doubtful,
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

/// Whether the token says that wrong PINs were sent since the last right one.
pub(crate) fn tries_spent(token: Option<&TokenInfo>) -> bool {
    const SPENT: sys::CK_FLAGS = sys::CKF_USER_PIN_COUNT_LOW | sys::CKF_USER_PIN_FINAL_TRY | sys::CKF_USER_PIN_LOCKED;
    token.is_some_and(|token| token.flags & SPENT != 0)
}

/// Whether somebody's login stands, which is as good as ours.
pub(crate) fn stands_already(answer: std::result::Result<(), Fault>) -> bool {
    matches!(answer, Err(Fault { code: sys::CKR_USER_ALREADY_LOGGED_IN, .. }))
}

/// What is to be done about a login that failed: nothing, if it was refused or nothing can be done.
pub(crate) fn failure(fault: Fault, token: Option<&TokenInfo>, refused: bool) -> Trouble {
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
    if refused && verdict(fault) == Verdict::Doubtful {
        return Trouble::Error(fault.in_context("log in").with_hint(
            "the token may have refused the PIN, so it is not sent again; see to the token, then restart the process",
        ));
    }
    if fault.remedy() == Remedy::None {
        return Trouble::Error(fault.in_context("log in"));
    }
    Trouble::Fault(fault)
}

/// Whether a session of this state is logged in as the user.
pub(crate) fn is_user(state: sys::CK_STATE) -> bool {
    matches!(state, sys::CKS_RO_USER_FUNCTIONS | sys::CKS_RW_USER_FUNCTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INCORRECT: Option<ErrorKind> = Some(ErrorKind::PinIncorrect { tries_left: None });

    fn kind(result: Result<()>) -> Option<ErrorKind> {
        result.err().map(|error| error.kind())
    }

    fn answered(code: sys::CK_RV) -> std::result::Result<(), Fault> {
        Err(Fault { call: "C_Login", code })
    }

    #[test]
    fn a_refused_pin_is_not_sent_again_and_another_is() {
        let (wrong, right) = (Secret::new("0000"), Secret::new("1234"));
        let mut pins = Pins::default();
        pins.before(&wrong).unwrap();
        assert_eq!(pins.after(&wrong, answered(sys::CKR_PIN_INCORRECT), false), Err(Refused));
        assert_eq!(kind(pins.before(&wrong)), INCORRECT);
        assert_eq!(kind(pins.check(Some(&wrong))), INCORRECT);
        pins.before(&right).unwrap();
        pins.after(&right, Ok(()), false).unwrap();
        pins.check(Some(&right)).unwrap();
        assert_eq!(kind(pins.check(Some(&wrong))), INCORRECT);
        // After a replug, the token may refuse the right one as well.
        pins.before(&right).unwrap();
        assert_eq!(pins.after(&right, answered(sys::CKR_PIN_INCORRECT), false), Err(Refused));
        for pin in [&right, &wrong] {
            assert_eq!((kind(pins.before(pin)), kind(pins.check(Some(pin)))), (INCORRECT, INCORRECT));
        }
        assert!(!format!("{pins:?}").contains("1234"));
    }

    #[test]
    fn however_it_was_refused_it_is_not_sent_again() {
        let pin = Secret::new("1234");
        for (code, expected) in [
            (sys::CKR_PIN_INVALID, INCORRECT),
            (sys::CKR_PIN_LEN_RANGE, INCORRECT),
            (sys::CKR_PIN_LOCKED, Some(ErrorKind::PinLocked)),
            (sys::CKR_PIN_EXPIRED, Some(ErrorKind::Unauthenticated)),
            (sys::CKR_ARGUMENTS_BAD, Some(ErrorKind::Unsupported)),
            (sys::CKR_FUNCTION_FAILED, Some(ErrorKind::Unavailable)),
            (0x8000_0001, Some(ErrorKind::Unavailable)),
        ] {
            let mut pins = Pins::default();
            pins.before(&pin).unwrap();
            assert_eq!(pins.after(&pin, answered(code), false), Err(Refused), "{code:#x}");
            assert_eq!((kind(pins.before(&pin)), kind(pins.check(Some(&pin)))), (expected, expected), "{code:#x}");
        }
    }

    #[test]
    fn what_says_nothing_of_the_pin_does_not_spend_it() {
        let pin = Secret::new("1234");
        let mut pins = Pins::default();
        for code in [
            sys::CKR_SESSION_HANDLE_INVALID,
            sys::CKR_DEVICE_REMOVED,
            sys::CKR_DEVICE_ERROR,
            sys::CKR_USER_PIN_NOT_INITIALIZED,
            sys::CKR_USER_ANOTHER_ALREADY_LOGGED_IN,
            sys::CKR_USER_ALREADY_LOGGED_IN,
        ] {
            pins.before(&pin).unwrap();
            pins.after(&pin, answered(code), true).unwrap();
        }
        // Somebody else's login does not show that this one is right.
        assert_eq!(pins.accepted, None);
        // Once it has logged in, a device in trouble does not spend it either, but a count of wrong ones does.
        pins.before(&pin).unwrap();
        pins.after(&pin, Ok(()), false).unwrap();
        pins.before(&pin).unwrap();
        pins.after(&pin, answered(sys::CKR_FUNCTION_FAILED), false).unwrap();
        pins.before(&pin).unwrap();
        assert_eq!(pins.after(&pin, answered(sys::CKR_FUNCTION_FAILED), true), Err(Refused));
        assert_eq!(kind(pins.before(&pin)), Some(ErrorKind::Unavailable));
    }

    #[test]
    fn a_pin_without_answer_is_not_sent_again_unless_it_is_known() {
        let pin = Secret::new("1234");
        let mut pins = Pins::default();
        pins.before(&pin).unwrap();
        assert_eq!(kind(pins.before(&pin)), Some(ErrorKind::Unavailable));
        pins.after(&pin, Ok(()), false).unwrap();
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
