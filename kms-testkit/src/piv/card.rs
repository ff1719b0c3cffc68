//! The card: one command in, one answer out.

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use super::apdu::{Answer, Chaining, Command, status};
use super::attestation::Device;
use super::authenticate::Challenge;
use super::control::{Control, Fault};
use super::management_application;
use super::state::{CardOptions, State};
use super::tlv::{self, find, object};

/// A PIV card with Yubico's extensions.
#[derive(Debug)]
pub struct Card {
    pub(super) state: State,
    pub(super) session: Session,
    chaining: Chaining,
    pub(super) control: Control,
    file: Option<PathBuf>,
}

/// What a reset or another application's selection ends.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) application: Application,
    /// The PIN was verified.
    pub(super) pin: bool,
    /// It was, and no other command came in between.
    pub(super) pin_just_now: bool,
    /// The management key was shown.
    pub(super) management: bool,
    pub(super) challenge: Option<Challenge>,
    pub(super) touched: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Application {
    #[default]
    None,
    Piv,
    Management,
    Otp,
}

/// What comes of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with its status words.
    Answer(Vec<u8>),
    /// Nothing, ever.
    Silence,
    /// The card has left the reader.
    Removed,
}

impl Card {
    /// A card as from the factory: PIN `123456`, PUK `12345678`, the management key that Yubico publishes.
    ///
    /// # Errors
    /// If the file cannot be read or is none of a card's.
    pub fn new(options: &CardOptions) -> io::Result<Self> {
        let kept = options.file.as_deref().map(State::load).transpose()?.flatten();
        let state = match kept {
            Some(state) => state,
            None => State::new(options.firmware, options.serial)?,
        };
        let (control, file) = (Control::default(), options.file.clone());
        Ok(Self { state, session: Session::default(), chaining: Chaining::default(), control, file })
    }

    /// A handle for what happens to the card.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// The DER certificate of the root of its attestations, which no other card has.
    pub fn attestation_root(&self) -> &[u8] {
        &self.state.attestor.root
    }

