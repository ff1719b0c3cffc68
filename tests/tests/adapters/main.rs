//! One handle behind other crates' traits: the builders of `x509-cert`, judged by OpenSSL, and the typed signatures of
//! `p256`, `p384`, `p521`, `k256`, `rsa` and `ed25519`, judged by those crates.

mod builders;
mod counting;
mod forms;
mod prehash;
mod typed;
