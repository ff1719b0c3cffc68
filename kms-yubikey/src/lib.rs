//! Signing keys in YubiKey PIV. In the works.

#![forbid(unsafe_code)]