    /// The answer to reset of a `YubiKey` 5: protocol T=1, extended APDUs.
    pub fn atr(&self) -> &'static [u8] {
        b"\x3b\xfd\x13\x00\x00\x81\x31\xfe\x15\x80\x73\xc0\x21\xc0\x57YubiKey\x40"
    }

    /// Loses what it keeps only while it has power: the selection, the PIN's verification.
    pub fn reset(&mut self) {
        self.session = Session::default();
        self.chaining = Chaining::default();
    }

    /// Carries out one command APDU.
    pub fn transmit(&mut self, apdu: &[u8]) -> Outcome {
        let Some(command) = Command::parse(apdu) else {
            return Outcome::Answer(status::WRONG_LENGTH.to_be_bytes().to_vec());
        };
        let ends_chain = command.class & 0x10 == 0;
        let fault = self.control.note(command.instruction, ends_chain);
        match fault {
            Some(Fault::Status(status)) => {
                self.chaining = Chaining::default();
                return Outcome::Answer(status.to_be_bytes().to_vec());
            }
            Some(Fault::Removed) => return Outcome::Removed,
            Some(Fault::Silence) => {
                self.control.wait_for_healing();
                return Outcome::Silence;
            }
            Some(Fault::Delay(time)) => self.control.sleep(time),
            Some(Fault::SessionLost) => self.reset(),
            _ => {}
        }
        let mut answer = self.carry_out(command);
        match fault {
            Some(Fault::RemovedAfter) => return Outcome::Removed,
            Some(Fault::WrongSignature) => {
                // The last octet before the status words: of s, of a block, never of a length.
                if let Some(at) = answer.len().checked_sub(3) {
                    answer[at] ^= 1;
                }
            }
            Some(Fault::Short(length)) => answer.truncate(length),
            _ => {}
        }
        Outcome::Answer(answer)
    }

    fn carry_out(&mut self, command: Command) -> Vec<u8> {
        const GET_RESPONSE: u8 = 0xc0;
        if command.class & !0x10 != 0 {
            return status::UNKNOWN_CLASS.to_be_bytes().to_vec();
        }
        if command.instruction == GET_RESPONSE {
            return if self.chaining.has_rest() {
                self.chaining.next(command.expected)
            } else {
                status::CONDITIONS.to_be_bytes().to_vec()
            };
        }
        let command = match self.chaining.collect(command) {
            Ok(command) => command,
            Err(answer) => return answer,
        };
        let just_now = std::mem::take(&mut self.session.pin_just_now);
        let answer = match (command.instruction, self.session.application) {
            (0xa4, _) => self.select(&command),
            (_, Application::Piv) => self.piv(&command, just_now),
            (_, Application::Management) => management_application::management(&self.state, &command),
            (_, Application::Otp) => management_application::otp(&self.state, &command),
            (_, Application::None) => Err(status::UNKNOWN_INSTRUCTION),
        };
        self.chaining.first(answer, command.expected)
    }

    fn select(&mut self, command: &Command) -> Answer {
        const PIV: &[u8] = b"\xa0\0\0\x03\x08";
        const MANAGEMENT: &[u8] = b"\xa0\0\0\x05\x27\x47\x11\x17";
        const OTP: &[u8] = b"\xa0\0\0\x05\x27\x20\x01";
        if (command.p1, command.p2) != (4, 0) {
            return Err(status::WRONG_PARAMETERS);
        }
        let application = match &command.data[..] {
            data if data.starts_with(PIV) && b"\xa0\0\0\x03\x08\0\0\x10\0\x01\0".starts_with(data) => Application::Piv,
            MANAGEMENT => Application::Management,
            OTP => Application::Otp,
            _ => return Err(status::NOT_FOUND),
        };
        self.session = Session { application, touched: self.session.touched, ..Session::default() };
        Ok(match application {
            Application::Piv => {
                object(0x61, &[object(0x4f, b"\0\0\x10\0\x01\0"), object(0x79, &object(0x4f, PIV))].concat())
            }
            Application::Management => management_application::selected(&self.state),
            _ => management_application::otp_status(&self.state),
        })
    }

    fn piv(&mut self, command: &Command, just_now: bool) -> Answer {
        let changes = !matches!(command.instruction, 0x87 | 0xcb | 0xf7..=0xf9 | 0xfd);
        let answer = match command.instruction {
            0x20 => self.verify(command),
            0x24 => self.change_reference(command),
            0x2c => self.reset_retry_counter(command),
            0x87 => self.general_authenticate(command, just_now),
            0x47 => self.generate(command),
            0xcb => self.read_object(command),
            0xdb => self.write_object(command),
            0xf6 if self.state.firmware >= [5, 7, 0] => self.move_key(command),
            0xf7 if self.state.firmware >= [5, 3, 0] => self.metadata(command),
            0xf8 if self.state.firmware >= [5, 0, 0] => Ok(self.state.serial.to_be_bytes().to_vec()),
            0xf9 if self.state.firmware >= [4, 3, 0] => self.attest(command),
            0xfa => self.set_retries(command),
            0xfb => self.factory_reset(),
            0xfd => Ok(self.state.firmware.to_vec()),
            0xfe => self.import(command),
            0xff => self.set_management_key(command),
            _ => Err(status::UNKNOWN_INSTRUCTION),
        };
        if changes && let Some(file) = &self.file {
            // A card whose state is not kept would be another one next time.
            self.state.save(file).map_err(|_| status::MEMORY_FAILURE)?;
        }
        answer
    }

    fn read_object(&self, command: &Command) -> Answer {
        if (command.p1, command.p2) != (0x3f, 0xff) {
            return Err(status::WRONG_PARAMETERS);
        }
        let parts = tlv::parse(&command.data).ok_or(status::WRONG_DATA)?;
        let id = find(&parts, 0x5c).ok_or(status::WRONG_DATA)?;
        if id == [0x7e] {
            // Discovery: the application, and that its own PIN is the one (SP 800-73-4 part 1 section 3.3.2).
            let application = object(0x4f, b"\xa0\0\0\x03\x08\0\0\x10\0\x01\0");
            return Ok(object(0x7e, &[application, object(0x5f2f, &[0x40, 0])].concat()));
        }
        // What is printed on the card, fingerprints, face and iris.
        let guarded = matches!(id, [0x5f, 0xc1, 0x03 | 0x08 | 0x09 | 0x21]);
        if guarded && !self.session.pin {
            return Err(status::SECURITY_STATUS);
        }
        self.state.objects.get(id).map(|value| object(0x53, value)).ok_or(status::NOT_FOUND)
    }

    fn write_object(&mut self, command: &Command) -> Answer {
        const LONGEST: usize = 3052;
        if (command.p1, command.p2) != (0x3f, 0xff) {
            return Err(status::WRONG_PARAMETERS);
        }
        self.need_management()?;
        let parts = tlv::parse(&command.data).ok_or(status::WRONG_DATA)?;
        let (id, value) = (find(&parts, 0x5c), find(&parts, 0x53));
        let (Some(id @ [0x5f, _, _]), Some(value)) = (id, value) else { return Err(status::WRONG_DATA) };
        if value.len() > LONGEST {
            return Err(status::NO_SPACE);
        }
        if value.is_empty() {
            self.state.objects.remove(id);
        } else {
            self.state.objects.insert(id.to_vec(), value.to_vec());
        }
        Ok(Vec::new())
    }

    fn attest(&self, command: &Command) -> Answer {
        let key = self.state.keys.get(&command.p1).ok_or(status::REFERENCE_NOT_FOUND)?;
        if key.imported {
            return Err(status::CONDITIONS);
        }
        let device = Device { firmware: self.state.firmware, serial: self.state.serial, form_factor: 1 };
        self.state.attestor.attest(command.p1, key, device).ok_or(status::CONDITIONS)
    }

    pub(super) fn need_management(&self) -> Result<(), u16> {
        if self.session.management { Ok(()) } else { Err(status::SECURITY_STATUS) }
    }
}
