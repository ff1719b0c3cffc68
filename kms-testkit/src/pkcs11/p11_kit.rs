use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{fs, io};

use rustix::process::{Pid, Signal, kill_process_group};

use super::program;
use super::softhsm::SoftHsm;

/// A token in another process: `p11-kit server` on a Unix socket, and the module that talks to it.
///
/// The process must have begun with [`reexec_with_softhsm`](super::reexec_with_softhsm): the address is in its
/// environment. One at a time. Each client has a process of its own at the other end, forked by the server; killing
/// takes all of them. After that every call of the client answers `CKR_DEVICE_ERROR` until the library is finalised and
/// initialised again.
#[derive(Debug)]
pub struct P11KitRig<'a> {
    softhsm: &'a SoftHsm,
    provider: PathBuf,
    token: String,
    server: Option<Child>,
}

impl<'a> P11KitRig<'a> {
    /// Serves the token of that label.
    ///
    /// # Errors
    ///
    /// If a program or library is missing (says what to install), or the server does not listen within 5 s.
    pub fn start(softhsm: &'a SoftHsm, token: &str) -> io::Result<Self> {
        Self::start_with(softhsm, token, &SoftHsm::module()?)
    }

    /// Serves it through another module at the far end, as a [`FaultModule`](super::FaultModule).
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(softhsm: &'a SoftHsm, token: &str, provider: &Path) -> io::Result<Self> {
        let mut rig = Self { softhsm, provider: provider.to_owned(), token: token.to_owned(), server: None };
        rig.restart()?;
        Ok(rig)
    }

    /// The client's module.
    ///
    /// # Errors
    ///
    /// If it is in none of the usual places; says what to install.
    pub fn module() -> io::Result<PathBuf> {
        let places = [
            "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so",
            "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so",
            "/usr/lib64/pkcs11/p11-kit-client.so",
            "/usr/lib/pkcs11/p11-kit-client.so",
        ];
        program::library(&places, "p11-kit-modules")
    }

    /// Ends the server and all that it forked, at once (`SIGKILL`). Nothing listens until [`restart`](Self::restart).
    ///
    /// # Errors
    ///
    /// If the signal cannot be sent.
    pub fn kill(&mut self) -> io::Result<()> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        let group = i32::try_from(server.id()).ok().and_then(Pid::from_raw);
        let killed = group.map_or(Ok(()), |group| kill_process_group(group, Signal::KILL));
        server.wait()?;
        killed.map_err(io::Error::from)
    }

    /// Kills what still runs, and starts the server at the same address. Returns when it listens.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill()?;
        let socket = self.softhsm.socket();
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut server = self.softhsm.command("p11-kit");
        server.args(["server", "--foreground", "--provider"]).arg(&self.provider);
        server.arg("--name").arg(&socket).arg(format!("pkcs11:token={}", self.token));
        server.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        self.server = Some(server.spawn().map_err(|error| program::missing(error, "p11-kit", "p11-kit"))?);
        self.await_listening(&socket)
    }

    fn await_listening(&mut self, socket: &Path) -> io::Result<()> {
        let begin = Instant::now();
        while UnixStream::connect(socket).is_err() {
            if let Some(status) = self.server.as_mut().map(Child::try_wait).transpose()?.flatten() {
                return Err(io::Error::other(format!("p11-kit server: {status}")));
            }
            if begin.elapsed() > Duration::from_secs(5) {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "p11-kit server does not listen after 5 s"));
            }
            sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

impl Drop for P11KitRig<'_> {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
