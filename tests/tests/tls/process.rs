//! Runs programs to their end, or in the background until the test ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How a program ended.
pub(crate) struct Ended {
    line: String,
    output: Output,
}

/// Runs a program with `input`, and no more, on stdin.
#[track_caller]
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Ended {
    run_with(command, input, drop)
}

/// Runs another's program; the words of `line` are separated by single spaces.
#[track_caller]
pub(crate) fn judge(line: &str, input: &[u8]) -> Ended {
    run(&mut command(line), input)
}

/// As [`judge`], for a program that would go when its stdin ends, and not wait for an answer.
#[track_caller]
pub(crate) fn converse(line: &str, input: &[u8]) -> Ended {
    let (sender, receiver) = mpsc::channel();
    let ended = run_with(&mut command(line), input, move |stdin| drop(sender.send(stdin)));
    drop(receiver);
    ended
}

fn command(line: &str) -> Command {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
}

#[track_caller]
fn run_with(command: &mut Command, input: &[u8], then: impl FnOnce(ChildStdin) + Send + 'static) -> Ended {
    let line = format!("{command:?}");
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {line}: {error}; scripts/test installs what is needed"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = thread::spawn(move || {
        // A program that fails early does not read its input.
        let _ = stdin.write_all(&input);
        then(stdin);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Ended { line, output }
}

impl Ended {
    #[track_caller]
    pub(crate) fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.output.status.code(), Some(code), "{self}");
        self
    }

    pub(crate) fn succeeded(&self) -> bool {
        self.output.status.success()
    }

    /// Checks that stdout or stderr tells this.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stdout().contains(text) || self.stderr().contains(text), "no `{text}` from {self}");
        self
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.output.status;
        write!(f, "{}: {code}\nstdout: {}\nstderr: {}", self.line, self.stdout(), self.stderr())
    }
}

/// A server, ended with the value.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    /// What it wrote to stderr so far, and who reads that.
    told: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a program and waits for the line on stdout that begins so and ends with `:PORT`.
    #[track_caller]
    pub(crate) fn start(command: &mut Command, announced_by: &'static str) -> Self {
        let line = format!("{command:?}");
        // Open, or `openssl s_server` would end at once.
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap_or_else(|error| panic!("cannot run {line}: {error}"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            // Read on, or the program would wait for a reader.
            for line in lines.by_ref().map_while(Result::ok).filter(|line| line.starts_with(announced_by)) {
                let _ = sender.send(line);
            }
        });
        let announced = receiver.recv_timeout(Duration::from_secs(30));
        let port = announced.ok().and_then(|line| line.rsplit(':').next()?.trim().parse().ok());
        let Some(port) = port else {
            let _ = child.kill();
            let mut stderr = String::new();
            let _ = child.stderr.take().unwrap().read_to_string(&mut stderr);
            panic!("{line} does not listen: {stderr}");
        };
        let told = Arc::new(Mutex::new(String::new()));
        let (stderr, teller) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&told));
        let reader = thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                *teller.lock().unwrap() += &(line + "\n");
            }
        });
        Self { child, port, told, reader: Some(reader) }
    }

    /// Waits until it has written this to stderr so often: it writes after its client has gone, perhaps.
    #[track_caller]
    pub(crate) fn tells(&self, text: &str, times: usize) {
        let give_up = Instant::now() + Duration::from_secs(30);
        loop {
            let told = self.told.lock().unwrap().clone();
            let count = told.matches(text).count();
            if count == times {
                return;
            }
            assert!(count < times && Instant::now() < give_up, "`{text}` {count} times in: {told}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it, and gives what it wrote to stderr.
    pub(crate) fn stop(mut self) -> String {
        self.child.kill().unwrap();
        self.reader.take().unwrap().join().unwrap();
        self.told.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
