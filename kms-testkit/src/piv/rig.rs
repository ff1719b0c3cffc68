//! A `pcscd` of one's own, with virtual readers.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fs, io, process};

use tempfile::TempDir;

use super::card::Card;
use super::inserted::Inserted;

/// `pcscd` with virtual readers that are called as those of a `YubiKey` are.
///
/// The process must have begun with [`reexec_with_pcsc`], so that no other program sees these readers nor this process
/// those of the machine. One at a time. It ends with the value.
#[derive(Debug)]
pub struct PcscRig {
    configuration: TempDir,
    readers: u16,
    daemon: Option<Child>,
}

/// Tells the second process that it is one.
const PRIVATE: &str = "KMS_TESTKIT_PCSC";

/// Where the first reader listens: that of `vpcd`'s own documentation.
const FIRST_PORT: u16 = 0x8c7b;

/// Where clients find the service; compiled into its library.
const SOCKET: &str = "/run/pcscd/pcscd.comm";

/// `pcscd` serves sixteen, and two a driver.
const MOST_READERS: u16 = 16;

/// Runs the whole process once more with a `/run` and a network (loopback alone) of its own, by `unshare` of util-linux.
/// In the first process this does not return: it ends as the second did.
///
/// Call it first in `main`: what stands before is done twice. Without root it takes a user namespace.
///
/// # Errors
/// If `unshare` or `ip` is missing, or may not do it.
pub fn reexec_with_pcsc() -> io::Result<()> {
    const PREPARE: &str = "mount -t tmpfs none /run && mkdir /run/pcscd && ip link set lo up && exec \"$@\"";
    if env::var_os(PRIVATE).is_some() {
        return Ok(());
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--net"]);
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["--", "sh", "-c", PREPARE, "sh"]).arg(env::current_exe()?).args(env::args_os().skip(1));
    let status =
        unshare.env(PRIVATE, OsString::from("1")).status().map_err(|error| missing(error, "unshare", "util-linux"))?;
    process::exit(status.code().unwrap_or(128 + status.signal().unwrap_or_default()))
}

impl PcscRig {
    /// Starts it with that many readers, all empty.
    ///
    /// # Errors
    /// If `pcscd` or the driver is missing (says what to install), there are more than sixteen readers, or the service
    /// does not answer within 20 s.
    pub fn start(readers: u16) -> io::Result<Self> {
        Self::start_beside(readers, 0)
    }

    /// The same, and behind those, as many `others`, an even number, that are not called as a `YubiKey` is.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_beside(yubikeys: u16, others: u16) -> io::Result<Self> {
        // The driver has two readers, which share a name.
        let first_other = yubikeys.next_multiple_of(2);
        let readers = if others == 0 { yubikeys } else { first_other + others };
        if env::var_os(PRIVATE).is_none() {
            return Err(io::Error::other("begin the process with `reexec_with_pcsc`"));
        }
        if readers > MOST_READERS {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "pcscd has at most 16 readers"));
        }
        let driver = ["/usr/lib/pcsc/drivers/serial/libifdvpcd.so", "/usr/lib64/pcsc/drivers/serial/libifdvpcd.so"];
        let driver = driver.into_iter().find(|path| Path::new(path).is_file());
        let driver = driver.ok_or_else(|| io::Error::other("no libifdvpcd.so: apt-get install vsmartcard-vpcd"))?;
        let configuration = tempfile::Builder::new().prefix("pcscd-").tempdir()?;
        let (conf, drivers) = (configuration.path().join("conf"), configuration.path().join("drivers"));
        fs::create_dir(&conf)?;
        fs::create_dir(&drivers)?;
        // The driver has two readers, on two ports. Loaded twice it would share its state, so that each is a copy.
        let mut text = String::new();
        for number in 0..readers.div_ceil(2) {
            let copy = drivers.join(format!("libifdvpcd-{number}.so"));
            fs::copy(driver, &copy)?;
            let port = FIRST_PORT + 2 * number;
            // Two of one name cannot be told apart.
            let which = if number == 0 { String::new() } else { format!(" {number}") };
            let name = if 2 * number < first_other { "Yubico YubiKey OTP+FIDO+CCID" } else { "Virtual PCD" };
            let lines = [
                format!("FRIENDLYNAME \"{name}{which}\""),
                format!("DEVICENAME /dev/null:0x{port:x}"),
                format!("LIBPATH {}", copy.display()),
                format!("CHANNELID 0x{port:x}\n\n"),
            ];
            text.push_str(&lines.join("\n"));
        }
        fs::write(conf.join("vpcd"), text)?;
        let mut rig = Self { configuration, readers, daemon: None };
        rig.restart()?;
        Ok(rig)
    }

    /// The port of a reader, the first of which is number 0.
    pub fn port(&self, reader: u16) -> u16 {
        FIRST_PORT + reader
    }

    /// How many readers there are.
    pub fn readers(&self) -> u16 {
        self.readers
    }

    /// Puts a card into a reader.
    ///
    /// # Errors
    /// If there is no such reader, or `pcscd` does not run.
    pub fn insert(&self, card: Card, reader: u16) -> io::Result<Inserted> {
        Inserted::insert(card, self.port(reader))
    }

    /// Ends `pcscd` at once (`SIGKILL`). Nothing answers until [`restart`](Self::restart), and cards that were inserted
    /// have to be inserted anew.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub fn kill(&mut self) -> io::Result<()> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        daemon.kill()?;
        daemon.wait()?;
        // It could not do so itself.
        for left in [SOCKET, "/run/pcscd/pcscd.pid"] {
            match fs::remove_file(left) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Kills what still runs, and starts `pcscd`. Returns when it answers.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill()?;
        self.await_ports()?;
        let mut daemon = Command::new("pcscd");
        daemon.arg("--foreground").arg("--config").arg(self.configuration.path().join("conf"));
        daemon.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.daemon = Some(daemon.spawn().map_err(|error| missing(error, "pcscd", "pcscd"))?);
        let start = Instant::now();
        // The last reader is set up last.
        while UnixStream::connect(SOCKET).is_err() || !self.is_listening() {
            if let Some(status) = self.daemon.as_mut().map(Child::try_wait).transpose()?.flatten() {
                return Err(io::Error::other(format!("pcscd: {status}")));
            }
            wait(start, "pcscd does not answer after 20 s")?;
        }
        Ok(())
    }

    fn is_listening(&self) -> bool {
        (0..self.readers).all(|reader| TcpListener::bind((Ipv4Addr::LOCALHOST, self.port(reader))).is_err())
    }

    /// Until what an earlier one listened on is free.
    fn await_ports(&self) -> io::Result<()> {
        let start = Instant::now();
        while (0..self.readers).any(|reader| TcpListener::bind((Ipv4Addr::UNSPECIFIED, self.port(reader))).is_err()) {
            wait(start, "the readers' ports are in use")?;
        }
        Ok(())
    }
}

impl Drop for PcscRig {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.kill();
    }
}

fn wait(start: Instant, late: &str) -> io::Result<()> {
    if start.elapsed() > Duration::from_secs(20) {
        return Err(io::Error::new(io::ErrorKind::TimedOut, late));
    }
    sleep(Duration::from_millis(20));
    Ok(())
}

fn missing(error: io::Error, name: &str, package: &str) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            io::Error::new(io::ErrorKind::NotFound, format!("no {name}: apt-get install {package}"))
        }
        _ => error,
    }
}
