//! One token and its keys.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cryptoki_sys as sys;
use kms_core::{
    CertificateManager, Deadline, Decrypter, Error, ErrorKind, Key, KeyDeleter, KeyImporter, KeyManager, KeySearcher,
    KeySpec, KeyUri, OperationPolicy, PublicKey, Result, Secret, SecretRequest, SecretSource, SignatureAlgorithm,
    Signer,
};

use crate::backend::Pkcs11;
use crate::connection::{Access, Connection, Job, Trouble};
use crate::error::{Remedy, bad_uri};
use crate::execution::Executor;
use crate::info::LibraryInfo;
use crate::key::NewKey;
use crate::module::Module;
use crate::object::Object;
use crate::options::{Class, KeyQuery, ModuleName, Stated};
use crate::public_key;
use crate::recovery::{Pauses, ahead_of};
use crate::rescue::Rescue;
use crate::session::Session;
use crate::signer::Pkcs11Signer;
use crate::token::{Token, TokenQuery};

/// Manages the keys of one token. Everybody in the process who uses the token shares its login and its sessions.
pub struct Pkcs11KeyManager {
    pub(crate) backend: Pkcs11,
    pub(crate) stated: Stated,
    pub(crate) connection: Arc<Connection>,
    library: LibraryInfo,
    executor: Arc<Executor>,
    policy: OperationPolicy,
    /// What a person typed, kept for logging in again.
    typed: Mutex<Option<Secret>>,
}

/// A key's URI, read and agreed with the manager's.
pub(crate) struct Wanted {
    pub(crate) key: KeyQuery,
    pub(crate) extractable: Option<bool>,
    pin: Option<SecretSource>,
    limit: usize,
}

/// What the PIN is needed for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Public objects: the PIN is used where it is stated, but nobody is asked for it.
    Public,
    /// Private objects: without a PIN, where the token wants one, it is an error.
    Private,
    /// The same, to write: an error where the token says that it cannot be written.
    Write,
}

impl Pkcs11KeyManager {
    pub(crate) async fn open(backend: Pkcs11, stated: Stated, policy: OperationPolicy) -> Result<Self> {
        let deadline = policy.deadline();
        let executor = Executor::new(&policy, 1);
        let (name, query, resolver) = (stated.module.clone(), stated.token.clone(), backend.clone());
        let open = move || {
            let module = Module::open(&resolver.resolve(name.as_ref())?)?;
            let token = find_token(&module, &query, ahead_of(deadline))?;
            Ok((module.info(), Connection::to(&module, token)))
        };
        let (library, connection) = executor.run("open token", deadline, open).await?;
        let limit = if backend.is_one_at_a_time() { 1 } else { limit(&stated, &connection.token()) };
        let executor = Arc::new(Executor::new(&policy, limit));
        Ok(Self { backend, stated, connection, library, executor, policy, typed: Mutex::default() })
    }

    /// Reads a key's URI.
    ///
    /// # Errors
    /// `InvalidUri` when it is wrong, or of a key that is not in this token. No call is made.
    pub(crate) fn wanted(&self, uri: &KeyUri) -> Result<Wanted> {
        let stated = Stated::read(uri, None)?;
        let token = self.connection.token();
        stated.token.check(&self.library, &token)?;
        if let Some(name) = &stated.module
            && self
                .backend
                .resolve(Some(name))
                .map_err(|error| bad_uri("the module is not that of the manager").with_source(error))?
                != self.connection.module().path()
        {
            return Err(
                bad_uri("the key is behind another module than the manager's").with_hint("open a manager for it")
            );
        }
        if stated.certificate_dir.is_some() && stated.certificate_dir != self.stated.certificate_dir {
            return Err(
                bad_uri("`certificate-dir` is not that of the manager").with_hint("state it when opening the manager")
            );
        }
        let limit = if stated.max_sessions.is_some() { limit(&stated, &token) } else { limit(&self.stated, &token) };
        let pin = stated.pin.or_else(|| self.stated.pin.clone());
        Ok(Wanted { key: stated.key, extractable: stated.extractable, pin, limit })
    }

