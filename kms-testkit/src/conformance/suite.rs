//! What the cases share: a harness, one key of each type, and how a case ends.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use libtest_mimic::{Completion, Failed, Trial};

use kms_core::{
    Error, ErrorKind, Key, KeyManager, KeySpec, KeyType, KeyUri, KeyUsage, PublicKey, Signature, SignatureAlgorithm,
    Signer, block_on,
};

use super::Harness;
use crate::judge;

/// Why a case did not pass.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    Failed(String),
    Ignored(String),
}

/// How a case ends.
pub(crate) type Outcome<T = ()> = Result<T, Stop>;

/// The cases of one harness, as they are collected.
pub(crate) struct Cases {
    suite: Arc<Suite>,
    trials: Vec<Trial>,
}

impl Cases {
    pub(crate) fn new(harness: Arc<dyn Harness>) -> Self {
        let suite = Suite { harness, shared: Mutex::default(), hints: AtomicUsize::new(0) };
        Self { suite: Arc::new(suite), trials: Vec::new() }
    }

    /// Adds a case; its name comes after that of the harness.
    pub(crate) fn add(&mut self, name: impl Display, case: impl FnOnce(&Suite) -> Outcome + Send + 'static) {
        let suite = Arc::clone(&self.suite);
        let known_fault = suite.harness.known_fault(&name.to_string());
        let name = format!("{}::{name}", suite.harness.name());
        self.trials.push(Trial::ignorable_test(name, move || match (case(&suite), known_fault) {
            (Ok(()), None) => Ok(Completion::Completed),
            (Err(Stop::Failed(_)), Some(fault)) => Ok(Completion::ignored_with(format!("fails: {fault}"))),
            (Ok(()), Some(fault)) => Err(Failed::from(format!("passes, though it is said of the place that {fault}"))),
            (Err(Stop::Ignored(reason)), _) => Ok(Completion::ignored_with(reason)),
            (Err(Stop::Failed(reason)), None) => Err(Failed::from(reason)),
        }));
    }

    pub(crate) fn harness(&self) -> &dyn Harness {
        self.suite.harness.as_ref()
    }

    pub(crate) fn into_trials(self) -> Vec<Trial> {
        self.trials
    }
}

/// A harness, and one key of each type that cases only sign with: keys may be slow to make.
pub(crate) struct Suite {
    pub(crate) harness: Arc<dyn Harness>,
    shared: Mutex<BTreeMap<(KeyType, bool), Slot>>,
    hints: AtomicUsize,
}

/// Filled by the first case that needs the key; the others wait for it.
type Slot = Arc<OnceLock<Outcome<Shared>>>;

/// A key that many cases use and none changes.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) manager: Arc<dyn KeyManager>,
    pub(crate) key: Key,
}

impl Suite {
    /// Opens the place afresh.
    pub(crate) fn open(&self) -> Outcome<Arc<dyn KeyManager>> {
        Ok(block_on(self.harness.registry().open(&self.harness.place()))?)
    }

    /// A name that no other case is given.
    pub(crate) fn fresh_key(&self, hint: &str) -> KeyUri {
        let number = self.hints.fetch_add(1, Ordering::Relaxed);
        self.harness.fresh_key(&format!("{hint}-{number}"))
    }

    /// Opens the place and makes a key in it.
    pub(crate) fn create(&self, hint: &str, key_type: KeyType) -> Outcome<Shared> {
        self.create_for(hint, &KeySpec::new(key_type))
    }

    fn create_for(&self, hint: &str, spec: &KeySpec) -> Outcome<Shared> {
        self.supported(spec.key_type)?;
        let manager = self.open()?;
        let key = block_on(manager.create_key(&self.fresh_key(hint), spec))?;
        Ok(Shared { manager, key })
    }

    /// The signing key of that type that many cases share.
    pub(crate) fn shared(&self, key_type: KeyType) -> Outcome<Shared> {
        self.shared_for("signs", &KeySpec::new(key_type))
    }

