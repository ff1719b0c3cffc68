//! Backends that misbehave on purpose: to prove that what lies above withholds, reports and gives up as it should.

use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_timer::Delay;

use kms_core::{
    Deadline, Error, ErrorKind, OperationPolicy, PublicKey, Result, SignInput, Signature, SignatureAlgorithm, Signer,
};

mod backend;

pub use backend::{FaultyBackend, FaultyManager};

/// How a [`FaultySigner`] misbehaves.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Fault {
    /// Not at all: for counting calls.
    #[default]
    None,
    /// Turns over one bit of the signature, counted from its first octet's highest, modulo its length.
    FlipBit(usize),
    /// Leaves off this many octets at the end.
    Truncate(usize),
    /// Adds this many zero octets at the end.
    Extend(usize),
    /// Answers with no octets at all.
    Empty,
    /// Answers ECDSA in the other of its two forms: r‖s where DER is due. Elsewhere, turns the octets round.
    OtherForm,
    /// Signs something else: the input with one bit turned over.
    OtherInput,
    /// Lets another key sign.
    OtherKey(Arc<dyn Signer>),
    /// Names another algorithm than its own beside the right octets.
    OtherAlgorithm(SignatureAlgorithm),
    /// Answers with these octets, whatever the input.
    Answer(Vec<u8>),
    /// Never answers.
    Hang,
    /// Answers rightly, but only after a time.
    Slow(Duration),
    /// Fails this many times, then answers rightly.
    Fail(ErrorKind, usize),
    /// Panics.
    Panic,
}

/// A signer with another beneath it, whose answers it spoils. Counts the calls to
/// [`sign_input`](Signer::sign_input), so it serves as a spy too.
///
/// `sign` and `sign_digest` are those that `kms_core` provides: they are what is being tried.
pub struct FaultySigner {
    inner: Arc<dyn Signer>,
    policy: OperationPolicy,
    fault: Mutex<Fault>,
    calls: AtomicUsize,
    algorithm: SignatureAlgorithm,
}

impl FaultySigner {
    /// Over `inner`, with its policy.
    pub fn new(inner: Arc<dyn Signer>, fault: Fault) -> Self {
        let (policy, algorithm) = (inner.policy().clone(), inner.algorithm());
        Self { inner, policy, fault: Mutex::new(fault), calls: AtomicUsize::new(0), algorithm }
    }

    /// Sets the policy: a shorter deadline, no verification.
    pub fn with_policy(mut self, policy: OperationPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Claims an algorithm that need not go with the key, as a backend with a wrong table would.
    pub fn with_algorithm(mut self, algorithm: SignatureAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Sets how the next answers are spoilt.
    pub fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// How often [`sign_input`](Signer::sign_input) was called.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// The fault of this call; one that is to happen a number of times has happened once more.
    fn next(&self) -> Fault {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        let now = fault.clone();
        match &mut *fault {
            Fault::Fail(_, 0 | 1) => *fault = Fault::None,
            Fault::Fail(_, times) => *times -= 1,
            _ => {}
        }
        now
    }
}

#[async_trait]
impl Signer for FaultySigner {
    fn public_key(&self) -> &PublicKey {
        self.inner.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn policy(&self) -> &OperationPolicy {
        &self.policy
    }

    async fn sign_input(&self, input: SignInput<'_>, deadline: Deadline) -> Result<Signature> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let fault = self.next();
        match &fault {
            Fault::Hang => pending::<()>().await,
            Fault::Slow(time) => Delay::new(*time).await,
            Fault::Fail(kind, 1..) => return Err(Error::new(*kind, "fault on purpose")),
            Fault::Panic => panic!("fault on purpose"),
            Fault::OtherKey(other) => return other.sign_input(input, deadline).await,
            Fault::OtherInput => return self.sign_other(input, deadline).await,
            _ => {}
        }
        let right = self.inner.sign_input(input, deadline).await?;
        Ok(spoil(&fault, &right))
    }
}

impl FaultySigner {
    async fn sign_other(&self, input: SignInput<'_>, deadline: Deadline) -> Result<Signature> {
        match input {
            SignInput::Digest(digest) => {
                let other = self.algorithm.digest_from(&flip(digest.as_bytes(), 0))?;
                self.inner.sign_input(SignInput::Digest(&other), deadline).await
            }
            SignInput::Message([]) => self.inner.sign_input(SignInput::Message(&[0]), deadline).await,
            SignInput::Message(message) => self.inner.sign_input(SignInput::Message(&flip(message, 0)), deadline).await,
            _ => Err(Error::new(ErrorKind::Unsupported, "unknown input")),
        }
    }
}

impl fmt::Debug for FaultySigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultySigner").field("inner", &self.inner).field("calls", &self.calls()).finish_non_exhaustive()
    }
}

fn spoil(fault: &Fault, right: &Signature) -> Signature {
    let octets = right.as_bytes();
    let spoilt = match fault {
        Fault::FlipBit(bit) => flip(octets, *bit),
        Fault::Truncate(count) => octets[..octets.len().saturating_sub(*count)].to_vec(),
        Fault::Extend(count) => [octets, &vec![0; *count]].concat(),
        Fault::Empty => Vec::new(),
        Fault::OtherForm if right.algorithm().is_ecdsa() => right.to_raw().unwrap_or_default(),
        Fault::OtherForm => octets.iter().rev().copied().collect(),
        Fault::Answer(answer) => answer.clone(),
        Fault::OtherAlgorithm(algorithm) => return Signature::from_x509(*algorithm, octets),
        _ => return right.clone(),
    };
    Signature::from_x509(right.algorithm(), spoilt)
}

fn flip(octets: &[u8], bit: usize) -> Vec<u8> {
    let mut octets = octets.to_vec();
    let bit = bit % (octets.len() * 8).max(1);
    if let Some(octet) = octets.get_mut(bit / 8) {
        *octet ^= 0x80 >> (bit % 8);
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bit_is_turned_over_once() {
        let right = Signature::from_x509(SignatureAlgorithm::Ed25519, [0; 64]);
        for bit in 0..512 {
            let spoilt = spoil(&Fault::FlipBit(bit), &right);
            assert_eq!(spoilt.as_bytes().iter().map(|octet| octet.count_ones()).sum::<u32>(), 1, "{bit}");
            assert_ne!(spoilt.as_bytes()[bit / 8], 0, "{bit}");
        }
        assert_eq!(spoil(&Fault::FlipBit(512), &right), spoil(&Fault::FlipBit(0), &right));
    }

    #[test]
    fn lengths_are_spoilt() {
        let right = Signature::from_x509(SignatureAlgorithm::Ed25519, (0..64).collect::<Vec<u8>>());
        for (fault, length) in
            [(Fault::Truncate(1), 63), (Fault::Truncate(100), 0), (Fault::Extend(2), 66), (Fault::Empty, 0)]
        {
            assert_eq!(spoil(&fault, &right).as_bytes().len(), length, "{fault:?}");
        }
        assert_eq!(spoil(&Fault::OtherForm, &right).as_bytes()[0], 63);
        assert_eq!(spoil(&Fault::None, &right), right);
    }
}
