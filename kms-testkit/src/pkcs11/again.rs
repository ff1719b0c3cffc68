use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::{env, io};

/// Runs this process once more, with the same arguments and more of an environment; answers with what it exited with.
pub(super) fn again<'a>(environment: impl IntoIterator<Item = (&'a str, OsString)>) -> io::Result<i32> {
    let mut again = Command::new(env::current_exe()?);
    let status = again.args(env::args_os().skip(1)).envs(environment).status()?;
    Ok(status.code().unwrap_or(128 + status.signal().unwrap_or_default()))
}