    /// The decryption key of that type that many cases share.
    pub(crate) fn shared_for_decryption(&self, key_type: KeyType) -> Outcome<Shared> {
        self.shared_for("decrypts", &KeySpec::new(key_type).with_usage(KeyUsage::Decrypt))
    }

    fn shared_for(&self, hint: &str, spec: &KeySpec) -> Outcome<Shared> {
        let slot = {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(shared.entry((spec.key_type, spec.usage == KeyUsage::Decrypt)).or_default())
        };
        slot.get_or_init(|| self.create_for(&format!("{hint}-{}", spec.key_type), spec)).clone()
    }

    /// A shared key and a signer for it, or the reason why there is none.
    pub(crate) fn signer(&self, key_type: KeyType, algorithm: SignatureAlgorithm) -> Outcome<Arc<dyn Signer>> {
        self.supported(key_type)?;
        self.can_sign(key_type, algorithm)?;
        self.shared(key_type)?.signer(Some(algorithm))
    }

    /// The first type the place can make: for cases that need some key.
    pub(crate) fn some_type(&self) -> Outcome<KeyType> {
        KeyType::CREATABLE
            .into_iter()
            .find(|key_type| self.harness.key_type_unsupported(*key_type).is_none())
            .ok_or_else(|| Stop::Failed("the place can make no keys".into()))
    }

    pub(crate) fn supported(&self, key_type: KeyType) -> Outcome {
        self.harness.key_type_unsupported(key_type).map_or(Ok(()), |reason| Err(Stop::Ignored(reason)))
    }

    pub(crate) fn can_sign(&self, key_type: KeyType, algorithm: SignatureAlgorithm) -> Outcome {
        let reason = self.harness.algorithm_unsupported(key_type, algorithm);
        reason.map_or(Ok(()), |reason| Err(Stop::Ignored(reason)))
    }
}

impl Shared {
    pub(crate) fn signer(&self, algorithm: Option<SignatureAlgorithm>) -> Outcome<Arc<dyn Signer>> {
        Ok(block_on(self.manager.signer(&self.key.uri, algorithm))?)
    }

    /// Signs with the default algorithm and has it judged against the public key from creation.
    pub(crate) fn still_signs(&self) -> Outcome {
        let signer = self.signer(None)?;
        let signature = block_on(signer.sign(b"still here"))?;
        judged(&self.key.public_key, signer.algorithm(), b"still here", &signature)
    }
}

/// Whether the signature verifies by the judge.
pub(crate) fn judged(
    public_key: &PublicKey,
    algorithm: SignatureAlgorithm,
    message: &[u8],
    signature: &Signature,
) -> Outcome {
    judge::verify(public_key.spki_der(), algorithm, message, signature.as_bytes())
        .map_err(|reason| Stop::Failed(format!("{algorithm}, {} octets: {reason}", message.len())))
}

/// Fails unless `result` is an error of that kind; `what` says what should have been refused.
pub(crate) fn refused<T>(result: kms_core::Result<T>, kind: ErrorKind, what: impl Display) -> Outcome {
    match result {
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => Err(Stop::Failed(format!(
            "{what}: refused as {}, not {}: {}",
            error.kind().name(),
            kind.name(),
            error.chain()
        ))),
        Ok(_) => Err(Stop::Failed(format!("{what}: not refused, {} expected", kind.name()))),
    }
}

/// Fails with `what` unless `condition` holds.
pub(crate) fn ensure(condition: bool, what: impl Display) -> Outcome {
    if condition { Ok(()) } else { Err(Stop::Failed(what.to_string())) }
}

/// The handle of a capability, or the reason to ignore the case. That the place has what its harness promises is a case
/// of its own.
pub(crate) fn capability<T>(handle: Option<T>, name: &str) -> Outcome<T> {
    handle.ok_or_else(|| Stop::Ignored(format!("the place has no `{name}`")))
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(format!("{}: {}", error.kind().name(), error.chain()))
    }
}

impl From<String> for Stop {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}
