//! PINs: the counter is looked at before one is spent, and none is spent twice.

use kms_core::{Error, ErrorKind, Secret};
use zeroize::Zeroizing;

use crate::card::status;
use crate::error::{self, Trouble};
use crate::session::Session;

/// A PIN and what it may be used for.
#[derive(Clone, Debug)]
pub(crate) struct Pin {
    pub(crate) value: Secret,
    /// Whether it may be sent where a wrong one would lock the card.
    pub(crate) last_try: bool,
}

/// What is known of the PINs of one device.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    /// The one that was right.
    accepted: Option<Secret>,
    /// Those that the card refused: none is sent again.
    refused: Vec<(Secret, Refusal)>,
    /// One was sent, no answer came, and so many tries were left before.
    unanswered: Option<(Secret, u8)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Wrong { left: u8 },
    Locked,
    Other(u16),
}

impl Pins {
    /// Whether this PIN may be used at all. The card is not asked.
    ///
    /// # Errors
    /// That of its refusal.
    pub(crate) fn check(&self, pin: &Secret) -> Result<(), Error> {
        match self.refused.iter().find(|(refused, _)| refused == pin) {
            Some((_, refusal)) => Err(refusal.error("the card refused this PIN before")),
            None => Ok(()),
        }
    }

    /// Notes what the counter says before this PIN is sent, which answers a question that may be open.
    fn before(&mut self, pin: &Secret, left: u8) -> Result<(), Error> {
        if let Some((sent, before)) = self.unanswered.take()
            && left < before
            && self.accepted.as_ref() != Some(&sent)
        {
            self.refused.push((sent, Refusal::Wrong { left }));
        }
        self.check(pin)
    }

    fn accept(&mut self, pin: &Secret) {
        self.unanswered = None;
        self.accepted = Some(pin.clone());
    }

    fn refuse(&mut self, pin: &Secret, refusal: Refusal) -> Error {
        self.unanswered = None;
        self.accepted = self.accepted.take().filter(|accepted| accepted != pin);
        self.refused.push((pin.clone(), refusal));
        refusal.error("the card refused the PIN")
    }
}

impl Session<'_> {
    /// Opens the card with the PIN: nothing if it is open under it, else the counter and the PIN.
    pub(crate) fn log_in(&mut self, pin: &Pin) -> Result<(), Trouble> {
        self.device.pins().check(&pin.value)?;
        if self.belief.pin.as_ref() == Some(&pin.value) {
            return Ok(());
        }
        // Also ends what another PIN has opened, so that this one is really looked at.
        self.select()?;
        let left = match self.tries_left()? {
            Some(0) => return Err(Refusal::Locked.error("the PIN is locked").into()),
            Some(1) if !pin.last_try => {
                let context =
                    format!("{}: one try is left, and a wrong PIN would lock it, so none is sent", self.device);
                return Err(Error::new(ErrorKind::PinIncorrect { tries_left: Some(1) }, context)
                    .with_hint("give the right one once elsewhere: `ykman piv access change-pin`")
                    .into());
            }
            Some(left) => left,
            // Open already, just after selection: a card with a mind of its own.
            None => u8::MAX,
        };
        self.device.pins().before(&pin.value, left)?;
        self.send_pin(pin, left)
    }

    /// Gives the PIN once more, for a key that wants it each time, under which the card was opened before.
    pub(crate) fn log_in_again(&mut self, pin: &Pin) -> Result<(), Trouble> {
        if self.belief.pin.as_ref() != Some(&pin.value) {
            return self.log_in(pin);
        }
        self.device.pins().check(&pin.value)?;
        match self.send_pin(pin, u8::MAX) {
            // Another program had selected another application.
            Err(Trouble::Error(_)) if !self.belief.selected => self.log_in(pin),
            other => other,
        }
    }

    /// How many wrong PINs the card still bears; `None` when it is open.
    pub(crate) fn tries_left(&mut self) -> Result<Option<u8>, Trouble> {
        let reply = self.send(0x20, 0, 0x80, &[])?;
        match reply.status {
            status::OK => Ok(None),
            status::BLOCKED => Ok(Some(0)),
            status if status & 0xfff0 == 0x63c0 => Ok(Some(status.to_be_bytes()[1] & 0x0f)),
            status => Err(error::status("tell the tries left for the PIN", status).into()),
        }
    }

    fn send_pin(&mut self, pin: &Pin, left: u8) -> Result<(), Trouble> {
        let padded = padded(&pin.value)?;
        self.belief.pin = None;
        self.exchange.reset_at_end();
        self.device.pins().unanswered = Some((pin.value.clone(), left));
        let reply = self.send(0x20, 0, 0x80, &padded[..])?;
        let refusal = match reply.status {
            status::OK => {
                self.device.pins().accept(&pin.value);
                self.belief.pin = Some(pin.value.clone());
                return Ok(());
            }
            // Not looked at: this is not the PIV application any more.
            status if error::is_unsupported(status) => {
                self.device.pins().unanswered = None;
                self.belief.selected = false;
                return Err(error::status("take the PIN", status).into());
            }
            status::BLOCKED => Refusal::Locked,
            status if status & 0xfff0 == 0x63c0 => Refusal::Wrong { left: status.to_be_bytes()[1] & 0x0f },
            status => Refusal::Other(status),
        };
        let error = self.device.pins().refuse(&pin.value, refusal);
        Err(error.in_context(self.device).into())
    }
}

