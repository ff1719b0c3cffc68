//! The management key: 3DES or AES in single blocks.

use aes::cipher::{Block, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use des::TdesEde3;

/// The key and its algorithm: 03 3DES, 08, 0a and 0c AES.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ManagementKey {
    pub(super) algorithm: u8,
    pub(super) octets: Vec<u8>,
    pub(super) touch: bool,
}

/// As every `YubiKey` leaves the factory.
const FACTORY: [u8; 24] = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8];

impl ManagementKey {
    /// That of the factory: 3DES before firmware 5.7, AES-192 from then on.
    pub(super) fn factory(firmware: [u8; 3]) -> Self {
        let algorithm = if firmware >= [5, 7, 0] { 0x0a } else { 0x03 };
        Self { algorithm, octets: FACTORY.to_vec(), touch: false }
    }

    pub(super) fn is_factory(&self) -> bool {
        self.octets == FACTORY
    }

    /// Octets of a key of that algorithm.
    pub(super) fn length(algorithm: u8) -> Option<usize> {
        match algorithm {
            0x03 | 0x0a => Some(24),
            0x08 => Some(16),
            0x0c => Some(32),
            _ => None,
        }
    }

    pub(super) fn block(&self) -> usize {
        if self.algorithm == 0x03 { 8 } else { 16 }
    }

    /// One block; `None` if it is not one.
    pub(super) fn encrypt(&self, block: &[u8]) -> Option<Vec<u8>> {
        match self.algorithm {
            0x03 => encrypt::<TdesEde3>(&self.octets, block),
            0x08 => encrypt::<Aes128>(&self.octets, block),
            0x0a => encrypt::<Aes192>(&self.octets, block),
            _ => encrypt::<Aes256>(&self.octets, block),
        }
    }
}

fn encrypt<C: KeyInit + BlockCipherEncrypt>(key: &[u8], block: &[u8]) -> Option<Vec<u8>> {
    let mut block = Block::<C>::try_from(block).ok()?;
    C::new_from_slice(key).ok()?.encrypt_block(&mut block);
    Some(block.to_vec())
}

impl std::fmt::Debug for ManagementKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ManagementKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTORS: [(u8, [u8; 4]); 4] = [
        (0x03, [0xc7, 0xb6, 0x4c, 0xcc]),
        (0x08, [0xdb, 0xf1, 0x84, 0x11]),
        (0x0a, [0xbd, 0x58, 0x4c, 0x6b]),
        (0x0c, [0xa7, 0x3c, 0x55, 0x76]),
    ];

    #[test]
    fn blocks_are_those_of_other_implementations() {
        // `openssl enc -des-ede3 -nopad`, `-aes-128-ecb`, `-aes-192-ecb` and `-aes-256-ecb` with keys of 01, 02, …
        for (algorithm, first) in VECTORS {
            let octets: Vec<u8> = (1..).take(ManagementKey::length(algorithm).unwrap()).collect();
            let key = ManagementKey { algorithm, octets, touch: false };
            assert_eq!(key.encrypt(&vec![0; key.block()]).unwrap()[..4], first, "{algorithm:x}");
            assert_eq!(key.encrypt(&[1; 7]), None);
        }
    }
}
