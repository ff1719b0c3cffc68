//! One key on a token with one algorithm.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cryptoki_sys as sys;
use kms_core::signer::sign_and_verify;
use kms_core::{
    Deadline, Digest, Error, ErrorKind, OperationPolicy, PublicKey, Result, SignInput, Signature, SignatureAlgorithm,
    Signer, ecdsa,
};

use crate::algorithm::{self, Input, SigningPlan};
use crate::connection::{Access, Connection, Job, Trouble};
use crate::error;
use crate::execution::Executor;
use crate::library::{Fault, ObjectHandle};
use crate::options::KeyQuery;
use crate::public_key::{self, PrivateKey};
use crate::recovery::{ahead_of, is_given_up};
use crate::rescue::Rescue;
use crate::session::Session;

/// A key on a token with its algorithm. A signature is two calls, `C_SignInit` and `C_Sign`, on a session of the
/// manager's; when the session, the login, the token or the library is lost, it is rebuilt and the key found again, and
/// only used if its public key is the one handed out.
pub struct Pkcs11Signer {
    key: Arc<Key>,
    executor: Arc<Executor>,
    policy: OperationPolicy,
}

/// What a worker needs to sign.
#[allow(clippy::struct_field_names, reason = "it has a public key, and it is one")]
struct Key {
    connection: Arc<Connection>,
    access: Access,
    query: KeyQuery,
    public_key: PublicKey,
    algorithm: SignatureAlgorithm,
    plans: Vec<SigningPlan>,
    /// The plan in use: a token may refuse what it lists.
    plan: AtomicUsize,
    /// The key's handle, and the epoch in which it was found.
    located: Mutex<(u64, ObjectHandle)>,
    always_authenticate: bool,
    signature_len: usize,
}

impl Pkcs11Signer {
    pub(crate) fn new(
        connection: Arc<Connection>,
        access: Access,
        found: (u64, PrivateKey),
        algorithm: SignatureAlgorithm,
        executor: Arc<Executor>,
        policy: OperationPolicy,
    ) -> Result<Self> {
        let (epoch, private) = found;
        if private.signs == Some(false) {
            let context = format!("the key {} is not for signing", private.object.describe());
            return Err(Error::new(ErrorKind::KeyUnusable, context).with_hint("its attribute CKA_SIGN is false"));
        }
        let plans = algorithm::signing_plans(algorithm, &connection.mechanisms())?;
        let key = Key {
            access,
            query: private.object.query(),
            algorithm,
            plans,
            plan: AtomicUsize::new(0),
            located: Mutex::new((epoch, private.object.handle)),
            always_authenticate: private.always_authenticate,
            signature_len: algorithm::signature_len(algorithm, &private.public_key),
            public_key: private.public_key,
            connection,
        };
        Ok(Self { key: Arc::new(key), executor, policy })
    }
}

#[async_trait]
impl Signer for Pkcs11Signer {
    fn public_key(&self) -> &PublicKey {
        &self.key.public_key
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm
    }

    fn policy(&self) -> &OperationPolicy {
        &self.policy
    }

    async fn sign_input(&self, input: SignInput<'_>, deadline: Deadline) -> Result<Signature> {
        let input = match input {
            SignInput::Digest(digest) => Data::Digest(*digest),
            SignInput::Message(message) if u32::try_from(message.len()).is_ok() => Data::Message(message.to_vec()),
            SignInput::Message(_) => {
                return Err(error::invalid("a message of 4 GiB or more cannot be handed to a token"));
            }
            _ => return Err(error::unsupported("unknown input")),
        };
        let input = Arc::new(input);
        let work = |rescue: Option<Arc<Rescue>>| {
            let (key, input) = (Arc::clone(&self.key), Arc::clone(&input));
            move || key.sign(&input, ahead_of(deadline), rescue.as_ref())
        };
        let given_up = |ticket| self.key.connection.pool().write_off(ticket);
        self.executor.run_rescued("sign", deadline, work, given_up).await
    }

    /// Where the token only hashes and signs in one, it is given the message.
    async fn sign(&self, message: &[u8]) -> Result<Signature> {
        let Some(hash) = self.algorithm().hash().filter(|_| !self.key.takes_message()) else {
            return sign_and_verify(self, SignInput::Message(message)).await;
        };
        match sign_and_verify(self, SignInput::Digest(&hash.digest(message))).await {
            // It was found out just now.
            Err(_) if self.key.takes_message() => sign_and_verify(self, SignInput::Message(message)).await,
            other => other,
        }
    }
}

impl fmt::Debug for Pkcs11Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Signer")
            .field("key", &self.key.query)
            .field("public_key", &self.key.public_key)
            .field("algorithm", &self.key.algorithm)
            .finish_non_exhaustive()
    }
}

enum Data {
    Digest(Digest),
    Message(Vec<u8>),
}

impl Key {
    fn sign(&self, data: &Data, deadline: Deadline, rescue: Option<&Arc<Rescue>>) -> Result<Signature> {
        let job = Job { operation: "sign", access: &self.access, deadline, read_write: false, rescue };
        let octets = self.connection.run(&job, |session| self.sign_with(session, data, &job))?;
        self.signature(&octets)
    }