impl Refusal {
    fn error(self, what: &'static str) -> Error {
        match self {
            Self::Wrong { left: 0 } | Self::Locked => Error::new(ErrorKind::PinLocked, what)
                .with_hint("set a new PIN with the PUK: `ykman piv access unblock-pin`"),
            Self::Wrong { left } => Error::new(ErrorKind::PinIncorrect { tries_left: Some(left) }, what)
                .with_hint("it is not sent again; open with the right PIN"),
            Self::Other(status) => Error::new(ErrorKind::Unauthenticated, format!("{what} ({status:04X})"))
                .with_hint("it is not sent again; open with the right PIN"),
        }
    }
}

/// Eight octets, padded with FF (SP 800-73-4 part 1 section 4.2.1). What cannot be a PIN is not sent.
fn padded(pin: &Secret) -> Result<Zeroizing<[u8; 8]>, Error> {
    let octets = pin.expose();
    let mut padded = Zeroizing::new([0xff; 8]);
    match padded.get_mut(..octets.len()) {
        Some(front) if octets.len() >= 4 => front.copy_from_slice(octets),
        _ => {
            return Err(Error::new(ErrorKind::Unauthenticated, "yubikey: not a PIN: it has 6 to 8 characters")
                .with_hint("it was not sent; mind spaces and line ends"));
        }
    }
    Ok(padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(result: Result<(), Error>) -> Option<ErrorKind> {
        result.err().map(|error| error.kind())
    }

    #[test]
    fn a_refused_pin_is_not_sent_again_and_another_is() {
        let (wrong, right) = (Secret::new("000000"), Secret::new("123456"));
        let mut pins = Pins::default();
        pins.before(&wrong, 3).unwrap();
        let error = pins.refuse(&wrong, Refusal::Wrong { left: 2 });
        assert_eq!(error.kind(), ErrorKind::PinIncorrect { tries_left: Some(2) });
        assert_eq!(kind(pins.check(&wrong)), Some(ErrorKind::PinIncorrect { tries_left: Some(2) }));
        pins.before(&right, 2).unwrap();
        pins.accept(&right);
        assert_eq!((kind(pins.check(&right)), kind(pins.check(&wrong)).is_some()), (None, true));
        assert!(!format!("{pins:?}").contains("123456"));
        for (refusal, expected) in [
            (Refusal::Locked, ErrorKind::PinLocked),
            (Refusal::Wrong { left: 0 }, ErrorKind::PinLocked),
            (Refusal::Other(0x6a80), ErrorKind::Unauthenticated),
        ] {
            let mut pins = Pins::default();
            assert_eq!((pins.refuse(&wrong, refusal).kind(), kind(pins.check(&wrong))), (expected, Some(expected)));
        }
    }

    #[test]
    fn the_counter_tells_of_a_pin_without_answer() {
        let pin = Secret::new("123456");
        let sent = |accepted: bool| {
            let mut pins = Pins::default();
            if accepted {
                pins.accept(&pin);
            }
            pins.unanswered = Some((pin.clone(), 3));
            pins
        };
        assert_eq!(kind(sent(false).before(&pin, 3)), None);
        assert_eq!(kind(sent(false).before(&pin, 2)), Some(ErrorKind::PinIncorrect { tries_left: Some(2) }));
        // Somebody else's mistake.
        assert_eq!(kind(sent(true).before(&pin, 2)), None);
    }

    #[test]
    fn what_cannot_be_a_pin_is_not_sent() {
        assert_eq!(*padded(&Secret::new("123456")).unwrap(), *b"123456\xff\xff");
        for no in ["", "123", "123456789"] {
            assert_eq!(padded(&Secret::new(no)).unwrap_err().kind(), ErrorKind::Unauthenticated);
        }
    }
}
