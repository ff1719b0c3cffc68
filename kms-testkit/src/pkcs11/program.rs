use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a program to its end; an error that says what is missing or what the program said.
pub(super) fn run(command: &mut Command, package: &str) -> io::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| missing(error, &name, package))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{name}: {}: {}", output.status, said.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Adds what to install to the error of a program that is not there.
pub(super) fn missing(error: io::Error, name: &str, package: &str) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            io::Error::new(io::ErrorKind::NotFound, format!("no {name}: apt-get install {package}"))
        }
        _ => error,
    }
}

/// The first of several places where distributions put a library.
pub(super) fn library(places: &[&str], package: &str) -> io::Result<PathBuf> {
    let found = places.iter().map(Path::new).find(|place| place.is_file());
    let absent = || {
        let text = format!("none of {}: apt-get install {package}", places.join(", "));
        io::Error::new(io::ErrorKind::NotFound, text)
    };
    found.map(Path::to_owned).ok_or_else(absent)
}