    /// Reads the URI of a key that exists.
    pub(crate) fn existing(&self, uri: &KeyUri) -> Result<Wanted> {
        let wanted = self.wanted(uri)?;
        match wanted.extractable {
            Some(_) => Err(bad_uri("`extractable` is for new keys").with_hint("leave it out")),
            None => Ok(wanted),
        }
    }

    /// What the token is used with; asks for the PIN if there is need and nothing states it.
    ///
    /// # Errors
    /// `Unauthenticated` when there is none, `PermissionDenied` when the token is read-only.
    pub(crate) fn access(&self, wanted: &Wanted, need: Need) -> Result<Access> {
        let token = self.connection.token();
        if need == Need::Write {
            token.check_writable()?;
        }
        let mut access = Access {
            pin: None,
            login: token.requires_login() && token.has_keypad(),
            limit: wanted.limit,
            alone: self.backend.is_one_at_a_time(),
        };
        if !token.requires_login() {
            return Ok(access);
        }
        access.pin = match &wanted.pin {
            Some(SecretSource::Prompt(prompt)) => {
                let mut typed = self.typed.lock().unwrap_or_else(PoisonError::into_inner);
                // What was refused is asked for anew; should it be typed again, it is not sent.
                if typed.is_some() && self.connection.check_pin(typed.as_ref()).is_err() {
                    *typed = None;
                }
                if typed.is_none() && need != Need::Public && !token.has_keypad() {
                    *typed = Some(SecretSource::Prompt(Arc::clone(prompt)).read(&request(&token))?);
                }
                typed.clone()
            }
            Some(source) => Some(source.read(&request(&token))?),
            None => None,
        };
        access.login |= access.pin.is_some();
        if access.login {
            self.connection.check_pin(access.pin.as_ref())?;
        } else if need != Need::Public {
            return Err(no_pin(&token));
        }
        Ok(access)
    }

