//! Tokens to test against: SoftHSM and kryoptic, alone, behind a module that fails on request, or in another process.
//!
//! # The environment of a module
//!
//! A module reads its environment in `C_Initialize`: SoftHSM looks for `SOFTHSM2_CONF`, the p11-kit client for
//! `P11_KIT_SERVER_ADDRESS`, kryoptic for `KRYOPTIC_CONF`. A process that has threads must not change its environment,
//! and this crate has no `unsafe` with which it could. So they are fixed before `main` has begun to work: a test with
//! `harness = false` calls [`reexec_with_softhsm`] first, or [`reexec_with_kryoptic`], or one after the other, which runs
//! the test once more with the variables set, in a fresh directory, and removes the directory afterwards.
//!
//! ```no_run
//! use kms_testkit::pkcs11::{FaultModule, SoftHsm, reexec_with_softhsm};
//!
//! fn main() -> std::io::Result<()> {
//!     let softhsm = reexec_with_softhsm()?; // what follows runs in the second process only
//!     softhsm.init_token("test", "1234")?;
//!     let module = FaultModule::wrap(&SoftHsm::module()?)?;
//!     // … open `pkcs11:token=test;object=root?module-path=` + module.path(), sign …
//!     module.set("fault C_Sign at=100 lose-sessions")?;
//!     // … sign on: nothing may fail …
//!     assert_eq!(module.misuse()?, []);
//!     assert!(module.calls("C_Login")? >= 2);
//!     Ok(())
//! }
//! ```

mod again;
mod fault;
mod kryoptic;
mod p11_kit;
mod program;
mod softhsm;

pub use fault::FaultModule;
pub use kms_pkcs11_fault::config as fault_config;
pub use kryoptic::{Kryoptic, reexec_with_kryoptic};
pub use p11_kit::P11KitRig;
pub use softhsm::{SoftHsm, reexec_with_softhsm};
