//! The applications beside PIV, as far as programs ask them who the device is.

use super::apdu::{Answer, Command, status};
use super::state::State;
use super::tlv::object;

/// What selecting the management application answers with.
pub(super) fn selected(state: &State) -> Vec<u8> {
    let [major, minor, patch] = state.firmware;
    format!("Virtual mgr - FW version {major}.{minor}.{patch}").into_bytes()
}

/// READ CONFIG: which applications there are, serial, form factor, version.
pub(super) fn management(state: &State, command: &Command) -> Answer {
    const PIV: u8 = 0x10;
    match (command.instruction, command.p1) {
        (0x1d, 0) => {
            let info = [
                object(1, &[PIV]),
                object(2, &state.serial.to_be_bytes()),
                object(3, &[PIV]),
                object(4, &[1]),
                object(5, &state.firmware),
                object(0x0a, &[0]),
            ]
            .concat();
            // Shorter than 256 octets by far.
            Ok([&[info.len().to_be_bytes()[size_of::<usize>() - 1]], &info[..]].concat())
        }
        (0x1d, _) => Err(status::WRONG_PARAMETERS),
        _ => Err(status::UNKNOWN_INSTRUCTION),
    }
}

/// What selecting the one-time password application answers with: the version, and that nothing is configured.
pub(super) fn otp_status(state: &State) -> Vec<u8> {
    [&state.firmware[..], &[0, 0, 0]].concat()
}

/// The serial, which firmware 4 tells only there.
pub(super) fn otp(state: &State, command: &Command) -> Answer {
    match (command.instruction, command.p1) {
        (0x01, 0x10) => Ok(state.serial.to_be_bytes().to_vec()),
        (0x03, _) => Ok(otp_status(state)),
        _ => Err(status::UNKNOWN_INSTRUCTION),
    }
}