    /// Does work on the token, on a thread and with the deadline of the policy. Reading is done again when it hangs while
    /// the connection is rebuilt; writing never is.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        access: &Access,
        kind: Kind,
        work: impl Fn(&Session) -> Result<T, Trouble> + Send + Sync + 'static,
    ) -> Result<T> {
        let (deadline, shared) = (self.policy.deadline(), Arc::new((access.clone(), work)));
        let work = |rescue: Option<Arc<Rescue>>| {
            let (connection, shared) = (Arc::clone(&self.connection), Arc::clone(&shared));
            move || {
                let (deadline, (access, work)) = (ahead_of(deadline), &*shared);
                let (read_write, rescue) = (kind == Kind::Write, rescue.as_ref());
                let job = Job { operation, access, deadline, read_write, rescue };
                connection.run(&job, |session| {
                    let module = connection.module();
                    let late = || Trouble::Error(Deadline::error(operation));
                    let _write = if read_write { Some(module.write(deadline).ok_or_else(late)?) } else { None };
                    let _search = if read_write { None } else { Some(module.search(deadline).ok_or_else(late)?) };
                    work(session)
                })
            }
        };
        match kind {
            Kind::Write | Kind::ReadOnce => self.executor.run(operation, deadline, work(None)).await,
            Kind::Read => {
                let given_up = |ticket| self.connection.pool().write_off(ticket);
                self.executor.run_rescued(operation, deadline, work, given_up).await
            }
        }
    }

    /// The complete URI of a key in the token.
    pub(crate) fn uri_of(&self, object: &Object) -> Result<KeyUri> {
        let mut builder = KeyUri::builder(crate::SCHEME);
        if let Some(info) = &self.connection.token().info {
            let attributes = [
                ("token", &info.label),
                ("manufacturer", &info.manufacturer),
                ("model", &info.model),
                ("serial", &info.serial),
            ];
            for (name, value) in attributes {
                if !value.is_empty() && !value.contains(char::is_control) {
                    builder = builder.path(name, value);
                }
            }
        }
        if let Some(slot) = self.connection.token().info.is_none().then(|| self.connection.token().slot) {
            builder = builder.path("slot-id", slot.to_string());
        }
        if !object.id.is_empty() {
            builder = builder.path("id", &object.id);
        }
        if let Some(label) = object.text() {
            builder = builder.path("object", label);
        }
        builder = match &self.stated.module {
            Some(ModuleName::Path(path)) => builder.query("module-path", path.as_os_str().as_encoded_bytes()),
            Some(ModuleName::Name(name)) => builder.query("module-name", name),
            None => builder,
        };
        if let Some(directory) = &self.stated.certificate_dir {
            builder = builder.query("certificate-dir", directory.as_os_str().as_encoded_bytes());
        }
        Ok(builder.build()?)
    }

    /// Makes a key pair by `make` and returns it with its complete URI, in which a stated algorithm stays.
    pub(crate) async fn make(
        &self,
        operation: &'static str,
        key: &KeyUri,
        spec: &KeySpec,
        make: impl Fn(&NewKey, &Session, &[sys::CK_MECHANISM_TYPE]) -> Result<(Object, PublicKey), Trouble>
        + Send
        + Sync
        + 'static,
    ) -> Result<Key> {
        let wanted = self.wanted(key)?;
        if wanted.key.class.is_some_and(|class| class != Class::Private) {
            return Err(bad_uri("`type` of a new key is `private`").with_hint("leave it out"));
        }
        let stated = SignatureAlgorithm::stated(key, None)?;
        if stated.is_some() {
            spec.key_type.settle(stated)?;
        }
        let new = NewKey::new(spec, &wanted.key, wanted.extractable, self.backend.key_attributes())?;
        let access = self.access(&wanted, Need::Write)?;
        let connection = Arc::clone(&self.connection);
        let work = move |session: &Session| make(&new, session, &connection.mechanisms());
        let (object, public_key) = self.run(operation, &access, Kind::Write, work).await?;
        let uri = self.uri_of(&object)?;
        let uri = match stated {
            Some(algorithm) => uri.with_path("alg", algorithm.name())?,
            None => uri,
        };
        Ok(Key::new(uri, public_key))
    }
}

/// What work does with the objects of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    /// Reads, for something that must not be done twice.
    ReadOnce,
    Write,
}

#[async_trait]
impl KeyManager for Pkcs11KeyManager {
    /// Makes the pair in the token: never extractable, unless the URI says `extractable=true`. Without `id` the key gets
    /// a random one, without `object` its identifier in hex for a label. Needs the PIN and a token that can be written.
    async fn create_key(&self, key: &KeyUri, spec: &KeySpec) -> Result<Key> {
        self.make("create key", key, spec, NewKey::generate).await
    }

    /// Two searches and a few reads. Without a PIN it reads the public key object, where the token shows it.
    async fn public_key(&self, key: &KeyUri) -> Result<PublicKey> {
        let wanted = self.existing(key)?;
        let access = self.access(&wanted, Need::Public)?;
        let found = self.read_public_key(&wanted, &access).await;
        let hidden = !access.login && self.connection.token().requires_login();
        match found {
            Err(error) if error.kind() == ErrorKind::NotFound && hidden => {
                if !matches!(wanted.pin, Some(SecretSource::Prompt(_))) {
                    return Err(error.in_context("without a PIN"));
                }
                let access = self.access(&wanted, Need::Private)?;
                self.read_public_key(&wanted, &access).await
            }
            other => other,
        }
    }

