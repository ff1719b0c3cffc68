//! PIN, PUK, management key, and the use of private keys.

use super::apdu::{Answer, Command, status};
use super::card::Card;
use super::control::Touch;
use super::management::ManagementKey;
use super::pin::{FACTORY_PIN, FACTORY_PUK, Pin};
use super::policy::{PinPolicy, TouchPolicy};
use super::tlv::{self, find, object};

/// What was handed out and is waited for.
#[derive(Debug)]
pub(super) enum Challenge {
    /// Whoever has the key can read this.
    Witness(Vec<u8>),
    /// Whoever has the key can encrypt this.
    Challenge(Vec<u8>),
}

impl Card {
    pub(super) fn verify(&mut self, command: &Command) -> Answer {
        if command.p2 != 0x80 {
            return Err(status::REFERENCE_NOT_FOUND);
        }
        match (command.p1, &command.data[..]) {
            (0xff, []) => {
                self.session.pin = false;
                Ok(Vec::new())
            }
            (0, []) if self.session.pin => {
                // A question does not make a policy of "always" ask again.
                Ok(Vec::new())
            }
            (0, []) => Err(self.state.pin.status()),
            (0, pin) if pin.len() == 8 => {
                let checked = self.state.pin.check(pin);
                self.session.pin = checked.is_ok();
                self.session.pin_just_now = checked.is_ok();
                checked.map(|()| Vec::new())
            }
            (0, _) => Err(status::WRONG_DATA),
            _ => Err(status::WRONG_PARAMETERS),
        }
    }

    pub(super) fn change_reference(&mut self, command: &Command) -> Answer {
        let (old, new) = command.data.split_at_checked(8).ok_or(status::WRONG_DATA)?;
        let pin = match command.p2 {
            0x80 => &mut self.state.pin,
            0x81 => &mut self.state.puk,
            _ => return Err(status::REFERENCE_NOT_FOUND),
        };
        // A new value that cannot be costs no try.
        pin.clone().set(new)?;
        pin.check(old)?;
        pin.set(new)?;
        Ok(Vec::new())
    }

    pub(super) fn reset_retry_counter(&mut self, command: &Command) -> Answer {
        let (puk, new) = command.data.split_at_checked(8).ok_or(status::WRONG_DATA)?;
        if command.p2 != 0x80 {
            return Err(status::REFERENCE_NOT_FOUND);
        }
        self.state.pin.clone().set(new)?;
        self.state.puk.check(puk)?;
        self.state.pin.set(new)?;
        Ok(Vec::new())
    }

    pub(super) fn set_retries(&mut self, command: &Command) -> Answer {
        self.need_management()?;
        if !self.session.pin {
            return Err(status::SECURITY_STATUS);
        }
        if command.p1 == 0 || command.p2 == 0 {
            return Err(status::WRONG_PARAMETERS);
        }
        self.state.pin = Pin::new(FACTORY_PIN, command.p1);
        self.state.puk = Pin::new(FACTORY_PUK, command.p2);
        Ok(Vec::new())
    }

    pub(super) fn factory_reset(&mut self) -> Answer {
        if self.state.pin.tries > 0 || self.state.puk.tries > 0 {
            return Err(status::CONDITIONS);
        }
        self.state.reset();
        self.session.pin = false;
        self.session.management = false;
        Ok(Vec::new())
    }

    pub(super) fn set_management_key(&mut self, command: &Command) -> Answer {
        self.need_management()?;
        let touch = match (command.p1, command.p2) {
            (0xff, 0xff) => false,
            (0xff, 0xfe) => true,
            _ => return Err(status::WRONG_PARAMETERS),
        };
        let &[algorithm, 0x9b, length, ref octets @ ..] = &command.data[..] else { return Err(status::WRONG_DATA) };
        let aes = algorithm != 0x03;
        if ManagementKey::length(algorithm) != Some(octets.len())
            || usize::from(length) != octets.len()
            || (aes && self.state.firmware < [5, 4, 0])
        {
            return Err(status::WRONG_DATA);
        }
        self.state.management = ManagementKey { algorithm, octets: octets.to_vec(), touch };
        Ok(Vec::new())
    }

