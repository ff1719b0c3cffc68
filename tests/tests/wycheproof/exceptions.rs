//! Where the verifier differs from Wycheproof on purpose.

/// Vectors on which another verdict is right for us.
pub(crate) struct Exception {
    set: &'static str,
    flag: &'static str,
    /// Our verdict.
    verified: bool,
    pub(crate) reason: &'static str,
}

pub(crate) const EXCEPTIONS: [Exception; 1] = [Exception {
    set: "EcdsaSecp256k1Sha256Bitcoin ",
    flag: "SignatureMalleabilityBitcoin",
    verified: true,
    reason: "a high s on secp256k1 is refused by Bitcoin only; the plain secp256k1 sets call the same signatures valid",
}];

impl Exception {
    pub(crate) fn covers(&self, what: &str, verified: bool) -> bool {
        what.starts_with(self.set) && what.contains(self.flag) && verified == self.verified
    }
}
