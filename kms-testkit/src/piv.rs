//! A virtual PIV card with Yubico's extensions, and the PC/SC service in whose reader it lies.
//!
//! The card speaks what NIST SP 800-73-4 and Yubico's documentation of the PIV application describe, with real
//! cryptography, to `vpcd`, a driver of virtual readers for `pcscd`. Other people's programs (`ykman`,
//! `yubico-piv-tool`, `OpenSC`) take it for a `YubiKey`; tests hold it to that.
//!
//! It is for tests and keeps nothing secret: keys are in the memory of the process and, if asked, in a plain file.
//!
//! [`Card`] is the card without a reader: octets in, octets out. [`Inserted`] puts one into a virtual reader.
//! [`PcscRig`] starts a `pcscd` of its own, which no other program sees, with as many readers as a test needs.

mod apdu;
mod attestation;
mod authenticate;
mod card;
mod control;
mod inserted;
mod key;
mod management;
mod management_application;
mod pin;
mod policy;
mod rig;
mod slots;
mod state;
mod tlv;

pub use self::card::{Card, Outcome};
pub use self::control::{Control, Fault};
pub use self::inserted::Inserted;
pub use self::rig::{PcscRig, reexec_with_pcsc};
pub use self::state::CardOptions;
