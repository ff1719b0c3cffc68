use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::SystemTime;

use tempfile::{NamedTempFile, TempDir};

use kms_pkcs11_fault::config::Config;
use kms_pkcs11_fault::counters::{self, Event};
use kms_pkcs11_fault::names::Function;

/// A copy of the fault-injecting module with a path of its own, wrapped around a copy of another module.
///
/// Each is an instance of its own even in one process: a library loaded twice from one file would share its state, so
/// the wrapped one is copied as well. The files go with the value; a library that is still loaded stays usable.
#[derive(Debug)]
pub struct FaultModule {
    directory: TempDir,
    wrapped: PathBuf,
    /// When the configuration was last written, and so that each has another time of change.
    written: Mutex<SystemTime>,
}

impl FaultModule {
    /// Around the module at that path, with no fault.
    ///
    /// # Errors
    ///
    /// If the built library is not found: it is a dependency of this crate, so cargo builds it with every test.
    pub fn wrap(wrapped: &Path) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("pkcs11-fault-").tempdir()?;
        fs::copy(built_library()?, directory.path().join(NAME))?;
        let copy = directory.path().join("wrapped.so");
        let absent = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", wrapped.display()));
        fs::copy(wrapped, &copy).map_err(absent)?;
        let module = Self { directory, wrapped: copy, written: Mutex::new(SystemTime::UNIX_EPOCH) };
        module.clear()?;
        Ok(module)
    }

    /// The module to load.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join(NAME)
    }

    /// Replaces all faults and settings by these lines, in the grammar of [`fault_config`](super::fault_config), and
    /// begins to count for `at=` anew. Holds from the next call of the module on; ends what hangs.
    ///
    /// # Errors
    ///
    /// If the lines are not a configuration: says which and why, and leaves the old one.
    pub fn set(&self, lines: &str) -> io::Result<()> {
        let text = format!("module={}\n{lines}\n", self.wrapped.display());
        text.parse::<Config>().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let mut file = NamedTempFile::new_in(self.directory.path())?;
        file.write_all(text.as_bytes())?;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        // The clock of the file system ticks in milliseconds; the module must see every change.
        *written = SystemTime::now().max(*written + std::time::Duration::from_micros(1));
        file.as_file().set_modified(*written)?;
        file.persist(self.beside(".conf"))?;
        Ok(())
    }

    /// Without faults and settings. What a fault left behind ends; sessions that are closed stay so.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn clear(&self) -> io::Result<()> {
        self.set("")
    }

    /// How often `C_Login`, or whichever, was called since the module was wrapped, with whatever answer.
    ///
    /// # Errors
    ///
    /// If there is no function of that name.
    pub fn calls(&self, function: &str) -> io::Result<u64> {
        let unknown = || io::Error::new(io::ErrorKind::InvalidInput, format!("no function `{function}`"));
        let function = Function::from_name(function).ok_or_else(unknown)?;
        never_loaded(counters::calls(&self.beside(".count"), function))
    }

    /// For how many calls a fault was due.
    ///
    /// # Errors
    ///
    /// If the file of counts cannot be read.
    pub fn faults(&self) -> io::Result<u64> {
        never_loaded(counters::events(&self.beside(".count"), Event::Fault))
    }

    /// What the caller did that it must not, with how often: `parallel-write`, `shared-session`, `busy-finalize`.
    ///
    /// # Errors
    ///
    /// If the file of counts cannot be read.
    pub fn misuse(&self) -> io::Result<Vec<(&'static str, u64)>> {
        let mut misuse = Vec::new();
        for event in [Event::ParallelWrite, Event::SharedSession, Event::BusyFinalize] {
            let times = never_loaded(counters::events(&self.beside(".count"), event))?;
            if times > 0 {
                misuse.push((event.name(), times));
            }
        }
        Ok(misuse)
    }

    /// The calls logged while `log=true` was set, a line each: sequence, function, answer, thread, faults.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub fn log(&self) -> io::Result<Vec<String>> {
        match File::open(self.beside(".log")) {
            Ok(log) => Ok(io::read_to_string(log)?.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn beside(&self, ending: &str) -> PathBuf {
        self.directory.path().join(format!("{NAME}{ending}"))
    }
}

const NAME: &str = "libkms_pkcs11_fault.so";

fn never_loaded(count: io::Result<u64>) -> io::Result<u64> {
    match count {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        count => count,
    }
}

/// The newest build near the running test: in `deps/` beside it, or in the profile's directory above.
fn built_library() -> io::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let mut newest: Option<(SystemTime, PathBuf)> = None;
    for directory in test.ancestors().skip(1).take(3).flat_map(|above| [above.to_owned(), above.join("deps")]) {
        let Ok(entries) = fs::read_dir(directory) else { continue };
        for entry in entries.flatten().filter(|entry| is_library(&entry.file_name())) {
            let changed = entry.metadata()?.modified()?;
            if newest.as_ref().is_none_or(|(best, _)| changed > *best) {
                newest = Some((changed, entry.path()));
            }
        }
    }
    let absent = || {
        let text = format!("no {NAME} near {}: cargo build -p kms-pkcs11-fault", test.display());
        io::Error::new(io::ErrorKind::NotFound, text)
    };
    newest.map(|(_, path)| path).ok_or_else(absent)
}

fn is_library(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name == NAME || (name.starts_with("libkms_pkcs11_fault-") && name.ends_with(".so"))
}
