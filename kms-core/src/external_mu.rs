//! The message representative of ML-DSA (FIPS 204, algorithm 7 line 6), so that a message of any size goes to the
//! service as 64 octets.

use shake::Shake256;
use shake::digest::{ExtendableOutput, Update, XofReader};

/// Octets of the representative, and of the hash of the public key.
const LENGTH: usize = 64;

/// The 64 octets mu = SHAKE256(SHAKE256(public key) ‖ 0 ‖ 0 ‖ message): pure ML-DSA with an empty context. `public_key` is raw, as in
/// the BIT STRING.
pub fn external_mu(public_key: &[u8], message: &[u8]) -> [u8; LENGTH] {
    let hash_of_key = shake256(&[public_key]);
    shake256(&[&hash_of_key, &[0, 0], message])
}

fn shake256(parts: &[&[u8]]) -> [u8; LENGTH] {
    let mut hash = Shake256::default();
    for part in parts {
        hash.update(part);
    }
    let mut output = [0; LENGTH];
    hash.finalize_xof().read(&mut output);
    output
}

#[cfg(test)]
mod tests {
    use ml_dsa::{MlDsa44, MlDsa65, MlDsa87, MlDsaParams, SigningKey};

    use super::*;

    /// What is signed as mu by another implementation verifies over the message.
    fn agrees<P: MlDsaParams>() {
        let key = SigningKey::<P>::from_seed(&[7; 32].into());
        let key = key.expanded_key();
        let verifying = key.verifying_key();
        for message in [&b""[..], b"message", &[1; 5000]] {
            let mu = external_mu(&verifying.encode(), message);
            let signature = key.sign_mu_deterministic(&mu.into());
            assert!(verifying.verify_with_context(message, &[], &signature));
        }
    }

    #[test]
    fn it_is_what_ml_dsa_signs() {
        agrees::<MlDsa44>();
        agrees::<MlDsa65>();
        agrees::<MlDsa87>();
    }
}