    /// Two searches and a few reads, after logging in.
    async fn signer(&self, key: &KeyUri, algorithm: Option<SignatureAlgorithm>) -> Result<Arc<dyn Signer>> {
        let wanted = self.existing(key)?;
        check_private(&wanted.key)?;
        let stated = SignatureAlgorithm::stated(key, algorithm)?;
        let access = self.access(&wanted, Need::Private)?;
        let query = wanted.key;
        let find = move |session: &Session| Ok((session.epoch, public_key::private_key(session, &query)?));
        let found = self.run("open signer", &access, Kind::Read, find).await?;
        let settled = found.1.public_key.key_type().settle(stated)?;
        let (connection, executor) = (Arc::clone(&self.connection), Arc::clone(&self.executor));
        Ok(Arc::new(Pkcs11Signer::new(connection, access, found, settled, executor, self.policy.clone())?))
    }

    fn as_key_deleter(&self) -> Option<&dyn KeyDeleter> {
        Some(self)
    }

    fn as_key_searcher(&self) -> Option<&dyn KeySearcher> {
        Some(self)
    }

    fn as_certificate_manager(&self) -> Option<&dyn CertificateManager> {
        Some(self)
    }

    fn as_decrypter(&self) -> Option<&dyn Decrypter> {
        Some(self)
    }

    fn as_key_importer(&self) -> Option<&dyn KeyImporter> {
        Some(self)
    }
}

impl Pkcs11KeyManager {
    async fn read_public_key(&self, wanted: &Wanted, access: &Access) -> Result<PublicKey> {
        let (query, sees_private) = (wanted.key.clone(), access.login || !self.connection.token().requires_login());
        let read = move |session: &Session| public_key::of_any_class(session, &query, sees_private);
        self.run("read public key", access, Kind::Read, read).await
    }
}

impl fmt::Debug for Pkcs11KeyManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11KeyManager")
            .field("token", &self.connection.token().name())
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

/// Signing and decrypting take a private key.
pub(crate) fn check_private(query: &KeyQuery) -> Result<()> {
    match query.class {
        None | Some(Class::Private) => Ok(()),
        Some(_) => Err(bad_uri("a private key is needed, the URI names another object")
            .with_hint("write `type=private`, or leave it out")),
    }
}

/// Finds the token, in a library that may have to be initialised anew for it.
fn find_token(module: &Module, query: &TokenQuery, deadline: Deadline) -> Result<Token> {
    let context = || format!("list the tokens of {}", module.path().display());
    let (mut pauses, mut asked, mut looked_again) = (Pauses::default(), 0, false);
    loop {
        asked += 1;
        let found = {
            let Some(_inside) = module.enter(deadline, None) else { return Err(Deadline::error("open token")) };
            query.find(module)
        };
        let fault = match found {
            // Some libraries see a token that came later only when they are initialised anew.
            Ok(Err(error)) if error.kind() == ErrorKind::NotFound && !looked_again && module.is_unused() => None,
            // A token that does not tell what it is may do so in a moment.
            Ok(Err(error)) if error.is_transient() && asked < 4 && pauses.sleep(deadline) => continue,
            Ok(found) => return found,
            Err(fault) if fault.remedy() == Remedy::None || !pauses.sleep(deadline) => {
                return Err(fault.in_context(context()));
            }
            Err(fault) => Some(fault),
        };
        looked_again = true;
        let generation = module.generation();
        let Some(alone) = module.exclude(deadline) else { return Err(Deadline::error("open token")) };
        let uninitialized = fault.is_some_and(|fault| fault.code == sys::CKR_CRYPTOKI_NOT_INITIALIZED);
        if module.generation() == generation {
            // Should it fail, listing the tokens again tells.
            let _ = module.reinitialize(&alone, uninitialized);
        }
    }
}

fn limit(stated: &Stated, token: &Token) -> usize {
    stated.session_limit(token.info.as_ref().and_then(|info| info.max_sessions))
}

fn request(token: &Token) -> SecretRequest {
    SecretRequest::new("pin", token.name())
}

fn no_pin(token: &Token) -> Error {
    Error::new(ErrorKind::Unauthenticated, format!("{} wants a PIN and none is given", token.name()))
        .with_hint("add `?pin-source=file:/path/to/pin` or `?pin-source=env:NAME`")
}