    fn sign_with(&self, session: &Session, data: &Data, job: &Job<'_>) -> Result<Vec<u8>, Trouble> {
        let (library, handle) = (session.library(), session.handle());
        let key = self.locate(session, job.deadline)?;
        let input = loop {
            let number = self.plan.load(Ordering::Relaxed);
            let plan = self.plans[number];
            // Before the operation begins: what is at hand may not be what this one takes.
            let input = self.input(plan, data)?;
            match library.sign_init(handle, &plan.mechanism, key) {
                Ok(()) => break input,
                Err(fault) if refuses_mechanism(fault) && number + 1 < self.plans.len() => {
                    let next = self.plan.compare_exchange(number, number + 1, Ordering::Relaxed, Ordering::Relaxed);
                    if next.is_ok() {
                        tracing::debug!(%fault, "the token refuses a mechanism it lists; trying the next");
                    }
                }
                Err(fault) => {
                    self.forget_handle(fault);
                    return Err(fault.into());
                }
            }
        };
        if job.deadline.has_passed() || is_given_up(job) {
            // The call before hung.
            return Err(Trouble::Spoilt(Deadline::error("sign")));
        }
        if self.always_authenticate {
            self.connection.authenticate(session, &self.access)?;
        }
        library.sign(handle, input.as_ref(), self.signature_len).map_err(|fault| {
            self.forget_handle(fault);
            fault.into()
        })
    }

    /// The key's handle in the session's epoch. In a new one the key is found again, and its public key compared: an
    /// old handle may by then mean another key.
    fn locate(&self, session: &Session, deadline: Deadline) -> Result<ObjectHandle, Trouble> {
        let (epoch, handle) = *self.located.lock().unwrap_or_else(PoisonError::into_inner);
        if epoch == session.epoch {
            return Ok(handle);
        }
        let Some(_searching) = self.connection.module().search(deadline) else {
            return Err(Trouble::Error(Deadline::error("find the key again")));
        };
        let found = public_key::private_key(session, &self.query)?;
        if found.public_key != self.public_key {
            let context = format!("{} is another key now than when the signer was opened", found.object.describe());
            return Err(Trouble::Error(
                Error::new(ErrorKind::KeyMismatch, context)
                    .with_hint("nothing was signed; open the key anew if that is meant"),
            ));
        }
        *self.located.lock().unwrap_or_else(PoisonError::into_inner) = (session.epoch, found.object.handle);
        Ok(found.object.handle)
    }

    /// A handle that is refused is not used again, not even in the same epoch.
    fn forget_handle(&self, fault: Fault) {
        if matches!(fault.code, sys::CKR_KEY_HANDLE_INVALID | sys::CKR_OBJECT_HANDLE_INVALID) {
            self.located.lock().unwrap_or_else(PoisonError::into_inner).0 = 0;
        }
    }

    fn input<'a>(&self, plan: SigningPlan, data: &'a Data) -> Result<std::borrow::Cow<'a, [u8]>> {
        match (plan.input, data) {
            (Input::Digest, Data::Digest(digest)) => Ok(digest.as_bytes().into()),
            (Input::DigestInfo, Data::Digest(digest)) => {
                Ok(algorithm::digest_info(digest.algorithm(), digest.as_bytes()).into())
            }
            (Input::Message, Data::Message(message)) => Ok(message.into()),
            (Input::Digest, Data::Message(message)) => Ok(self.digest(message)?.as_bytes().to_vec().into()),
            (Input::DigestInfo, Data::Message(message)) => {
                let digest = self.digest(message)?;
                Ok(algorithm::digest_info(digest.algorithm(), digest.as_bytes()).into())
            }
            (Input::Message, Data::Digest(_)) => {
                Err(error::unsupported(format!("the token signs {} over a message, not a digest", self.algorithm))
                    .with_hint("give the message itself"))
            }
        }
    }

    fn digest(&self, message: &[u8]) -> Result<Digest> {
        let hash = self.algorithm.hash().ok_or_else(|| error::unsupported("the algorithm has no hash"))?;
        Ok(hash.digest(message))
    }

    /// Whether the plan in use wants the message where the algorithm would have a digest.
    fn takes_message(&self) -> bool {
        self.plans[self.plan.load(Ordering::Relaxed)].input == Input::Message && self.algorithm.hash().is_some()
    }

    /// From the token's form. Some write DER where r‖s is due.
    fn signature(&self, octets: &[u8]) -> Result<Signature> {
        let wrong = |_| {
            let context =
                format!("the token answered with {} octets that are no {} signature", octets.len(), self.algorithm);
            Error::new(ErrorKind::Integrity, context)
        };
        let Some(width) = self.algorithm.ecdsa_width() else {
            return Signature::from_raw(self.algorithm, octets).map_err(wrong);
        };
        let raw = if octets.len() == 2 * width {
            octets.to_vec()
        } else {
            ecdsa::raw_from_der(octets, width).map_err(wrong)?
        };
        Signature::from_raw(self.algorithm, &raw).map_err(wrong)
    }
}

fn refuses_mechanism(fault: Fault) -> bool {
    matches!(
        fault.code,
        sys::CKR_MECHANISM_INVALID
            | sys::CKR_MECHANISM_PARAM_INVALID
            | sys::CKR_ARGUMENTS_BAD
            | sys::CKR_FUNCTION_NOT_SUPPORTED
    )
}