    pub(super) fn general_authenticate(&mut self, command: &Command, pin_just_now: bool) -> Answer {
        let outer = tlv::parse(&command.data).ok_or(status::WRONG_DATA)?;
        let inner = tlv::parse(find(&outer, 0x7c).ok_or(status::WRONG_DATA)?).ok_or(status::WRONG_DATA)?;
        let answer = |tag, value: &[u8]| Ok(object(0x7c, &object(tag, value)));
        if command.p2 == 0x9b {
            let (tag, value) = self.authenticate_manager(command.p1, &inner)?;
            return if value.is_empty() { Ok(Vec::new()) } else { answer(tag, &value) };
        }
        let key = match command.p2 {
            0xf9 => &self.state.attestor.key,
            slot => self.state.keys.get(&slot).ok_or(status::REFERENCE_NOT_FOUND)?,
        }
        .clone();
        if key.pair.algorithm() != command.p1 {
            return Err(status::WRONG_PARAMETERS);
        }
        match key.pin {
            PinPolicy::Never => {}
            PinPolicy::Once if self.session.pin => {}
            PinPolicy::Always if pin_just_now => {}
            _ => return Err(status::SECURITY_STATUS),
        }
        self.await_touch(key.touch)?;
        match (find(&inner, 0x81), find(&inner, 0x85)) {
            (Some(challenge), None) => answer(0x82, &key.pair.respond(challenge)?),
            (None, Some(point)) => answer(0x82, &key.pair.agree(point)?),
            _ => Err(status::WRONG_DATA),
        }
    }

    /// SP 800-73-4 part 2 appendix A.1: mutual (80, then 80 and 81) or of the host alone (81, then 82).
    fn authenticate_manager(&mut self, algorithm: u8, parts: &[(u32, &[u8])]) -> Result<(u32, Vec<u8>), u16> {
        let key = &self.state.management;
        if algorithm != key.algorithm && !(algorithm == 0 && key.algorithm == 0x03) {
            return Err(status::WRONG_DATA);
        }
        let waiting = self.session.challenge.take();
        let encrypt = |block: &[u8]| key.encrypt(block).ok_or(status::WRONG_DATA);
        let mut random = vec![0; key.block()];
        getrandom::fill(&mut random).map_err(|_| status::CONDITIONS)?;
        match (find(parts, 0x80), find(parts, 0x81), find(parts, 0x82)) {
            (Some([]), None, _) => {
                let encrypted = encrypt(&random)?;
                self.session.challenge = Some(Challenge::Witness(random));
                Ok((0x80, encrypted))
            }
            (None, Some([]), _) => {
                self.session.challenge = Some(Challenge::Challenge(random.clone()));
                Ok((0x81, random))
            }
            (Some(witness), Some(challenge), _) => match waiting {
                Some(Challenge::Witness(expected)) if expected == witness => {
                    let response = encrypt(challenge)?;
                    let touch = key.touch;
                    self.await_touch(if touch { TouchPolicy::Always } else { TouchPolicy::Never })?;
                    self.session.management = true;
                    Ok((0x82, response))
                }
                _ => Err(status::SECURITY_STATUS),
            },
            (None, None, Some(response)) => match waiting {
                Some(Challenge::Challenge(sent)) if encrypt(&sent)? == response => {
                    let touch = key.touch;
                    self.await_touch(if touch { TouchPolicy::Always } else { TouchPolicy::Never })?;
                    self.session.management = true;
                    Ok((0x82, Vec::new()))
                }
                _ => Err(status::SECURITY_STATUS),
            },
            _ => Err(status::WRONG_DATA),
        }
    }

    fn await_touch(&mut self, policy: TouchPolicy) -> Result<(), u16> {
        const CACHED: std::time::Duration = std::time::Duration::from_secs(15);
        match policy {
            TouchPolicy::Never => return Ok(()),
            TouchPolicy::Cached if self.session.touched.is_some_and(|touched| touched.elapsed() < CACHED) => {
                return Ok(());
            }
            _ => {}
        }
        match self.control.touch() {
            Touch::Given => {}
            Touch::GivenAfter(time) => self.control.sleep(time),
            Touch::Missed(patience) => {
                self.control.sleep(patience);
                return Err(status::SECURITY_STATUS);
            }
        }
        self.session.touched = Some(std::time::Instant::now());
        Ok(())
    }
}
