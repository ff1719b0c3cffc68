//! Where the verifier differs from Wycheproof on purpose.

/// A vector on which another verdict is right for us.
pub(crate) struct Exception {
    /// Set and number, as the description of the vector begins.
    vector: &'static str,
    /// Our verdict.
    verified: bool,
    pub(crate) reason: &'static str,
}

const HIGH_S: &str = "a high s on secp256k1: Bitcoin's rule only, the plain secp256k1 sets call such signatures valid";

pub(crate) const EXCEPTIONS: [Exception; 2] = [
    Exception { vector: "EcdsaSecp256k1Sha256Bitcoin 1 ", verified: true, reason: HIGH_S },
    Exception { vector: "EcdsaSecp256k1Sha256Bitcoin 388 ", verified: true, reason: HIGH_S },
];

impl Exception {
    pub(crate) fn covers(&self, what: &str, verified: bool) -> bool {
        what.starts_with(self.vector) && verified == self.verified
    }
}
