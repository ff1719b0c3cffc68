use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::{Mutex, PoisonError};
use std::{env, fs, io};

use tempfile::{NamedTempFile, TempDir};

use super::again::again;
use super::program;

/// A directory of kryoptic tokens, each in a slot and a database of its own.
///
/// Where it differs from SoftHSM, as far as a driver sees: PKCS #11 3.2 with ML-DSA, SLH-DSA and ML-KEM; ECDSA that
/// hashes; a PIN that really locks, after ten wrong ones; the point of an Ed25519 key raw, not in an OCTET STRING; no
/// secp256k1; and a `CKO_MECHANISM` object for each mechanism when everything is searched for.
///
/// Any number of threads may use one instance. Two instances that write at a time fail now and then
/// (`CKR_DEVICE_MEMORY`, `CKR_DEVICE_ERROR`, `CKR_GENERAL_ERROR`), most of all in one process, where neither copy of
/// SQLite sees the other's locks: the library itself and a [`FaultModule`](super::FaultModule) around it take turns.
///
/// Its files last as long as the value, or, after [`reexec_with_kryoptic`], as long as the process.
#[derive(Debug)]
pub struct Kryoptic {
    directory: PathBuf,
    _owned: Option<TempDir>,
}

/// Names the directory to the second process.
const DIRECTORY: &str = "KMS_TESTKIT_KRYOPTIC";

/// Runs the whole process once more with `KRYOPTIC_CONF` set to a configuration in a fresh directory. In the first
/// process this does not return: it ends as the second did. In the second it answers with the directory.
///
/// Call it first in `main`, or after [`reexec_with_softhsm`](super::reexec_with_softhsm) for both: what stands before is
/// done twice.
///
/// # Errors
///
/// If the directory cannot be made or the process not be started.
pub fn reexec_with_kryoptic() -> io::Result<Kryoptic> {
    if let Some(directory) = env::var_os(DIRECTORY) {
        return Ok(Kryoptic { directory: directory.into(), _owned: None });
    }
    let kryoptic = Kryoptic::new()?;
    let code = again([(DIRECTORY, kryoptic.directory.clone().into()), ("KRYOPTIC_CONF", kryoptic.conf().into())])?;
    drop(kryoptic);
    process::exit(code)
}

impl Kryoptic {
    /// A fresh directory without tokens, which this process cannot use in itself: for programs, see
    /// [`command`](Self::command).
    ///
    /// # Errors
    ///
    /// If the directory cannot be made.
    pub fn new() -> io::Result<Self> {
        let owned = tempfile::Builder::new().prefix("kryoptic-").tempdir()?;
        let kryoptic = Self { directory: owned.path().to_owned(), _owned: Some(owned) };
        fs::write(kryoptic.conf(), "")?;
        Ok(kryoptic)
    }

    /// The library.
    ///
    /// # Errors
    ///
    /// If it has not been built; says how. No build of this workspace does: an OpenSSL is in it.
    pub fn module() -> io::Result<PathBuf> {
        let test = env::current_exe()?;
        let built = |above: &Path| above.join("kryoptic/debug/libkmskit_kryoptic.so");
        let absent = || {
            let text = format!("no libkmskit_kryoptic.so in a kryoptic/debug above {}: {BUILD}", test.display());
            io::Error::new(io::ErrorKind::NotFound, text)
        };
        test.ancestors().map(built).find(|library| library.is_file()).ok_or_else(absent)
    }

    /// The configuration file.
    pub fn conf(&self) -> PathBuf {
        self.directory.join("kryoptic.conf")
    }

    /// The directory of it all.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A program that sees these tokens, whatever this process sees.
    pub fn command(&self, program: impl Into<OsString>) -> Command {
        let mut command = Command::new(program.into());
        command.env("KRYOPTIC_CONF", self.conf());
        command
    }

    /// Makes a token of that label in a new slot, with that PIN for the user and `12345678` for the security officer. A
    /// library that is initialised already sees it only after `C_Finalize` and `C_Initialize`.
    ///
    /// # Errors
    ///
    /// If the library has not been built (says how), or `pkcs11-tool` is missing (says what to install) or refuses (says
    /// why).
    pub fn init_token(&self, label: &str, pin: &str) -> io::Result<()> {
        let module = Self::module()?;
        let slot = self.add_slot()?.to_string();
        let tool = |arguments: &[&str]| {
            let mut tool = self.command("pkcs11-tool");
            tool.arg("--module").arg(&module).args(["--slot", &slot, "--so-pin", "12345678"]).args(arguments);
            program::run(&mut tool, "opensc").map(drop)
        };
        tool(&["--init-token", "--label", label])?;
        tool(&["--login", "--login-type", "so", "--init-pin", "--pin", pin])
    }

    /// Adds a slot to the configuration, and answers with its number.
    fn add_slot(&self) -> io::Result<usize> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let conf = fs::read_to_string(self.conf())?;
        let slot = conf.matches("[[slots]]").count() + 1;
        let database = self.directory.join(format!("{slot}.sql"));
        // At once: another thread may be about to initialise the library.
        let mut file = NamedTempFile::new_in(&self.directory)?;
        file.write_all(conf.as_bytes())?;
        writeln!(file, "[[slots]]\nslot = {slot}\ndbtype = \"sqlite\"\ndbargs = '{}'", database.display())?;
        file.persist(self.conf())?;
        Ok(slot)
    }
}

/// From the root of the repository.
const BUILD: &str = "cargo build --manifest-path tests/kryoptic/Cargo.toml --target-dir target/kryoptic \
                     (apt-get install libclang-dev make perl)";
