use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::{env, fs, io};

use tempfile::TempDir;

use super::again::again;
use super::program;

/// A directory of SoftHSM tokens.
///
/// Its files last as long as the value, or, after [`reexec_with_softhsm`], as long as the process.
#[derive(Debug)]
pub struct SoftHsm {
    directory: PathBuf,
    _owned: Option<TempDir>,
}

/// Names the directory to the second process.
const DIRECTORY: &str = "KMS_TESTKIT_SOFTHSM";

/// Runs the whole process once more with `SOFTHSM2_CONF` set to a fresh directory, and `P11_KIT_SERVER_ADDRESS` to where
/// [`P11KitRig`](super::P11KitRig) will listen. In the first process this does not return: it ends as the second did.
/// In the second it answers with the directory.
///
/// Call it first in `main`: what stands before is done twice.
///
/// # Errors
///
/// If the directory cannot be made or the process not be started.
pub fn reexec_with_softhsm() -> io::Result<SoftHsm> {
    if let Some(directory) = env::var_os(DIRECTORY) {
        return Ok(SoftHsm { directory: directory.into(), _owned: None });
    }
    let softhsm = SoftHsm::new()?;
    let code = again([
        (DIRECTORY, softhsm.directory.clone().into()),
        ("SOFTHSM2_CONF", softhsm.conf().into()),
        ("P11_KIT_SERVER_ADDRESS", softhsm.address()),
    ])?;
    drop(softhsm);
    process::exit(code)
}

impl SoftHsm {
    /// A fresh directory without tokens, which this process cannot use in itself: for programs, see
    /// [`command`](Self::command).
    ///
    /// # Errors
    ///
    /// If the directory cannot be made.
    pub fn new() -> io::Result<Self> {
        let owned = tempfile::Builder::new().prefix("softhsm-").tempdir()?;
        let softhsm = Self { directory: owned.path().to_owned(), _owned: Some(owned) };
        let tokens = softhsm.directory.join("tokens");
        fs::create_dir(&tokens)?;
        let conf = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
            tokens.display()
        );
        fs::write(softhsm.conf(), conf)?;
        Ok(softhsm)
    }

    /// The library.
    ///
    /// # Errors
    ///
    /// If it is in none of the usual places; says what to install.
    pub fn module() -> io::Result<PathBuf> {
        let places = [
            "/usr/lib/softhsm/libsofthsm2.so",
            "/usr/lib64/pkcs11/libsofthsm2.so",
            "/usr/lib64/softhsm/libsofthsm2.so",
            "/usr/local/lib/softhsm/libsofthsm2.so",
            "/opt/homebrew/lib/softhsm/libsofthsm2.so",
        ];
        program::library(&places, "softhsm2")
    }

    /// The configuration file.
    pub fn conf(&self) -> PathBuf {
        self.directory.join("softhsm2.conf")
    }

    /// The directory of it all.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the server of a [`P11KitRig`](super::P11KitRig) listens.
    pub(super) fn socket(&self) -> PathBuf {
        self.directory.join("p11-kit.sock")
    }

    fn address(&self) -> OsString {
        let mut address = OsString::from("unix:path=");
        address.push(self.socket());
        address
    }

    /// A program that sees these tokens, whatever this process sees.
    pub fn command(&self, program: impl Into<OsString>) -> Command {
        let mut command = Command::new(program.into());
        command.env("SOFTHSM2_CONF", self.conf());
        command
    }

    /// Makes a token of that label in the next free slot, with that PIN for the user and `12345678` for the security
    /// officer. A library that is initialised already sees it only after `C_Finalize` and `C_Initialize`.
    ///
    /// # Errors
    ///
    /// If `softhsm2-util` is missing (says what to install) or refuses (says why).
    pub fn init_token(&self, label: &str, pin: &str) -> io::Result<()> {
        let mut util = self.command("softhsm2-util");
        util.args(["--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", pin]);
        program::run(&mut util, "softhsm2").map(drop)
    }
}
